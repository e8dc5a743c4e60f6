"""Association control as bytes: what is read of a request, what is answered, and the other way."""

from __future__ import annotations

import logging
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import AE, StoragePresentationContexts
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu import A_RELEASE_RP as RELEASE_RP_PDU
from pynetdicom.pdu import A_RELEASE_RQ as RELEASE_RQ_PDU
from pynetdicom.presentation import PresentationContext

from engine.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from engine.dimse import acse
from engine.dimse.acse import (
    MAX_CACHED,
    MAX_CACHED_BYTES,
    MAX_CONTEXTS,
    AssociateRQ,
    Negotiated,
    decode_associate_ac,
    decode_associate_rq,
    encode_abort,
    encode_associate_rj,
    encode_associate_rq,
    negotiate,
    refused,
    rejection,
)
from engine.dimse.contexts import (
    IMPLICIT_LITTLE,
    ProposedContext,
    answer_contexts,
    supported_syntaxes,
)
from engine.dimse.pdata import ProtocolViolation
from engine.errors import AssociationBroken
from engine.model.limits import Limits
from engine.model.peer import Peer
from tests.bench.pdus import Context as BenchContext
from tests.bench.pdus import associate_request
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from tests.peers.pdus import (
    APPLICATION_CONTEXT,
    USER_ITEMS,
    VERIFICATION,
    Context,
    associate_rq,
    item,
    pdu,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS = Limits()
VERSION = item(0x55, b"SCANNER_3")
GOOD = ProposedContext(1, CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,))
PEER = Peer("localhost", 104, "PACS", "CT1")
WORKLIST = "1.2.840.10008.5.1.4.31"
JPIP_DEFLATE = "1.2.840.10008.1.2.4.95"
STORAGE = [str(context.abstract_syntax) for context in StoragePresentationContexts]


@pytest.fixture(autouse=True)
def nothing_is_cached() -> None:
    acse._cached_decode_rq.cache_clear()
    acse._cached_negotiate.cache_clear()


def decoded(encoded: bytes, limits: Limits = LIMITS) -> AssociateRQ:
    """Decode a request without the cache, which hypothesis would share between its examples."""
    return acse._decode_rq(encoded, limits)


# What of a request counts.


def test_what_pynetdicom_proposes_is_read_as_pynetdicom_reads_it() -> None:
    encoded = associate_rq("XNAT", "CT 1", user_items=[*USER_ITEMS, VERSION])
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(encoded)
    ours = decoded(encoded)
    assert ours.encoded == encoded
    assert ours.protocol_version == theirs.protocol_version == 1
    assert ours.called_ae_title == theirs.called_ae_title == "XNAT"
    assert ours.calling_ae_title == theirs.calling_ae_title == "CT 1"
    assert ours.application_context == theirs.application_context_name == APPLICATION_CONTEXT
    assert theirs.user_information is not None
    assert ours.implementation_class_uid == theirs.user_information.implementation_class_uid
    assert ours.implementation_version == theirs.user_information.implementation_version_name
    assert ours.contexts == tuple(
        ProposedContext(
            c.context_id or 0, str(c.abstract_syntax), tuple(map(str, c.transfer_syntax))
        )
        for c in theirs.presentation_context
    )


@pytest.mark.parametrize(("raw", "title"), [(b"XNAT\0\0", "XNAT"), (b"  CT1\0 \0", "CT1")])
def test_titles_may_be_padded_with_nul_and_spaces(raw: bytes, title: str) -> None:
    proposal = decoded(associate_rq(raw, raw))
    assert (proposal.called_ae_title, proposal.calling_ae_title) == (title, title)


@pytest.mark.parametrize("title", [b"", bytes(16), b"A\x1b[2J", b"\xff", b"A\\B", b"A\nB", b"A\0B"])
@pytest.mark.parametrize("which", ["called", "calling"])
def test_a_title_that_is_none_makes_the_request_unreadable(title: bytes, which: str) -> None:
    titles = (title, b"CT1") if which == "called" else (b"XNAT", title)
    with pytest.raises(ProtocolViolation, match=f"has an invalid {which} AE title"):
        decoded(associate_rq(*titles))


