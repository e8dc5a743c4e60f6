"""The Basic Application Level Confidentiality Profile (PS3.15 Annex E), beside scripts.

Applied at every depth, with one action for each attribute of table E.1-1. Where the table depends
on the attribute's type, the action that is right for all types is taken. Scripts run afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag

from engine.anonymize.datasets.decoding import UnreadableItems, text_element
from engine.anonymize.datasets.private import is_private
from engine.anonymize.datasets.reading import known_vr, text_of, vr_of
from engine.anonymize.datasets.tree import Hit, Level, may_have_items, roots
from engine.anonymize.datasets.writing import store
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import kept_element, part_of
from engine.anonymize.functions.dates import SECONDS_PER_UNIT, moved
from engine.anonymize.record import append_method_codes, mark_as_deidentified
from engine.dicom.uid_hash import hash_uid
from engine.model.anonymization import Retain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydicom.dataset import Dataset


class ProfileAction(Enum):
    """The actions on an attribute (PS3.15 E.1)."""

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
    """The options that keep it. For C (clean) the basic action is taken, which removes more."""
    moves: bool = False
    """Whether it is a date or time that may stay if it is moved."""


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


@lru_cache(4096)
def row_of(tag: int) -> ProfileRow:
    """Return the row of a public element; elements that the table doesn't list are kept."""
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
        # The columns of profile.tsv: tag, basic action, the options in this order, modified dates,
        # name.
        keeps = (o for o, cell in zip(_COLUMNS, options, strict=True) if cell == "K")
        row = ProfileRow(_ACTIONS[basic], frozenset(keeps), moved == "C")
        if "X" in digits:
            # A repeating group, such as (50XX,XXXX), has X for open digits.
            mask = int("".join("0" if digit == "X" else "F" for digit in digits), 16)
            masked.append((int(digits.replace("X", "0"), 16), mask, row))
        else:
            exact[int(digits, 16)] = row
    return exact, tuple(masked)


def _lines() -> Iterator[list[str]]:
    text = files("engine.anonymize").joinpath("profile.tsv").read_text("utf-8")
    return (line.split("\t") for line in text.splitlines() if not line.startswith("#"))


METHOD: Final = "DICOM PS3.15 Basic Profile"
# PS3.10 7.1: what a reader needs. The rest names programs, hosts and AE titles.
_NEEDED_META: Final = frozenset((0x0000, 0x0001, 0x0002, 0x0003, 0x0010, 0x0012, 0x0013))
_LONGITUDINAL: Final = BaseTag(0x00280303)
_TIME_ZONE: Final = BaseTag(0x00080201)
"""A time zone tells nothing about the day, so it need not move."""
_TIME_OF_DAY: Final = re.compile(r"[0-9:.\- ]*")
_UNREAD: Final = (ProfileAction.REMOVE, ProfileAction.EMPTY)
_TIMES: Final = frozenset(("DA", "DT", "TM"))
# Values that are valid for their VR, as action D asks for (PS3.15 E.1).
_DUMMIES: Final = {
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "AS": "000Y",
    "AT": "00000000",
    "OB": "\0\0",
    "OW": "\0\0",
    "UN": "\0\0",
    "UR": "urn:anonymized",
    **dict.fromkeys(("IS", "DS", "US", "SS", "UL", "SL", "UV", "SV"), "0"),
    **dict.fromkeys(("FL", "FD", "OF", "OD"), "0"),
}
_FREE_TEXT_VRS: Final = frozenset(("PN", "LO", "SH", "LT", "ST", "UT", "UC", *_TIMES))
_FIRST_CODE: Final = 0x00080100
_LAST_CODE: Final = 0x00080123
"""Attributes of code sequences (PS3.3 8.8)."""
_DUMMY_TEXT: Final = "ANONYMIZED"


