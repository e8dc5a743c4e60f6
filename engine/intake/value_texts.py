"""Values of elements as text: which VRs hold text, and what numbers look like; pure."""

from __future__ import annotations

from struct import Struct

from pydicom.datadict import dictionary_VR

NUMBERS = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
STRINGS = frozenset(
    [
        "AE",
        "AS",
        "CS",
        "DA",
        "DS",
        "DT",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "ST",
        "TM",
        "UC",
        "UI",
        "UN",
        "UR",
        "UT",
    ]
)
"""The VRs whose values are text; of UN nobody knows."""
OF_CHARACTER_SET = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UN", "UT"])  # PS3.5 6.1.2.3
WHOLE = frozenset(["LT", "ST", "UR", "UT"])  # PS3.5 6.2: no backslash as separator


def known_vr(tag: int) -> str:
    """Return the data dictionary's VR, UN for what it doesn't know."""
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return "UL"  # PS3.5 7.2: group length
    if group & 1:
        return "LO" if 0x10 <= element <= 0xFF else "UN"  # PS3.5 7.8.1: private creator
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def numbers_text(value: bytes, vr: str, big_endian: bool) -> str:
    """Return all numbers of a value, joined by backslashes."""
    size = Struct("<" + NUMBERS[vr]).size
    parts = (value[at : at + size] for at in range(0, len(value), size))
    texts = (number_text(part, vr, big_endian) for part in parts)
    return "\\".join(filter(None, texts))


def number_text(value: bytes, vr: str, big_endian: bool) -> str | None:
    """Return the first number of a value in decimal form, None if there is none."""
    number = Struct((">" if big_endian else "<") + NUMBERS[vr])
    if len(value) < number.size:
        return None
    (first,) = number.unpack_from(value)
    if vr != "FL":
        return str(first)
    texts = (f"{first:.{digits}g}" for digits in range(6, 9))
    shortest = next((t for t in texts if _single(float(t)) == first), f"{first:.9g}")
    return str(float(shortest))


def _single(value: float) -> float:
    try:
        (single,) = _FLOAT.unpack(_FLOAT.pack(value))
    except OverflowError:
        return value
    return float(single)


_FLOAT = Struct("<f")