@pytest.mark.parametrize(("version", "seen"), [(1, 1), (3, 1), (0xFFFF, 1), (0, 0), (2, 2)])
def test_only_the_bit_of_version_1_matters(version: int, seen: int) -> None:
    assert decoded(associate_rq(version=version)).protocol_version == seen


@pytest.mark.parametrize(
    ("items", "name"),
    [(b"", ""), (item(0x10, b"x"), ""), (item(0x10, b"1.2\0") + item(0x10, b"1.3"), "1.2")],
)
def test_the_first_application_context_counts_if_it_is_a_uid(items: bytes, name: str) -> None:
    assert decoded(associate_rq(items=items)).application_context == name


@pytest.mark.parametrize(
    "odd",
    [
        Context(2),
        Context(0),
        Context(3, ""),
        Context(3, "../../x"),
        Context(3, "1." * 33),
        Context(3, transfer_syntaxes=()),
        Context(3, transfer_syntaxes=("", "x", "1" * 65)),
    ],
)
def test_a_context_that_can_not_be_accepted_is_left_out(odd: Context) -> None:
    assert decoded(associate_rq(contexts=(odd, Context(1)))).contexts == (GOOD,)


@pytest.mark.parametrize("uid", ["1.2.03", "0", "1." * 31 + "12", "1..2", "1.2.840.10008.1.2.01"])
def test_a_uid_of_digits_and_dots_counts_even_if_the_standard_would_write_it_otherwise(
    uid: str,
) -> None:
    syntaxes = (uid, EXPLICIT_VR_LITTLE_ENDIAN)
    user_items = [USER_ITEMS[0], item(0x52, uid.encode())]
    contexts = (Context(1, uid, syntaxes), Context(3, CT_IMAGE_STORAGE, (uid,)))
    proposal = decoded(associate_rq(contexts=contexts, user_items=user_items))
    assert proposal.contexts[0] == ProposedContext(1, uid, syntaxes)
    assert proposal.implementation_class_uid == uid
    answer = negotiate(proposal, 65_536)
    assert answer.contexts == {1: EXPLICIT_VR_LITTLE_ENDIAN}
    assert [context.transfer_syntaxes for context in answer.refused] == [(uid,)]


def test_of_contexts_with_one_id_the_first_counts() -> None:
    twice = associate_rq(contexts=(Context(1, VERIFICATION), Context(1)))
    assert [context.abstract_syntax for context in decoded(twice).contexts] == [VERIFICATION]


def test_no_more_contexts_are_left_than_there_are_ids() -> None:
    many = associate_rq(contexts=[Context(n % 256) for n in range(1, 1_000)])
    assert len(decoded(many).contexts) == 128


def test_only_so_many_transfer_syntaxes_of_a_context_are_looked_at() -> None:
    many = associate_rq(contexts=(Context(1, transfer_syntaxes=[f"1.2.{n}" for n in range(99)]),))
    (few,) = decoded(many, Limits(transfer_syntaxes_per_context=3)).contexts
    assert few.transfer_syntaxes == ("1.2.0", "1.2.1", "1.2.2")
    assert len(decoded(many).contexts[0].transfer_syntaxes) == 64


def test_only_so_many_user_items_are_looked_at() -> None:
    def version(*items: bytes, limits: Limits = LIMITS) -> str:
        return decoded(associate_rq(user_items=items), limits).implementation_version

    many = [*USER_ITEMS, *[item(0x54, b"")] * 61]
    assert version(*many, VERSION) == "SCANNER_3"
    assert not version(*many, b"\x99\0\0\0", VERSION)
    assert not version(*USER_ITEMS, VERSION, limits=Limits(user_items=2))


