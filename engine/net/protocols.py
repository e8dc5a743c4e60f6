"""Guesses the protocol of a connection that is not DICOM from its first bytes."""

from __future__ import annotations

SNIFFED_BYTES = 64
"""This many bytes are enough to recognize a protocol."""

_HTTP = b"GET POST HEAD PUT DELETE OPTIONS CONNECT TRACE PATCH PRI".split()
_TEXT = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\r\n")


def describe_protocol(first_bytes: bytes) -> str:
    """Return the protocol that a connection seems to speak, without any of its bytes.

    Args:
        first_bytes: up to `SNIFFED_BYTES` from its beginning; empty for a silent connection.
    """
    if not first_bytes:
        return "nothing at all"
    for is_it, what in _KINDS:
        if is_it(first_bytes):
            return what
    return "bytes of no known protocol"


def is_client_hello(head: bytes) -> bool:
    """Tell whether a connection begins like TLS, by the bytes that have arrived."""
    return head == b"\x16" or head[:2] == b"\x16\x03"  # RFC 8446 5.1: a handshake record


def is_plain_dicom(head: bytes) -> bool:
    """Tell whether a connection begins like an A-ASSOCIATE-RQ, by the bytes that have arrived."""
    return head in {b"\x01", b"\x01\0"} or head[:2] == b"\x01\0"


def ae_titles(head: bytes) -> tuple[str, str]:
    """Return called and calling AE title of an A-ASSOCIATE-RQ; empty if they can't be shown."""
    return _ae_title(head[10:26]), _ae_title(head[26:42])


def _ae_title(field: bytes) -> str:
    text = field.decode("ascii", "replace").strip(" \0")
    return text if len(field) == 16 and text.isascii() and text.isprintable() else ""


def _is_tls(head: bytes) -> bool:
    # RFC 8446 5.1: a handshake record of TLS 1.x; 4.1.2: the first message is the ClientHello.
    return head[:2] == b"\x16\x03" and len(head) >= 3 and head[5:6] in {b"", b"\x01"}


def _is_old_tls(head: bytes) -> bool:
    # RFC 5246 E.2: the ClientHello of SSL 2.0, which very old senders begin with.
    return len(head) >= 5 and head[0] & 0x80 != 0 and head[2] == 0x01 and head[3] in {0x00, 0x03}


def _is_http(head: bytes) -> bool:
    return head.split(b" ", 1)[0] in _HTTP and b" " in head


def _is_smb(head: bytes) -> bool:
    return head[4:8] in {b"\xffSMB", b"\xfeSMB"}


def _is_hl7(head: bytes) -> bool:
    return head.startswith((b"\x0bMSH", b"MSH|"))


def _is_text(head: bytes) -> bool:
    return _TEXT.issuperset(head)


_KINDS = (
    (_is_tls, "a TLS ClientHello"),
    (_is_old_tls, "an SSL 2.0 ClientHello"),
    (_is_http, "an HTTP request"),
    (lambda head: head.startswith(b"SSH-"), "an SSH client"),
    (lambda head: head.startswith((b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")), "a PROXY protocol header"),
    (_is_smb, "an SMB probe"),
    (lambda head: head.startswith(b"\x03\x00\x00"), "a remote desktop client"),
    (_is_hl7, "an HL7 message"),
    (_is_text, "text"),
)
