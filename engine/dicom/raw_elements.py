"""The elements of a data set as pydicom's raw elements: from a file, from bytes, or of items.

Anonymization and inspection read with this walk. It accepts only what is encoded by the rules, as
nearly everything is. pydicom's own reader takes many times as long and is for the rest.
"""

from __future__ import annotations

import os
from functools import partial
from struct import error
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from engine.dicom.elements import (
    DELIMITER_BYTES,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LAST_TAG,
    LONG_HEAD_BYTES,
    MAX_ELEMENTS,
    MAX_INDEXED_ELEMENTS,
    PIXEL_VRS,
    SHORT_HEAD_BYTES,
    UNDEFINED_LENGTH,
    encoding_of,
    odd_element,
    skip_fragments,
    skip_items,
    value_at,
)
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from engine.dicom.elements import Encoding

    Elements = dict[BaseTag, RawDataElement | DataElement]


MAX_IN_MEMORY_BYTES: Final = 64 * 1024
"""Longer values are left where they are, unless they are sequences of undefined length."""
# Any value that is not long is in a window with its head, if it begins where the window does.
_WINDOW_BYTES: Final = MAX_IN_MEMORY_BYTES + LONG_HEAD_BYTES
_WIDER: Final = 4
_KNOWN_TAGS: Final = 20_000


class TooManyElements(UnreadableObject):
    """There are more elements than are kept in memory."""


class Head(NamedTuple):
    """An element without its value."""

    number: int
    """The tag as a number, which Python compares many times as fast."""
    tag: BaseTag
    vr: str | None
    start: int
    """Where the element begins."""
    value_start: int
    length: int