@pytest.mark.parametrize(
    "odd",
    [item(0x52, b"x"), item(0x55, b"\xff\0"), item(0x58, b"\x09"), item(0x54, b"\0"), item(0, b"")],
)
def test_an_odd_user_item_is_left_out(odd: bytes) -> None:
    proposal = decoded(associate_rq(user_items=[odd, USER_ITEMS[0]]))
    assert (proposal.implementation_class_uid, proposal.implementation_version) == ("", "")


def test_an_implementation_version_is_cut_to_its_16_characters() -> None:
    long = associate_rq(user_items=[*USER_ITEMS, item(0x55, b"V" * 3_000)])
    assert decoded(long).implementation_version == "V" * 16


@pytest.mark.parametrize(
    "items",
    [b"\x20\0\0", b"\x20\0\xff\xff", item(0x20, b"\1\0\0\0\x30"), item(0x50, b"\x51\0\0\4\0")],
)
def test_an_item_that_ends_too_early_makes_the_request_unreadable(items: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="ends in the middle of an item"):
        decoded(associate_rq(items=items))


def test_a_request_shorter_than_its_fixed_fields_is_unreadable() -> None:
    for length in (0, 5, 6, 70, 73):
        with pytest.raises(ProtocolViolation, match="too short"):
            decoded(associate_rq()[:length])
    assert decoded(associate_rq(items=b"")).contexts == ()


@given(st.lists(st.tuples(st.sampled_from([0x10, 0x20, 0x50, 0x77]), st.binary(max_size=60))))
def test_odd_items_make_a_request_unreadable_or_leave_one_that_can_be_answered(
    items: list[tuple[int, bytes]],
) -> None:
    try:
        proposal = decoded(associate_rq(items=b"".join(item(*pair) for pair in items)))
    except ProtocolViolation:
        return
    assert acse._negotiate(proposal, 65_536).encoded


@given(st.binary(max_size=300))
def test_random_bytes_are_readable_or_a_violation_and_nothing_else(body: bytes) -> None:
    for encoded in (body, pack(">BxI", 1, len(body)) + body):
        try:
            acse._negotiate(decoded(encoded), 65_536)
        except ProtocolViolation as unreadable:
            assert str(unreadable).startswith("its A-ASSOCIATE-RQ")


@given(st.text([chr(code) for code in range(0x20, 0x7F) if code != 0x5C], min_size=1, max_size=16))
def test_every_title_that_counts_can_be_answered(title: str) -> None:
    if title.strip():
        proposal = decoded(associate_rq(title, title))
        assert acse._negotiate(proposal, 65_536).encoded[10:26] == title.strip().ljust(16).encode()


def test_what_a_peer_sends_is_written_to_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        odd = Context(1, "1.2.03", ("1.2.003", IMPLICIT_LITTLE))
        answer = negotiate(decoded(associate_rq(contexts=(odd,))), 65_536)
        decode_associate_ac(answer.encoded, [("1.2.03", IMPLICIT_LITTLE)])
    assert caplog.records == []


# What is answered.


def proposed(
    sop_classes: Sequence[str], calling: str = "CT1", syntax: str = IMPLICIT_LITTLE
) -> bytes:
    return associate_request("XNAT", calling, [BenchContext(uid, syntax) for uid in sop_classes])


def answer(encoded: bytes, pdu_bytes: int = 65_536) -> Negotiated:
    return negotiate(decode_associate_rq(encoded, LIMITS), pdu_bytes)


