"""Converts an element to text as scripts see it (dicomedit 4.2); the value is not validated."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pydicom.charset import decode_bytes, default_encoding
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from engine.anonymize.datasets.private import creator_of, is_creator
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import kept_element, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

UNREADABLE: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    OSError,
    EOFError,
    RecursionError,
    struct.error,
    BytesLengthException,
)
"""What pydicom raises for hostile elements."""
WHOLE_TEXTS: Final = frozenset(("ST", "LT", "UT", "UR"))
"""PS3.5 6.2: the backslash is no separator."""
MULTI_TEXTS: Final = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI")
)
TEXTS: Final = WHOLE_TEXTS | MULTI_TEXTS
OF_CHARACTER_SET: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
BYTES: Final = frozenset(("OB", "OW", "UN", "OL", "OV", "OB or OW"))
FLOATS: Final = {"FL": "f", "FD": "d", "OF": "f", "OD": "d"}


def text_of(ds: Dataset, tag: BaseTag) -> str | None:
    """Return the text of an element, None if it is absent.

    Raises:
        StatementFailure: if it is a sequence or can't be decoded.
    """
    element = kept_element(ds, tag)
    if element is None:
        return None
    try:
        if isinstance(element, RawDataElement):
            return _raw_text(ds, element)
        return _converted_text(element)
    except UNREADABLE as error:
        raise StatementFailure(f"{tag} can't be read ({type(error).__name__})") from error


def vr_of(ds: Dataset, tag: BaseTag) -> str:
    """Return the VR of an element that exists, as written or looked up."""
    element = kept_element(ds, tag)
    vr = element.VR if element is not None else None
    if isinstance(element, RawDataElement) and vr in (None, "UN"):
        known = known_vr(ds, tag) or "UN"
        # Which of two VRs an ambiguous element has, only pydicom knows, from other elements.
        return known if len(known) == 2 or not element.value else str(ds[tag].VR)
    return vr or "UN"


def known_vr(ds: Dataset, tag: BaseTag) -> str | None:
    """Return what the dictionaries say of an element; of a private one by its creator."""
    try:
        if not tag.is_private:
            return dictionary_VR(tag)
        if is_creator(tag):
            return "LO"
        creator = creator_of(ds, tag)
        return private_dictionary_VR(tag, creator) if creator else None
    except KeyError:
        return None


def _raw_text(ds: Dataset, element: RawDataElement) -> str:
    vr = vr_of(ds, element.tag)
    part = part_of(element)
    value = part.text_bytes() if part is not None else element.value or b""
    if vr in TEXTS:
        return stripped(raw_text(value, vr, ds.original_character_set), vr)
    if vr in BYTES:
        return _bytes_text(value)
    if part is not None:
        raise StatementFailure("a long list of numbers is no text")
    return _converted_text(ds[element.tag])


def _converted_text(element: DataElement) -> str:
    vr, value = element.VR, element.value
    part = part_of(element)
    if part is not None:
        value = part.text_bytes()
    if vr == "SQ":
        raise StatementFailure("a sequence has no value")
    if value is None:
        return ""
    if isinstance(value, bytes):
        return _numbers_in(value, FLOATS[vr]) if vr in FLOATS else _bytes_text(value)
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    return stripped("\\".join(_one(v, vr) for v in values), vr)


def _one(value: object, vr: str) -> str:
    if vr in FLOATS and isinstance(value, float | int):
        return float_text(float(value), single=vr in ("FL", "OF"))
    # dicomedit 4.2: eight upper-case digits.
    if vr == "AT" and isinstance(value, int):
        return f"{value:08X}"
    # dicomedit 4.2: DS and IS keep their text, such as 1.50.
    written = getattr(value, "original_string", None)
    if isinstance(written, str):
        return written
    return "" if value is None else str(value)


def stripped(text: str, vr: str) -> str:
    """Remove padding: at the end, and around each value of a list (PS3.5 6.2)."""
    text = text.rstrip("\0 ")
    if vr in WHOLE_TEXTS or vr not in TEXTS:
        return text
    if "\\" not in text:
        return text.strip(" \0")
    return "\\".join(value.strip(" \0") for value in text.split("\\"))


def raw_text(value: bytes, vr: str, encodings: str | Iterable[str] | None) -> str:
    """Decode the bytes of a text, with their padding (PS3.5 6.1)."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    if vr not in OF_CHARACTER_SET:
        return value.decode(default_encoding)
    names = [encodings] if isinstance(encodings, str) else list(encodings or [])
    if b"\x1b" not in value:
        return value.decode(names[0] if names else default_encoding, "replace")
    delimiters = PN_DELIMS if vr == "PN" else TEXT_VR_DELIMS
    return decode_bytes(value, names or [default_encoding], delimiters)


def _bytes_text(value: bytes) -> str:
    # dicomedit 4.2: one byte of padding counts as none, a second one is part of the text.
    return value.removesuffix(b"\0").decode("utf-8", "replace")


def _numbers_in(value: bytes, code: str) -> str:
    size = struct.calcsize(code)
    numbers = struct.unpack(f"<{len(value) // size}{code}", value[: len(value) // size * size])
    return "\\".join(float_text(number, single=code == "f") for number in numbers)


def float_text(number: float, *, single: bool) -> str:
    """Return the shortest decimal, without ``.0`` if it is whole (4.2)."""
    text = repr(number)
    if single:
        texts = (f"{number:.{digits}g}" for digits in range(6, 9))
        text = next((t for t in texts if _as_single(float(t)) == _as_single(number)), text)
        text = repr(float(text))
    # dicomedit 4.2: 30.0 is read as 30.
    return text.removesuffix(".0")


def _as_single(number: float) -> float:
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return number
    return float(single)
