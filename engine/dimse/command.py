"""C-STORE command sets as bytes: read from a request, written for a response (PS3.7 9.3.1).

Everything else that travels as a DIMSE message is pynetdicom's.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from engine.errors import UnreadableObject

MAX_COMMAND_BYTES = 64 * 1024

_ELEMENT = Struct("<HHI")
_C_STORE_RQ = 0x0001
_N_EVENT_REPORT_RQ = 0x0100
_NO_DATA_SET = 0x0101

_AFFECTED_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID = 0x0002, 0x0100, 0x0110
_DATA_SET_TYPE, _AFFECTED_SOP_INSTANCE = 0x0800, 0x1000


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a C-STORE-RQ says."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Command:
    """What must be known of any command to pass it on."""

    field: int
    has_data_set: bool
    store: StoreRequest | None

    @property
    def starts_a_thread(self) -> bool:
        """Whether pynetdicom would answer it on a thread of its own, one per message."""
        return self.field == _N_EVENT_REPORT_RQ


def read_command(encoded: bytes, context_id: int) -> Command:
    """Read a command set, which is always Implicit VR Little Endian (PS3.7 6.3.1).

    Raises:
        UnreadableObject: if it is no command set.
    """
    elements = _elements(encoded)
    field = _number(elements.get(_COMMAND_FIELD))
    has_data_set = _number(elements.get(_DATA_SET_TYPE)) != _NO_DATA_SET
    if field != _C_STORE_RQ or not has_data_set:
        return Command(field, has_data_set, None)
    request = StoreRequest(
        context_id,
        _number(elements.get(_MESSAGE_ID)),
        _uid(elements.get(_AFFECTED_SOP_CLASS)),
        _uid(elements.get(_AFFECTED_SOP_INSTANCE)),
    )
    return Command(field, has_data_set, request)


def store_response(request: StoreRequest, status: int, comment: str = "") -> bytes:
    """Return a C-STORE-RSP as one P-DATA-TF PDU."""
    elements = [
        _encoded(_AFFECTED_SOP_CLASS, _padded(request.sop_class_uid, b"\0")),
        _encoded(_COMMAND_FIELD, b"\x01\x80"),
        _encoded(0x0120, request.message_id.to_bytes(2, "little")),
        _encoded(_DATA_SET_TYPE, b"\x01\x01"),
        _encoded(0x0900, status.to_bytes(2, "little")),
    ]
    if comment:
        elements.append(_encoded(0x0902, _padded(comment, b" ")))
    elements.append(_encoded(_AFFECTED_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0")))
    body = b"".join(elements)
    command = _encoded(0x0000, len(body).to_bytes(4, "little")) + body
    pdv = _PDV.pack(len(command) + 2, request.context_id, _LAST_COMMAND) + command
    return _PDU.pack(0x04, len(pdv)) + pdv


_PDU = Struct(">BxI")
_PDV = Struct(">IBB")
_LAST_COMMAND = 0x03  # PS3.8 E.2: command, last fragment


def _elements(encoded: bytes) -> dict[int, bytes]:
    elements, position, end = {}, 0, len(encoded)
    while position < end:
        if end - position < _ELEMENT.size:
            raise UnreadableObject("the command set is cut short")
        group, element, length = _ELEMENT.unpack_from(encoded, position)
        position += _ELEMENT.size
        if group != 0x0000 or length > end - position:
            raise UnreadableObject("the command set is malformed")
        elements[element] = encoded[position : position + length]
        position += length
    return elements


def _number(value: bytes | None) -> int:
    return int.from_bytes(value[:2], "little") if value else 0


def _uid(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0 ").decode("ascii", "replace")


def _encoded(element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0x0000, element, len(value)) + value


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding * (len(value) % 2)
