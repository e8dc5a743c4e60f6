"""Builders of small data sets as bytes, in every encoding that DICOM has."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR, tag_for_keyword

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
UNCOMPRESSED = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"

UNDEFINED_LENGTH = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010

_LONG_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
_BINARY_VRS = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "FL": "f",
    "FD": "d",
    "UV": "Q",
    "SV": "q",
}


@dataclass(frozen=True)
class Element:
    """One element to encode; the value as text, bytes, numbers or items."""

    tag: int
    vr: str
    value: str | bytes | float | Sequence[Sequence[Element]]
    undefined_length: bool = False
    """For sequences: delimiters instead of lengths."""


def element(name: str | int, value: object, vr: str | None = None) -> Element:
    """Return an element by keyword or tag, with the data dictionary's VR unless given."""
    tag = tag_for_keyword(name) if isinstance(name, str) else name
    assert tag is not None, name
    return Element(tag, vr or dictionary_VR(tag), value)  # type: ignore[arg-type]


def encode(elements: Iterable[Element], transfer_syntax_uid: str) -> bytes:
    """Return a data set in the order given."""
    return b"".join(encode_element(e, transfer_syntax_uid) for e in elements)


def encode_element(e: Element, transfer_syntax_uid: str) -> bytes:
    """Return one element, padded to even length."""
    value = _value(e, transfer_syntax_uid)
    length = UNDEFINED_LENGTH if e.undefined_length else len(value)
    return head(e.tag, e.vr, length, transfer_syntax_uid) + value


def head(tag: int, vr: str, length: int, transfer_syntax_uid: str) -> bytes:
    """Return what stands before a value."""
    mark = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN or tag >> 16 == 0xFFFE:
        return struct.pack(mark + "HHI", tag >> 16, tag & 0xFFFF, length)
    name = vr.encode("latin-1")
    if vr in _LONG_VRS:
        return struct.pack(mark + "HH2sHI", tag >> 16, tag & 0xFFFF, name, 0, length)
    return struct.pack(mark + "HH2sH", tag >> 16, tag & 0xFFFF, name, length)


def _value(e: Element, transfer_syntax_uid: str) -> bytes:
    if isinstance(e.value, str | bytes):
        raw = e.value.encode("latin-1") if isinstance(e.value, str) else e.value
        padding = b"\0" if e.vr in {"UI", "OB", "UN"} else b" "
        return raw + padding * (len(raw) % 2)
    if isinstance(e.value, int | float):
        mark = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
        return struct.pack(mark + _BINARY_VRS[e.vr], e.value)
    return _items(e.value, e.undefined_length, transfer_syntax_uid)


def _items(
    items: Sequence[Sequence[Element]], undefined_length: bool, transfer_syntax_uid: str
) -> bytes:
    encoded = b""
    for item in items:
        content = encode(item, transfer_syntax_uid)
        length = UNDEFINED_LENGTH if undefined_length else len(content)
        encoded += head(0xFFFEE000, "", length, transfer_syntax_uid) + content
        if undefined_length:
            encoded += head(0xFFFEE00D, "", 0, transfer_syntax_uid)
    if undefined_length:
        encoded += head(0xFFFEE0DD, "", 0, transfer_syntax_uid)
    return encoded


def fragments(*contents: bytes) -> Element:
    """Return encapsulated pixel data with an empty offset table (PS3.5 A.4)."""
    value = b"".join(
        head(0xFFFEE000, "", len(content), EXPLICIT_VR_LITTLE_ENDIAN) + content
        for content in (b"", *contents)
    )
    end = head(0xFFFEE0DD, "", 0, EXPLICIT_VR_LITTLE_ENDIAN)
    return Element(PIXEL_DATA, "OB", value + end, undefined_length=True)


def image_elements(**values: object) -> list[Element]:
    """Return a small CT image of a made-up patient; a value of None leaves the element out."""
    elements: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": "ORIGINAL\\PRIMARY\\AXIAL",
        "SOPClassUID": CT_IMAGE_STORAGE,
        "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "StudyDate": "20260102",
        "AccessionNumber": "ACC-1",
        "Modality": "CT",
        "StudyDescription": "Head routine",
        "PatientName": "Doe^Jane",
        "PatientID": "P-0001",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.3",
        "SeriesNumber": "4",
        "InstanceNumber": "1",
        "Rows": 4,
        "Columns": 4,
        "PixelRepresentation": 0,
    } | values
    present = [element(name, value) for name, value in elements.items() if value is not None]
    return sorted(present, key=lambda e: e.tag)


def image(
    transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN,
    pixels: bytes | None = None,
    **values: object,
) -> bytes:
    """Return the data set of a small image, its pixel data as the transfer syntax wants them."""
    elements = image_elements(**values)
    if transfer_syntax_uid in UNCOMPRESSED:
        elements.append(Element(PIXEL_DATA, "OW", pixels or bytes(range(32))))
    else:
        elements.append(fragments(pixels or bytes(range(32)), b"\xff\xd8\xff\xd9"))
    return encode(elements, transfer_syntax_uid)


def enhanced_image(transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN, frames: int = 3) -> bytes:
    """Return a data set with sequences in sequences, of defined and undefined length."""
    frame = [
        Element(
            0x00289145,
            "SQ",
            [[element("RescaleIntercept", "-1024"), element("RescaleSlope", "1")]],
            undefined_length=True,
        )
    ]
    elements = [
        *image_elements(NumberOfFrames=str(frames)),
        Element(0x00081140, "SQ", [[element("ReferencedSOPInstanceUID", "1.2.3")]]),
        Element(0x52009230, "SQ", [frame] * frames, undefined_length=True),
        Element(PIXEL_DATA, "OW", bytes(32 * frames)),
    ]
    return encode(sorted(elements, key=lambda e: e.tag), transfer_syntax_uid)
