"""Decodes raw elements with pydicom's warnings suppressed.

pydicom itself would validate values while it converts them, and write what it finds to the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence

from engine.anonymize.datasets.items import (
    MAX_DEPTH,
    UnreadableItems,
    decoded,
    is_declared,
    looks_nested,
)
from engine.anonymize.datasets.reading import BYTES, MULTI_TEXTS, TEXTS, raw_text, vr_of
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.source import ReadSequence
from engine.anonymize.files.values import kept_element, part_of
from engine.dicom.elements import UNDEFINED_LENGTH

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from engine.dicom.elements import Encoding

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
