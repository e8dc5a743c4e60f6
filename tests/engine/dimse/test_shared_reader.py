"""The shared reader: serves what is lent to it, and gives back what is not for it."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from engine.dimse import shared_reader
from engine.dimse.shared_reader import FEW_ASSOCIATIONS, LONG_READERS, Served, SharedReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from engine.dimse.transport import Memory

SOON_SECONDS = 5.0


class Connection:
    """A connection that is lent, the end of its peer, and what became of it."""

    def __init__(self, says: Served | type[BaseException] = Served.WAIT) -> None:
        self.mine, self.peers = socket.socketpair()
        self.says = says
        self.memories: set[Memory] = set()
        self.given_back = threading.Event()
        self.times_given_back = 0
        self._read: SimpleQueue[tuple[bytes, str]] = SimpleQueue()

    def serve(self, memory: Memory) -> Served:
        self.memories.add(memory)
        self._read.put((self.mine.recv(100), threading.current_thread().name))
        if not isinstance(self.says, Served):
            raise self.says
        return self.says

    def give_back(self) -> None:
        self.times_given_back += 1
        self.given_back.set()

    def lent_to(
        self, reader: SharedReader, *, is_long: bool = False
    ) -> AbstractContextManager[None]:
        return reader.lending(self.mine.fileno(), self.serve, self.give_back, is_long=is_long)

    def send(self, data: bytes) -> None:
        self.peers.send(data)

    def close(self) -> None:
        self.mine.close()
        self.peers.close()

    def expect_read(self, data: bytes) -> None:
        assert self._read.get(timeout=SOON_SECONDS) == (data, "shared-reader")

    def thread_name(self) -> str:
        """Return the thread that has read, or will soon."""
        return self._read.get(timeout=SOON_SECONDS)[1]

    def expect_given_back(self) -> None:
        assert self.given_back.wait(SOON_SECONDS)
        assert self.times_given_back == 1


@pytest.fixture
def reader() -> Iterator[SharedReader]:
    reader = SharedReader()
    yield reader
    reader.stop()


@pytest.fixture
def one() -> Iterator[Connection]:
    one = Connection()
    yield one
    one.close()


@pytest.fixture
def other() -> Iterator[Connection]:
    other = Connection()
    yield other
    other.close()


def test_what_comes_on_any_lent_connection_is_read_on_one_thread(
    reader: SharedReader, one: Connection, other: Connection
) -> None:
    with one.lent_to(reader), other.lent_to(reader):
        one.send(b"a")
        one.expect_read(b"a")
        other.send(b"b")
        other.expect_read(b"b")
        one.send(b"c")
        one.expect_read(b"c")
    assert one.times_given_back == other.times_given_back == 0


def test_what_comes_on_any_lent_connection_goes_through_one_memory(
    reader: SharedReader, one: Connection, other: Connection
) -> None:
    with one.lent_to(reader), other.lent_to(reader):
        for connection in (one, other, one):
            connection.send(b"a")
            connection.expect_read(b"a")
    assert one.memories == other.memories
    assert len(one.memories) == 1


def test_long_objects_are_shared_out_among_threads_of_their_own(reader: SharedReader) -> None:
    connections = [Connection() for _ in range(2 * LONG_READERS)]
    names: list[str] = []
    with ExitStack() as stack:
        for connection in connections:
            stack.callback(connection.close)
            stack.enter_context(connection.lent_to(reader, is_long=True))
            connection.send(b"a")
            names.append(connection.thread_name())
    assert sorted(Counter(names).values()) == [2] * LONG_READERS
    assert "shared-reader" not in names


def test_a_long_object_does_not_hold_up_the_short_ones(
    reader: SharedReader, one: Connection, other: Connection
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def serve(_: Memory) -> Served:
        begun.set()
        may_end.wait(SOON_SECONDS)
        return Served.GIVE_BACK

    long = reader.lending(one.mine.fileno(), serve, one.give_back, is_long=True)
    with long, other.lent_to(reader):
        one.send(b"a")
        assert begun.wait(SOON_SECONDS)
        other.send(b"b")
        other.expect_read(b"b")
        may_end.set()
        one.expect_given_back()


def test_few_with_long_objects_read_them_themselves(reader: SharedReader) -> None:
    few = range(FEW_ASSOCIATIONS)
    assert not any(reader.is_for_long(fd) for fd in (*few, *few))
    assert reader.is_for_long(FEW_ASSOCIATIONS)
    reader.forget(0)
    reader.forget(0)
    assert not reader.is_for_long(FEW_ASSOCIATIONS)


def test_after_the_loan_a_connection_is_its_owners_alone(
    reader: SharedReader, one: Connection, other: Connection
) -> None:
    with other.lent_to(reader):
        with one.lent_to(reader):
            one.send(b"a")
            one.expect_read(b"a")
        one.send(b"mine")
        other.send(b"b")
        other.expect_read(b"b")
    assert one.mine.recv(100) == b"mine"


def test_a_loan_does_not_end_while_the_connection_is_being_served(
    reader: SharedReader, one: Connection
) -> None:
    begun, may_end, order = threading.Event(), threading.Event(), list[str]()

    def serve(_: Memory) -> Served:
        one.mine.recv(100)
        begun.set()
        may_end.wait(SOON_SECONDS)
        order.append("served")
        return Served.WAIT

    with reader.lending(one.mine.fileno(), serve, one.give_back):
        one.send(b"a")
        assert begun.wait(SOON_SECONDS)
        may_end.set()
    order.append("ended")
    assert order == ["served", "ended"]


@pytest.mark.parametrize("says", [Served.GIVE_BACK, ValueError])
def test_what_is_not_for_it_and_what_fails_is_given_back_and_the_others_are_read_on(
    reader: SharedReader, one: Connection, other: Connection, says: Served | type[Exception]
) -> None:
    one.says = says
    with one.lent_to(reader), other.lent_to(reader):
        one.send(b"a")
        one.expect_given_back()
        one.send(b"for its owner")
        other.send(b"b")
        other.expect_read(b"b")
        assert one.mine.recv(100) == b"for its owner"
    assert one.times_given_back == 1


def test_who_stops_inside_a_message_is_given_back_when_patience_ends(
    reader: SharedReader, one: Connection, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_reader, "PATIENCE_SECONDS", 0.01)
    one.says = Served.WAIT_INSIDE
    with one.lent_to(reader), other.lent_to(reader):
        one.send(b"half")
        one.expect_given_back()
        other.send(b"b")
        other.expect_read(b"b")
    assert other.times_given_back == 0


def test_who_goes_on_with_a_message_is_not_given_back(
    reader: SharedReader, one: Connection, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.says = other.says = Served.WAIT_INSIDE
    with one.lent_to(reader), other.lent_to(reader):
        one.send(b"half")
        one.expect_read(b"half")
        one.says = Served.WAIT
        one.send(b"whole")
        one.expect_read(b"whole")
        monkeypatch.setattr(shared_reader, "PATIENCE_SECONDS", 0.01)
        other.send(b"half")
        other.expect_given_back()
    assert one.times_given_back == 0


def test_when_it_stops_everything_is_given_back_and_nothing_is_taken_any_more(
    reader: SharedReader, one: Connection, other: Connection
) -> None:
    with one.lent_to(reader):
        reader.stop()
        one.expect_given_back()
    assert not reader.is_ready()
    with other.lent_to(reader):
        other.expect_given_back()
    reader.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_that_its_thread_has_died_shows(reader: SharedReader, one: Connection) -> None:
    assert reader.is_ready()
    assert not reader.is_dead()
    one.says = SystemExit
    with one.lent_to(reader):
        one.send(b"a")
        one.expect_read(b"a")
        reader._short._thread.join(SOON_SECONDS)
    assert reader.is_dead()
    assert not reader.is_ready()
