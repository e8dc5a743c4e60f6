"""Which elements may tell who a patient is; one pure rule for every place that shows values.

It hides names of persons, what PS3.15 table E.1-1 removes because it leads to a person, free text
that anybody may have typed anything into, and all private values but their creators. What a script
copies from there to elsewhere is known by its value.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "••••••••"

_PATIENT_GROUP: Final = 0x0010
_OF_PATIENT_HARMLESS: Final = frozenset(
    (
        *(0x00100000, 0x00100022, 0x00100024, 0x00100026),  # type and issuer of an ID
        *(0x00100040, 0x00101010, 0x00101020, 0x00101030),  # sex, age, size, weight
        *(0x00100082, 0x00100101, 0x00100102, 0x001021C0, 0x00102201, 0x00102202),
    )
)
_ELSEWHERE: Final = frozenset(
    (
        *(0x00080050, 0x00080051, 0x00080080, 0x00080081, 0x00080082, 0x00080092, 0x00080094),
        *(0x00081048, 0x00081049, 0x00081050, 0x00081052, 0x00081060, 0x00081062, 0x00081070),
        *(0x00081080, 0x00081084, 0x00082111, 0x00084000, 0x00184000, 0x00204000),
        *(0x00321032, 0x00321033, 0x00324000, 0x00380010, 0x00380011, 0x00380014, 0x00380300),
        *(0x00380400, 0x00380500, 0x00384000, 0x00401001, 0x00401400, 0x00402001, 0x00402016),
        *(0x00402017, 0x00402400, 0x00402008, 0x00402010, 0x00403001, 0x0040A123, 0x0040A160),
        *(0x00880904, 0x40000010, 0x40004000, 0x00400244, 0x00400280, 0x00081040, 0x00081010),
        *(0x00081195, 0x00400006, 0x00400241, 0x00400242, 0x00420011, 0x00181000, 0x00189367),
        *(0x00189369, 0x0018936A, 0x00209158, 0x4008010B, 0x40080115, 0x40080300, 0x40084000),
    )
)
_LONG_TEXTS: Final = frozenset(("LT", "ST", "UT"))
_TIMES: Final = frozenset(("AS", "DA", "DT", "TM"))
_PART_CHARACTERS: Final = 4
"""A part of a value that is shorter may be there by chance."""
_MOST_PIECES: Final = 500
_LONGEST_PIECE: Final = 256
"""A peer says how much there is to be looked for."""
_CREATOR: Final = re.compile(r"(?<=\{)[^{}]+(?=\})")
_NUMBER: Final = re.compile(r"[-+.0-9eE]+")


def is_private(tag: int) -> bool:
    """Tell whether an element belongs to a private group (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


def is_identifying(tag: int, vr: str) -> bool:
    """Tell whether the value of an element may lead to the patient or another person."""
    group, element = tag >> 16, tag & 0xFFFF
    if vr == "SQ":
        return False  # its items are judged one by one
    if is_private(tag):
        return not 0x10 <= element <= 0xFF
    if vr == "PN" or vr in _LONG_TEXTS:
        return True
    if group == _PATIENT_GROUP:
        return tag not in _OF_PATIENT_HARMLESS
    return tag in _ELSEWHERE


def is_telling(tag: int, vr: str) -> bool:
    """Tell whether the value of an element gives a person away wherever else it stands.

    Dates and times do so only among what is said of the patient: others are alike in all objects.
    """
    if vr in _TIMES and tag >> 16 != _PATIENT_GROUP:
        return False
    return is_identifying(tag, vr)


class IdentifyingValue(NamedTuple):
    """One value of an element that `is_identifying`."""

    text: str
    vr: str
    is_private: bool = False
    """Whether it is of a private element: then numbers and short words say nothing."""


class IdentifyingValues:
    """What one object says of its patient, to be found again in texts that say nothing of a tag."""

    def __init__(self, values: Iterable[IdentifyingValue] = ()) -> None:
        """Take the values of the object as it arrived."""
        known = sorted(values, key=lambda value: value.is_private)
        self._whole = frozenset(v.text.strip().casefold() for v in known if not v.is_private)
        self._short = tuple(
            v.text.casefold() for v in known if v.vr not in _LONG_TEXTS and not v.is_private
        )
        pieces = dict.fromkeys(piece for value in known for piece in _pieces(value))
        kept = islice(pieces, _MOST_PIECES)
        longest_first = sorted(kept, key=lambda piece: (-len(piece), piece))
        found = "|".join(map(_as_found, longest_first))
        self._pattern = re.compile(found, re.IGNORECASE) if found else None

    def hide(self, text: str) -> str:
        """Return a text with every place masked that says one of the values."""
        if self._is_whole(text):
            return MASK
        return self._pattern.sub(MASK, text) if self._pattern else text

    def hide_in_path(self, path: str) -> str:
        """Return the path of an element likewise: only names of private creators say anything."""
        return _CREATOR.sub(lambda found: self.hide(found[0]), path)

    def are_told_by(self, text: str) -> bool:
        """Tell whether a text is, contains or is a part of one of the values."""
        if self.hide(text) != text:
            return True
        part = text.strip().casefold()
        return len(part) >= _PART_CHARACTERS and any(part in value for value in self._short)

    def _is_whole(self, text: str) -> bool:
        whole = text.strip().casefold()
        return bool(whole) and whole in self._whole


def _pieces(value: IdentifyingValue) -> Iterator[str]:
    """Yield what of a value tells as much as the whole: each value, each part of a name."""
    for piece in (value.text, *re.split(r"[\\^=]", value.text)):
        found = piece.strip()[:_LONGEST_PIECE]
        shortest = _PART_CHARACTERS if value.is_private else 2
        if len(found) >= shortest and not (value.is_private and _NUMBER.fullmatch(found)):
            yield found


def _as_found(piece: str) -> str:
    """Return what finds a piece: anywhere, or only as a word if it is short."""
    found = re.escape(piece)
    return found if len(piece) >= _PART_CHARACTERS else rf"(?<!\w){found}(?!\w)"


NO_VALUES: Final = IdentifyingValues()
"""Of an object of which nothing is known."""
