"""Where the pixel data of a data set are, also while it is arriving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from engine.dicom.elements import (
    LONG_HEAD_BYTES,
    LONG_VRS,
    PIXEL_VRS,
    UNDEFINED_LENGTH,
    index,
    value_at,
)
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from engine.dicom.elements import Buffer, Encoding, Index

LAST_TAG: Final = 0x7FE00010
"""The last pixel data that an element may hold: (7FE0,0010)."""
ANY_SIZE: Final = 1 << 48
"""For a data set whose length is not known yet."""
_ITEM_HEAD_BYTES: Final = 8


class PixelData(NamedTuple):
    """Where the pixel data of an object are, in bytes from the beginning of its file."""

    element: int
    """Where the element begins."""
    start: int
    """Where its value begins."""
    end: int | None
    """Behind its value, and the delimiter of an encapsulated one; None if that is yet to come."""


class Fragments:
    """Finds the end of encapsulated pixel data in bytes as they come (PS3.5 A.4)."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._head = b""
        """The beginning of an item's head that came in part."""
        self._left = 0
        """Of the item that is arriving."""

    def take(self, view: memoryview) -> tuple[int, bool]:
        """Return how many bytes are inside, and whether the end is among them.

        Raises:
            UnreadableObject: if something else than an item stands there.
        """
        position = 0
        while position < len(view):
            if self._left:
                step = min(self._left, len(view) - position)
                self._left -= step
                position += step
                continue
            wanted = _ITEM_HEAD_BYTES - len(self._head)
            self._head += view[position : position + wanted]
            position = min(position + wanted, len(view))
            if len(self._head) < _ITEM_HEAD_BYTES:
                break
            key, length = self._encoding.key_and_length(self._head, 0)
            self._head = b""
            if key == self._encoding.sequence_end:
                return position, True
            if key != self._encoding.item or length == UNDEFINED_LENGTH:
                raise UnreadableObject("(7FE0,0010) holds something that is no item")
            self._left = length
        return position, False


def pixels_in(
    content: Buffer, body_offset: int, encoding: Encoding, size_bytes: int
) -> PixelData | None:
    """Return where the pixel data begin, and end if that is known; None if they are not there.

    Args:
        content: a file, or its beginning.
        body_offset: where its data set begins.
        encoding: of the data set.
        size_bytes: of the whole data set.

    Raises:
        UnreadableObject: if the elements before them can't be found.
    """
    with memoryview(content)[body_offset:] as data:
        found = index(data, encoding, LAST_TAG, to_end=False, size_bytes=size_bytes)
        return place_in(found, data, body_offset, encoding)


def place_in(found: Index, data: Buffer, body_offset: int, encoding: Encoding) -> PixelData | None:
    """Return where the pixel data are by what a walk has found in the beginning of a data set."""
    # The walk ends behind the group of pixel data, so that they are last if they are there. If they
    # are not, an element stands out of order or once more, perhaps behind them: it must be edited.
    key = next(reversed(found.starts), 0)
    start = found.starts.get(key, 0)
    is_there = encoding.key(key) in PIXEL_VRS and key not in found.odd
    if not is_there or start < max(found.starts.values()) or start + LONG_HEAD_BYTES > len(data):
        return None
    vr, value, length = value_at(data, start, encoding)
    if vr and vr not in LONG_VRS:
        return None
    end = None if length == UNDEFINED_LENGTH else body_offset + value + length
    if end is None and not found.inside_fragments:
        end = body_offset + found.end
    return PixelData(body_offset + start, body_offset + value, end)
