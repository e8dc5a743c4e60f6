"""Decodes raw elements with pydicom's warnings suppressed, and sequences in one strict pass."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom import config
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32
from pydicom.values import convert_string

from engine.anonymize.datasets.reading import BYTES, MULTI_TEXTS, TEXTS, raw_text, vr_of
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import ReadSequence, kept_element, part_of
from engine.dicom.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    MAX_ELEMENTS,
    UNDEFINED_LENGTH,
    odd_element,
    skip_items,
)
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from engine.dicom.elements import Encoding

    Encodings = str | list[str]


MAX_DEPTH: Final = 32
ITEM_STARTS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
MAY_HAVE_ITEMS: Final = frozenset((None, *EXPLICIT_VR_LENGTH_32))
"""VRs of elements that may be sequences: those without a length; None is that of Implicit VR."""
_PIXELS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_DELIMITER_GROUP: Final = 0xFFFE
_DELIMITER_BYTES: Final = 8
_CHARACTER_SET: Final = BaseTag(0x00080005)
_ALL: Final = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)


class UnreadableItems(StatementFailure):
    """An element begins as a sequence does, or is one, and can't be read to its end."""

    def __init__(self, tag: BaseTag) -> None:
        super().__init__(f"{tag} is a sequence that can't be read to its end", "remove it first")


class Items(NamedTuple):
    """A decoded sequence."""

    items: list[Dataset]
    encoding: Encoding
    unique: bool
    """Whether no item has an element twice; of two only the last is decoded."""


def is_declared(element: DataElement | RawDataElement) -> bool:
    """Tell whether an element must be a sequence, by its VR or the data dictionary."""
    if element.VR == "SQ":
        return True
    return element.VR in (None, "UN") and not element.tag.is_private and _is_known(element.tag)


def _is_known(tag: BaseTag) -> bool:
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False


def looks_nested(element: DataElement | RawDataElement) -> bool:
    """Tell whether an undecoded element or bytes must be read as a sequence, or refused."""
    if element.VR not in MAY_HAVE_ITEMS or part_of(element) is not None:
        return False
    value = element.value
    if is_declared(element):
        return isinstance(element, RawDataElement) or isinstance(value, bytes)
    begins = isinstance(value, bytes) and value[:4] in ITEM_STARTS
    return begins and element.tag not in _PIXELS


def decoded(element: DataElement | RawDataElement, encodings: Encodings) -> Items:
    """Decode a sequence of the encoding that it should have, or of any other that fits.

    Args:
        element: one that `looks_nested`.
        encodings: those of the text in the data set that it is in.

    Raises:
        UnreadableItems: if nothing fits.
    """
    value = element.value or b""
    for encoding in dict.fromkeys((*_declared_encoding(element), *_ALL)):
        try:
            return _decoded(value, encoding, encodings)
        except (UnreadableObject, struct.error):
            continue
    raise UnreadableItems(element.tag)


def _declared_encoding(element: DataElement | RawDataElement) -> tuple[Encoding, ...]:
    if not isinstance(element, RawDataElement) or element.VR == "UN" or element.is_implicit_VR:
        return ()
    return (EXPLICIT_LITTLE if element.is_little_endian else EXPLICIT_BIG,)


def _decoded(value: bytes, encoding: Encoding, encodings: Encodings) -> Items:
    items: list[Dataset] = []
    unique, position, size = True, 0, len(value)
    while position < size:
        key, length = encoding.key_and_length(value, position)
        position += _DELIMITER_BYTES
        if key == encoding.sequence_end and position == size:
            break
        undefined = length == UNDEFINED_LENGTH
        end = size if undefined else position + length
        if key != encoding.item or end > size:
            raise UnreadableObject("something stands there that is no item")
        found = _Elements(value, encoding)
        position = found.read(position, end, open_end=undefined)
        unique &= found.unique
        items.append(_item(found.elements, encoding, encodings, undefined=undefined))
    return Items(items, encoding, unique)


def _item(
    elements: dict[BaseTag, RawDataElement | DataElement],
    encoding: Encoding,
    encodings: Encodings,
    *,
    undefined: bool,
) -> Dataset:
    named = elements.get(_CHARACTER_SET)
    if named is not None:
        encodings = convert_encodings(convert_string(named.value or b"", True))
    item = Dataset(elements, parent_encoding=encodings)
    item.set_original_encoding(not encoding.explicit, not encoding.big_endian, encodings)
    item.is_undefined_length_sequence_item = undefined
    return item


