"""What a requestor proposes, and what the answer to it means (PS3.8 9.3.2 to 9.3.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from engine.errors import AssociationBroken, AssociationRefused, ContextRefused
from engine.intake.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.peer import Peer

Context = tuple[str, str]
"""SOP class and transfer syntax."""

MAX_CONTEXTS = 128
"""PS3.8 9.3.2.2: their ids are the odd numbers of one byte."""

_OWN_MAX_PDU_BYTES = 65_536
_SMALLEST_PDU = 128
_SMALLEST_AC = 74
"""The fixed fields of an A-ASSOCIATE-AC (PS3.8 9.3.3)."""
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_UNDECODABLE = (ValueError, TypeError, LookupError, AttributeError, struct.error, AssertionError)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a peer accepts of a proposal."""

    contexts: Mapping[Context, int]
    max_pdu_bytes: int
    """The longest P-DATA-TF PDU that it takes; 0 for any."""


def request(peer: Peer, contexts: Sequence[Context]) -> bytes:
    """Return an A-ASSOCIATE-RQ that proposes each context by itself, so that none is recoded."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(_APPLICATION_CONTEXT)
    primitive.calling_ae_title = peer.calling_ae_title
    primitive.called_ae_title = peer.called_ae_title
    primitive.presentation_context_definition_list = [
        _context(number, context) for number, context in _numbered(contexts).items()
    ]
    length, uid, name = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    length.maximum_length_received = _OWN_MAX_PDU_BYTES
    uid.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    name.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, uid, name]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return pdu.encode()


def accepted(encoded: bytes, contexts: Sequence[Context]) -> Accepted:
    """Return what an A-ASSOCIATE-AC accepts; whatever was not proposed is left out.

    Raises:
        AssociationBroken: if it can't be read.
    """
    pdu = A_ASSOCIATE_AC()
    # Of fewer bytes than that pynetdicom makes an answer without any context.
    if len(encoded) < _SMALLEST_AC:
        raise _nonsense()
    try:
        pdu.decode(encoded)
        results = {item.context_id: item for item in pdu.presentation_context}
        length = pdu.user_information.maximum_length if pdu.user_information else 0
        taken = {
            context: number
            for number, context in _numbered(contexts).items()
            if number in results
            and results[number].result == 0
            and results[number].transfer_syntax == context[1]
        }
    except _UNDECODABLE as error:
        raise _nonsense() from error
    # A length that leaves no room for any message counts as none, as it does for our callers.
    return Accepted(taken, length if length and length >= _SMALLEST_PDU else 0)


def _nonsense() -> AssociationBroken:
    detail = "the peer's A-ASSOCIATE-AC can't be read"
    return AssociationBroken(detail, "see whether a DICOM peer listens there")


def refusal(encoded: bytes, peer: Peer) -> AssociationRefused:
    """Return in words what an A-ASSOCIATE-RJ says (PS3.8 9.3.4)."""
    result, source, reason = (*encoded[7:10], 0, 0, 0)[:3]
    words, remedy = _REASONS.get(
        (source, reason), (f"source {source}, reason {reason}", "see what its own log says")
    )
    words = words.format(called=peer.called_ae_title, calling=peer.calling_ae_title)
    for_now = "for now" if result == _TRANSIENT else "for good"
    detail = f"{peer} rejects the association {for_now}: {words}"
    return AssociationRefused(result, source, reason, detail, remedy)


def refused(context: Context) -> ContextRefused:
    """Return what it means that a context was proposed and not accepted."""
    sop_class, syntax = (UID(uid).name for uid in context)
    detail = f"the peer does not accept {sop_class} in {syntax}"
    return ContextRefused(detail, "let the peer accept both, or convert the object")


_TRANSIENT = 2
_LATER = "try again later"
_REASONS = {
    (1, 1): ("no reason given", "see what its own log says"),
    (1, 2): ("the application context is not supported", "see whether it is a DICOM peer"),
    (1, 3): (
        "the calling AE title {calling} is not allowed",
        "let the peer allow this AE title and this host, or call with another one",
    ),
    (1, 7): ("there is no AE title {called}", "check the called AE title and the port"),
    (2, 1): ("no reason given by its service provider", _LATER),
    (2, 2): ("its protocol version is another", "see whether it is a DICOM peer"),
    (3, 1): ("it is busy", _LATER),
    (3, 2): ("it has as many associations as it admits", _LATER),
}


def _numbered(contexts: Sequence[Context]) -> dict[int, Context]:
    return {2 * place + 1: context for place, context in enumerate(contexts[:MAX_CONTEXTS])}


def _context(number: int, context: Context) -> PresentationContext:
    proposed = PresentationContext()
    proposed.context_id = number
    proposed.abstract_syntax = UID(context[0])
    proposed.transfer_syntax = [UID(context[1])]
    return proposed
