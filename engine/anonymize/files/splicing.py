"""Splits an edited object into ranges of its file and elements to encode.

Only elements that are new or not what they were are encoded; between them whole ranges are copied,
whatever is in them, so that private and broken elements keep every byte.
"""

from __future__ import annotations

from bisect import bisect_left
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.dataelem import RawDataElement
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from engine.anonymize.datasets.reading import TEXTS
from engine.anonymize.files.source import extent, is_unchanged
from engine.dicom.elements import UNDEFINED_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydicom.dataelem import DataElement
    from pydicom.tag import BaseTag

    from engine.anonymize.files.source import Kept


_LAST_GROUP_WITH_LENGTH = 6


class Range(NamedTuple):
    """Bytes of the file that an object was read from."""

    start: int
    end: int


def pieces(
    now: Mapping[BaseTag, Kept], read: Mapping[BaseTag, Kept], *, implicit: bool
) -> Iterator[Range | BaseTag]:
    """Yield what to copy and the tags of what to encode, in the order of a data set.

    Args:
        now: the elements of an edited data set.
        read: those that were read, in the order of their tags and of the file, without gaps.
        implicit: whether the data set is encoded in implicit VR.
    """
    places = list(read.values())
    numbers = list(map(int, read))
    copied = 0
    for tag in _changed_tags(now, read):
        at = bisect_left(numbers, int(tag))
        yield from _between(places, copied, at, implicit=implicit)
        was_read = at < len(numbers) and numbers[at] == tag
        copied = at + was_read
        if tag not in now or _is_retired(tag):
            continue
        if was_read and is_unchanged(now[tag], places[at]):
            yield from _between(places, at, copied, implicit=implicit)
        else:
            yield tag
    yield from _between(places, copied, len(places), implicit=implicit)


def _changed_tags(now: Mapping[BaseTag, Kept], read: Mapping[BaseTag, Kept]) -> list[BaseTag]:
    """Return the tags at which the file can't just be copied on."""
    found = {tag for tag, kept in now.items() if read.get(tag) is not kept or not tag & 0xFFFF}
    return sorted(found | (read.keys() - now.keys()), key=int)


def _is_retired(tag: BaseTag) -> bool:
    """Tell whether an element is a group length of a data set (PS3.5 7.2)."""
    return tag.element == 0 and tag.group > _LAST_GROUP_WITH_LENGTH


def _between(places: list[Kept], first: int, end: int, *, implicit: bool) -> Iterator[Range]:
    if first < end:
        start, _ = extent(places[first], implicit=implicit)
        yield Range(start, extent(places[end - 1], implicit=implicit)[1])


_MAX_SHORT_BYTES: Final = 0xFFFE
_EXPLICIT: Final = {little: Struct(f"{'<' if little else '>'}HH2sH") for little in (False, True)}
_IMPLICIT: Final = {little: Struct(f"{'<' if little else '>'}HHI") for little in (False, True)}
_LONG_LENGTH: Final = {little: Struct(f"{'<' if little else '>'}I") for little in (False, True)}


def encode_simple(
    element: DataElement | RawDataElement, *, implicit: bool, little: bool
) -> bytes | None:
    """Return an element as it is encoded (PS3.5 7.1).

    Returns:
        None if it is neither undecoded nor a single ASCII text, or too long for a short length.
    """
    content = _content(element)
    if content is None or len(content) > _MAX_SHORT_BYTES:
        return None
    vr, size = element.VR, len(content)
    group, number = element.tag >> 16, element.tag & 0xFFFF
    if implicit:
        return _IMPLICIT[little].pack(group, number, size) + content
    if vr is None:
        return None
    if vr in EXPLICIT_VR_LENGTH_32:
        head = _EXPLICIT[little].pack(group, number, vr.encode("ascii"), 0)
        return head + _LONG_LENGTH[little].pack(size) + content
    return _EXPLICIT[little].pack(group, number, vr.encode("ascii"), size) + content


def _content(element: DataElement | RawDataElement) -> bytes | None:
    vr, value = element.VR, element.value
    if isinstance(element, RawDataElement):
        return value if element.length != UNDEFINED_LENGTH else None
    if vr not in TEXTS or not isinstance(value, str) or not value.isascii():
        return None
    content = value.encode("ascii")
    if len(content) % 2:  # PS3.5 6.2
        content += b"\0" if vr == "UI" else b" "
    return content
