"""What of an A-ASSOCIATE-RQ reaches pynetdicom: what it can digest and we answer."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_RQ

from engine.dimse.fragments import ProtocolViolation
from engine.dimse.request import legible
from engine.model.limits import Limits
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
from tests.peers.pdus import (
    APPLICATION_CONTEXT,
    USER_ITEMS,
    VERIFICATION,
    Context,
    associate_rq,
    item,
)

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import A_ASSOCIATE

VERSION = item(0x55, b"SCANNER_3")


def digested(encoded: bytes, limits: Limits = Limits()) -> A_ASSOCIATE:
    """Return what pynetdicom makes of what is left."""
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(legible(encoded, limits))
    return pdu.to_primitive()


def contexts(encoded: bytes, limits: Limits = Limits()) -> dict[int | None, tuple[str, list[str]]]:
    proposed = digested(encoded, limits).presentation_context_definition_list
    return {c.context_id: (str(c.abstract_syntax), list(c.transfer_syntax)) for c in proposed}


def user_items(*items: bytes, limits: Limits = Limits()) -> list[str]:
    return [type(item).__name__ for item in information(associate_rq(user_items=items), limits)]


def information(encoded: bytes, limits: Limits = Limits()) -> list[Any]:
    return list(digested(encoded, limits).user_information)


def test_an_honest_request_loses_nothing_that_matters() -> None:
    honest = associate_rq("XNAT", "CT1", user_items=[*USER_ITEMS, VERSION])
    assert legible(honest, Limits()) == honest


def test_titles_and_application_context_are_kept() -> None:
    request = digested(associate_rq("XNAT", "CT 1"))
    assert (request.called_ae_title, request.calling_ae_title) == ("XNAT", "CT 1")
    assert request.application_context_name == APPLICATION_CONTEXT


def test_titles_may_be_padded_with_nul() -> None:
    request = digested(associate_rq(b"XNAT".ljust(16, b"\0"), b"CT1\0 \0".ljust(16, b"\0")))
    assert (request.called_ae_title, request.calling_ae_title) == ("XNAT", "CT1")


@pytest.mark.parametrize("title", [b"", bytes(16), b"A\x1b[2J", b"\xff", b"A\\B", b"A\nB", b"A\0B"])
@pytest.mark.parametrize("which", ["called", "calling"])
def test_a_title_that_is_none_makes_the_request_unreadable(title: bytes, which: str) -> None:
    titles = (title, b"CT1") if which == "called" else (b"XNAT", title)
    with pytest.raises(ProtocolViolation, match=f"has a {which} AE title that is none"):
        legible(associate_rq(*titles), Limits())


@pytest.mark.parametrize(("version", "seen"), [(1, 1), (3, 1), (0xFFFF, 1), (0, 0), (2, 2)])
def test_only_the_bit_of_version_1_matters(version: int, seen: int) -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(legible(associate_rq(version=version), Limits()))
    assert pdu.protocol_version == seen


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
    good = (CT_IMAGE_STORAGE, [EXPLICIT_VR_LITTLE_ENDIAN])
    assert contexts(associate_rq(contexts=(odd, Context(1)))) == {1: good}


def test_of_contexts_with_one_id_the_first_counts() -> None:
    twice = associate_rq(contexts=(Context(1, VERIFICATION), Context(1)))
    assert contexts(twice) == {1: (VERIFICATION, [EXPLICIT_VR_LITTLE_ENDIAN])}


def test_no_more_contexts_are_left_than_there_are_ids() -> None:
    many = associate_rq(contexts=[Context(n % 256) for n in range(1, 1_000)])
    assert len(contexts(many)) == 128


def test_only_so_many_transfer_syntaxes_of_a_context_are_looked_at() -> None:
    many = associate_rq(contexts=(Context(1, transfer_syntaxes=[f"1.2.{n}" for n in range(99)]),))
    assert contexts(many, Limits(transfer_syntaxes_per_context=3))[1][1] == [
        "1.2.0",
        "1.2.1",
        "1.2.2",
    ]
    assert len(contexts(many)[1][1]) == 64


def test_only_so_many_user_items_are_looked_at() -> None:
    many = [*USER_ITEMS, *[item(0x54, b"")] * 61]
    assert len(user_items(*many, VERSION)) == 3
    assert len(user_items(*many, b"\x99\0\0\0", VERSION)) == 2
    assert len(user_items(*USER_ITEMS, VERSION, limits=Limits(user_items=2))) == 2


@pytest.mark.parametrize(
    ("maximum_length", "seen"),
    [(b"\0\0\x40\0", 16_384), (b"\0\0\0\0", 0), (b"\0\0\0\1", 0), (b"", 0), (b"\1", 0)],
)
def test_a_maximum_length_that_leaves_no_room_counts_as_none(
    maximum_length: bytes, seen: int
) -> None:
    (left,) = information(associate_rq(user_items=[item(0x51, maximum_length)]))
    assert left.maximum_length_received == seen


@pytest.mark.parametrize(
    "odd",
    [item(0x52, b"x"), item(0x55, b"\xff\0"), item(0x58, b"\x09"), item(0x54, b"\0"), item(0, b"")],
)
def test_an_odd_user_item_is_left_out(odd: bytes) -> None:
    assert user_items(odd, USER_ITEMS[0]) == ["MaximumLengthNotification"]


def test_an_implementation_version_is_cut_to_its_16_characters() -> None:
    left = information(associate_rq(user_items=[*USER_ITEMS, item(0x55, b"V" * 3_000)]))
    assert left[-1].implementation_version_name == "V" * 16


@pytest.mark.parametrize(
    "items",
    [b"\x20\0\0", b"\x20\0\xff\xff", item(0x20, b"\1\0\0\0\x30"), item(0x50, b"\x51\0\0\4\0")],
)
def test_an_item_that_ends_too_early_makes_the_request_unreadable(items: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="ends in the middle of an item"):
        legible(associate_rq(items=items), Limits())


def test_a_request_shorter_than_its_fixed_fields_is_unreadable() -> None:
    with pytest.raises(ProtocolViolation, match="too short"):
        legible(associate_rq()[:70], Limits())


@given(st.lists(st.tuples(st.sampled_from([0x10, 0x20, 0x50, 0x77]), st.binary(max_size=60))))
def test_what_is_left_is_always_digestible(items: list[tuple[int, bytes]]) -> None:
    encoded = associate_rq(items=b"".join(item(*pair) for pair in items))
    try:
        left = legible(encoded, Limits())
    except ProtocolViolation:
        return
    assert len(left) == 6 + int.from_bytes(left[2:6], "big")
    digested(encoded)


@given(st.binary(max_size=300))
def test_random_bytes_are_digestible_or_unreadable(body: bytes) -> None:
    try:
        digested(pack(">BxI", 1, len(body)) + body)
    except ProtocolViolation as unreadable:
        assert str(unreadable).startswith("its A-ASSOCIATE-RQ")
