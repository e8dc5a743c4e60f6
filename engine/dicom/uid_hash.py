"""The UID that DicomEdit's hashUID makes of a text; here, because reception makes some as well."""

from __future__ import annotations

from hashlib import sha1
from typing import Final

UUID_ROOT: Final = "2.25."


def hash_uid(text: str) -> str:
    """Return the UID that DicomEdit makes of a text.

    A version 5 UUID without namespace: `uuid.uuid5` would give another one.
    """
    # SHA-1, as in DicomEdit. The flag is for systems that forbid it for security.
    digest = bytearray(sha1(text.encode(), usedforsecurity=False).digest()[:16])
    # RFC 4122 4.1.3, 4.1.1: version 5, and the variant.
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return f"{UUID_ROOT}{int.from_bytes(digest)}"
