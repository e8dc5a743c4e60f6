"""Association control (PS3.8 9.3): A-ASSOCIATE, A-RELEASE and A-ABORT as bytes, for both roles.

pynetdicom encodes our PDUs. PDUs of peers are decoded here, because pynetdicom refuses a PDU with
one odd item, keeps all items of a long one, and pydicom writes each unusual UID to standard error.
Odd, unknown and excess items are ignored, as PS3.8 9.3.1 requires for unknown ones.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext

from engine.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from engine.dimse.contexts import (
    IMPLICIT_LITTLE,
    STORAGE_COMMITMENT,
    ProposedContext,
    answer_contexts,
    name_of,
    refused_contexts,
)
from engine.dimse.pdata import PDU_HEAD_BYTES, ProtocolViolation
from engine.errors import AssociationBroken, AssociationRefused, ContextRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.api import RefusedContext
    from engine.dimse.contexts import AcceptedUIDs
    from engine.model.limits import Limits
    from engine.model.peer import Peer

# pynetdicom logs values that peers send. Admins get events instead.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The only application context name of the standard (PS3.7 A.2.1)."""
SMALLEST_PDU_BYTES = 128
"""A smaller maximum length leaves no room for any answer, so it counts as unlimited."""

SERVICE_USER, SERVICE_PROVIDER = 0, 2
"""Sources of an A-ABORT (PS3.8 9.3.8)."""
UNSPECIFIED, UNRECOGNIZED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 0, 1, 2, 6
"""Reasons of an A-ABORT of the service provider (PS3.8 9.3.8)."""

A_RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # PS3.8 9.3.6
A_RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # PS3.8 9.3.7


