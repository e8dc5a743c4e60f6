"""How long a peer has taken: what is overdue, when, and for which reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.model.limits import Limits
from engine.reception.deadlines import Deadlines, MessageTimes

LIMITS = Limits(idle_seconds=100, message_seconds=60)
NOW = 1_000.0


@dataclass
class Acceptor:
    """What has begun and not ended on a connection."""

    pdus: int = 0
    inside_pdu: bool = False
    inside_message: bool = False


class Peer:
    """Sends at some times, and says when it is overdue; we take no time over what it sends."""

    def __init__(self) -> None:
        self.times = MessageTimes(NOW, Deadlines(pdu_seconds=30))
        self.acceptor = Acceptor()

    def sends(self, at: float, size: int, *, rest: bool = False, **begun: Any) -> None:
        self.times.note_received(NOW + at, size)
        self.acceptor = Acceptor(**begun)
        self.served(at, rest=rest)

    def served(self, at: float, *, rest: bool = False) -> None:
        self.times.note_served(NOW + at, self.acceptor, has_rest=rest)  # type: ignore[arg-type]

    def overdue(self) -> tuple[float, str]:
        at = self.times.overdue_at(LIMITS)
        assert self.times.overdue(at - 0.001, LIMITS) == ""
        return at - NOW, self.times.overdue(at, LIMITS)


def test_a_peer_between_messages_is_idle_from_when_it_was_heard() -> None:
    peer = Peer()
    assert peer.overdue() == (100, "nothing arrived for 100 s")
    peer.sends(40, 70, pdus=1)
    assert peer.overdue() == (140, "nothing arrived for 100 s")


def test_a_pdu_has_its_deadline_from_its_first_byte_on_also_within_its_head() -> None:
    peer = Peer()
    peer.sends(40, 1, rest=True)
    assert peer.overdue() == (70, "the peer stopped in the middle of a PDU")
    for second in range(11):
        peer.sends(41 + second, 1, rest=True)
    peer.sends(60, 1, pdus=1, inside_pdu=True, inside_message=True)
    assert peer.overdue() == (70, "the peer sends a PDU too slowly")


def test_the_next_pdu_has_its_own_deadline_even_right_behind_the_last() -> None:
    peer = Peer()
    peer.sends(10, 100, pdus=1, inside_pdu=True, inside_message=True)
    peer.sends(39, 100, pdus=2, inside_pdu=True, inside_message=True)
    assert peer.overdue() == (69, "the peer stopped in the middle of a PDU")
    peer.sends(40, 100, pdus=3, rest=True)
    assert peer.overdue()[0] == 70


def test_half_a_head_within_a_pdu_is_no_other_pdu() -> None:
    peer = Peer()
    peer.sends(10, 100, pdus=1, inside_pdu=True, inside_message=True)
    peer.sends(20, 1, rest=True, pdus=1, inside_pdu=True, inside_message=True)
    assert peer.overdue()[0] == 40


def test_a_pdu_that_comes_fast_enough_may_take_longer() -> None:
    peer = Peer()
    peer.sends(0, 1, pdus=1, inside_pdu=True, inside_message=True)
    peer.sends(29, 45_000, pdus=1, inside_pdu=True, inside_message=True)
    assert peer.overdue() == (45, "the peer stopped in the middle of a PDU")
    peer.sends(44, 2_000, pdus=1, inside_pdu=True, inside_message=True)
    assert peer.overdue() == (47, "the peer sends a PDU too slowly")


def test_a_message_may_take_exactly_as_long_as_the_limit_says() -> None:
    peer = Peer()
    peer.sends(5, 100, pdus=1, inside_message=True)
    assert peer.overdue() == (65, "a message takes longer than 60 s")


def test_the_time_of_the_next_message_begins_with_itself() -> None:
    peer = Peer()
    for message in range(1, 10):
        peer.sends(50.0 * message, 100, pdus=2 * message, inside_message=True)
        assert peer.overdue()[0] == 50 * message + 60
        peer.sends(50.0 * message + 25, 100, pdus=2 * message + 1)


def test_the_time_we_work_is_not_the_peers() -> None:
    peer = Peer()
    peer.sends(10, 100, pdus=1, rest=True, inside_message=True)
    peer.times.note_resumed(NOW + 500)
    assert peer.overdue()[0] == 530
    peer.served(500)
    assert peer.overdue() == (560, "a message takes longer than 60 s")
