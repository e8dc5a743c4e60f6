"""What an edited object consists of: ranges of its file, and elements that must be encoded.

Only elements that are new or not what they were are encoded; between them whole ranges are copied,
whatever is in them, so that private and broken elements keep every byte.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from engine.anonymize.source_file import extent, is_unchanged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydicom.tag import BaseTag

    from engine.anonymize.source_file import Kept

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
    for tag in _disturbed(now, read):
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


def _disturbed(now: Mapping[BaseTag, Kept], read: Mapping[BaseTag, Kept]) -> list[BaseTag]:
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
