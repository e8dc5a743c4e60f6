"""An A-ASSOCIATE-RQ, reduced to what this acceptor answers, before pynetdicom digests it.

pynetdicom gives up on a request with one odd item in it, and keeps everything of a long one. What
is odd, unknown or beyond a limit is left out here, as PS3.8 9.3.1 wants it for unknown items; only
a request without a readable structure is none.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING

from engine.dimse.fragments import ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.limits import Limits

ASSOCIATE_RQ = 0x01

_PDU = Struct(">BxI")
_FIXED = Struct(">HH16s16s32s")  # protocol version, reserved, called and calling AE title, reserved
_ITEM = Struct(">BxH")
_APPLICATION_CONTEXT, _CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_UID, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x55
_VERSION_1 = 0x0001
_SMALLEST_PDU = 128
"""A maximum length below this would leave no room for any answer; it counts as unlimited."""

_UID = re.compile(rb"[0-9.]{1,64}")
_AE_TITLE = re.compile(rb"[ -\[\]-~]{1,16}")  # PS3.5 6.2: printable, without the backslash


def legible(encoded: bytes, limits: Limits) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU (PS3.8 9.3.2) with only what is well formed and used.

    Raises:
        ProtocolViolation: if the PDU has no readable structure, or an AE title that is none.
    """
    body = encoded[_PDU.size :]
    if len(body) < _FIXED.size:
        raise ProtocolViolation("its A-ASSOCIATE-RQ is too short")
    version, reserved, called, calling, more = _FIXED.unpack_from(body)
    # PS3.8 9.3.2: only the bit of version 1 is tested; others may be set beside it.
    version = _VERSION_1 if version & _VERSION_1 else version
    titles = _ae_title("called", called), _ae_title("calling", calling)
    content = _FIXED.pack(version, reserved, *titles, more) + b"".join(
        _items_in_use(body[_FIXED.size :], limits)
    )
    return _PDU.pack(ASSOCIATE_RQ, len(content)) + content


def _ae_title(which: str, raw: bytes) -> bytes:
    title = raw.rstrip(b"\0 ")
    if not title.strip() or not _AE_TITLE.fullmatch(title):
        raise ProtocolViolation(f"its A-ASSOCIATE-RQ has a {which} AE title that is none")
    return title.ljust(16)


def _items(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(encoded):
        if len(encoded) - position < _ITEM.size:
            raise ProtocolViolation("its A-ASSOCIATE-RQ ends in the middle of an item")
        kind, length = _ITEM.unpack_from(encoded, position)
        position += _ITEM.size
        if length > len(encoded) - position:
            raise ProtocolViolation("its A-ASSOCIATE-RQ ends in the middle of an item")
        yield kind, encoded[position : position + length]
        position += length


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _items_in_use(encoded: bytes, limits: Limits) -> Iterator[bytes]:
    name, user_information, contexts = b"", b"", dict[int, bytes]()
    for kind, value in _items(encoded):
        if kind == _APPLICATION_CONTEXT:
            name = name or value
        elif kind == _CONTEXT and value and value[0] not in contexts:
            contexts[value[0]] = _context(value, limits.transfer_syntaxes_per_context)
        elif kind == _USER_INFORMATION:
            user_information = user_information or value
    uid = _uid(name)
    if uid:
        yield _item(_APPLICATION_CONTEXT, uid)
    yield from (_item(_CONTEXT, context) for context in contexts.values() if context)
    yield _item(_USER_INFORMATION, _user_information(user_information, limits.user_items))


def _context(value: bytes, most_syntaxes: int) -> bytes:
    """Return a presentation context item's value, nothing if it can't be accepted."""
    abstract, transfer = b"", list[bytes]()
    for kind, syntax in _items(value[4:]):
        uid = _uid(syntax)
        if kind == _ABSTRACT_SYNTAX:
            abstract = abstract or uid
        elif kind == _TRANSFER_SYNTAX and uid and len(transfer) < most_syntaxes:
            transfer.append(uid)
    is_odd = value[0] % 2 == 1  # PS3.8 9.3.2.2
    if not (is_odd and abstract and transfer):
        return b""
    syntaxes = b"".join(_item(_TRANSFER_SYNTAX, uid) for uid in transfer)
    return value[:1] + bytes(3) + _item(_ABSTRACT_SYNTAX, abstract) + syntaxes


def _user_information(encoded: bytes, most_items: int) -> bytes:
    """Return the user items that matter to a storage SCP without user identities or roles.

    Leaving out the others answers them, too: one operation at a time (PS3.7 D.3.3.3), the default
    roles (D.3.3.4), no extended negotiation (D.3.3.5), no check of the user's identity (D.3.3.7).
    """
    found: dict[int, bytes] = {}
    for number, (kind, value) in enumerate(_items(encoded)):
        if number < most_items:
            found.setdefault(kind, value)
    length = int.from_bytes(found.get(_MAXIMUM_LENGTH, b"")[:4], "big")
    length = length if length >= _SMALLEST_PDU else 0
    kept = _item(_MAXIMUM_LENGTH, length.to_bytes(4, "big"))
    uid = _uid(found.get(_IMPLEMENTATION_UID, b""))
    version = _version(found.get(_IMPLEMENTATION_VERSION, b""))
    kept += _item(_IMPLEMENTATION_UID, uid) if uid else b""
    return kept + (_item(_IMPLEMENTATION_VERSION, version) if version else b"")


def _uid(raw: bytes) -> bytes:
    """Return a UID without its padding; nothing if it is none."""
    uid = raw.rstrip(b"\0 ")
    return uid if _UID.fullmatch(uid) else b""


def _version(raw: bytes) -> bytes:
    shown = raw[:16].rstrip(b"\0 ")
    return shown if _AE_TITLE.fullmatch(shown) else b""
