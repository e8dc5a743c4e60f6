"""Table E.1-1 of PS3.15, as the package dicom-anonymizer generates it from the standard."""

from __future__ import annotations

from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Action(Enum):
    """What to do with an attribute (PS3.15 E.1)."""

    KEEP = auto()
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


_LISTS = {
    "X_TAGS": Action.REMOVE,
    "Z_TAGS": Action.EMPTY,
    "X_Z_TAGS": Action.EMPTY,
    "D_TAGS": Action.DUMMY,
    "Z_D_TAGS": Action.DUMMY,
    "X_D_TAGS": Action.DUMMY,
    "X_Z_D_TAGS": Action.DUMMY,
    "U_TAGS": Action.UID,
    "X_Z_U_STAR_TAGS": Action.UID,
}


def action_for(tag: int) -> Action:
    """Return the table's action for a public element; what it doesn't list is kept."""
    exact, masked = table()
    action = exact.get(tag)
    if action is None:
        fitting = (a for value, mask, a in masked if tag & mask == value)
        action = next(fitting, Action.KEEP)
    return action


@cache
def table() -> tuple[Mapping[int, Action], tuple[tuple[int, int, Action], ...]]:
    """Return the actions by tag, and those of repeating groups by value and mask."""
    # The package brings pydicom's pixel handlers along, which nothing else here needs.
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c

    exact: dict[int, Action] = {}
    masked: list[tuple[int, int, Action]] = []
    for name, action in _LISTS.items():
        for group, element, *masks in getattr(dicomfields_2026c, name):
            if masks:
                mask = masks[0] << 16 | masks[1]
                masked.append(((group << 16 | element) & mask, mask, action))
            else:
                exact[group << 16 | element] = action
    return exact, tuple(masked)
