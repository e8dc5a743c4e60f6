"""Fast path of reading: one pass over the heads; elements stay raw, long values in the file.

Only for what is encoded by the rules, as nearly everything is: pydicom's own reader, which takes
many times as long, makes the best of the rest (`reading`).
"""

from __future__ import annotations

import os
import re
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import MediaStorageDirectoryStorage
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32
from pydicom.values import convert_string

from engine.anonymize.datasets.decoding import ITEM_STARTS, MAY_HAVE_ITEMS
from engine.anonymize.datasets.pixels import PIXEL_ELEMENTS
from engine.anonymize.datasets.reading import BYTES, FLOATS, vr_of
from engine.anonymize.errors import UneditableFile
from engine.anonymize.files.values import FilePart, ReadObject, SourceFile
from engine.dicom.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONGEST_HEAD_BYTES,
    MAX_ELEMENTS,
    MAX_INDEXED_ELEMENTS,
    UNDEFINED_LENGTH,
    encoding_of,
    skip_fragments,
    skip_items,
)
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import Dataset

    from engine.dicom.elements import Encoding

    Elements = dict[BaseTag, RawDataElement | DataElement]


MAX_IN_MEMORY_BYTES: Final = 64 * 1024
"""Longer values stay in the file, unless they are text or sequences."""
_STAY: Final = BYTES | FLOATS.keys() | {"US", "SS", "UL", "SL", "UV", "SV", "AT", "US or OW"}


def long_value(
    ds: Dataset, element: RawDataElement, file: BinaryIO
) -> RawDataElement | DataElement:
    """Return an element whose value was not read: with a part of the file for it, or its value.

    Args:
        ds: the data set that it is in.
        element: the element, without its value.
        file: the open file that it stands in.

    Raises:
        UneditableFile: if the file ends before the value does.
    """
    start, end = element.value_tell, element.value_tell + element.length
    if end > os.fstat(file.fileno()).st_size:
        raise UneditableFile(f"it ends inside {element.tag}", "send or copy it again")
    vr = vr_of(ds, element.tag)
    looks_nested = os.pread(file.fileno(), 4, start) in ITEM_STARTS
    if vr not in _STAY or (looks_nested and element.VR in MAY_HAVE_ITEMS):
        return element._replace(value=os.pread(file.fileno(), element.length, start))
    head = 12 if element.VR in EXPLICIT_VR_LENGTH_32 else 8
    part = FilePart(file, start - head, start, end, undefined_length=False)
    return DataElement(element.tag, vr, part, already_converted=True)


_WINDOW_BYTES: Final = MAX_IN_MEMORY_BYTES + LONGEST_HEAD_BYTES
"""Any value that is not long is in it with its head, if it begins there."""
_WIDER: Final = 4
_META_START: Final = 132
_MAGIC: Final = b"DICM"
_META_GROUP: Final = 0x0002
_LAST_GROUP: Final = 0xFFFD
_HEAD_BYTES: Final = 8
_DELIMITER_BYTES: Final = 8
_VR: Final = re.compile(rb"[A-Z]{2}")
_TOO_MANY: Final = f"it has more than {MAX_INDEXED_ELEMENTS:,} elements"
_KNOWN_TAGS: Final = 20_000
_CHARACTER_SET: Final = BaseTag(0x00080005)
_SOP_CLASS: Final = BaseTag(0x00020002)
_TRANSFER_SYNTAX: Final = BaseTag(0x00020010)
_PIXEL_VRS: Final = dict(zip(map(int, PIXEL_ELEMENTS), ("OF", "OD", "OW"), strict=True))


class NotRegular(Exception):
    """The file is not encoded by the rules, or is no object; never leaves this package."""


