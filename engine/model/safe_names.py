"""Names that are safe on any file system, made from what peers say (XNAT 9.3)."""

from __future__ import annotations

import re
from base64 import b32encode
from functools import lru_cache
from hashlib import sha256
from operator import mul
from typing import TYPE_CHECKING

from engine.model.identity import to_label

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_SAFE = re.compile(r"(?![.-])[A-Za-z0-9._-]{1,64}(?<!\.)")
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE | re.DOTALL)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
EMPTY_LIST_HASH = 1
"""Java's hash of a list without elements."""
_MASK = 0xFFFFFFFF
_LONGEST_UID = 64
_POWERS = tuple(31**power & _MASK for power in range(_LONGEST_UID, -1, -1))
"""What Java multiplies the characters of a text by: the last one by the last of these."""
_SERIES_NUMBER = re.compile(r"[A-Za-z0-9_.-]+")


def safe_part(text: str) -> str:
    """Return a text as a name of one folder: itself if it is safe, else a hash of it."""
    if _SAFE.fullmatch(text) and not is_device(text):
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    return "h-" + b32encode(digest)[:20].decode("ascii").lower()


TIMESTAMP = re.compile(r"[0-9]{8}_[0-9]{9}")
"""What `timestamp` returns."""


def timestamp(moment: datetime) -> str:
    """Return a moment in local time as ``yyyyMMdd_HHmmssSSS`` (XNAT 9.1)."""
    local = moment.astimezone()
    return f"{local:%Y%m%d_%H%M%S}{local.microsecond // 1000:03d}"


def scan_name(series_number: str | None, series_instance_uid: str | None) -> str:
    """Return a scan's name: series number, else series UID, else NA (XNAT 9.3)."""
    number = series_number or ""
    if number.startswith("+"):
        number = "_" + number[1:]
    if _SERIES_NUMBER.fullmatch(number):
        return safe_part(number)
    return safe_part(to_label(series_instance_uid or "NA"))


def is_device(text: str) -> bool:
    """Tell whether some operating system takes a name for a device."""
    return _DEVICE.fullmatch(text) is not None


def java_list_hash(values: Iterable[str], begun: int = EMPTY_LIST_HASH) -> int:
    """Return Java's hash of a list of strings, unsigned.

    Args:
        values: the strings.
        begun: the hash of those that come before them in the list.
    """
    total = begun
    for value in values:
        total = (31 * total + _java_hash(value)) & _MASK
    return total


def hash_text(number: int) -> str:
    """Return a hash as it stands in names: in base 36 (XNAT 9.3)."""
    high, low = divmod(number, len(_PAIRS) ** 2)
    first, second = divmod(high, len(_PAIRS))
    third, fourth = divmod(low, len(_PAIRS))
    digits = _PAIRS[first] + _PAIRS[second] + _PAIRS[third] + _PAIRS[fourth]
    return digits.lstrip("0") or "0"


def _java_hash(text: str) -> int:
    """Return Java's hash of a string; UIDs of one origin share all but their last component."""
    shared, dot, last = text.rpartition(".")
    if len(text) > _LONGEST_UID or not last.isascii():
        return _hash_units(text)
    shifted: int = _shared_hash(shared + dot) * _POWERS[-len(last) - 1]
    return (shifted + _hash_units(last)) & _MASK


def _hash_units(text: str) -> int:
    """Return Java's hash of a string, which counts UTF-16 code units."""
    units = text.encode("ascii") if text.isascii() else _utf16_units(text)
    total = 0
    if len(units) < len(_POWERS):
        total = sum(map(mul, units, _POWERS[-len(units) :]))
    else:
        for unit in units:
            total = (31 * total + unit) & _MASK
    return total & _MASK


@lru_cache(maxsize=1024)
def _shared_hash(text: str) -> int:
    return _hash_units(text)


def _utf16_units(text: str) -> list[int]:
    return memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H").tolist()
