"""The message guard: size and duration of messages, however they are cut into fragments."""

from __future__ import annotations

from itertools import pairwise
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_items import PresentationDataValueItem

from engine.dimse.guard import COMMAND_BYTES, MessageGuard
from engine.model.limits import Limits
from tests.fakes import FixedClock

LIMITS = Limits(data_set_bytes=1000, message_seconds=30)
TOO_LONG = "a data set is longer than 1,000 bytes"
TOO_SLOW = "a message takes longer than 30 s"
COMMAND, LAST = 1, 2


def element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


STORE = element(0x0002, b"1.2.840.10008.5.1.4.1.1.2\0") + element(0x0800, b"\x01\x00")
ECHO = element(0x0002, b"1.2.840.10008.1.1\0") + element(0x0800, b"\x01\x01")


def pdu(*fragments: bytes) -> P_DATA_TF:
    data = P_DATA_TF()
    for fragment in fragments:
        item = PresentationDataValueItem()
        item.presentation_context_id = 1
        item.presentation_data_value = fragment
        data.presentation_data_value_items.append(item)
    return data


def command(content: bytes, *, last: bool = True) -> bytes:
    return bytes([COMMAND | (LAST if last else 0)]) + content


def data(size: int, *, last: bool = False) -> bytes:
    return bytes([LAST if last else 0]) + bytes(size)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def guard(clock: FixedClock) -> MessageGuard:
    return MessageGuard(LIMITS, clock)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("sizes", "breach"),
    [
        ([1000], ""),
        ([1001], TOO_LONG),
        ([500, 500], ""),
        ([500, 501], TOO_LONG),
        ([1] * 1000, ""),
        ([1] * 1001, TOO_LONG),
        ([0, 0, 0], ""),
        ([], ""),
    ],
)
def test_a_data_set_may_have_exactly_as_many_bytes_as_the_limit_says(
    guard: MessageGuard, sizes: list[int], breach: str, last: bool
) -> None:
    guard.breach(pdu(command(STORE)))
    fragments = [data(size) for size in sizes]
    if last and fragments:
        fragments[-1] = data(sizes[-1], last=True)
    answers = [guard.breach(pdu(fragment)) for fragment in fragments]
    assert answers == [""] * (len(sizes) - 1) + [breach] * bool(sizes)


def test_fragments_count_the_same_in_one_pdu_as_in_many(guard: MessageGuard) -> None:
    assert guard.breach(pdu(command(STORE), data(600), data(400, last=True))) == ""
    assert guard.breach(pdu(command(STORE), data(600), data(401, last=True))) == TOO_LONG


def test_a_message_that_ends_and_one_that_begins_in_a_pdu_are_counted_apart(
    guard: MessageGuard, clock: FixedClock
) -> None:
    assert guard.breach(pdu(command(STORE), data(600))) == ""
    clock.advance(29)
    assert guard.breach(pdu(data(400, last=True), command(STORE), data(900))) == ""
    clock.advance(29)
    assert guard.breach(pdu(data(100))) == ""
    assert guard.breach(pdu(data(1))) == TOO_LONG


def test_each_data_set_has_the_whole_limit_to_itself(guard: MessageGuard) -> None:
    for _ in range(50):
        assert guard.breach(pdu(command(STORE), data(1000, last=True))) == ""


def test_a_breach_stays_one_whatever_follows(guard: MessageGuard) -> None:
    assert guard.breach(pdu(command(STORE), data(1001, last=True))) == TOO_LONG
    assert guard.breach(pdu(command(STORE))) == TOO_LONG


@given(
    size=st.integers(900, 1100),
    cuts=st.lists(st.integers(0, 1100), max_size=12),
    bundles=st.lists(st.integers(1, 4), min_size=13, max_size=13),
)
def test_no_way_to_cut_a_data_set_changes_the_verdict(
    size: int, cuts: list[int], bundles: list[int]
) -> None:
    guard = MessageGuard(LIMITS, FixedClock())
    guard.breach(pdu(command(STORE)))
    edges = [0, *sorted(cut for cut in cuts if cut <= size), size]
    parts = [data(b - a) for a, b in pairwise(edges)]
    answers = []
    for bundle in bundles:
        now, parts = parts[:bundle], parts[bundle:]
        answers.append(guard.breach(pdu(*now)))
    answers.append(guard.breach(pdu(*parts, data(0, last=True))))
    assert answers[-1] == (TOO_LONG if size > 1000 else "")


