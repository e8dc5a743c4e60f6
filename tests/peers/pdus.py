"""Every PDU and message that a peer may send, right or wrong (PS3.7, PS3.8)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from tests.dicom import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    element,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERIFICATION = "1.2.840.10008.1.1"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
INSTANCE = "1.2.826.0.1.3680043.8.498.1"
"""The SOP instance of `tests.dicom.image`."""

RQ, AC, RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
COMMAND, LAST = 1, 2
"""Bits of the message control header (PS3.8 E.2)."""

C_STORE_RQ, C_FIND_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0020, 0x0030, 0x0FFF
RESPONSE = 0x8000
CLASS_UID, FIELD, MESSAGE_ID, RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET_TYPE, STATUS, INSTANCE_UID = 0x0700, 0x0800, 0x0900, 0x1000
NO_DATA_SET = b"\x01\x01"


def pdu(kind: int, body: bytes = bytes(4), *, length: int | None = None) -> bytes:
    """Return a PDU (PS3.8 9.3.1), whatever its length field is to say."""
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def item(kind: int, value: bytes, *, length: int | None = None) -> bytes:
    """Return an item or sub-item of an A-ASSOCIATE PDU (PS3.8 9.3.2)."""
    return struct.pack(">BBH", kind, 0, len(value) if length is None else length) + value


@dataclass(frozen=True)
class Context:
    """A proposed presentation context."""

    id: int = 1
    abstract_syntax: str = CT_IMAGE_STORAGE
    transfer_syntaxes: Sequence[str] = (EXPLICIT_VR_LITTLE_ENDIAN,)

    def encode(self) -> bytes:
        """Return the presentation context item (PS3.8 9.3.2.2)."""
        syntaxes = (item(0x40, uid.encode()) for uid in self.transfer_syntaxes)
        abstract = item(0x30, self.abstract_syntax.encode())
        return item(0x20, struct.pack(">B3x", self.id) + abstract + b"".join(syntaxes))


CONTEXTS = (Context(1), Context(3, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)))
USER_ITEMS = (item(0x51, struct.pack(">I", 16_384)), item(0x52, b"1.2.3.4"))


def associate_rq(
    called: str | bytes = "XNAT",
    calling: str | bytes = "PEER",
    contexts: Iterable[Context] = CONTEXTS,
    *,
    user_items: Iterable[bytes] = USER_ITEMS,
    items: bytes | None = None,
    version: int = 1,
) -> bytes:
    """Return an A-ASSOCIATE-RQ; `items` takes the place of everything after the AE titles."""
    titles = (t.encode() if isinstance(t, str) else t for t in (called, calling))
    head = struct.pack(">HH", version, 0) + b"".join(t.ljust(16)[:16] for t in titles) + bytes(32)
    if items is None:
        items = item(0x10, APPLICATION_CONTEXT.encode())
        items += b"".join(context.encode() for context in contexts)
        items += item(0x50, b"".join(user_items))
    return pdu(RQ, head + items)


def abort_pdu(source: int = 0, reason: int = 0) -> bytes:
    """Return an A-ABORT."""
    return pdu(ABORT, bytes([0, 0, source, reason]))


def pdv(fragment: bytes, control: int, *, context_id: int = 1, length: int | None = None) -> bytes:
    """Return a presentation data value item (PS3.8 9.3.5.1)."""
    size = len(fragment) + 2 if length is None else length
    return struct.pack(">IBB", size, context_id, control) + fragment


def us(number: int) -> bytes:
    """Return the value of a US element."""
    return struct.pack("<H", number)


def ui(uid: str | bytes) -> bytes:
    """Return the value of a UI element."""
    raw = uid.encode("latin-1") if isinstance(uid, str) else uid
    return raw + bytes(len(raw) % 2)


def command(elements: Mapping[int, bytes | None], *, group_length: int | None = None) -> bytes:
    """Return a command set (PS3.7 6.3), in implicit little endian; None leaves an element out."""
    body = b"".join(
        struct.pack("<HHI", 0, number, len(value)) + value
        for number, value in sorted(elements.items())
        if value is not None
    )
    length = len(body) if group_length is None else group_length
    return struct.pack("<HHII", 0, 0, 4, length) + body


def c_store_rq(sop_class: str | bytes, sop_instance: str | bytes) -> dict[int, bytes | None]:
    """Return the elements of a C-STORE-RQ (PS3.7 9.3.1.1)."""
    return {
        CLASS_UID: ui(sop_class),
        FIELD: us(C_STORE_RQ),
        MESSAGE_ID: us(1),
        PRIORITY: us(0),
        DATA_SET_TYPE: us(1),
        INSTANCE_UID: ui(sop_instance),
    }


C_ECHO = command(
    {
        CLASS_UID: ui(VERIFICATION),
        FIELD: us(C_ECHO_RQ),
        MESSAGE_ID: us(7),
        DATA_SET_TYPE: NO_DATA_SET,
    }
)


def fragments(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut bytes into pieces of these sizes, again and again; no bytes give one empty piece."""
    pieces: list[bytes] = []
    position, wanted = 0, cycle(sizes)
    while position < len(data) or not pieces:
        size = next(wanted)
        pieces.append(data[position : position + size])
        position += size
    return pieces


def message(
    command_set: bytes,
    data_set: bytes | None = None,
    *,
    context_id: int = 1,
    pdv_sizes: Sequence[int] = (16_000,),
) -> bytes:
    """Return the P-DATA-TF PDUs of a DIMSE message, one PDV in each."""
    parts = [(command_set, COMMAND)] + ([(data_set, 0)] if data_set is not None else [])
    pdus = []
    for content, bits in parts:
        pieces = fragments(content, pdv_sizes)
        for number, piece in enumerate(pieces, 1):
            control = bits | (LAST if number == len(pieces) else 0)
            pdus.append(pdu(P_DATA, pdv(piece, control, context_id=context_id)))
    return b"".join(pdus)


def store_message(data_set: bytes, **how: Any) -> bytes:
    """Return the PDUs of a C-STORE of `tests.dicom.image`."""
    return message(command(c_store_rq(CT_IMAGE_STORAGE, INSTANCE)), data_set, **how)


def part_10(data_set: bytes, transfer_syntax_uid: str, sop_instance: str = INSTANCE) -> bytes:
    """Return a file with a CT image (PS3.10 7.1), as a sender keeps it."""
    names = {
        "MediaStorageSOPClassUID": CT_IMAGE_STORAGE,
        "MediaStorageSOPInstanceUID": sop_instance,
        "TransferSyntaxUID": transfer_syntax_uid,
        "ImplementationClassUID": "1.2.3",
    }
    meta = encode([element(*pair) for pair in names.items()], EXPLICIT_VR_LITTLE_ENDIAN)
    length = element("FileMetaInformationGroupLength", len(meta))
    return bytes(128) + b"DICM" + encode([length], EXPLICIT_VR_LITTLE_ENDIAN) + meta + data_set
