"""PDUs as the sender needs them: made before the clock runs, read with as little work as possible.

Independent of pynetdicom and of the engine, so that neither is measured with its own code.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS_UID = "1.2.826.0.1.3680043.8.498.77.1"
RELEASE_REQUEST = bytes.fromhex("05000000000400000000")
ASSOCIATE_ACCEPT, ASSOCIATE_REJECT, DATA, RELEASE_RESPONSE, ABORT = 2, 3, 4, 6, 7
OWN_MAXIMUM_LENGTH = 131_072

_ITEM = Struct(">BxH")
_PDU = Struct(">BxL")
_PDV = Struct(">BxLLBB")
"""Head of a P-DATA-TF PDU with one presentation data value."""
_LONG = Struct(">L")
_ELEMENT = Struct("<HHL")
_SHORT_LE = Struct("<H")
_COMMAND_LAST, _DATA_MORE, _DATA_LAST = 3, 0, 2


@dataclass(frozen=True, slots=True)
class Context:
    """One presentation context: an abstract syntax with a single transfer syntax."""

    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A data set as bytes, and what a C-STORE-RQ says of it."""

    context: Context
    sop_instance_uid: str
    data_set: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an A-ASSOCIATE-AC says."""

    maximum_length: int
    """Longest PDU that the peer takes; 0 means any."""
    context_ids: frozenset[int]


class Refused(Exception):
    """The peer did not answer as wanted."""


def context_id(number: int) -> int:
    """Return the odd id of the nth proposed context (PS3.8 9.3.2.2)."""
    return 2 * number + 1


def associate_request(called: str, calling: str, contexts: Sequence[Context]) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    items = [_item(0x10, APPLICATION_CONTEXT.encode())]
    for number, context in enumerate(contexts):
        syntaxes = _item(0x30, context.sop_class_uid.encode())
        syntaxes += _item(0x40, context.transfer_syntax_uid.encode())
        items.append(_item(0x20, bytes([context_id(number), 0, 0, 0]) + syntaxes))
    user = _item(0x51, _LONG.pack(OWN_MAXIMUM_LENGTH)) + _item(
        0x52, IMPLEMENTATION_CLASS_UID.encode()
    )
    items.append(_item(0x50, user))
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    body = b"\0\1\0\0" + titles + bytes(32) + b"".join(items)
    return _PDU.pack(1, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def parse_accept(pdu: bytes) -> Accepted:
    """Read the answer to an A-ASSOCIATE-RQ.

    Raises:
        Refused: if it is not an A-ASSOCIATE-AC.
    """
    if pdu[0] == ASSOCIATE_REJECT:
        raise Refused("association rejected: result {}, source {}, reason {}".format(*pdu[7:10]))
    if pdu[0] != ASSOCIATE_ACCEPT:
        raise Refused(f"PDU type {pdu[0]} instead of an A-ASSOCIATE-AC")
    maximum_length, accepted = 0, set()
    for kind, value in _items(pdu, 74):
        if kind == 0x21 and value[2] == 0:
            accepted.add(value[0])
        elif kind == 0x50:
            lengths = [_LONG.unpack(v)[0] for k, v in _items(value, 0) if k == 0x51]
            maximum_length = lengths[0] if lengths else 0
    return Accepted(maximum_length, frozenset(accepted))


def _items(data: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    while position + 4 <= len(data):
        kind, length = _ITEM.unpack_from(data, position)
        yield kind, data[position + 4 : position + 4 + length]
        position += 4 + length


def store_request(encoded: Encoded, message_id: int, context: int, pdu_bytes: int) -> bytes:
    """Return a C-STORE-RQ and its data set as the PDUs that carry them (PS3.7 9.3.1)."""
    command = _command(encoded, message_id)
    parts: list[bytes | memoryview] = [_pdv_head(len(command), context, _COMMAND_LAST), command]
    data = memoryview(encoded.data_set)
    fragment = pdu_bytes - 6
    more = _pdv_head(fragment, context, _DATA_MORE)
    whole = (len(data) - 1) // fragment * fragment
    for start in range(0, whole, fragment):
        parts += (more, data[start : start + fragment])
    parts += (_pdv_head(len(data) - whole, context, _DATA_LAST), data[whole:])
    return b"".join(parts)


def _pdv_head(size: int, context: int, control: int) -> bytes:
    return _PDV.pack(DATA, size + 6, size + 2, context, control)


def _command(encoded: Encoded, message_id: int) -> bytes:
    elements = (
        _text(0x0002, encoded.context.sop_class_uid),
        _number(0x0100, 0x0001),  # Command Field: C-STORE-RQ
        _number(0x0110, message_id),
        _number(0x0700, 0),  # Priority: medium
        _number(0x0800, 1),  # Command Data Set Type: present
        _text(0x1000, encoded.sop_instance_uid),
    )
    command = b"".join(elements)
    return _ELEMENT.pack(0, 0, 4) + len(command).to_bytes(4, "little") + command


def _text(element: int, uid: str) -> bytes:
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return _ELEMENT.pack(0, element, len(value)) + value


def _number(element: int, value: int) -> bytes:
    return _ELEMENT.pack(0, element, 2) + _SHORT_LE.pack(value)


def pdu_end(head: bytes) -> int:
    """Return the length of the PDU that begins so, its head included."""
    return _PDU.size + int(_LONG.unpack_from(head, 2)[0])
