"""Elements that were not decoded yet, decoded without a word about what is wrong with them.

pydicom itself would validate values while it converts them, and write what it finds to the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement

from engine.anonymize.file_part import kept_element, part_of
from engine.anonymize.reading import BYTES, MULTI_TEXTS, TEXTS, raw_text, vr_of
from engine.anonymize.source_file import ReadSequence, with_items
from engine.anonymize.unknown import unfolded

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_PLAIN: Final = TEXTS - {"DS", "IS", "PN", "UI"}
"""VRs whose single values pydicom keeps as they are."""


def decode(ds: Dataset, tag: BaseTag) -> DataElement:
    """Decode an element in its data set, with the character set it was read in."""
    kept = kept_element(ds, tag)
    if not isinstance(kept, RawDataElement):
        return ds[tag]
    vr = vr_of(ds, tag)
    if vr in TEXTS:
        text = raw_text(kept.value or b"", vr, ds.original_character_set)
        ds[tag] = text_element(tag, vr, text.rstrip("\0 "))
    elif vr in BYTES:
        ds[tag] = DataElement(tag, vr, kept.value or b"", already_converted=True)
    return unfold(ds, tag)


def unfold(ds: Dataset, tag: BaseTag) -> DataElement:
    """Decode an element that may be a sequence; items in an encoding of their own wholly.

    pydicom would have to convert them when it writes. Items of unknown VR are such ones.
    """
    kept = kept_element(ds, tag)
    unknown = vr_of(ds, tag) == "UN"
    element = unfolded(ds, tag)
    if element.VR != "SQ":
        return element
    for item in element.value:
        if unknown or item.original_encoding[0] not in (None, ds.original_encoding[0]):
            decode_all(item)
    if isinstance(kept, RawDataElement) and not unknown:
        ds[tag] = element = with_items(element, ReadSequence(element.value, kept))
    return element


def decode_all(ds: Dataset) -> None:
    """Decode every element of a data set and of its items."""
    for tag in list(ds.keys()):
        element = decode(ds, tag)
        for item in element.value if element.VR == "SQ" and part_of(element) is None else ():
            decode_all(item)


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
