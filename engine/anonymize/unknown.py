"""Sequences that travel as UN, as private ones do: bytes for others, but names may be in them.

PS3.5 6.2.2: such a value is encoded in Implicit VR Little Endian, whatever is around it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.values import convert_SQ

from engine.anonymize.file_part import kept_element

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_HEAD: Final = Struct("<HHI")
_ITEM: Final = 0xFFFEE000
_LARGEST_DATA_TAG: Final = 0xFFFCFFFC


def unfolded(ds: Dataset, tag: BaseTag) -> DataElement:
    """Decode an element; one of unknown VR becomes a sequence if it is encoded as one."""
    element = _decoded(ds, tag)
    value = element.value
    if element.VR == "UN" and isinstance(value, bytes) and _is_sequence(value):
        items = convert_SQ(value, True, True, _names(ds.original_character_set))
        ds[tag] = element = DataElement(tag, "SQ", items)
    return element


def _decoded(ds: Dataset, tag: BaseTag) -> DataElement:
    """Decode an element; pydicom warns of public ones that its dictionary doesn't know."""
    kept = kept_element(ds, tag)
    public = isinstance(kept, RawDataElement) and not kept.VR and not tag.is_private
    if kept is not None and public and not dictionary_has_tag(tag):
        ds[tag] = DataElement(tag, "UN", kept.value or b"", already_converted=True)
    return ds[tag]


def _names(encodings: str | MutableSequence[str]) -> list[str]:
    return [encodings] if isinstance(encodings, str) else list(encodings)


def _is_sequence(value: bytes) -> bool:
    """Tell whether bytes are items of known length whose elements fit exactly."""
    at = 0
    while at + _HEAD.size <= len(value):
        group, element, length = _HEAD.unpack_from(value, at)
        at += _HEAD.size
        if group << 16 | element != _ITEM or not _are_elements(value, at, at + length):
            return False
        at += length
    return at == len(value) > 0


def _are_elements(value: bytes, at: int, end: int) -> bool:
    last = 0
    while at + _HEAD.size <= end <= len(value):
        group, element, length = _HEAD.unpack_from(value, at)
        tag = group << 16 | element
        if not last < tag <= _LARGEST_DATA_TAG:
            return False
        last, at = tag, at + _HEAD.size + length
    return at == end