class _Tags(dict[int, tuple[int, BaseTag]]):
    """The tags of keys, always the same objects: comparing two that are not calls Python."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self._encoding = encoding

    def __missing__(self, key: int) -> tuple[int, BaseTag]:
        if len(self) >= _KNOWN_TAGS:
            self.clear()
        number = self._encoding.key(key)
        found = self[key] = number, BaseTag(number)
        return found


_TAGS: Final = {False: _Tags(EXPLICIT_LITTLE), True: _Tags(EXPLICIT_BIG)}
"""By whether the encoding is big endian."""
_EMPTY: Final = {
    vr: empty_value_for_VR(vr, raw=True) for vr in (None, *EXPLICIT_LITTLE.vr_names.values())
}
"""What pydicom has for values of no length."""


class _Special(NamedTuple):
    """The head of an element that is more than a short value."""

    number: int
    tag: BaseTag
    vr: str | None
    length: int
    value_start: int
    """In the file."""


def read_regular(file: BinaryIO) -> ReadObject:
    """Read an object; the file must stay open as long as the object is used.

    Raises:
        Irregular: if it must be read otherwise, perhaps only to say what is wrong with it.
        UneditableFile: if it has too many elements.
        OSError: if the file can't be read.
    """
    try:
        return _read(_Walk(file))
    except (UnreadableObject, struct.error, UnicodeError) as error:
        raise NotRegular from error


def _read(walk: _Walk) -> ReadObject:
    beginning = walk.window
    if beginning[_META_START - len(_MAGIC) : _META_START] != _MAGIC:
        raise NotRegular
    walk.reached = _META_START
    meta = walk.elements(EXPLICIT_LITTLE, _META_GROUP)
    uid = _uid(meta, _TRANSFER_SYNTAX)
    if not uid or _uid(meta, _SOP_CLASS) == MediaStorageDirectoryStorage or walk.long:
        raise NotRegular
    if next(iter(meta)).group != _META_GROUP:
        raise NotRegular
    encoding = encoding_of(uid)
    if not encoding.explicit and walk.seems_explicit:
        raise NotRegular
    elements = walk.elements(encoding, _LAST_GROUP)
    if not walk.is_at_end:
        raise NotRegular
    ds = ReadObject(elements.copy())
    ds.set_original_encoding(not encoding.explicit, not encoding.big_endian, _encodings(elements))
    for raw in walk.long:
        elements[raw.tag] = long_value(ds, raw, walk.file)
        ds[raw.tag] = elements[raw.tag]
    ds.file_meta = FileMetaDataset(meta.copy())
    ds.source = SourceFile(walk.file, beginning, meta, elements)
    return ds


def _uid(meta: Elements, tag: BaseTag) -> str:
    element = meta.get(tag)
    return (element.value or b"").decode("ascii").strip("\0 ") if element is not None else ""


def _encodings(elements: Elements) -> str | list[str]:
    element = elements.get(_CHARACTER_SET)
    return default_encoding if element is None else list(_encodings_named(element.value or b""))


@lru_cache(64)
def _encodings_named(value: bytes) -> tuple[str, ...]:
    """Return the encodings of a Specific Character Set."""
    return tuple(convert_encodings(convert_string(value, True)))


class _Walk:
    """One walk over a file, a window at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._fd = file.fileno()
        self._size = os.fstat(self._fd).st_size
        self.reached = 0
        """Where the next element is in the file."""
        self.long: list[RawDataElement] = []
        """Elements whose values were not read."""
        self._last = -1
        self._look(_WINDOW_BYTES)

    def elements(self, encoding: Encoding, last_group: int) -> Elements:
        """Return the elements from here up to a group, in the order of their tags, each once."""
        found: Elements = {}
        self._last = -1
        while self.reached < self._size:
            if len(found) > MAX_INDEXED_ELEMENTS:
                raise UneditableFile(_TOO_MANY, "leave it out")
            before = self.reached
            special = self._take_short(found, encoding, last_group)
            if special is None:
                if self.reached == before and self._base == before:
                    raise NotRegular
                self._look(_WINDOW_BYTES)
            elif special.number >> 16 > last_group:
                break
            else:
                found[special.tag] = self._take(special, encoding)
        return found

    @property
    def seems_explicit(self) -> bool:
        """Whether the next element has a VR: mislabelled data sets are told by that."""
        return _VR.match(self.window, self.reached - self._base + 4) is not None

    @property
    def is_at_end(self) -> bool:
        """Whether there is nothing more."""
        return self.reached == self._size

    # Long on purpose: it runs for every element of every object.
    def _take_short(self, found: Elements, encoding: Encoding, last_group: int) -> _Special | None:
        """Add elements up to the end of the window or one that is not short."""
        data, base, last = self.window, self._base, self._last
        head, length32, explicit = encoding.head, encoding.length32, encoding.explicit
        short_vrs, long_vrs, names = encoding.short_vrs, encoding.long_vrs, encoding.vr_names
        little, implicit, tags = not encoding.big_endian, not explicit, _TAGS[encoding.big_endian]
        size, most, new, name, vr = len(data), MAX_IN_MEMORY_BYTES, tuple.__new__, None, 0
        is_end = base + size == self._size
        limit = size - (_HEAD_BYTES if is_end else LONGEST_HEAD_BYTES)
        start = self.reached - base
        special = None
        while start <= limit:
            value = start + 8
            if explicit:
                key, vr, length = head(data, start)
            else:
                key, length = head(data, start)
            number, tag = tags[key]
            if number >> 16 > last_group:
                special = _Special(number, tag, None, 0, 0)
                break
            if explicit:
                if vr in long_vrs:
                    (length,) = length32(data, value)
                    value += 4
                elif vr not in short_vrs:
                    raise NotRegular
                name = names[vr]
            end = value + length
            if length > most or number in _PIXEL_VRS:
                special = _Special(number, tag, name, length, base + value)
                break
            if end > size:
                break
            if number <= last:
                raise NotRegular
            content = data[value:end] if length else _EMPTY[name]
            found[tag] = new(
                RawDataElement,
                (tag, name, length, content, base + value, implicit, little, True, False),
            )
            last, start = number, end
        self.reached, self._last = base + start, last
        return special

    def _take(self, special: _Special, encoding: Encoding) -> RawDataElement | DataElement:
        """Return an element of any length, and step over it."""
        number, tag, vr, length, value_start = special
        if number <= self._last:
            raise NotRegular
        self._last = number
        if number in _PIXEL_VRS:
            return self._pixel_data(special, encoding)
        if length == UNDEFINED_LENGTH:
            return self._sequence(special, encoding)
        self.reached = value_start + length
        if self.reached > self._size:
            raise NotRegular
        raw = RawDataElement(
            tag, vr, length, None, value_start, not encoding.explicit, not encoding.big_endian
        )
        self.long.append(raw)
        return raw

    def _pixel_data(self, special: _Special, encoding: Encoding) -> DataElement:
        """Find the end of pixel data without reading it."""
        number, tag, vr, length, value_start = special
        start, undefined = self.reached, length == UNDEFINED_LENGTH
        end = self._end_of_fragments(value_start, encoding) if undefined else value_start + length
        if end > self._size:
            raise NotRegular
        self.reached = end
        part = FilePart(self.file, start, value_start, end, undefined_length=undefined)
        vr = vr or _PIXEL_VRS[number]
        return DataElement(tag, vr, part, is_undefined_length=undefined, already_converted=True)

    def _end_of_fragments(self, position: int, encoding: Encoding) -> int:
        """Step over the fragments of encapsulated pixel data (PS3.5 A.4)."""
        data, base, goes_on = self.window, self._base, True
        while goes_on:
            if position + _HEAD_BYTES > base + len(data):
                data, base = os.pread(self._fd, _HEAD_BYTES, position), position
                if len(data) < _HEAD_BYTES:
                    raise NotRegular
            place, goes_on = skip_fragments(data, position - base, encoding)
            position = base + place
        return position

    def _sequence(self, special: _Special, encoding: Encoding) -> RawDataElement:
        """Return a sequence of undefined length, undecoded as any other."""
        number, tag, vr, length, value_start = special
        if vr not in (None, "SQ", "UN") or (vr is None and not _may_be_sequence(number)):
            raise NotRegular
        # PS3.5 6.2.2: of unknown VR it is encoded in Implicit VR Little Endian.
        encoding = IMPLICIT_LITTLE if vr == "UN" else encoding
        end = self._end_of_items(special, encoding)
        place = value_start - self._base
        value = self.window[place : end - self._base - _DELIMITER_BYTES]
        self.reached = end
        implicit, little = not encoding.explicit, not encoding.big_endian
        return RawDataElement(tag, "SQ", length, value, value_start, implicit, little)

    def _end_of_items(self, special: _Special, encoding: Encoding) -> int:
        """Find the end in a window that begins with the element and is as wide as it takes."""
        while True:
            place = special.value_start - self._base
            is_whole = self._base + len(self.window) == self._size
            try:
                end, _ = skip_items(self.window, place, special.number, encoding, MAX_ELEMENTS)
            except UnreadableObject:
                if is_whole:
                    raise
                end = len(self.window) + 1
            if end <= len(self.window):
                return self._base + end
            if is_whole:
                raise NotRegular
            self._look(_WIDER * len(self.window))

    def _look(self, size_bytes: int) -> None:
        """Move the window to where the walk is."""
        self._base = self.reached
        self.window = os.pread(self._fd, size_bytes, self._base)
        if len(self.window) < min(size_bytes, self._size - self._base):
            raise NotRegular  # it has become shorter in the meantime


def _may_be_sequence(number: int) -> bool:
    """Tell whether an element without VR is, or may be, a sequence."""
    try:
        return dictionary_VR(number) == "SQ"
    except KeyError:
        return True