class _Tags(dict[int, tuple[int, BaseTag]]):
    """Tags by key, always the same objects: Python calls `__eq__` only for two that are not."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self._encoding = encoding

    def __missing__(self, key: int) -> tuple[int, BaseTag]:
        if len(self) >= _KNOWN_TAGS:
            self.clear()  # hostile files have other tags each; the usual ones come back at once
        number = self._encoding.key(key)
        found = self[key] = number, BaseTag(number)
        return found


_TAGS: Final = {False: _Tags(EXPLICIT_LITTLE), True: _Tags(EXPLICIT_BIG)}
"""By whether the encoding is big endian."""


class RawWalk:
    """One walk over a data set or a DICOM file, a window at a time.

    Positions are those in the file or the bytes. For one thread.

    Every method raises `UnreadableObject` for what is not encoded by the rules, is cut short, or
    is shorter than at the beginning of the walk; and `OSError` if the file can't be read.
    """

    def __init__(self, read: Callable[[int, int], bytes], size_bytes: int) -> None:
        """Begin a walk.

        Args:
            read: returns so many bytes from a position, as `os.pread` does.
            size_bytes: where the last element must end.
        """
        self._read = read
        self._size = size_bytes
        self.reached = 0
        """Where the next element is."""
        self._last = -1
        """The tag of the last element; they must be in order (PS3.5 7.1)."""
        self.long: list[RawDataElement] = []
        """The elements whose values were left where they are."""
        self._look(_WINDOW_BYTES)

    @classmethod
    def of_file(cls, file: BinaryIO) -> Self:
        """Begin at the first byte of a file."""
        fd = file.fileno()
        return cls(partial(os.pread, fd), os.fstat(fd).st_size)

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        """Begin at the first of some bytes."""
        return cls(lambda size, start: data[start : start + size], len(data))

    def begin(self, position: int) -> None:
        """Go to the first element of a data set, whose tags may start anew."""
        self.reached, self._last = position, -1

    def encoding(self, transfer_syntax_uid: str) -> Encoding:
        """Return how the data set is encoded that begins here.

        Raises:
            UnreadableObject: if its first element has a VR and should not have one.
        """
        encoding = encoding_of(transfer_syntax_uid)
        place = self.reached - self._base + 4
        vr = self.window[place : place + 2]
        if not encoding.explicit and vr.isalpha() and vr.isupper():
            raise UnreadableObject("it is in explicit VR, its transfer syntax is not")
        return encoding

    def take(self, found: Elements, encoding: Encoding, last_tag: int = LAST_TAG) -> Head | None:
        """Add the elements up to pixel data, a tag, or the end.

        Elements with a long value get None for it. Only behind the last tag there may be something
        else, unless that is the last tag of a data set.

        Returns:
            The head of pixel data, which `skip` steps over; None if there are none.

        Raises:
            TooManyElements: before they fill the memory.
        """
        # Pixel data are found by their place in the order, not by a look at every element.
        stop = _before_pixels(self._last, last_tag)
        while self.reached < self._size:
            if len(found) > MAX_INDEXED_ELEMENTS:
                raise TooManyElements(f"more than {MAX_INDEXED_ELEMENTS:,} elements")
            self._take_short(found, encoding, stop)
            if self.reached == self._size:
                break
            if self._is_head_cut:
                self._look(_WINDOW_BYTES)
                continue
            head = self.head(encoding, last_tag)
            if head.number > LAST_TAG and last_tag == LAST_TAG:
                raise UnreadableObject(f"{head.tag} stands outside a sequence")
            if head.number > last_tag:
                break
            if head.number <= self._last:
                raise UnreadableObject("elements are not in the order of their tags")
            if head.number in PIXEL_VRS:
                return head
            if head.number > stop:
                stop = _before_pixels(head.number, last_tag)
            elif head.length == UNDEFINED_LENGTH:
                found[head.tag] = self._sequence(head, encoding)
            elif head.length > MAX_IN_MEMORY_BYTES:
                self.skip(head, encoding)
                found[head.tag] = raw = _raw(head, head.vr, None, encoding)
                self.long.append(raw)
            elif head.start > self._base:
                self._look(_WINDOW_BYTES)
            else:
                raise UnreadableObject(f"it ends inside {head.tag}")
        return None

    def head(self, encoding: Encoding, last_tag: int = LAST_TAG) -> Head:
        """Return the head of the next element; of one behind the last tag only the tag counts."""
        if self._is_head_cut:
            self._look(_WINDOW_BYTES)
        place, tags = self.reached - self._base, _TAGS[encoding.big_endian]
        try:
            key, length = encoding.key_and_length(self.window, place)
            number, tag = tags[key]
            start = self.reached
            if number > last_tag:
                # It is of another encoding, or a delimiter, which has no VR (PS3.5 7.5).
                return Head(number, tag, None, start, start + DELIMITER_BYTES, length)
            try:
                vr, position, length = value_at(self.window, place, encoding)
            except KeyError as fault:
                raise UnreadableObject(f"{tag} has no VR of the standard") from fault
        except error as fault:
            raise UnreadableObject("it ends inside an element") from fault
        return Head(number, tag, vr or None, start, self._base + position, length)

    def skip(self, head: Head, encoding: Encoding) -> int:
        """Step over an element without reading its value; return where it ends."""
        end = head.value_start + head.length
        if head.length == UNDEFINED_LENGTH:
            end = self._end_of_fragments(head, encoding)
        if end > self._size:
            raise UnreadableObject(f"it ends inside {head.tag}")
        self.reached, self._last = end, head.number
        return end

    @property
    def _is_head_cut(self) -> bool:
        """Whether the window may end inside the head of the next element."""
        return self.reached + LONG_HEAD_BYTES > self._window_end < self._size

    def _look(self, size_bytes: int) -> None:
        """Read a window from where the walk is."""
        self._base = self.reached
        self.window = self._read(size_bytes, self._base)
        if len(self.window) < min(size_bytes, self._size - self._base):
            raise UnreadableObject("the file became shorter while it was read")
        self._window_end = self._base + len(self.window)

    def _take_short(self, found: Elements, encoding: Encoding, stop: int) -> None:
        """Add elements up to the end of the window or one that is not short."""
        size = len(self.window)
        rest = SHORT_HEAD_BYTES if self._window_end == self._size else LONG_HEAD_BYTES
        try:
            place, self._last = take_short(
                found,
                self.window,
                encoding,
                self.reached - self._base,
                size,
                limit=size - rest,
                last=self._last,
                stop=stop,
                base=self._base,
            )
        except error as fault:
            raise UnreadableObject("it ends inside an element") from fault
        self.reached = self._base + place

    def _sequence(self, head: Head, encoding: Encoding) -> RawDataElement:
        """Return a sequence of undefined length, undecoded as any other."""
        number, tag, vr, _, value_start, _ = head
        if vr not in (None, "SQ", "UN") or (vr is None and not _may_be_sequence(number)):
            raise UnreadableObject(f"{tag} of undefined length is no sequence")
        # PS3.5 6.2.2: of unknown VR it is encoded in Implicit VR Little Endian.
        encoding = IMPLICIT_LITTLE if vr == "UN" else encoding
        end = self._end_of_items(head, encoding)
        value = self.window[value_start - self._base : end - self._base - DELIMITER_BYTES]
        self.reached, self._last = end, number
        return _raw(head, "SQ", value, encoding)

    def _end_of_items(self, head: Head, encoding: Encoding) -> int:
        """Find the end in a window that begins with the element and is as wide as it takes."""
        while True:
            place = head.value_start - self._base
            is_whole = self._window_end == self._size
            try:
                end, _ = skip_items(self.window, place, head.number, encoding, MAX_ELEMENTS)
            except UnreadableObject:
                if is_whole:
                    raise
                end = len(self.window) + 1
            if end <= len(self.window):
                return self._base + end
            if is_whole:
                raise UnreadableObject(f"{head.tag} of undefined length has no end")
            # It is walked from its beginning again: a third more in all, as windows grow fourfold.
            self._look(_WIDER * len(self.window))

    def _end_of_fragments(self, head: Head, encoding: Encoding) -> int:
        """Step over the fragments of encapsulated pixel data (PS3.5 A.4)."""
        position, goes_on = head.value_start, True
        data, base = self.window, self._base
        while goes_on:
            if position + DELIMITER_BYTES > base + len(data):
                # Only the heads of fragments are read, however long these are.
                data, base = self._read(DELIMITER_BYTES, position), position
                if len(data) < DELIMITER_BYTES:
                    raise UnreadableObject(f"it ends inside {head.tag}")
            place, goes_on = skip_fragments(data, position - base, encoding)
            position = base + place
        return position


def _before_pixels(tag: int, last_tag: int) -> int:
    """Return the greatest tag before the next pixel data behind a tag, but not behind the last."""
    for pixels in PIXEL_VRS:
        if pixels > tag:
            return min(last_tag, pixels - 1)
    return last_tag


# A loop of its own beside those of `elements.index`, over the same encodings: making elements takes
# 0.5 µs for each, noting where they are 0.18 µs, and reception wants only that, of every object.
# It is long on purpose, as those are: it runs for every element of every object that is read.
def take_short(
    found: Elements,
    data: bytes,
    encoding: Encoding,
    start: int,
    end: int,
    *,
    limit: int,
    last: int = -1,
    stop: int = LAST_TAG,
    base: int = 0,
) -> tuple[int, int]:
    """Add elements with their values, up to the first that is not just as most are.

    That is one whose tag is not greater than the last or is greater than `stop`, whose VR is none
    of the standard's, whose value is long or of undefined length, or which ends behind `end`.

    Args:
        found: gets the elements.
        data: what they are in.
        encoding: of the data.
        start: the place of the first.
        end: of the data set or item.
        limit: the last place at which a head may begin.
        last: the greatest tag so far.
        stop: the greatest tag to take.
        base: the position of the data in their file.

    Returns:
        Where the walk ends, and the greatest tag now.

    Raises:
        struct.error: if the data end inside a head.
    """
    head, length32, explicit = encoding.head, encoding.length32, encoding.explicit
    short_vrs, long_vrs, names = encoding.short_vrs, encoding.long_vrs, encoding.vr_names
    little, implicit, tags = not encoding.big_endian, not explicit, _TAGS[encoding.big_endian]
    longest, new, name = MAX_IN_MEMORY_BYTES, tuple.__new__, None
    while start <= limit:
        value = start + 8
        if explicit:
            key, vr, length = head(data, start)
            if vr in long_vrs:
                (length,) = length32(data, value)
                value += 4
            elif vr not in short_vrs:
                break
            name = names[vr]
        else:
            key, length = head(data, start)
        number, tag = tags[key]
        after = value + length
        if not last < number <= stop or length > longest or after > end:
            break
        content = data[value:after]
        found[tag] = new(
            RawDataElement,
            (tag, name, length, content, base + value, implicit, little, True, False),
        )
        last, start = number, after
    return start, last


def _raw(head: Head, vr: str | None, value: bytes | None, encoding: Encoding) -> RawDataElement:
    implicit, little = not encoding.explicit, not encoding.big_endian
    return RawDataElement(head.tag, vr, head.length, value, head.value_start, implicit, little)


def _may_be_sequence(tag: int) -> bool:
    """Tell whether an element without VR is, or may be, a sequence."""
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return True


class RawItem(NamedTuple):
    """An item of a sequence."""

    elements: Elements
    is_undefined_length: bool


class RawItems(NamedTuple):
    """The items of a sequence."""

    items: list[RawItem]
    unique: bool
    """Whether none of them has an element twice; of two the last is here, as readers take it."""
    odd: bool
    """Whether an element has none of the standard's VRs; it is here as UN."""


