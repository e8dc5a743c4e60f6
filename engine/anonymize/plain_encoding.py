"""Encoding what needs no thought, as most of what scripts write; pydicom encodes the rest."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from pydicom.dataelem import RawDataElement
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from engine.anonymize.reading import TEXTS
from engine.anonymize.source_file import UNDEFINED_LENGTH

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement

_MAX_SHORT_BYTES: Final = 0xFFFE
_EXPLICIT: Final = {little: Struct(f"{'<' if little else '>'}HH2sH") for little in (False, True)}
_IMPLICIT: Final = {little: Struct(f"{'<' if little else '>'}HHI") for little in (False, True)}
_LONG_LENGTH: Final = {little: Struct(f"{'<' if little else '>'}I") for little in (False, True)}


def encoded_plainly(
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
