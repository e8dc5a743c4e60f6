"""What a receiving process holds: sessions, given back when the engine says, and receivers."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.index.store import SessionKey, SessionOrigin, SessionPlace
from engine.index.writer import ObjectRow
from engine.model.limits import Limits
from engine.model.session import SessionArea
from engine.net.reactor import Reactor
from engine.reception.processes.link import Link
from engine.reception.processes.remote import HandedPort, KnownReceivers, RemoteDock
from tests.running import make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.receiver import Receiver

SOON_SECONDS = 20.0
KEY = SessionKey("NEURO-01", "1.2.3", "E1")
ORIGIN = SessionOrigin("S1", None, "XNAT:104", "CT", datetime(2026, 8, 24, tzinfo=UTC))


class Engine:
    """The other end: grants session 17, and notes what is said."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.said: list[tuple[str, tuple[Any, ...]]] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for name, arguments, question in self.link.receive():
            with self._changed:
                self.said.append((name, arguments))
                self._changed.notify_all()
            if question:
                self.link.answer(
                    question, SessionPlace(17, ("E1",), SessionArea.PREARCHIVE, 17, is_new=True)
                )

    def wait_for(self, name: str, times: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(name) >= times, SOON_SECONDS)

    def count(self, name: str) -> int:
        return sum(said == name for said, _ in self.said)


@pytest.fixture
def both() -> Iterator[tuple[RemoteDock, Engine]]:
    ours, theirs = map(Link, socket.socketpair())
    reactor = Reactor()
    threading.Thread(target=lambda: list(ours.receive()), daemon=True).start()
    with closing(ours), closing(theirs):
        yield RemoteDock(ours, reactor), Engine(theirs)
    reactor.stop()


def test_a_session_is_asked_for_once(both: tuple[RemoteDock, Engine]) -> None:
    dock, engine = both
    assert dock.known_place(KEY) is None
    first = dock.file(KEY, ORIGIN, directly=False)
    again = dock.known_place(KEY)
    assert again is not None
    assert (first.id, first.is_new, again.id, again.is_new) == (17, True, 17, False)
    assert engine.count("file") == 1


def test_a_session_that_is_taken_back_is_given_back_after_its_last_object(
    both: tuple[RemoteDock, Engine],
) -> None:
    dock, engine = both
    first = dock.file(KEY, ORIGIN, directly=False)
    second = dock.known_place(KEY)
    assert second is not None
    dock.take_back(17)
    assert dock.known_place(KEY) is None  # the next object asks again
    dock.release(first.hold)
    dock.flush()
    assert engine.count("give_back") == 0
    dock.release(second.hold)
    engine.wait_for("give_back")


def test_a_session_without_an_object_on_its_way_is_given_back_at_once(
    both: tuple[RemoteDock, Engine],
) -> None:
    dock, engine = both
    dock.release(dock.file(KEY, ORIGIN, directly=False).hold)
    dock.take_back(17)
    engine.wait_for("give_back")
    dock.take_back(17)
    dock.flush()
    assert engine.count("give_back") == 1


def test_a_session_may_be_granted_again_while_it_is_being_given_back(
    both: tuple[RemoteDock, Engine],
) -> None:
    dock, engine = both
    before = dock.file(KEY, ORIGIN, directly=False)
    dock.take_back(17)
    after = dock.file(KEY, ORIGIN, directly=False)
    assert before.hold != after.hold
    dock.release(after.hold)
    dock.flush()
    assert engine.count("give_back") == 0
    dock.release(before.hold)
    engine.wait_for("give_back")
    assert dock.known_place(KEY) is not None  # by the second grant


def test_of_two_grants_of_one_session_one_is_given_back_at_once(
    both: tuple[RemoteDock, Engine],
) -> None:
    dock, engine = both
    places = [dock.file(KEY, ORIGIN, directly=False) for _ in range(2)]
    engine.wait_for("give_back")
    dock.take_back(17)
    for place in places:
        dock.release(place.hold)
    engine.wait_for("give_back", 2)


def test_the_part_of_an_object_goes_once_its_row_is_on_its_way(
    both: tuple[RemoteDock, Engine],
) -> None:
    dock, engine = both
    gone = threading.Event()
    row = ObjectRow._make([""] * len(ObjectRow._fields))
    dock.record(row._replace(file="SCANS/1/DICOM/1.dcm"), 0.5, gone.set)
    assert gone.wait(SOON_SECONDS)
    engine.wait_for("record")
    gone.clear()
    # Of an object without a file only its row tells, so that it is not kept for a batch.
    dock.record(row, 0.5, gone.set)
    assert gone.is_set()
    engine.wait_for("record", 2)
    assert engine.said[-1] == ("record", (tuple(row), 0.5))


class AdmittingEngine:
    """The other end: admits every association to the receiver that it has now."""

    def __init__(self, link: Link, receiver: Receiver) -> None:
        self.link, self.receiver = link, receiver
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        for _name, _arguments, question in self.link.receive():
            since = datetime(2026, 8, 24, tzinfo=UTC)
            self.link.answer(question, ("A-0001", self.receiver, "", since, Limits()))


def test_associations_of_one_receiver_share_what_was_compiled_for_it() -> None:
    ours, theirs = map(Link, socket.socketpair())
    reactor = Reactor()
    threading.Thread(target=lambda: list(ours.receive()), daemon=True).start()
    known, decided = KnownReceivers(), queue.SimpleQueue[Any]()
    connection: Any = SimpleNamespace(certificate=None, peer="10.1.2.3", address=None)
    proposal: Any = SimpleNamespace(
        called_ae_title="XNAT",
        calling_ae_title="CT",
        application_context="1.2.840.10008.3.1.1.1",
        protocol_version=1,
    )

    def admitted() -> Receiver:
        HandedPort(ours, reactor, 1, 104, None, known).admit(connection, proposal, decided.put)
        live, _ = decided.get(timeout=SOON_SECONDS)
        receiver: Receiver = live.receiver
        return receiver

    with closing(ours), closing(theirs):
        engine = AdmittingEngine(theirs, make_receiver("XNAT", 104))
        first, second = admitted(), admitted()
        engine.receiver = make_receiver("XNAT", 104, enabled=False)
        changed, again = admitted(), admitted()
        reactor.call_soon(lambda: decided.put((known.apply([engine.receiver]), None)))
        decided.get(timeout=SOON_SECONDS)
        configured = admitted()
    reactor.stop()
    assert second is first
    assert again is changed != first
    assert configured is engine.receiver
