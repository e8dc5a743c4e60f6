"""What a proposal is answered with: negotiated by pynetdicom, and remembered.

A modality proposes the same, byte by byte, each time it calls. What that says, and what is accepted
of it, depends on nothing but those bytes and the limits in force; so neither is found out twice.
Whether the caller is accepted at all is `acceptance`'s to say, each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from pydicom.uid import UID
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import negotiate_as_acceptor

from engine.dimse.acceptance import APPLICATION_CONTEXT
from engine.dimse.contexts import accepted_uids, refused_contexts, supported_contexts
from engine.dimse.request import legible

if TYPE_CHECKING:
    from pynetdicom.presentation import PresentationContext

    from engine.dimse.contexts import AcceptedUIDs
    from engine.model.limits import Limits
    from engine.view import RefusedContext

REMEMBERED = 64
"""How many proposals, those that came last."""
LONGEST_REMEMBERED_BYTES = 20 * 1024
"""Of a proposal: 128 contexts with four transfer syntaxes each. What is longer is read anew, lest
somebody fill the memory; as it is, 64 of them take 25 MB at the very most.
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An A-ASSOCIATE-RQ, as pynetdicom's state machine takes it; all who send the same share it."""

    encoded: bytes
    limits: Limits
    """How much of it counts."""
    protocol_version: int = field(compare=False)
    primitive: A_ASSOCIATE = field(compare=False)

    def to_primitive(self) -> A_ASSOCIATE:
        """Return what is proposed."""
        return self.primitive


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What an acceptance says; shared as well, so nobody changes it."""

    contexts: dict[int, PresentationContext] = field(default_factory=dict)
    """The accepted ones by their ids."""
    accepted: tuple[AcceptedUIDs, ...] = ()
    refused: tuple[RefusedContext, ...] = ()
    encoded: bytes = b""
    """The A-ASSOCIATE-AC."""


def proposal(encoded: bytes, limits: Limits) -> Proposal:
    """Return what an A-ASSOCIATE-RQ says, reduced to what is `request.legible`.

    Raises:
        ProtocolViolation: if it has no readable structure, or an AE title that is none.
        Exception: of any kind, if pynetdicom can't make sense of it.
    """
    read = _read if len(encoded) > LONGEST_REMEMBERED_BYTES else _remembered_proposal
    return read(encoded, limits)


def negotiated(proposed: Proposal, pdu_bytes: int) -> Negotiated:
    """Return the answer of a receiver that accepts the association.

    Args:
        proposed: what the requestor wants.
        pdu_bytes: the longest PDU that the receiver takes; nothing else differs between two.
    """
    is_long = len(proposed.encoded) > LONGEST_REMEMBERED_BYTES
    return (_negotiate if is_long else _remembered_answer)(proposed, pdu_bytes)


def _read(encoded: bytes, limits: Limits) -> Proposal:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(legible(encoded, limits))
    return Proposal(encoded, limits, pdu.protocol_version, pdu.to_primitive())


def _negotiate(proposed: Proposal, pdu_bytes: int) -> Negotiated:
    request = proposed.primitive
    contexts = request.presentation_context_definition_list
    results, _ = negotiate_as_acceptor(contexts, supported_contexts(contexts), {})
    accepted = [context for context in results if context.result == 0]
    refused = [context for context in results if context.result != 0]
    answer = _acceptance(request, pdu_bytes)
    answer.presentation_context_definition_results_list = accepted + refused
    return Negotiated(
        contexts={context.context_id or 0: context for context in accepted},
        accepted=accepted_uids(accepted),
        refused=refused_contexts(refused, contexts),
        encoded=A_ASSOCIATE_AC(answer).encode(),
    )


def _acceptance(request: A_ASSOCIATE, pdu_bytes: int) -> A_ASSOCIATE:
    """Return the acceptance of a request (PS3.8 7.1.1), but for its contexts."""
    answer = A_ASSOCIATE()
    answer.application_context_name = request.application_context_name
    answer.calling_ae_title = request.calling_ae_title
    answer.called_ae_title = request.called_ae_title
    answer.result, answer.result_source = 0, 1
    length = MaximumLengthNotification()
    length.maximum_length_received = pdu_bytes
    uid = ImplementationClassUIDNotification()
    uid.implementation_class_uid = PYNETDICOM_IMPLEMENTATION_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = PYNETDICOM_IMPLEMENTATION_VERSION
    answer.user_information = [length, uid, version]
    return answer


_remembered_proposal = lru_cache(maxsize=REMEMBERED)(_read)
_remembered_answer = lru_cache(maxsize=REMEMBERED)(_negotiate)


def _bare_acceptance() -> A_ASSOCIATE:
    answer = A_ASSOCIATE()
    answer.application_context_name = UID(APPLICATION_CONTEXT)
    answer.calling_ae_title = answer.called_ae_title = "ANY"
    answer.result, answer.result_source = 0, 1
    return answer


ACCEPTANCE = _bare_acceptance()
"""Lets pynetdicom's state machine accept; what goes out then is `Negotiated.encoded`."""
