"""What proposals are answered with: what pynetdicom would say, found out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE, StoragePresentationContexts
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.presentation import negotiate_as_acceptor

from engine.dimse import negotiation
from engine.dimse.contexts import IMPLICIT_LITTLE, supported_contexts
from engine.dimse.fragments import ProtocolViolation
from engine.dimse.negotiation import (
    LONGEST_REMEMBERED_BYTES,
    REMEMBERED,
    Negotiated,
    negotiated,
    proposal,
)
from engine.dimse.request import legible
from engine.model.limits import Limits
from tests.bench.pdus import Context, associate_request
from tests.caller import VERIFICATION

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKLIST = "1.2.840.10008.5.1.4.31"
JPIP_DEFLATE = "1.2.840.10008.1.2.4.95"
STORAGE = [str(context.abstract_syntax) for context in StoragePresentationContexts]
LIMITS = Limits()


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    negotiation._remembered_proposal.cache_clear()
    negotiation._remembered_answer.cache_clear()


def request(
    sop_classes: Sequence[str], calling: str = "CT1", syntax: str = IMPLICIT_LITTLE
) -> bytes:
    return associate_request("XNAT", calling, [Context(uid, syntax) for uid in sop_classes])


def answer(encoded: bytes, pdu_bytes: int = 65_536) -> Negotiated:
    return negotiated(proposal(encoded, LIMITS), pdu_bytes)


class Work:
    """Counts what is read and what is negotiated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = self.negotiated = 0

        def read(*of: Any) -> bytes:
            self.read += 1
            return legible(*of)

        def negotiate_too(*of: Any) -> object:
            self.negotiated += 1
            return negotiate_as_acceptor(*of)

        monkeypatch.setattr(negotiation, "legible", read)
        monkeypatch.setattr(negotiation, "negotiate_as_acceptor", negotiate_too)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


@pytest.mark.parametrize(
    ("sop_classes", "syntax"),
    [
        ([VERIFICATION], IMPLICIT_LITTLE),
        (STORAGE[:100], "1.2.840.10008.1.2.4.70"),
        ([STORAGE[0], WORKLIST, "1.2.3.4", STORAGE[0]], IMPLICIT_LITTLE),
        ([STORAGE[0]], JPIP_DEFLATE),
        ([], IMPLICIT_LITTLE),
    ],
)
@pytest.mark.parametrize("pdu_bytes", [4_096, 1_048_576])
def test_the_answer_is_the_very_one_that_pynetdicoms_own_acceptor_gives(
    sop_classes: list[str], syntax: str, pdu_bytes: int
) -> None:
    proposed = proposal(request(sop_classes, syntax=syntax), LIMITS)
    ae = AE()
    association = Association(ae, "acceptor")
    acceptor = association.acceptor
    acceptor.maximum_length = pdu_bytes
    acceptor.implementation_version_name = ae.implementation_version_name
    contexts = proposed.primitive.presentation_context_definition_list
    acceptor.supported_contexts = supported_contexts(contexts)
    association.requestor.primitive = proposed.primitive
    association.acse.negotiate_association()
    said = A_ASSOCIATE_AC(acceptor.primitive).encode()
    ours = negotiated(proposed, pdu_bytes)
    assert ours.encoded == said
    assert list(ours.contexts) == [context.context_id for context in association.accepted_contexts]
    assert len(ours.refused) == len(association.rejected_contexts)


def test_a_proposal_that_came_before_is_neither_read_nor_negotiated_again(work: Work) -> None:
    first = answer(request(STORAGE[:3]))
    assert answer(request(STORAGE[:3])) is first
    assert (work.read, work.negotiated) == (1, 1)


def test_whatever_differs_is_negotiated_anew(work: Work) -> None:
    encoded = [
        answer(request(STORAGE[:3])).encoded,
        answer(request(STORAGE[:2])).encoded,
        answer(request(STORAGE[:3], calling="CT2")).encoded,
        answer(request(STORAGE[:3]), 32_768).encoded,
    ]
    assert len(set(encoded)) == 4
    assert (work.read, work.negotiated) == (3, 4)


def test_what_counts_of_a_proposal_is_read_anew_under_other_limits() -> None:
    encoded = associate_request("XNAT", "CT1", [Context(STORAGE[0], JPIP_DEFLATE)])
    assert proposal(encoded, LIMITS).primitive.presentation_context_definition_list
    stricter = proposal(encoded, Limits(transfer_syntaxes_per_context=0))
    assert not stricter.primitive.presentation_context_definition_list


def test_a_very_long_proposal_is_answered_and_not_remembered(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = request(STORAGE[:3])
    monkeypatch.setattr(negotiation, "LONGEST_REMEMBERED_BYTES", len(encoded) - 1)
    assert answer(encoded).encoded == answer(encoded).encoded
    assert (work.read, work.negotiated) == (2, 2)


def test_128_contexts_with_four_syntaxes_each_are_short_enough_to_be_remembered() -> None:
    of_one = len(request([STORAGE[0]] * 2)) - len(request([STORAGE[0]]))
    three_more_syntaxes = 3 * (4 + len("1.2.840.10008.1.2.4.70"))
    assert 128 * (of_one + three_more_syntaxes) < LONGEST_REMEMBERED_BYTES


def test_only_so_many_proposals_are_remembered_those_that_came_last(work: Work) -> None:
    for number in range(REMEMBERED + 1):
        answer(request(STORAGE[:1], calling=f"CT{number}"))
    answer(request(STORAGE[:1], calling=f"CT{REMEMBERED}"))
    assert (work.read, work.negotiated) == (REMEMBERED + 1, REMEMBERED + 1)
    answer(request(STORAGE[:1], calling="CT0"))
    assert (work.read, work.negotiated) == (REMEMBERED + 2, REMEMBERED + 2)


def test_what_makes_no_sense_makes_none_the_next_time_either() -> None:
    for _ in range(2):
        with pytest.raises(ProtocolViolation, match="calling AE title"):
            proposal(request(STORAGE[:1], calling=""), LIMITS)