_CODES: Final = {
    Retain.UIDS: ("113110", "Retain UIDs Option"),
    Retain.DEVICE: ("113109", "Retain Device Identity Option"),
    Retain.INSTITUTION: ("113112", "Retain Institution Identity Option"),
    Retain.PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Retain.DATES: (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    ),
}
_BASIC: Final = ("113100", "Basic Application Confidentiality Profile")
_MODIFIED_DATES: Final = (
    "113107",
    "Retain Longitudinal Temporal Information Modified Dates Option",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """The basic profile with options; one instance serves all objects."""

    retain: frozenset[Retain] = frozenset()
    shift_days: int | None = None
    """How far dates move if they are kept modified; None for not at all."""

    def apply(self, ds: Dataset, tick: Callable[[], None] = lambda: None) -> None:
        """De-identify an object in place, and record that in it.

        Raises:
            StatementFailure: if an element can't be read.
        """
        for level in roots(ds):
            self._clean(level, tick)
            if level.ds is not ds:
                _keep_needed_meta(level)
        self._mark(ds)

    def _clean(self, level: Level, tick: Callable[[], None], *, free_text: bool = False) -> None:
        """Clean a level and all below; with `free_text` unlisted texts are replaced too."""
        for tag, element in level.elements():
            tick()
            action = ProfileAction.REMOVE if is_private(tag) else self._action(level.ds, tag)
            try:
                is_leaf = action in _UNREAD or not may_have_items(element)
                items = None if is_leaf else level.sequence(tag)
            # What looks like a sequence and can't be read may hold names: it goes.
            except UnreadableItems:
                action, items = ProfileAction.REMOVE, None
            if action is ProfileAction.REMOVE:
                del level.ds[tag]
            elif action is ProfileAction.EMPTY:
                store(Hit(level, tag), "")
            elif items is not None:
                # Action D: the sequence keeps its structure, as the tree of a report; texts go.
                prose = free_text or action is ProfileAction.DUMMY
                for item in level.below(tag):
                    self._clean(item, tick, free_text=prose)
            elif action is not ProfileAction.KEEP:
                self._replace(Hit(level, tag), action)
            elif free_text and _may_be_free_text(level.ds, tag):
                self._replace(Hit(level, tag), ProfileAction.DUMMY)

    def _action(self, ds: Dataset, tag: BaseTag) -> ProfileAction:
        row = row_of(tag)
        if not self.retain and self.shift_days is None:
            return row.basic
        if self.shift_days is not None and row.moves:
            # Moved even if another option keeps it: one true date tells how far the others moved.
            if tag == _TIME_ZONE:
                return ProfileAction.KEEP
            return ProfileAction.SHIFT if vr_of(ds, tag) in _TIMES else row.basic
        if Retain.DATES in self.retain and Retain.DATES in row.keeps and _is_time(ds, tag):
            return ProfileAction.KEEP
        kept = row.keeps & self.retain - {Retain.DATES}
        return ProfileAction.KEEP if kept else row.basic

    def _replace(self, hit: Hit, action: ProfileAction) -> None:
        """Replace the values of an element that has some."""
        element = kept_element(hit.level.ds, hit.tag)
        if part_of(element) is None and (element is None or element.value in (None, b"", "")):
            return
        vr = vr_of(hit.level.ds, hit.tag)
        if action is ProfileAction.SHIFT:
            store(hit, _each(hit, partial(self._shifted, vr)))
        elif "UI" in (vr, known_vr(hit.level.ds, hit.tag)):
            # Whatever the VR: different UIDs must stay different, and references must still match.
            hit.level.ds[hit.tag] = text_element(hit.tag, "UI", _each(hit, hash_uid))
        elif action is ProfileAction.UID:
            del hit.level.ds[hit.tag]  # no UID by its VR, and no sequence
        else:
            store(hit, _DUMMIES.get(vr, _DUMMY_TEXT))

    def _shifted(self, vr: str, value: str) -> str:
        """Move a date; a time of day stays, and a text that is neither becomes empty."""
        if vr == "TM":
            return value if _TIME_OF_DAY.fullmatch(value) else ""
        try:
            return moved(value, (self.shift_days or 0) * SECONDS_PER_UNIT["days"])
        except StatementFailure:
            return ""

    def _mark(self, ds: Dataset) -> None:
        codes = [_BASIC, *(_CODES[option] for option in sorted(self.retain))]
        longitudinal = "UNMODIFIED" if Retain.DATES in self.retain else "REMOVED"
        if self.shift_days is not None:
            # Moved dates are another option (PS3.16 CID 7050), and exclude that of full dates.
            codes = [c for c in codes if c != _CODES[Retain.DATES]] + [_MODIFIED_DATES]
            longitudinal = "MODIFIED"
        ds[_LONGITUDINAL] = DataElement(_LONGITUDINAL, "CS", longitudinal)
        mark_as_deidentified(ds, METHOD)
        append_method_codes(ds, codes)


def _each(hit: Hit, change: Callable[[str], str]) -> str:
    """Return the text of an element with each of its values changed."""
    values = (value.strip(" \0") for value in (text_of(hit.level.ds, hit.tag) or "").split("\\"))
    return "\\".join(change(value) if value else value for value in values)


def _is_time(ds: Dataset, tag: BaseTag) -> bool:
    """Tell whether an element has the VR of a time, or else the one that it should have."""
    vr = vr_of(ds, tag)
    return vr in _TIMES or vr == known_vr(ds, tag)


def _may_be_free_text(ds: Dataset, tag: BaseTag) -> bool:
    """Tell whether an element holds free text; codes don't identify a patient."""
    return vr_of(ds, tag) in _FREE_TEXT_VRS and not _FIRST_CODE <= tag <= _LAST_CODE


def _keep_needed_meta(level: Level) -> None:
    """Remove the names of programs and hosts, which identify the sender (PS3.15 E.1.1)."""
    for tag in level.tags():
        if tag.element not in _NEEDED_META:
            del level.ds[tag]
