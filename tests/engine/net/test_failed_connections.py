"""Connections without an association: why they ended, and repetitions as a count."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events.journal import Journal
from engine.events.repeats import FOLDED_WITHIN_SECONDS, KEPT, Repetitions
from engine.model.whitelist import Address, normalize_address
from engine.net.admission import (
    CLOSED_WITHOUT_DATA,
    REPORTS_PER_MINUTE,
    FailedConnections,
    describe_end,
)
from tests.fakes import FixedClock

LONGEST = 1_000
HERE, THERE = normalize_address("10.1.2.3"), normalize_address("10.1.2.4")


def head(kind: int, length: int) -> bytes:
    return pack(">BBI", kind, 0, length)


@pytest.mark.parametrize(
    ("first_bytes", "waited", "why"),
    [
        (b"", None, "it was closed without any data"),
        (b"", 10.0, "nothing came for 10 s"),
        (b"\1", 10.0, "its A-ASSOCIATE-RQ was not complete after 10 s"),
        (head(1, 200) + b"\0\1", 0.5, "its A-ASSOCIATE-RQ was not complete after 0.5 s"),
        (head(1, 200), None, "it was closed in the middle of its A-ASSOCIATE-RQ"),
        (head(1, LONGEST + 1), None, "its A-ASSOCIATE-RQ is longer than 1,000 bytes"),
        (head(4, 200), None, "it begins with a P-DATA-TF instead of an A-ASSOCIATE-RQ"),
        (head(7, 4), None, "it begins with an A-ABORT instead of an A-ASSOCIATE-RQ"),
        (head(4, 0xFFFFFFFF), None, "this is not DICOM but looks like bytes of no known protocol"),
        (b"GET / HTTP/1.1", None, "this is not DICOM but looks like an HTTP request"),
        (b"\x16\3\1\2\0\1", 10.0, "this is not DICOM but looks like a TLS ClientHello"),
        (b"\1\2\3\4\5\6", None, "this is not DICOM but looks like bytes of no known protocol"),
    ],
)
def test_the_end_of_a_connection_has_a_reason(
    first_bytes: bytes, waited: float | None, why: str
) -> None:
    assert describe_end(first_bytes, LONGEST, waited) == why


@given(st.binary(max_size=64), st.sampled_from([None, 10.0]))
def test_whatever_comes_the_reason_is_one_of_few(first_bytes: bytes, waited: float | None) -> None:
    why = describe_end(first_bytes, LONGEST, waited)
    beginnings = (
        "it was ",
        "nothing came",
        "its A-ASSOCIATE-RQ",
        "it begins with a",
        "this is not",
    )
    assert why.startswith(beginnings)
    assert why.isascii()
    assert why.isprintable()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def journal(clock: FixedClock) -> Journal:
    return Journal(clock)


@pytest.fixture
def failed(clock: FixedClock, journal: Journal) -> FailedConnections:
    return FailedConnections(clock, journal)


def told(journal: Journal) -> list[str]:
    return [recorded.event.sentence() for recorded in journal.events_since(0, 10_000).events]


def test_a_connection_is_told_with_its_address_port_and_reason(
    failed: FailedConnections, journal: Journal
) -> None:
    failed.record(HERE, 104, "nothing came for 10 s")
    assert told(journal) == [
        "connection from 10.1.2.3 to port 104 ended without an association: nothing came for 10 s"
    ]


def test_ten_thousand_of_the_same_are_five_lines(
    failed: FailedConnections, journal: Journal
) -> None:
    for _ in range(10_000):
        failed.record(HERE, 104, "nothing came for 10 s")
    sentences = told(journal)
    assert len(sentences) == 5
    assert ", 10,000 times by now: " in sentences[-1]


def test_silent_checks_of_a_port_are_told_from_the_tenth_on(
    failed: FailedConnections, journal: Journal
) -> None:
    for _ in range(9):
        failed.record(HERE, 104, CLOSED_WITHOUT_DATA)
    assert told(journal) == []
    failed.record(HERE, 104, CLOSED_WITHOUT_DATA)
    assert len(told(journal)) == 1


@pytest.mark.parametrize("other", [(THERE, 104, "why"), (HERE, 105, "why"), (HERE, 104, "other")])
def test_another_address_port_or_reason_is_told_by_itself(
    failed: FailedConnections, journal: Journal, other: tuple[Address, int, str]
) -> None:
    failed.record(HERE, 104, "why")
    failed.record(*other)
    assert len(told(journal)) == 2


def test_after_a_while_the_same_is_told_again(
    failed: FailedConnections, journal: Journal, clock: FixedClock
) -> None:
    failed.record(HERE, 104, "why")
    clock.advance(FOLDED_WITHIN_SECONDS - 1)
    failed.record(HERE, 104, "why")
    assert len(told(journal)) == 1
    clock.advance(FOLDED_WITHIN_SECONDS)
    failed.record(HERE, 104, "why")
    assert len(told(journal)) == 2


def test_addresses_of_one_ipv6_network_are_one_caller(
    failed: FailedConnections, journal: Journal
) -> None:
    for number in range(1, 10):
        failed.record(normalize_address(f"2001:db8::{number}:1"), 104, "why")
    assert len(told(journal)) == 1
    failed.record(normalize_address("2001:db8:0:1::1"), 104, "why")
    failed.record(normalize_address("fe80::1%eth0"), 104, "why")
    failed.record(normalize_address("fe80::2%eth0"), 104, "why")
    assert len(told(journal)) == 4


def test_many_networks_write_only_so_many_lines_a_minute_and_the_rest_is_a_number(
    failed: FailedConnections, journal: Journal, clock: FixedClock
) -> None:
    """One host may have a whole /48 of IPv6 addresses."""
    for number in range(2_000):
        failed.record(normalize_address(f"2001:db8:1:{number:x}::1"), 104, "why")
    assert len(told(journal)) == REPORTS_PER_MINUTE
    clock.advance(60)
    failed.record(HERE, 104, "why")
    assert told(journal)[-1].endswith("why; 1,940 such reports left out before")


def test_only_so_many_different_ones_are_remembered(clock: FixedClock) -> None:
    repetitions = Repetitions(clock.monotonic)
    for number in range(KEPT + 500):
        assert repetitions.count(number) == 1
    assert len(repetitions._seen) == KEPT
    assert repetitions.count(KEPT + 499) == 2
    assert repetitions.count(0) == 1
