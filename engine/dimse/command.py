"""Command sets as bytes: read from requests, written for responses (PS3.7 6.3.1, 9.3).

A receiver serves C-STORE and C-ECHO; any other request has its answer in the standard, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_COMMAND_BYTES = 64 * 1024

_ELEMENT = Struct("<HHI")
_C_STORE_RQ, _C_ECHO_RQ, _C_CANCEL_RQ = 0x0001, 0x0030, 0x0FFF
_RESPONSE = 0x8000
_NO_DATA_SET = 0x0101
_SUCCESS, _UNRECOGNIZED_OPERATION = 0x0000, 0x0211  # PS3.7 annex C

_AFFECTED_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID = 0x0002, 0x0100, 0x0110
_RESPONDED_TO, _DATA_SET_TYPE, _STATUS, _AFFECTED_SOP_INSTANCE = 0x0120, 0x0800, 0x0900, 0x1000
_UID_BYTES = 64


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a C-STORE-RQ says."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Command:
    """A request, with what is to be done about it."""

    has_data_set: bool
    store: StoreRequest | None
    answer: bytes = b""
    """What to send once the message is complete, as a P-DATA-TF PDU; for a C-STORE it depends."""


def read_command(encoded: bytes, context_id: int) -> Command:
    """Read a command set, which is always Implicit VR Little Endian (PS3.7 6.3.1).

    Raises:
        UnreadableObject: if it is no command set, or not of a request.
    """
    elements = _elements(encoded)
    field = _number(elements.get(_COMMAND_FIELD))
    has_data_set = _number(elements.get(_DATA_SET_TYPE)) != _NO_DATA_SET
    if field != _C_STORE_RQ:
        return Command(has_data_set, None, _answer(field, elements, context_id))
    request = StoreRequest(
        context_id,
        _number(elements.get(_MESSAGE_ID)),
        _uid(elements.get(_AFFECTED_SOP_CLASS)),
        _uid(elements.get(_AFFECTED_SOP_INSTANCE)),
    )
    return Command(has_data_set, request)


def store_response(request: StoreRequest, status: int, comment: str = "") -> bytes:
    """Return a C-STORE-RSP as one P-DATA-TF PDU."""
    elements = [
        _encoded(_AFFECTED_SOP_CLASS, _padded(request.sop_class_uid, b"\0")),
        _encoded(_COMMAND_FIELD, b"\x01\x80"),
        _encoded(_RESPONDED_TO, request.message_id.to_bytes(2, "little")),
        _encoded(_DATA_SET_TYPE, b"\x01\x01"),
        _encoded(_STATUS, status.to_bytes(2, "little")),
    ]
    if comment:
        elements.append(_encoded(0x0902, _padded(comment, b" ")))
    elements.append(_encoded(_AFFECTED_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0")))
    return _pdu(elements, request.context_id)


def _answer(field: int, elements: Mapping[int, bytes], context_id: int) -> bytes:
    """Return the response to a request that is no C-STORE; nothing for a C-CANCEL."""
    if not field:
        raise UnreadableObject("a command set says no command")
    if field & _RESPONSE:
        raise UnreadableObject(f"a response (0x{field:04X}) to nothing that was asked")
    if field == _C_CANCEL_RQ:
        return b""
    status = _SUCCESS if field == _C_ECHO_RQ else _UNRECOGNIZED_OPERATION
    message_id = _number(elements.get(_MESSAGE_ID))
    response = [
        _encoded(_COMMAND_FIELD, (field | _RESPONSE).to_bytes(2, "little")),
        _encoded(_RESPONDED_TO, message_id.to_bytes(2, "little")),
        _encoded(_DATA_SET_TYPE, b"\x01\x01"),
        _encoded(_STATUS, status.to_bytes(2, "little")),
    ]
    sop_class = elements.get(_AFFECTED_SOP_CLASS)
    if sop_class is not None:
        response.insert(0, _encoded(_AFFECTED_SOP_CLASS, sop_class[:_UID_BYTES]))
    return _pdu(response, context_id)


def _pdu(elements: Iterable[bytes], context_id: int) -> bytes:
    body = b"".join(elements)
    command = _encoded(0x0000, len(body).to_bytes(4, "little")) + body
    pdv = _PDV.pack(len(command) + 2, context_id, _LAST_COMMAND) + command
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