def test_a_message_may_take_exactly_as_long_as_the_limit_says(
    guard: MessageGuard, clock: FixedClock
) -> None:
    guard.breach(pdu(command(STORE)))
    clock.advance(30)
    assert guard.breach(pdu(data(10))) == ""
    clock.advance(0.001)
    assert guard.breach(pdu(data(10, last=True))) == TOO_SLOW


def test_the_time_runs_from_the_first_fragment_of_the_command(
    guard: MessageGuard, clock: FixedClock
) -> None:
    guard.breach(pdu(command(STORE[:10], last=False)))
    clock.advance(20)
    guard.breach(pdu(command(STORE[10:])))
    clock.advance(11)
    assert guard.breach(pdu(data(10))) == TOO_SLOW


def test_the_time_of_the_next_message_begins_with_its_own_first_fragment(
    guard: MessageGuard, clock: FixedClock
) -> None:
    for _ in range(10):
        assert guard.breach(pdu(command(STORE), data(10))) == ""
        clock.advance(25)
        assert guard.breach(pdu(data(10, last=True))) == ""
        clock.advance(1000)


def test_a_message_without_a_data_set_ends_with_its_command(
    guard: MessageGuard, clock: FixedClock
) -> None:
    for _ in range(10):
        assert guard.breach(pdu(command(ECHO[:7], last=False))) == ""
        assert guard.breach(pdu(command(ECHO[7:]))) == ""
        clock.advance(1000)
    assert guard.breach(pdu(command(STORE), data(10, last=True))) == ""


def test_an_announced_data_set_that_does_not_come_uses_up_the_time(
    guard: MessageGuard, clock: FixedClock
) -> None:
    guard.breach(pdu(command(STORE)))
    clock.advance(31)
    assert guard.breach(pdu(command(ECHO))) == TOO_SLOW


@pytest.mark.parametrize("content", [b"", b"\0", STORE[:30], bytes(40), b"\xff" * 40])
def test_a_command_that_says_nothing_of_a_data_set_counts_as_announcing_one(
    guard: MessageGuard, clock: FixedClock, content: bytes
) -> None:
    guard.breach(pdu(command(content)))
    clock.advance(31)
    assert guard.breach(pdu(data(1))) == TOO_SLOW


def test_a_data_set_type_inside_another_value_is_not_taken_for_one(
    guard: MessageGuard, clock: FixedClock
) -> None:
    disguised = element(0x1000, element(0x0800, b"\x01\x01")) + element(0x0800, b"\x01\x00")
    guard.breach(pdu(command(disguised)))
    clock.advance(31)
    assert guard.breach(pdu(data(1))) == TOO_SLOW


@pytest.mark.parametrize("last", [False, True])
def test_a_command_set_that_does_not_end_is_cut_off(guard: MessageGuard, last: bool) -> None:
    part = command(STORE.ljust(COMMAND_BYTES // 8, b"\0"), last=last)
    assert [guard.breach(pdu(part)) for _ in range(8)] == [""] * 8
    assert guard.breach(pdu(part)) == "a command set is longer than 65,536 bytes"


def test_bytes_of_a_command_do_not_count_as_a_data_set(guard: MessageGuard) -> None:
    assert guard.breach(pdu(command(STORE + bytes(5000)), data(1000, last=True))) == ""


def test_pdus_without_fragments_and_of_other_kinds_are_let_through(
    guard: MessageGuard, clock: FixedClock
) -> None:
    assert guard.breach(A_RELEASE_RQ()) == ""
    clock.advance(1000)
    assert guard.breach(pdu()) == ""
    clock.advance(1000)
    assert guard.breach(pdu(b"")) == ""
