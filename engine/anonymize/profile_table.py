"""Table E.1-1 of PS3.15: what the basic profile does to an attribute, and what options may keep.

`profile_table.tsv` has its cells as the standard prints them.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.model.anonymization import Retain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class ProfileAction(Enum):
    """What to do with an attribute (PS3.15 E.1)."""

    KEEP = auto()
    """K; the items of a sequence are cleaned."""
    REMOVE = auto()
    """X."""
    EMPTY = auto()
    """Z, and X/Z: right for attributes of type 2 and 3."""
    DUMMY = auto()
    """D, and all that may have to be D: right for every type."""
    UID = auto()
    """U: the same new UID for the same old one."""
    SHIFT = auto()
    """Dates of the option that keeps them modified."""


class ProfileRow(NamedTuple):
    """One attribute of the table."""

    basic: ProfileAction
    keeps: frozenset[Retain] = frozenset()
    """The options that keep it. Where one says C the basic action stands, which cleans best."""
    moves: bool = False
    """Whether it says when something was, so that it may stay if it is moved."""


_ACTIONS: Final = {
    "X": ProfileAction.REMOVE,
    "Z": ProfileAction.EMPTY,
    "X/Z": ProfileAction.EMPTY,
    "D": ProfileAction.DUMMY,
    "Z/D": ProfileAction.DUMMY,
    "X/D": ProfileAction.DUMMY,
    "X/Z/D": ProfileAction.DUMMY,
    "U": ProfileAction.UID,
    "X/Z/U*": ProfileAction.UID,
}
_COLUMNS: Final = (
    Retain.UIDS,
    Retain.DEVICE,
    Retain.INSTITUTION,
    Retain.PATIENT_CHARACTERISTICS,
    Retain.DATES,
)
_UNLISTED: Final = ProfileRow(ProfileAction.KEEP)


def row_of(tag: int) -> ProfileRow:
    """Return what the table says of a public element; what it doesn't list is kept."""
    exact, masked = table()
    row = exact.get(tag)
    if row is None:
        row = next((r for value, mask, r in masked if tag & mask == value), _UNLISTED)
    return row


@cache
def table() -> tuple[Mapping[int, ProfileRow], tuple[tuple[int, int, ProfileRow], ...]]:
    """Return the rows by tag, and those of repeating groups by value and mask."""
    exact: dict[int, ProfileRow] = {}
    masked: list[tuple[int, int, ProfileRow]] = []
    for digits, basic, *cells in _lines():
        *options, moved, _ = cells
        keeps = (o for o, cell in zip(_COLUMNS, options, strict=True) if cell == "K")
        row = ProfileRow(_ACTIONS[basic], frozenset(keeps), moved == "C")
        if "X" in digits:
            mask = int("".join("0" if digit == "X" else "F" for digit in digits), 16)
            masked.append((int(digits.replace("X", "0"), 16), mask, row))
        else:
            exact[int(digits, 16)] = row
    return exact, tuple(masked)


def _lines() -> Iterator[list[str]]:
    text = files("engine.anonymize").joinpath("profile_table.tsv").read_text("utf-8")
    return (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
