"""Command sets as bytes: read from requests, written for responses (PS3.7 6.3.1, 9.3).

A receiver serves C-STORE, C-ECHO and, for storage commitment, N-ACTION; other requests get the
answer that the standard has for them. As a requestor, the engine sends the same and, for storage
commitment, N-EVENT-REPORT.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Mapping


# Group, element and length: command sets are Implicit VR Little Endian (PS3.7 6.3.1).
_ELEMENT = Struct("<HHI")
_ELEMENT_BYTES = 8
C_STORE, C_ECHO = 0x0001, 0x0030
N_EVENT_REPORT, N_ACTION = 0x0100, 0x0130
_C_STORE_RQ, _C_ECHO_RQ, _C_CANCEL_RQ = C_STORE, C_ECHO, 0x0FFF
# PS3.7 annex E: the bit of a response in the Command Field.
_RESPONSE = 0x8000
# PS3.7 annex E: any other value means that a data set follows.
_NO_DATA_SET = 0x0101
_SUCCESS, _UNRECOGNIZED_OPERATION = 0x0000, 0x0211  # PS3.7 annex C
CLASS_NOT_SUPPORTED = 0x0122
"""Status of a C-STORE for a class that is no storage class (PS3.7 C.4.4)."""

_AFFECTED_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID = 0x0002, 0x0100, 0x0110
_RESPONDED_TO, _DATA_SET_TYPE, _STATUS, _AFFECTED_SOP_INSTANCE = 0x0120, 0x0800, 0x0900, 0x1000
_PRIORITY, _HAS_DATA_SET = 0x0700, 0x0001
_REQUESTED_SOP_CLASS, _REQUESTED_SOP_INSTANCE = 0x0003, 0x1001
_EVENT_TYPE, _ACTION_TYPE = 0x1002, 0x1008
_UID_BYTES = 64
_VERIFICATION = "1.2.840.10008.1.1"


class StoreRequest(NamedTuple):
    """The values of a C-STORE-RQ that its answer needs."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


class NormalizedRequest(NamedTuple):
    """An N-EVENT-REPORT or N-ACTION request (PS3.7 10.3.1, 10.3.5)."""

    context_id: int
    field: int
    """`N_EVENT_REPORT` or `N_ACTION`."""
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    type_id: int
    """Event Type ID or Action Type ID."""


class Response(NamedTuple):
    """A peer's response to our request."""

    field: int
    """The command that is answered, such as 0x0001 for a C-STORE."""
    message_id: int
    status: int
    comment: str
    """Error Comment (0000,0902), without control characters."""


class RequestCommand(NamedTuple):
    """A decoded command set that a requestor has sent, with its answer unless it is a C-STORE."""

    has_data_set: bool
    store: StoreRequest | None
    answer: bytes = b""
    """The P-DATA-TF PDU to send once the message is complete; empty for a C-STORE."""
    normalized: NormalizedRequest | None = None
    """The request, if its service is one of `NormalizedRequest`; it may be served instead."""
    response: Response | None = None
    """The response to an N-EVENT-REPORT; the only one that a requestor may send."""


def read_command(encoded: bytes, context_id: int) -> RequestCommand:
    """Read a command set, which is always Implicit VR Little Endian (PS3.7 6.3.1).

    Raises:
        UnreadableObject: if it is not a command set, or not one of a request.
    """
    usual = _usual_store(encoded, context_id)
    if usual is not None:
        return usual
    elements = _elements(encoded)
    field = _number(elements.get(_COMMAND_FIELD))
    has_data_set = _number(elements.get(_DATA_SET_TYPE)) != _NO_DATA_SET
    if field == N_EVENT_REPORT | _RESPONSE and _STATUS in elements:
        return RequestCommand(has_data_set, None, response=_response(field, elements))
    if field != _C_STORE_RQ:
        answer = _answer(field, elements, context_id)
        return RequestCommand(has_data_set, None, answer, _normalized(field, elements, context_id))
    request = StoreRequest(
        context_id,
        _number(elements.get(_MESSAGE_ID)),
        _uid(elements.get(_AFFECTED_SOP_CLASS)),
        _uid(elements.get(_AFFECTED_SOP_INSTANCE)),
    )
    return RequestCommand(has_data_set, request)


