"""Names that are safe on any file system, made from what peers say (XNAT 9.3)."""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256
from typing import TYPE_CHECKING

from engine.model.identity import to_label

if TYPE_CHECKING:
    from datetime import datetime

_SAFE = re.compile(r"(?![.-])[A-Za-z0-9._-]{1,64}(?<!\.)")
DEVICE_NAME = re.compile(
    r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE | re.DOTALL
)
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
    return DEVICE_NAME.fullmatch(text) is not None