def read_items(value: bytes, encoding: Encoding) -> RawItems:
    """Return the items of a sequence.

    An element that is UN and had no length has one, but is in implicit VR (PS3.5 6.2.2).

    Raises:
        UnreadableObject: if the value isn't items of that encoding to its end.
    """
    items: list[RawItem] = []
    unique, odd, position, size = True, False, 0, len(value)
    try:
        while position < size:
            key, length = encoding.key_and_length(value, position)
            position += DELIMITER_BYTES
            if key == encoding.sequence_end and position == size:
                break  # of a value of defined length, which should have none but may
            is_open = length == UNDEFINED_LENGTH
            end = size if is_open else position + length
            if key != encoding.item or end > size:
                raise UnreadableObject("a sequence holds something that is no item")
            found = _ItemElements(value, encoding)
            position = found.read(position, end, is_open=is_open)
            unique &= found.unique
            odd |= found.odd
            items.append(RawItem(found.elements, is_open))
    except error as fault:
        raise UnreadableObject("a sequence is cut short") from fault
    return RawItems(items, unique, odd)


class _ItemElements:
    """The elements of one item, which may be odd, out of order, or there twice."""

    def __init__(self, value: bytes, encoding: Encoding) -> None:
        self._value = value
        self._encoding = encoding
        self.elements: Elements = {}
        self.unique = True
        self.odd = False

    def read(self, position: int, end: int, *, is_open: bool) -> int:
        """Read from a position up to an end or a delimiter; return where the item ends."""
        value, encoding, last = self._value, self._encoding, -1
        limit = end - SHORT_HEAD_BYTES
        while True:
            position, last = take_short(
                self.elements, value, encoding, position, end, limit=limit, last=last
            )
            if position == end:
                break
            if is_open and encoding.key_and_length(value, position)[0] == encoding.item_end:
                return position + DELIMITER_BYTES
            position, number = self._take_any(position, end)
            # Never less: what follows a smaller tag may be there twice, and must be compared.
            last = max(last, number)
        if is_open:
            raise UnreadableObject("an item has no end")
        return position

    def _take_any(self, start: int, end: int) -> tuple[int, int]:
        """Add the element at a place; return where the next one is, and its tag."""
        encoding, value = self._encoding, self._value
        number, tag = _TAGS[encoding.big_endian][encoding.key_and_length(value, start)[0]]
        if number > LAST_TAG:
            raise UnreadableObject("a delimiter stands between elements")
        vr: str | None
        try:
            vr, position, length = value_at(value, start, encoding)
        except KeyError:
            _, position, length = odd_element(value, start, encoding)
            vr, self.odd = "UN", True
        vr = vr or None
        if length == UNDEFINED_LENGTH:
            encoding = IMPLICIT_LITTLE if vr == "UN" else encoding
            after, _ = skip_items(value, position, number, encoding, MAX_ELEMENTS)
            content = value[position : after - DELIMITER_BYTES]
            if vr is None and _may_be_sequence(number):
                vr = "SQ"
            elif vr == "UN":
                length = len(content)  # pydicom would write a delimiter of the wrong byte order
        else:
            after = position + length
            content = value[position:after]
        if after > end:
            raise UnreadableObject("an element is longer than its item")
        self.unique &= tag not in self.elements
        implicit, little = not encoding.explicit, not encoding.big_endian
        self.elements[tag] = RawDataElement(tag, vr, length, content, position, implicit, little)
        return after, number
