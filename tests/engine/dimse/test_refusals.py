"""Refused connections: told once, then counted, whoever asks."""

from __future__ import annotations

import pytest

from engine.dimse.first_bytes import Speaker, ae_titles, speaker
from engine.dimse.refusals import Refusals
from engine.journal import Journal
from engine.model.whitelist import normalize_address
from tests.caller import echo_bytes
from tests.fakes import FixedClock

HOST = "10.1.2.3"


class Told:
    def __init__(self) -> None:
        self.clock = FixedClock()
        self.journal = Journal(self.clock)
        self.refusals = Refusals(self.clock, self.journal)

    def refuse(self, host: str = HOST, why: str = "no TLS") -> None:
        self.refusals.refused(normalize_address(host), f"{host}:1", 2762, why)

    def sentences(self) -> list[str]:
        return [r.event.sentence() for r in self.journal.events_since(0, 10_000).events]


def test_repetitions_are_told_at_powers_of_ten() -> None:
    told = Told()
    for _ in range(150):
        told.refuse()
    assert [sentence.partition(" refused")[2] for sentence in told.sentences()] == [
        ": no TLS",
        ", 10 times by now: no TLS",
        ", 100 times by now: no TLS",
    ]


def test_other_callers_and_other_reasons_are_told_apart() -> None:
    told = Told()
    for host in (HOST, "10.1.2.4"):
        for why in ("no TLS", "expired"):
            told.refuse(host, why)
    assert len(told.sentences()) == 4


def test_after_a_pause_it_is_news_again() -> None:
    told = Told()
    told.refuse()
    told.clock.advance(601)
    told.refuse()
    assert len(told.sentences()) == 2


def test_a_host_with_many_ipv6_addresses_is_one_caller() -> None:
    told = Told()
    for number in range(50):
        told.refuse(f"2001:db8::{number:x}")
    assert len(told.sentences()) == 2


def test_what_is_remembered_has_an_end() -> None:
    told = Told()
    for number in range(300):
        told.refuse(f"10.1.{number // 250}.{number % 250}")
    assert len(told.refusals._known) == 256


@pytest.mark.parametrize(
    ("head", "who"),
    [
        (b"\x16\x03\x01", Speaker.TLS),
        (b"\x16", Speaker.TLS),
        (b"\x16\x01", Speaker.UNKNOWN),
        (b"\x01\x00\x00\x00", Speaker.DICOM),
        (b"\x01", Speaker.DICOM),
        (b"GET /", Speaker.HTTP),
        (b"SSH-2.0", Speaker.SSH),
        (b"", Speaker.UNKNOWN),
        (b"\xff" * 80, Speaker.UNKNOWN),
    ],
)
def test_the_first_bytes_say_who_speaks(head: bytes, who: Speaker) -> None:
    assert speaker(head) is who


def test_an_association_request_names_both_ae_titles() -> None:
    request, _ = echo_bytes("XNAT")
    assert ae_titles(request) == ("XNAT", "CALLER")
    assert ae_titles(request[:30]) == ("XNAT", "")
    assert ae_titles(request[:10] + b"\x1b[31m".ljust(16) + b"\xff" * 16) == ("", "")