def encode_associate_rj(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return b"\x03\x00\x00\x00\x00\x04\x00" + bytes([result, source, reason])


def encode_abort(source: int, reason: int = 0) -> bytes:
    """Return an A-ABORT (PS3.8 9.3.8)."""
    return b"\x07\x00\x00\x00\x00\x04\x00\x00" + bytes([source, reason])


# Items, for both roles.

_FIXED = Struct(">HH16s16s32x")  # protocol version, reserved, called and calling AE title, reserved
_ITEM = Struct(">BxH")
_APPLICATION_CONTEXT_ITEM, _CONTEXT_ITEM, _RESULT_ITEM = 0x10, 0x20, 0x21
_ABSTRACT_SYNTAX_ITEM, _TRANSFER_SYNTAX_ITEM = 0x30, 0x40
_USER_INFORMATION_ITEM, _MAX_LENGTH_ITEM = 0x50, 0x51
_IMPLEMENTATION_UID_ITEM, _IMPLEMENTATION_VERSION_ITEM = 0x52, 0x55
_ROLE_ITEM = 0x54
# More tolerant than PS3.8 annex F: leading zeros in a component, for example, are accepted.
_UID = re.compile(rb"[0-9.]{1,64}")
_TEXT = re.compile(rb"[ -\[\]-~]{1,16}")  # PS3.5 6.2: printable, without the backslash


def _items(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(encoded):
        if len(encoded) - position < _ITEM.size:
            raise ProtocolViolation("its A-ASSOCIATE-RQ ends in the middle of an item")
        kind, length = _ITEM.unpack_from(encoded, position)
        position += _ITEM.size
        # Checked before slicing: Python would return fewer bytes without an error.
        if length > len(encoded) - position:
            raise ProtocolViolation("its A-ASSOCIATE-RQ ends in the middle of an item")
        yield kind, encoded[position : position + length]
        position += length


def _uid(raw: bytes) -> str:
    """Return a UID without its padding; empty if the value is not a UID."""
    uid = raw.rstrip(b"\0 ")
    return uid.decode("ascii") if _UID.fullmatch(uid) else ""


# The accepting side.

_VERSION_1 = 0x0001

MAX_CACHED = 64
"""How many proposals, and how many answers, are cached; the least recently used go.

A modality sends the same proposal each time.
"""
MAX_CACHED_BYTES = 20 * 1024
"""The longest cached proposal: 128 contexts with four transfer syntaxes each.

A longer one is decoded each time, so that a hostile peer can't fill the memory.
"""


@dataclass(frozen=True, slots=True)
class AssociateRQ:
    """A decoded A-ASSOCIATE-RQ without its odd items; shared by all peers that send the same bytes.

    Equal if bytes and limits are, so only those two are compared and hashed.
    """

    encoded: bytes
    limits: Limits
    """The limits that it was decoded with; further items were ignored."""
    protocol_version: int = field(compare=False)
    """1 if its bit is set (PS3.8 9.3.2); reject any other with (1, 2, 2)."""
    called_ae_title: str = field(compare=False)
    """Without padding, like the calling one."""
    calling_ae_title: str = field(compare=False)
    application_context: str = field(compare=False)
    """Empty if the item is missing."""
    contexts: tuple[ProposedContext, ...] = field(compare=False)
    implementation_class_uid: str = field(compare=False)
    """Empty if the item is missing, like the version."""
    implementation_version: str = field(compare=False)
    max_pdu_bytes: int = field(compare=False)
    """The longest P-DATA-TF PDU that the peer accepts; 0 for any (PS3.8 D.1)."""
    provided: frozenset[str] = field(compare=False)
    """The SOP classes that the requestor offers to provide (PS3.7 D.3.3.4: SCP role)."""


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The answer to a proposal; shared by associations, so do not change it."""

    contexts: dict[int, str]
    """The transfer syntax of each accepted presentation context, by the context's id."""
    accepted: tuple[AcceptedUIDs, ...]
    refused: tuple[RefusedContext, ...]
    encoded: bytes
    """The A-ASSOCIATE-AC."""
    max_pdu_bytes: int
    """The longest P-DATA-TF PDU that the peer accepts; 0 for any (PS3.8 D.1)."""

    @property
    def commitment_ids(self) -> frozenset[int]:
        """The ids of the contexts for storage commitment."""
        return frozenset(c.id for c in self.accepted if c.sop_class == STORAGE_COMMITMENT)


def decode_associate_rq(encoded: bytes, limits: Limits) -> AssociateRQ:
    """Decode an A-ASSOCIATE-RQ PDU (PS3.8 9.3.2).

    Raises:
        ProtocolViolation: if its structure is unreadable, or an AE title is invalid.
    """
    decode = _decode_rq if len(encoded) > MAX_CACHED_BYTES else _cached_decode_rq
    return decode(encoded, limits)


class Service(Enum):
    """What an acceptor does besides C-STORE and C-ECHO."""

    STORAGE = auto()
    """Nothing."""
    COMMITMENT = auto()
    """It takes requests for storage commitment."""
    REPORTS = auto()
    """It takes reports of storage commitment from a peer that provides it (PS3.4 J.3.3)."""


def negotiate(
    proposal: AssociateRQ, pdu_bytes: int, service: Service = Service.STORAGE
) -> Negotiated:
    """Return the answer of a receiver that accepts the association.

    Args:
        proposal: the decoded request.
        pdu_bytes: the longest PDU that the receiver accepts.
        service: what else it does; receivers differ in nothing else.
    """
    is_long = len(proposal.encoded) > MAX_CACHED_BYTES
    return (_negotiate if is_long else _cached_negotiate)(proposal, pdu_bytes, service)


def _decode_rq(encoded: bytes, limits: Limits) -> AssociateRQ:
    body = encoded[PDU_HEAD_BYTES:]
    if len(body) < _FIXED.size:
        raise ProtocolViolation("its A-ASSOCIATE-RQ is too short")
    version, _, called, calling = _FIXED.unpack_from(body)
    called_ae_title, calling_ae_title = _ae_title("called", called), _ae_title("calling", calling)
    application_context, user_information = b"", b""
    contexts: dict[int, ProposedContext | None] = {}
    # Of several items of one type, or contexts of one id, the first counts.
    for kind, value in _items(body[_FIXED.size :]):
        if kind == _APPLICATION_CONTEXT_ITEM:
            application_context = application_context or value
        elif kind == _CONTEXT_ITEM and value and value[0] not in contexts:
            contexts[value[0]] = _context(value, limits.transfer_syntaxes_per_context)
        elif kind == _USER_INFORMATION_ITEM:
            user_information = user_information or value
    user = _user_items(user_information, limits.user_items)
    return AssociateRQ(
        encoded,
        limits,
        # PS3.8 9.3.2: only the bit of version 1 is tested; others may be set beside it.
        _VERSION_1 if version & _VERSION_1 else version,
        called_ae_title,
        calling_ae_title,
        _uid(application_context),
        tuple(context for context in contexts.values() if context is not None),
        *user,
    )


def _ae_title(which: str, raw: bytes) -> str:
    # PS3.8 9.3.2 pads with spaces; NUL is accepted as well.
    title = raw.rstrip(b"\0 ")
    if not title.strip() or not _TEXT.fullmatch(title):
        raise ProtocolViolation(f"its A-ASSOCIATE-RQ has an invalid {which} AE title")
    return title.decode("ascii").strip()


def _context(value: bytes, max_syntaxes: int) -> ProposedContext | None:
    """Return a presentation context; None if it could never be accepted."""
    abstract, transfer = "", list[str]()
    for kind, raw in _items(value[4:]):
        uid = _uid(raw)
        if kind == _ABSTRACT_SYNTAX_ITEM:
            abstract = abstract or uid
        elif kind == _TRANSFER_SYNTAX_ITEM and uid and len(transfer) < max_syntaxes:
            transfer.append(uid)
    # PS3.8 9.3.2.2: ids are odd, and a context has one abstract and at least one transfer syntax.
    is_odd = value[0] % 2 == 1
    if not (is_odd and abstract and transfer):
        return None
    return ProposedContext(value[0], abstract, tuple(dict.fromkeys(transfer)))


class _UserItems(NamedTuple):
    """The user items that count."""

    implementation_class_uid: str
    implementation_version: str
    max_pdu_bytes: int
    provided: frozenset[str]


def _user_items(user_information: bytes, max_items: int) -> _UserItems:
    """Return implementation class UID and version name, longest PDU, and offered SCP roles.

    The other user items are ignored, which answers them with the defaults: one operation at a time
    (PS3.7 D.3.3.3), no extended negotiation (D.3.3.5), no check of the user's identity (D.3.3.7).
    """
    found: dict[int, bytes] = {}
    provided = set[str]()
    for number, (kind, value) in enumerate(_items(user_information)):
        # The rest is still parsed: a PDU that ends inside an item is a violation wherever that is.
        if number < max_items:
            found.setdefault(kind, value)
            if kind == _ROLE_ITEM and value.endswith(b"\1"):
                provided.add(_uid(value[2:-2]))
    version = found.get(_IMPLEMENTATION_VERSION_ITEM, b"")[:16].rstrip(b"\0 ")
    return _UserItems(
        _uid(found.get(_IMPLEMENTATION_UID_ITEM, b"")),
        version.decode("ascii") if _TEXT.fullmatch(version) else "",
        _max_pdu_bytes(found.get(_MAX_LENGTH_ITEM, b"")),
        frozenset(provided),
    )


def _max_pdu_bytes(value: bytes) -> int:
    length = int.from_bytes(value[:4], "big")
    return length if length >= SMALLEST_PDU_BYTES else 0


def _negotiate(
    proposal: AssociateRQ, pdu_bytes: int, service: Service = Service.STORAGE
) -> Negotiated:
    commits = service is not Service.STORAGE
    accepted, refused = answer_contexts(proposal.contexts, commitment=commits)
    # PS3.7 D.3.3.4: only a role that was proposed is answered. Without an answer the requestor is
    # the user of the service, as it is in all other cases.
    is_provided = service is Service.REPORTS and STORAGE_COMMITMENT in proposal.provided
    provided = (STORAGE_COMMITMENT,) if is_provided else ()
    answer = _associate(proposal.called_ae_title, proposal.calling_ae_title, pdu_bytes, provided)
    # PS3.8 7.1.1.7 and 7.1.1.8: accepted, by the service user.
    answer.result, answer.result_source = 0, 1
    answer.presentation_context_definition_results_list = [
        *(_result(context.id, 0, context.transfer_syntax) for context in accepted),
        # PS3.8 9.3.3.2: this transfer syntax has no meaning, but must be there.
        *(_result(context.id, result, IMPLICIT_LITTLE) for context, result in refused),
    ]
    return Negotiated(
        contexts={context.id: context.transfer_syntax for context in accepted},
        accepted=accepted,
        refused=refused_contexts(refused),
        encoded=A_ASSOCIATE_AC(answer).encode(),
        max_pdu_bytes=proposal.max_pdu_bytes,
    )


def _result(context_id: int, result: int, transfer_syntax: str) -> PresentationContext:
    context = PresentationContext()
    context.context_id, context.result = context_id, result
    context.transfer_syntax = [UID(transfer_syntax)]
    return context


_cached_decode_rq = lru_cache(maxsize=MAX_CACHED)(_decode_rq)
_cached_negotiate = lru_cache(maxsize=MAX_CACHED)(_negotiate)


# The requesting side.

Context = tuple[str, str]
"""SOP class and transfer syntax."""

MAX_CONTEXTS = 128
"""The most contexts of an association: their ids are the odd numbers of a byte (PS3.8 9.3.2.2)."""

MAX_PDU_BYTES = 65_536
"""The maximum length received that a requestor announces (PS3.8 D.1)."""


@dataclass(frozen=True, slots=True)
class AcceptedContexts:
    """The contexts of a proposal that a peer accepts."""

    contexts: Mapping[Context, int]
    max_pdu_bytes: int
    """The longest P-DATA-TF PDU that it accepts; 0 for any (PS3.8 D.1)."""


def encode_associate_rq(
    peer: Peer, contexts: Sequence[Context], provided: Sequence[str] = ()
) -> bytes:
    """Return an A-ASSOCIATE-RQ with one transfer syntax per context.

    So the peer can't choose another one, and files are sent as they are encoded.

    Args:
        peer: the peer to call.
        contexts: the contexts to propose.
        provided: the SOP classes that we provide (SCP) in place of using them (SCU).
    """
    primitive = _associate(peer.called_ae_title, peer.calling_ae_title, MAX_PDU_BYTES, provided)
    primitive.presentation_context_definition_list = [
        _proposed(number, context) for number, context in _numbered(contexts).items()
    ]
    return A_ASSOCIATE_RQ(primitive).encode()


def decode_associate_ac(encoded: bytes, contexts: Sequence[Context]) -> AcceptedContexts:
    """Decode an A-ASSOCIATE-AC; contexts that were not proposed are left out.

    Raises:
        AssociationBroken: if it can't be read.
    """
    body = encoded[PDU_HEAD_BYTES:]
    if len(body) < _FIXED.size:
        raise _unreadable_ac()
    accepted: dict[int, str] = {}
    max_pdu_bytes = 0
    try:
        for kind, value in _items(body[_FIXED.size :]):
            if kind == _RESULT_ITEM and len(value) >= 4 and value[2] == 0:  # PS3.8 9.3.3.2
                syntaxes = [_uid(raw) for k, raw in _items(value[4:]) if k == _TRANSFER_SYNTAX_ITEM]
                accepted.setdefault(value[0], syntaxes[0] if syntaxes else "")
            elif kind == _USER_INFORMATION_ITEM:
                max_pdu_bytes = _max_pdu_bytes(dict(_items(value)).get(_MAX_LENGTH_ITEM, b""))
    except ProtocolViolation as error:
        raise _unreadable_ac() from error
    return AcceptedContexts(
        {
            context: number
            for number, context in _numbered(contexts).items()
            if accepted.get(number) == context[1]
        },
        max_pdu_bytes,
    )


def rejection(encoded: bytes, peer: Peer) -> AssociationRefused:
    """Return the error for an A-ASSOCIATE-RJ, with its reason in words (PS3.8 9.3.4)."""
    # A PDU that is too short counts as without a reason.
    result, source, reason = (*encoded[7:10], 0, 0, 0)[:3]
    words, remedy = _REJECTIONS.get(
        (source, reason), (f"source {source}, reason {reason}", "check its log")
    )
    words = words.format(called=peer.called_ae_title, calling=peer.calling_ae_title)
    how_long = "temporarily" if result == _TRANSIENT else "permanently"
    detail = f"{peer} rejects the association {how_long}: {words}"
    return AssociationRefused(result, source, reason, detail, remedy)


def refused(context: Context) -> ContextRefused:
    """Return the error for a context that was proposed and not accepted."""
    sop_class, syntax = map(name_of, context)
    detail = f"the peer does not accept {sop_class} in {syntax}"
    return ContextRefused(detail, "let the peer accept both, or convert the object")


_TRANSIENT = 2
_LATER = "try again later"
# By source and reason (PS3.8 9.3.4).
_REJECTIONS = {
    (1, 1): ("no reason given", "check its log"),
    (1, 2): ("the application context is not supported", "check that it is a DICOM peer"),
    (1, 3): (
        "the calling AE title {calling} is not allowed",
        "let the peer allow this AE title and this host, or call with another one",
    ),
    (1, 7): ("there is no AE title {called}", "check the called AE title and the port"),
    (2, 1): ("no reason given by its service provider", _LATER),
    (2, 2): ("it uses another protocol version", "check that it is a DICOM peer"),
    (3, 1): ("it is busy", _LATER),
    (3, 2): ("it has reached its limit of associations", _LATER),
}


def _unreadable_ac() -> AssociationBroken:
    detail = "the peer's A-ASSOCIATE-AC can't be read"
    return AssociationBroken(detail, "check that a DICOM peer listens there")


def _numbered(contexts: Sequence[Context]) -> dict[int, Context]:
    return {2 * place + 1: context for place, context in enumerate(contexts[:MAX_CONTEXTS])}


def _proposed(number: int, context: Context) -> PresentationContext:
    proposed = PresentationContext()
    proposed.context_id = number
    proposed.abstract_syntax = UID(context[0])
    proposed.transfer_syntax = [UID(context[1])]
    return proposed


def _associate(
    called: str, calling: str, pdu_bytes: int, provided: Sequence[str] = ()
) -> A_ASSOCIATE:
    """Return the parameters that request and answer share (PS3.8 7.1.1), without contexts."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(APPLICATION_CONTEXT)
    primitive.called_ae_title, primitive.calling_ae_title = called, calling
    length = MaximumLengthNotification()
    length.maximum_length_received = pdu_bytes
    uid = ImplementationClassUIDNotification()
    uid.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, uid, version, *map(_provider, provided)]
    return primitive


def _provider(sop_class_uid: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = UID(sop_class_uid), False, True
    return role
