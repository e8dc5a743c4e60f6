"""The stream of messages: read to the end of what is there, or one buffer full at a time."""

from __future__ import annotations

import socket
import struct
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from engine.dimse import message_stream
from engine.dimse.fragments import ProtocolViolation
from engine.dimse.message_stream import SLACK_BYTES, Halt, MessageStream
from engine.dimse.receiving import Deadlines
from engine.dimse.transport import BufferedSocket, Memory
from engine.model.limits import Limits
from tests.fakes import FixedClock
from tests.peers.pdus import C_ECHO, RELEASE_RQ, message, pdu

if TYPE_CHECKING:
    from collections.abc import Iterator

ECHO = message(C_ECHO, context_id=1)
ANSWER_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00"


class Association:
    """What a stream needs of its association."""

    limits = Limits()
    deadlines = Deadlines()

    def __init__(self) -> None:
        self.dul = self
        self.event_queue: SimpleQueue[str] = SimpleQueue()

    def check_age(self) -> None:
        """Be young."""

    def accepts(self, context_id: int) -> bool:
        return context_id == 1


class Wire:
    """A stream, and the peer's end of its connection."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.peer = socket.create_connection(server.getsockname())
            self.mine, _ = server.accept()
        self.interrupted = False
        association: Any = Association()
        self.connection = BufferedSocket(association, self.mine, 1.0)
        self.stream = MessageStream(association, self.connection, lambda: self.interrupted)

    def arrives(self, data: bytes) -> None:
        """Send, and return when all of it can be received."""
        self.peer.sendall(data)
        self.mine.recv(len(data), socket.MSG_PEEK | socket.MSG_WAITALL)

    def close(self) -> None:
        self.mine.close()
        self.peer.close()


BUFFER_BYTES = 4096


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr("engine.dimse.transport.BUFFER_BYTES", BUFFER_BYTES)
    wire = Wire()
    yield wire
    wire.close()


def test_everything_that_is_there_is_read_and_answered(wire: Wire) -> None:
    wire.arrives(3 * ECHO)
    assert wire.stream.read(is_ready=True) is Halt.NOTHING_MORE
    assert wire.peer.recv(1000).count(ANSWER_STATUS) == 3
    assert not wire.stream.is_inside_message


def test_nothing_is_looked_for_between_messages_unless_it_is_known_to_be_there(wire: Wire) -> None:
    wire.arrives(ECHO)
    assert wire.stream.read() is Halt.NOTHING_MORE
    assert wire.stream.read(is_ready=True) is Halt.NOTHING_MORE
    assert wire.peer.recv(1000).count(ANSWER_STATUS) == 1


def test_who_sends_more_than_a_buffer_full_waits_for_its_turn_also_inside_a_message(
    wire: Wire,
) -> None:
    echoes = BUFFER_BYTES // len(ECHO) + 10
    wire.arrives(echoes * ECHO)
    assert wire.stream.take() is None
    assert wire.mine.recv(10_000, socket.MSG_PEEK)
    assert [wire.stream.take() for _ in range(2)] == [None, Halt.NOTHING_MORE]
    assert not wire.stream.is_inside_message


def test_another_pdu_stays_in_the_buffer(wire: Wire) -> None:
    wire.arrives(ECHO + pdu(RELEASE_RQ))
    assert wire.stream.read(is_ready=True) is Halt.OTHER_PDU
    held = wire.connection.view[wire.connection.low : wire.connection.high]
    assert held == pdu(RELEASE_RQ)
    assert wire.stream.read(is_ready=True) is Halt.OTHER_PDU


def test_the_end_of_the_connection_shows_at_every_look(wire: Wire) -> None:
    wire.arrives(ECHO)
    wire.peer.shutdown(socket.SHUT_WR)
    assert wire.stream.read(is_ready=True) is Halt.NOTHING_MORE
    assert wire.stream.take() is Halt.CLOSED
    assert wire.stream.read(is_ready=True) is Halt.CLOSED


def test_an_interruption_is_noticed_after_the_messages_that_are_here(wire: Wire) -> None:
    wire.arrives(ECHO)
    wire.interrupted = True
    assert wire.stream.read(is_ready=True) is Halt.INTERRUPTED
    assert wire.peer.recv(1000).count(ANSWER_STATUS) == 1


def test_answers_that_the_peer_does_not_take_are_kept_until_it_does(wire: Wire) -> None:
    wire.mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    wire.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sent, halt = 0, Halt.NOTHING_MORE
    while halt is Halt.NOTHING_MORE:
        wire.arrives(10 * ECHO)
        sent += 10
        halt = wire.stream.read(is_ready=True)
    assert halt is Halt.UNSENT
    wire.peer.setblocking(False)
    taken = b""
    while wire.connection.unsent:
        rest, wire.connection.unsent = wire.connection.unsent, b""
        wire.connection.answer(rest)
        try:
            taken += wire.peer.recv(65_536)
        except BlockingIOError:
            continue
    wire.peer.setblocking(True)
    while taken.count(ANSWER_STATUS) < sent:
        taken += wire.peer.recv(65_536)
    assert wire.stream.read() is Halt.NOTHING_MORE


@pytest.mark.parametrize("first", [1, 5, 11, 12, len(ECHO) - 1])
def test_a_message_may_come_in_parts_through_a_memory_that_others_use_in_between(
    wire: Wire, first: int
) -> None:
    shared = Memory(BUFFER_BYTES)
    for part, halt in [(ECHO[:first], None), (ECHO[first:] + pdu(RELEASE_RQ), Halt.OTHER_PDU)]:
        wire.arrives(part)
        wire.connection.use(shared)
        assert wire.stream.take() is halt
        wire.connection.use(None)
        shared.view[:] = bytes(len(shared.view))
    assert wire.peer.recv(1000).count(ANSWER_STATUS) == 1
    assert wire.connection.recv(10) == pdu(RELEASE_RQ)


def test_what_is_no_message_is_a_violation(wire: Wire) -> None:
    wire.arrives(message(C_ECHO, context_id=3))
    with pytest.raises(ProtocolViolation, match="presentation context 3"):
        wire.stream.take()


def test_a_pdu_may_be_a_little_longer_than_the_association_allows(wire: Wire) -> None:
    longest = Limits().pdu_bytes + SLACK_BYTES
    wire.arrives(struct.pack(">BxI", 4, longest))
    assert wire.stream.read(is_ready=True) is Halt.NOTHING_MORE


def test_a_pdu_that_is_much_longer_is_refused_by_its_head(wire: Wire) -> None:
    longest = Limits().pdu_bytes + SLACK_BYTES
    wire.arrives(struct.pack(">BxI", 4, longest + 1))
    with pytest.raises(ProtocolViolation, match=f"says it has {longest + 1:,} bytes"):
        wire.stream.read(is_ready=True)


def test_after_a_long_silence_a_pdu_may_come_in_parts(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FixedClock()
    monkeypatch.setattr(message_stream, "time", clock)
    wire.arrives(ECHO)
    assert wire.stream.read(is_ready=True) is Halt.NOTHING_MORE
    clock.advance(3_600)
    wire.arrives(ECHO[:6])
    assert wire.stream.read(is_ready=True) is Halt.NOTHING_MORE
    assert wire.stream.deadline == clock.monotonic() + Deadlines().pdu_seconds
    clock.advance(Deadlines().pdu_seconds + 1)
    wire.arrives(ECHO[6:8])
    with pytest.raises(ProtocolViolation, match="too slowly"):
        wire.stream.read(is_ready=True)