def store_response(request: StoreRequest, status: int, comment: str = "") -> bytes:
    """Return a C-STORE-RSP as one P-DATA-TF PDU (PS3.7 9.3.1.2)."""
    # Nearly every answer: all but message id and instance comes from the cache.
    if status == _SUCCESS:
        instance = _encoded(_AFFECTED_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0"))
        begin, end = _success(request.context_id, request.sop_class_uid, len(instance))
        return begin + request.message_id.to_bytes(2, "little") + end + instance
    return _pdu(
        _encoded(_AFFECTED_SOP_CLASS, _padded(request.sop_class_uid, b"\0"))
        + _responding(_C_STORE_RQ, request.message_id, status)
        + (_encoded(_ERROR_COMMENT, _padded(comment, b" ")) if comment else b"")
        + _encoded(_AFFECTED_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0")),
        request.context_id,
    )


def store_request(request: StoreRequest) -> bytes:
    """Return a C-STORE-RQ of medium priority as one P-DATA-TF PDU (PS3.7 9.3.1.1)."""
    return _pdu(
        _encoded(_AFFECTED_SOP_CLASS, _padded(request.sop_class_uid, b"\0"))
        + _short(_COMMAND_FIELD, C_STORE)
        + _short(_MESSAGE_ID, request.message_id)
        + _short(_PRIORITY, 0)
        + _short(_DATA_SET_TYPE, _HAS_DATA_SET)
        + _encoded(_AFFECTED_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0")),
        request.context_id,
    )


def echo_request(context_id: int, message_id: int) -> bytes:
    """Return a C-ECHO-RQ as one P-DATA-TF PDU (PS3.7 9.3.5.1)."""
    return _pdu(
        _encoded(_AFFECTED_SOP_CLASS, _padded(_VERIFICATION, b"\0"))
        + _short(_COMMAND_FIELD, C_ECHO)
        + _short(_MESSAGE_ID, message_id)
        + _short(_DATA_SET_TYPE, _NO_DATA_SET),
        context_id,
    )


def read_response(encoded: bytes) -> Response:
    """Read the command set of a response without a data set.

    Raises:
        UnreadableObject: if it is not one.
    """
    elements = _elements(encoded)
    field = _number(elements.get(_COMMAND_FIELD))
    if not field & _RESPONSE or _STATUS not in elements:
        raise UnreadableObject("a command set is no response")
    if _number(elements.get(_DATA_SET_TYPE)) != _NO_DATA_SET:
        raise UnreadableObject("a response announces a data set")
    return _response(field, elements)


def _response(field: int, elements: Mapping[int, bytes]) -> Response:
    return Response(
        field & ~_RESPONSE,
        _number(elements.get(_RESPONDED_TO)),
        _number(elements.get(_STATUS)),
        _comment(elements.get(_ERROR_COMMENT, b"")),
    )


def normalized_request(request: NormalizedRequest) -> bytes:
    """Return an N-EVENT-REPORT-RQ or N-ACTION-RQ whose data set follows, as one P-DATA-TF PDU."""
    names, kind = _ELEMENTS_OF[request.field]
    sop_class, sop_instance = names
    return _pdu(
        _encoded(sop_class, _padded(request.sop_class_uid, b"\0"))
        + _short(_COMMAND_FIELD, request.field)
        + _short(_MESSAGE_ID, request.message_id)
        + _short(_DATA_SET_TYPE, _HAS_DATA_SET)
        + _encoded(sop_instance, _padded(request.sop_instance_uid, b"\0"))
        + _short(kind, request.type_id),
        request.context_id,
    )


def normalized_response(request: NormalizedRequest, status: int, comment: str = "") -> bytes:
    """Return the response without a data set as one P-DATA-TF PDU (PS3.7 10.3.1.2, 10.3.5.2)."""
    _, kind = _ELEMENTS_OF[request.field]
    return _pdu(
        _encoded(_AFFECTED_SOP_CLASS, _padded(request.sop_class_uid, b"\0"))
        + _responding(request.field, request.message_id, status)
        + (_encoded(_ERROR_COMMENT, _padded(comment[:_UID_BYTES], b" ")) if comment else b"")
        + _encoded(_AFFECTED_SOP_INSTANCE, _padded(request.sop_instance_uid, b"\0"))
        + _short(kind, request.type_id),
        request.context_id,
    )


def _normalized(
    field: int, elements: Mapping[int, bytes], context_id: int
) -> NormalizedRequest | None:
    if field not in _ELEMENTS_OF:
        return None
    (sop_class, sop_instance), kind = _ELEMENTS_OF[field]
    return NormalizedRequest(
        context_id,
        field,
        _number(elements.get(_MESSAGE_ID)),
        _uid(elements.get(sop_class)),
        _uid(elements.get(sop_instance)),
        _number(elements.get(kind)),
    )


_ELEMENTS_OF = {
    N_EVENT_REPORT: ((_AFFECTED_SOP_CLASS, _AFFECTED_SOP_INSTANCE), _EVENT_TYPE),
    N_ACTION: ((_REQUESTED_SOP_CLASS, _REQUESTED_SOP_INSTANCE), _ACTION_TYPE),
}
"""Which elements name the SOP class and instance, and the type, of a request."""


# Few contexts and classes, and instance UIDs of few lengths: nearly every answer is here.
@lru_cache(maxsize=1024)
def _success(context_id: int, sop_class_uid: str, instance_bytes: int) -> tuple[bytes, bytes]:
    """Return a successful response, before and after the message id, without the SOP instance."""
    before = _encoded(_AFFECTED_SOP_CLASS, _padded(sop_class_uid, b"\0"))
    # The instance is left out here, but counts in the three lengths: of PDU, PDV and group.
    body = before + _responding(_C_STORE_RQ, 0, _SUCCESS) + bytes(instance_bytes)
    response = _pdu(body, context_id)[:-instance_bytes]
    message_id_at = len(response) - _AFTER_MESSAGE_ID_BYTES
    return response[: message_id_at - 2], response[message_id_at:]


def _answer(field: int, elements: Mapping[int, bytes], context_id: int) -> bytes:
    """Return the response to another request than C-STORE; empty for a C-CANCEL."""
    if not field:
        raise UnreadableObject("a command set has no Command Field")
    # As acceptors without a request of our own, we get no responses.
    if field & _RESPONSE:
        raise UnreadableObject(f"a response (0x{field:04X}) without a request")
    # PS3.7 9.3.2.3: a C-CANCEL has no response of its own, and nothing runs that it could cancel.
    if field == _C_CANCEL_RQ:
        return b""
    status = _SUCCESS if field == _C_ECHO_RQ else _UNRECOGNIZED_OPERATION
    response = _responding(field, _number(elements.get(_MESSAGE_ID)), status)
    sop_class = elements.get(_AFFECTED_SOP_CLASS)
    if sop_class is not None:
        response = _encoded(_AFFECTED_SOP_CLASS, sop_class[:_UID_BYTES]) + response
    return _pdu(response, context_id)


def _responding(field: int, message_id: int, status: int) -> bytes:
    """Encode the elements of a response between SOP class and instance (PS3.7 9.3)."""
    return _RESPONDING.pack(
        *(0x0000, _COMMAND_FIELD, 2, field | _RESPONSE),
        *(0x0000, _RESPONDED_TO, 2, message_id),
        *(0x0000, _DATA_SET_TYPE, 2, _NO_DATA_SET),
        *(0x0000, _STATUS, 2, status),
    )


def _pdu(body: bytes, context_id: int) -> bytes:
    """Return one P-DATA-TF PDU with a command set; `body` is without the group length."""
    size = _GROUP_LENGTH_BYTES + len(body)
    head = _PDU_AND_PDV.pack(0x04, size + 6, size + 2, context_id, _LAST_COMMAND)
    return head + _encoded(0x0000, len(body).to_bytes(4, "little")) + body


_PDU_AND_PDV = Struct(">BxIIBB")  # PS3.8 9.3.5
_RESPONDING = Struct("<" + 4 * "HHIH")
_AFTER_MESSAGE_ID_BYTES = 2 * 10  # data set type and status
_ERROR_COMMENT = 0x0902
_GROUP_LENGTH_BYTES = 12
_LAST_COMMAND = 0x03  # PS3.8 E.2: command, last fragment


def _usual_store(encoded: bytes, context_id: int) -> RequestCommand | None:
    """Read a C-STORE-RQ with exactly the required elements (PS3.7 9.3.1.1); None for any other.

    Two unpackings instead of a loop over seven elements, for every object.
    """
    if len(encoded) < _BEFORE_CLASS.size:
        return None
    *begins, class_bytes = _BEFORE_CLASS.unpack_from(encoded)
    class_end = _BEFORE_CLASS.size + class_bytes
    instance_at = class_end + _BEFORE_INSTANCE.size
    if begins != _USUAL_PREFIX or len(encoded) < instance_at:
        return None
    asks, message_id, urges, brings, data_set_type, names, instance_bytes = (
        _BEFORE_INSTANCE.unpack_from(encoded, class_end)
    )
    if (asks, urges, brings, names) != _USUAL_MIDDLE:
        return None
    # More elements follow, or the length is wrong: the general way reads it, or finds the fault.
    if len(encoded) != instance_at + instance_bytes:
        return None
    sop_class_uid = _uid(encoded[_BEFORE_CLASS.size : class_end])
    store = StoreRequest(context_id, message_id, sop_class_uid, _uid(encoded[instance_at:]))
    return RequestCommand(data_set_type != _NO_DATA_SET, store)


def _elements(encoded: bytes) -> dict[int, bytes]:
    elements, position, end, unpack = {}, 0, len(encoded), _ELEMENT.unpack_from
    while position < end:
        if end - position < _ELEMENT_BYTES:
            raise UnreadableObject("the command set is cut short")
        group, element, length = unpack(encoded, position)
        position += _ELEMENT_BYTES
        following = position + length
        # The length is the peer's: without this, a slice would be short without an error.
        if group or following > end:
            raise UnreadableObject("the command set is malformed")
        elements[element] = encoded[position:following]
        position = following
    return elements


def _number(value: bytes | None) -> int:
    # All numbers of a command set but its group length are US.
    return int.from_bytes(value[:2], "little") if value else 0


def _uid(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0 ").decode("ascii", "replace")


def _comment(value: bytes) -> str:
    """Return an Error Comment; its 64 characters (PS3.5 6.2 LO) are ASCII by default."""
    text = value[:_UID_BYTES].decode("ascii", "replace").strip("\0 ")
    return "".join(character if character.isprintable() else "�" for character in text)


def _encoded(element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0x0000, element, len(value)) + value


def _short(element: int, number: int) -> bytes:
    return _encoded(element, number.to_bytes(2, "little"))


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding * (len(value) % 2)


_BEFORE_CLASS = Struct("<8s4x4sI")
"""Group length, and the head of Affected SOP Class UID with its length."""
_USUAL_PREFIX = [_ELEMENT.pack(0, 0, 4), _ELEMENT.pack(0, _AFFECTED_SOP_CLASS, 0)[:4]]
_BEFORE_INSTANCE = Struct("<18sH8s2x8sH4sI")
"""The elements between the two UIDs: message id, data set type, length of the second UID."""
_USUAL_MIDDLE = (
    _short(_COMMAND_FIELD, _C_STORE_RQ) + _ELEMENT.pack(0, _MESSAGE_ID, 2),
    _ELEMENT.pack(0, _PRIORITY, 2),
    _ELEMENT.pack(0, _DATA_SET_TYPE, 2),
    _ELEMENT.pack(0, _AFFECTED_SOP_INSTANCE, 0)[:4],
)


SUCCESS = 0x0000


class RetryDecision(StrEnum):
    """What to do with an object after its answer."""

    DONE = "done"
    """The peer has stored it."""
    RETRY = "retry"
    """The peer may accept it later."""
    GIVE_UP = "give up"
    """The peer will refuse this object each time."""


_DONE = frozenset((0x0000, 0x0001, 0x0107, 0x0116))
"""Success, and the warnings of any service (PS3.7 annex C): the object is stored."""
_REFUSED = {
    0x0105: "no such attribute",
    0x0106: "an invalid attribute value",
    0x0111: "it has the SOP instance with other content",
    0x0117: "an invalid SOP instance UID",
    0x0118: "no such SOP class",
    0x0119: "a conflict of class and instance",
    0x0120: "a missing attribute",
    0x0121: "a missing attribute value",
    0x0122: "the SOP class is not supported",
    0x0124: "not authorized",
}
"""Failures because of the object or of missing rights, which do not go away by themselves."""
_LATER = {
    0x0110: "processing failure",
    0x0210: "a duplicate invocation",
    0x0211: "an unrecognized operation",
    0x0212: "a mistyped argument",
    0x0213: "out of resources",
    0xFE00: "cancelled",
}


def retry_decision(status: int) -> RetryDecision:
    """Return what to do with an object after a C-STORE status (PS3.4 B.2.3).

    0xCxxx is retried, although the standard calls it an error of the data set: XNAT answers nearly
    every failure with it, also a full disk.
    """
    # PS3.4 B.2.3: 0xBxxx are the warnings of storage.
    if status in _DONE or status >> 12 == 0xB:
        return RetryDecision.DONE
    # 0xA9xx: the data set does not match its SOP class, which a retry does not change.
    if status in _REFUSED or status >> 8 == 0xA9:
        return RetryDecision.GIVE_UP
    return RetryDecision.RETRY


def is_peer_full(status: int) -> bool:
    """Tell whether the peer is out of resources, so that it will refuse other objects too."""
    return status >> 8 == 0xA7 or status == 0x0213


def status_in_words(status: int) -> str:
    """Return a status such as ``0xA700 (out of resources)``."""
    return f"0x{status:04X} ({_words(status)})"


def _words(status: int) -> str:
    if status == SUCCESS:
        return "success"
    if retry_decision(status) is RetryDecision.DONE:
        return "stored with a warning"
    known = _REFUSED | _LATER
    if status in known:
        return known[status]
    by_kind = {0xA7: "out of resources", 0xA9: "data set does not match its SOP class"}
    if status >> 8 in by_kind:
        return by_kind[status >> 8]
    return "cannot understand" if status >> 12 == 0xC else "unknown status"