def supported(contexts: Sequence[PresentationContext]) -> list[PresentationContext]:
    """Return what a receiver supports of proposed contexts, for pynetdicom's own acceptor."""
    found = []
    for uid in {str(context.abstract_syntax) for context in contexts} | {VERIFICATION}:
        if supported_syntaxes(uid):
            found.append(PresentationContext())
            found[-1].abstract_syntax = uid
            found[-1].transfer_syntax = list(supported_syntaxes(uid))
    return found


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
def test_the_answer_is_the_one_that_pynetdicoms_own_acceptor_gives(
    sop_classes: list[str], syntax: str, pdu_bytes: int
) -> None:
    encoded = proposed(sop_classes, syntax=syntax)
    request = A_ASSOCIATE_RQ()
    request.decode(encoded)
    association = Association(AE(), "acceptor")
    acceptor = association.acceptor
    acceptor.maximum_length = pdu_bytes
    acceptor.implementation_class_uid = IMPLEMENTATION_CLASS_UID  # type: ignore[assignment]
    acceptor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive = request.to_primitive()
    acceptor.supported_contexts = supported(primitive.presentation_context_definition_list)
    association.requestor.primitive = primitive
    association.acse.negotiate_association()
    said = A_ASSOCIATE_AC(acceptor.primitive)
    for context in said.presentation_context:
        if context.result:  # PS3.8 9.3.3.2: the transfer syntax of a refused one has no meaning
            context.transfer_syntax_sub_item[0].transfer_syntax_name = IMPLICIT_LITTLE
    ours = answer(encoded, pdu_bytes)
    assert ours.encoded == said.encode()
    assert ours.contexts == {
        context.context_id: context.transfer_syntax[0] for context in association.accepted_contexts
    }
    assert [context.id for context in ours.accepted] == list(ours.contexts)
    assert len(ours.refused) == len(association.rejected_contexts)


def test_the_answer_names_dicomdock_and_the_longest_pdu_that_it_takes() -> None:
    """PS3.8 D.1, PS3.7 D.3.3.2: the sub-items of the user information, which comes last."""
    user_items = (
        item(0x51, pack(">I", 65_536)),
        item(0x52, IMPLEMENTATION_CLASS_UID.encode()),
        item(0x55, IMPLEMENTATION_VERSION_NAME.encode()),
    )
    assert answer(proposed(STORAGE[:1])).encoded.endswith(item(0x50, b"".join(user_items)))


# What is kept of proposals and answers.


