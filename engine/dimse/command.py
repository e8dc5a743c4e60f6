"""C-STORE command sets as bytes: read from a request, written for a response (PS3.7 9.3.1).

Everything else that travels as a DIMSE message is pynetdicom's.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from engine.errors import UnreadableObject

MAX_COMMAND_BYTES = 64 * 1024

_ELEMENT = Struct("<HHI")
_ELEMENT_BYTES = 8
_C_STORE_RQ = 0x0001
_N_EVENT_REPORT_RQ = 0x0100
_NO_DATA_SET = 0x0101

_AFFECTED_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID = 0x0002, 0x0100, 0x0110
_DATA_SET_TYPE, _AFFECTED_SOP_INSTANCE = 0x0800, 0x1000


class StoreRequest(NamedTuple):
    """What a C-STORE-RQ says."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


class Command(NamedTuple):
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
    """Return a C-STORE-RSP as one P-DATA-TF PDU (PS3.7 9.3.1.2)."""
    body = (
        _encoded(_AFFECTED_SOP_CLASS, _padded(request.sop_class_uid, b"\0"))
        + _STATUS.pack(*_C_STORE_RSP, *_RESPONDS_TO, request.message_id, *_NO_DATA, *_SAYS, status)
        + (_encoded(_ERROR_COMMENT, _padded(comment, b" ")) if comment else b"")
        + _encoded(_AFFECTED_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0"))
    )
    size = _GROUP_LENGTH_BYTES + len(body)
    head = _PDU_AND_PDV.pack(0x04, size + 6, size + 2, request.context_id, _LAST_COMMAND)
    return head + _encoded(0x0000, len(body).to_bytes(4, "little")) + body


_PDU_AND_PDV = Struct(">BxIIBB")  # PS3.8 9.3.5
_STATUS = Struct("<" + 4 * "HHIH")
_C_STORE_RSP = (0x0000, _COMMAND_FIELD, 2, 0x8001)
_RESPONDS_TO = (0x0000, 0x0120, 2)
_NO_DATA = (0x0000, _DATA_SET_TYPE, 2, _NO_DATA_SET)
_SAYS = (0x0000, 0x0900, 2)
_ERROR_COMMENT = 0x0902
_GROUP_LENGTH_BYTES = 12
_LAST_COMMAND = 0x03  # PS3.8 E.2: command, last fragment


def _elements(encoded: bytes) -> dict[int, bytes]:
    elements, position, end, unpack = {}, 0, len(encoded), _ELEMENT.unpack_from
    while position < end:
        if end - position < _ELEMENT_BYTES:
            raise UnreadableObject("the command set is cut short")
        group, element, length = unpack(encoded, position)
        position += _ELEMENT_BYTES
        following = position + length
        if group or following > end:
            raise UnreadableObject("the command set is malformed")
        elements[element] = encoded[position:following]
        position = following
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