class _Elements:
    """The elements of one item."""

    def __init__(self, value: bytes, encoding: Encoding) -> None:
        self._value = value
        self._encoding = encoding
        self.elements: dict[BaseTag, RawDataElement | DataElement] = {}
        self.unique = True

    def read(self, position: int, end: int, *, open_end: bool) -> int:
        """Read from a position up to an end or a delimiter; return where the item ends."""
        value, encoding = self._value, self._encoding
        item_end, head = encoding.item_end, encoding.key_and_length
        while position < end:
            if open_end and head(value, position)[0] == item_end:
                return position + _DELIMITER_BYTES
            position = self._element(position, end)
        if open_end:
            raise UnreadableObject("an item has no end")
        return position

    def _element(self, start: int, end: int) -> int:
        """Add the element at a position; return where the next one is."""
        encoding, value = self._encoding, self._value
        number, name, position, length = self._head(start)
        if number >> 16 == _DELIMITER_GROUP:
            raise UnreadableObject("a delimiter stands between elements")
        tag, vr = BaseTag(number), name
        if length == UNDEFINED_LENGTH:
            inner = IMPLICIT_LITTLE if name == "UN" else encoding
            after, _ = skip_items(value, position, number, inner, MAX_ELEMENTS)
            content: bytes = value[position : after - _DELIMITER_BYTES]
            vr = "SQ" if name is None and _is_sequence(tag) else name
            if name == "UN":
                length = len(content)  # pydicom would write a delimiter of the wrong byte order
        else:
            inner, after = encoding, position + length
            content = value[position:after]
        if after > end:
            raise UnreadableObject("an element is longer than its item")
        self.unique &= tag not in self.elements
        implicit, little = not inner.explicit, not inner.big_endian
        self.elements[tag] = RawDataElement(tag, vr, length, content, position, implicit, little)
        return after

    def _head(self, start: int) -> tuple[int, str | None, int, int]:
        """Return tag, VR, position and length of the value of an element."""
        encoding, value = self._encoding, self._value
        if not encoding.explicit:
            key, length = encoding.key_and_length(value, start)
            return encoding.key(key), None, start + 8, length
        key, vr, length = encoding.head(value, start)
        if vr in encoding.short_vrs:
            return encoding.key(key), encoding.vr_names[vr], start + 8, length
        if vr in encoding.long_vrs:
            (length,) = encoding.length32(value, start + 8)
            return encoding.key(key), encoding.vr_names[vr], start + 12, length
        _, position, length = odd_element(value, start, encoding)
        return encoding.key(key), "UN", position, length


def _is_sequence(tag: BaseTag) -> bool:
    """Tell whether a value of undefined length in Implicit VR is a sequence, not pixel data."""
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return tag not in _PIXELS


_PLAIN: Final = TEXTS - {"DS", "IS", "PN", "UI"}
"""VRs whose single values pydicom keeps as they are."""


def decode(ds: Dataset, tag: BaseTag) -> DataElement:
    """Decode an element in its data set, with the character set it was read in.

    Raises:
        UnreadableItems: if it must be a sequence and can't be read to its end.
    """
    return _decode(ds, tag, 0)


def _decode(ds: Dataset, tag: BaseTag, depth: int) -> DataElement:
    kept = kept_element(ds, tag)
    if kept is not None and looks_nested(kept):
        try:
            return unfold(ds, tag, depth)
        except UnreadableItems:
            if is_declared(kept):
                raise
    if not isinstance(kept, RawDataElement):
        return ds[tag]
    vr = vr_of(ds, tag)
    if vr in TEXTS:
        text = raw_text(kept.value or b"", vr, ds.original_character_set)
        ds[tag] = text_element(tag, vr, text.rstrip("\0 "))
    elif vr in BYTES:
        ds[tag] = DataElement(tag, vr, kept.value or b"", already_converted=True)
    return ds[tag]


def unfold(ds: Dataset, tag: BaseTag, depth: int = 0) -> DataElement:
    """Decode an element that `looks_nested`; items in an encoding of their own wholly.

    pydicom would have to convert them when it writes.

    Raises:
        UnreadableItems: if it can't be read to its end.
        Failure: if items in an encoding of their own are nested too deep.
    """
    kept = kept_element(ds, tag)
    assert kept is not None
    names = ds.original_character_set
    found = decoded(kept, [names] if isinstance(names, str) else list(names))
    undefined = isinstance(kept, RawDataElement) and kept.length == UNDEFINED_LENGTH
    as_around = _is_encoded_as(ds, found.encoding)
    if isinstance(kept, RawDataElement) and as_around and found.unique:
        # It is copied as it stands if nobody changes it.
        items: Sequence = ReadSequence(found.items, kept)
    else:
        items = Sequence(found.items)
    if not as_around:
        for item in items:
            _decode_all(item, depth + 1)
    ds[tag] = element = DataElement(
        tag, "SQ", items, is_undefined_length=undefined, already_converted=True
    )
    return element


def _is_encoded_as(ds: Dataset, encoding: Encoding) -> bool:
    return ds.original_encoding == (not encoding.explicit, not encoding.big_endian)


def decode_all(ds: Dataset) -> None:
    """Decode every element of a data set and of its items; raises as `decode` and `unfold`."""
    _decode_all(ds, 0)


def _decode_all(ds: Dataset, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise StatementFailure(f"sequences are nested more than {MAX_DEPTH} deep")
    for tag in list(ds.keys()):
        element = _decode(ds, tag, depth)
        for item in element.value if element.VR == "SQ" and part_of(element) is None else ():
            _decode_all(item, depth + 1)


def text_element(tag: BaseTag, vr: str, text: str) -> DataElement:
    """Return an element with a text, whatever it is; its values are separated by a backslash."""
    values: str | list[str] = text
    if vr in _PLAIN and (vr not in MULTI_TEXTS or "\\" not in text):
        return DataElement(tag, vr, text, already_converted=True)
    if vr in MULTI_TEXTS and "\\" in text:
        values = text.split("\\")
    try:
        return DataElement(tag, vr, values, validation_mode=config.IGNORE)
    except (ValueError, TypeError, ArithmeticError):
        # Numbers that are none: pydicom writes text that it was told is converted.
        return DataElement(tag, vr, values, already_converted=True)
