"""What speaks on a connection, guessed from the first bytes that it sends."""

from __future__ import annotations

from enum import StrEnum

HEAD_BYTES = 74
"""The fixed part of an A-ASSOCIATE-RQ (PS3.8 9.3.2), which holds both AE titles."""


class Speaker(StrEnum):
    """What a peer's first bytes look like."""

    DICOM = "plain DICOM"
    TLS = "TLS"
    HTTP = "HTTP"
    SSH = "SSH"
    UNKNOWN = "something else"


def speaker(head: bytes) -> Speaker:
    """Tell what the first bytes of a connection look like."""
    if head[:1] == b"\x16" and head[1:2] in {b"\x03", b""}:  # TLS handshake record, RFC 8446 5.1
        return Speaker.TLS
    if head[:2] in {b"\x01\x00", b"\x01"}:
        return Speaker.DICOM
    if head.startswith((b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"CONNECT ", b"PRI ")):
        return Speaker.HTTP
    return Speaker.SSH if head.startswith(b"SSH-") else Speaker.UNKNOWN


def ae_titles(head: bytes) -> tuple[str, str]:
    """Return called and calling AE title of an A-ASSOCIATE-RQ; empty where it has none to show."""
    return _ae_title(head[10:26]), _ae_title(head[26:42])


def _ae_title(field: bytes) -> str:
    text = field.decode("ascii", "replace").strip(" \0")
    return text if len(field) == 16 and text.isascii() and text.isprintable() else ""