class Work:
    """Counts what is decoded and what is negotiated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = self.negotiated = 0
        titles = acse._ae_title

        def ae_title(which: str, raw: bytes) -> str:
            self.decoded += which == "called"
            return titles(which, raw)

        def answer_too(of: Any, *, commitment: bool) -> object:
            self.negotiated += 1
            return answer_contexts(of, commitment=commitment)

        monkeypatch.setattr(acse, "_ae_title", ae_title)
        monkeypatch.setattr(acse, "answer_contexts", answer_too)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def test_a_proposal_that_came_before_is_neither_read_nor_negotiated_again(work: Work) -> None:
    first = answer(proposed(STORAGE[:3]))
    assert answer(proposed(STORAGE[:3])) is first
    assert (work.decoded, work.negotiated) == (1, 1)


def test_whatever_differs_is_negotiated_anew(work: Work) -> None:
    encoded = [
        answer(proposed(STORAGE[:3])).encoded,
        answer(proposed(STORAGE[:2])).encoded,
        answer(proposed(STORAGE[:3], calling="CT2")).encoded,
        answer(proposed(STORAGE[:3]), 32_768).encoded,
    ]
    assert len(set(encoded)) == 4
    assert (work.decoded, work.negotiated) == (3, 4)


def test_what_counts_of_a_proposal_is_read_anew_under_other_limits() -> None:
    encoded = proposed(STORAGE[:1])
    assert decode_associate_rq(encoded, LIMITS).contexts
    assert not decode_associate_rq(encoded, Limits(transfer_syntaxes_per_context=0)).contexts


def test_a_very_long_proposal_is_answered_and_not_kept(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = proposed(STORAGE[:3])
    monkeypatch.setattr(acse, "MAX_CACHED_BYTES", len(encoded) - 1)
    assert answer(encoded).encoded == answer(encoded).encoded
    assert (work.decoded, work.negotiated) == (2, 2)


def test_128_contexts_with_four_syntaxes_each_are_short_enough_to_be_kept() -> None:
    of_one = len(proposed([STORAGE[0]] * 2)) - len(proposed([STORAGE[0]]))
    three_more_syntaxes = 3 * (4 + len("1.2.840.10008.1.2.4.70"))
    assert 128 * (of_one + three_more_syntaxes) < MAX_CACHED_BYTES


def test_only_so_many_proposals_are_kept_those_that_came_last(work: Work) -> None:
    for number in range(MAX_CACHED + 1):
        answer(proposed(STORAGE[:1], calling=f"CT{number}"))
    answer(proposed(STORAGE[:1], calling=f"CT{MAX_CACHED}"))
    assert (work.decoded, work.negotiated) == (MAX_CACHED + 1, MAX_CACHED + 1)
    answer(proposed(STORAGE[:1], calling="CT0"))
    assert (work.decoded, work.negotiated) == (MAX_CACHED + 2, MAX_CACHED + 2)


def test_what_can_not_be_read_can_not_be_read_the_next_time_either() -> None:
    for _ in range(2):
        with pytest.raises(ProtocolViolation, match="calling AE title"):
            decode_associate_rq(proposed(STORAGE[:1], calling=""), LIMITS)


# The other PDUs.


@pytest.mark.parametrize("code", [(1, 1, 7), (2, 3, 2), (1, 2, 2)])
def test_a_rejection_is_the_one_that_pynetdicom_reads(code: tuple[int, int, int]) -> None:
    theirs = A_ASSOCIATE_RJ()
    theirs.decode(encode_associate_rj(*code))
    assert (theirs.result, theirs.source, theirs.reason_diagnostic) == code
    assert encode_associate_rj(*code) == theirs.encode()


@pytest.mark.parametrize("code", [(0, 0), (2, 6)])
def test_an_abort_is_the_one_that_pynetdicom_reads(code: tuple[int, int]) -> None:
    theirs = A_ABORT_RQ()
    theirs.decode(encode_abort(*code))
    assert (theirs.source, theirs.reason_diagnostic) == code
    assert encode_abort(*code) == theirs.encode()
    assert encode_abort(0) == encode_abort(0, 0)


def test_the_pdus_of_a_release_are_those_of_pynetdicom() -> None:
    assert RELEASE_RQ_PDU().encode() == acse.A_RELEASE_RQ
    assert RELEASE_RP_PDU().encode() == acse.A_RELEASE_RP


# As requestor.

CONTEXTS = [(uid, IMPLICIT_LITTLE) for uid in STORAGE[:3]]


def test_a_request_proposes_each_context_by_itself_and_names_dicomdock() -> None:
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(encode_associate_rq(PEER, CONTEXTS))
    assert (theirs.called_ae_title, theirs.calling_ae_title) == ("PACS", "CT1")
    assert theirs.application_context_name == APPLICATION_CONTEXT
    assert [
        (c.context_id, c.abstract_syntax, *c.transfer_syntax) for c in theirs.presentation_context
    ] == [(2 * place + 1, *context) for place, context in enumerate(CONTEXTS)]
    assert theirs.user_information is not None
    assert theirs.user_information.maximum_length == acse.MAX_PDU_BYTES
    assert theirs.user_information.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert theirs.user_information.implementation_version_name == IMPLEMENTATION_VERSION_NAME


def test_a_request_has_no_more_contexts_than_there_are_ids() -> None:
    many = [(f"1.2.{number}", IMPLICIT_LITTLE) for number in range(200)]
    assert len(decoded(encode_associate_rq(PEER, many)).contexts) == MAX_CONTEXTS


def test_what_our_receiver_accepts_our_requestor_reads() -> None:
    contexts = [*CONTEXTS, (WORKLIST, IMPLICIT_LITTLE)]
    encoded = answer(encode_associate_rq(PEER, contexts), 32_768).encoded
    accepted = decode_associate_ac(encoded, contexts)
    assert accepted.contexts == {context: 2 * n + 1 for n, context in enumerate(CONTEXTS)}
    assert accepted.max_pdu_bytes == 32_768


def acceptance(items: bytes) -> bytes:
    return pdu(2, pack(">H", 1) + bytes(66) + items)


def result(context_id: int, code: int = 0, syntax: str = IMPLICIT_LITTLE) -> bytes:
    return item(0x21, bytes([context_id, 0, code, 0]) + item(0x40, syntax.encode()))


@pytest.mark.parametrize(
    "items",
    [
        result(1, 3),
        result(2),
        result(7),
        result(1, syntax=EXPLICIT_VR_LITTLE_ENDIAN),
        result(1, syntax="1.2.03"),
        item(0x21, bytes([1, 0, 0, 0])),
        item(0x21, b"\1"),
        item(0x20, bytes([1, 0, 0, 0]) + item(0x40, IMPLICIT_LITTLE.encode())),
    ],
)
def test_what_was_not_proposed_or_is_refused_is_not_accepted(items: bytes) -> None:
    assert decode_associate_ac(acceptance(items), CONTEXTS[:1]).contexts == {}


def test_items_that_are_unknown_do_not_make_an_answer_unreadable() -> None:
    items = item(0x99, b"?") + result(1, syntax=IMPLICIT_LITTLE + "\0") + item(0x50, item(0x9, b""))
    assert decode_associate_ac(acceptance(items), CONTEXTS).contexts == {CONTEXTS[0]: 1}


@pytest.mark.parametrize(
    ("max_length", "seen"),
    [
        (b"\0\0\x40\0", 16_384),
        (b"\0\0\0\x80", 128),
        (b"\0\0\0\x7f", 0),
        (b"\0\0\0\0", 0),
        (b"", 0),
        (b"\1", 0),
    ],
)
def test_a_maximum_length_that_leaves_no_room_counts_as_none(max_length: bytes, seen: int) -> None:
    items = result(1) + item(0x50, item(0x51, max_length))
    assert decode_associate_ac(acceptance(items), CONTEXTS).max_pdu_bytes == seen


@given(st.binary(max_size=200))
def test_an_answer_is_readable_or_breaks_the_association_and_nothing_else(items: bytes) -> None:
    for encoded in (items, acceptance(items)):
        try:
            assert decode_associate_ac(encoded, CONTEXTS).max_pdu_bytes != 1
        except AssociationBroken as broken:
            assert broken.detail == "the peer's A-ASSOCIATE-AC can't be read"


def test_a_rejection_is_told_in_words() -> None:
    found = rejection(encode_associate_rj(1, 1, 3), PEER)
    assert found.detail.endswith("permanently: the calling AE title CT1 is not allowed")
    assert (found.result, found.source, found.reason) == (1, 1, 3)


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        (1, 1, "no reason given"),
        (1, 2, "the application context is not supported"),
        (1, 7, "there is no AE title PACS"),
        (2, 1, "no reason given by its service provider"),
        (2, 2, "it uses another protocol version"),
        (3, 1, "it is busy"),
        (3, 2, "it has reached its limit of associations"),
    ],
)
def test_each_reason_of_the_standard_has_its_words(source: int, reason: int, words: str) -> None:
    assert rejection(encode_associate_rj(2, source, reason), PEER).detail.endswith(f": {words}")


def test_an_unknown_or_short_rejection_is_one_too() -> None:
    found = rejection(encode_associate_rj(2, 3, 99), PEER)
    assert found.detail.endswith("temporarily: source 3, reason 99")
    assert rejection(b"\x03\0\0\0\0\0", PEER).source == 0


def test_a_refused_context_is_told_by_name() -> None:
    assert refused((CT_IMAGE_STORAGE, "1.2.03")).detail == (
        "the peer does not accept CT Image Storage in 1.2.03"
    )
