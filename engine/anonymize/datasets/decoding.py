"""Decodes raw elements with pydicom's warnings suppressed, and sequences in one strict pass."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom import config
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.values import convert_string

from engine.anonymize.datasets.reading import BYTES, MULTI_TEXTS, TEXTS, raw_text, vr_of
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import ReadSequence, kept_element, part_of
from engine.dicom.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM_STARTS,
    LONG_VRS,
    PIXEL_VRS,
    UNDEFINED_LENGTH,
)
from engine.dicom.raw_elements import read_items
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from engine.dicom.elements import Encoding
    from engine.dicom.raw_elements import Elements, RawItem

    Encodings = str | list[str]


# Walks here and in pydicom call themselves for each level: a hostile object must not end them.
MAX_DEPTH: Final = 32
MAY_HAVE_ITEMS: Final = frozenset((None, *LONG_VRS))
"""VRs of elements that may be sequences: those without a length; None is that of Implicit VR."""
_CHARACTER_SET: Final = BaseTag(0x00080005)
# Implicit VR first: a sequence that travels as UN is encoded so (PS3.5 6.2.2).
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
    odd: bool
    """Whether an element has none of the standard's VRs; it is decoded as UN."""


def is_declared(element: DataElement | RawDataElement) -> bool:
    """Tell whether an element must be a sequence, by its VR or the data dictionary."""
    if element.VR == "SQ":
        return True
    # PS3.5 6.2.2: a writer that does not know an element may send it as UN, a sequence as well.
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
    # What only begins as an item does is tried: names may be in it.
    begins = isinstance(value, bytes) and value[:4] in ITEM_STARTS
    return begins and element.tag not in PIXEL_VRS


def decoded(element: DataElement | RawDataElement, encodings: Encodings) -> Items:
    """Decode a sequence of the encoding that it should have, or of any other that fits.

    Args:
        element: one that `looks_nested`.
        encodings: those of the text in the data set that it is in.

    Raises:
        UnreadableItems: if nothing fits.
    """
    value = element.value or b""
    # Writers put items of another encoding into UN and private elements, or label them wrongly.
    for encoding in dict.fromkeys((*_declared_encoding(element), *_ALL)):
        try:
            return _decoded(value, encoding, encodings)
        except UnreadableObject:
            continue
    raise UnreadableItems(element.tag)


def _declared_encoding(element: DataElement | RawDataElement) -> tuple[Encoding, ...]:
    if not isinstance(element, RawDataElement) or element.VR == "UN" or element.is_implicit_VR:
        return ()  # implicit little endian, which is the first of all anyway
    return (EXPLICIT_LITTLE if element.is_little_endian else EXPLICIT_BIG,)


def _decoded(value: bytes, encoding: Encoding, encodings: Encodings) -> Items:
    found, unique, odd = read_items(value, encoding)
    return Items([_item(item, encoding, encodings) for item in found], encoding, unique, odd)


def _item(found: RawItem, encoding: Encoding, encodings: Encodings) -> Dataset:
    elements, is_undefined_length = found
    encodings = encodings_of(elements, encodings)
    item = Dataset(elements, parent_encoding=encodings)
    item.set_original_encoding(not encoding.explicit, not encoding.big_endian, encodings)
    item.is_undefined_length_sequence_item = is_undefined_length
    return item


def encodings_of(elements: Elements, around: Encodings = default_encoding) -> Encodings:
    """Return the encodings of the texts among elements: of a Specific Character Set, or around."""
    named = elements.get(_CHARACTER_SET)
    return around if named is None else list(_encodings_named(named.value or b""))


@lru_cache(64)
def _encodings_named(value: bytes) -> tuple[str, ...]:
    return tuple(convert_encodings(convert_string(value, True)))


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
            # Binary values may begin as an item does by chance; a sequence must be readable.
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
        StatementFailure: if items in an encoding of their own are nested too deep.
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
