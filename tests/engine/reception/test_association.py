"""Connections on the loop, over real sockets: what each does, and that it holds up no other."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest

from engine.events import AssociationAborted, AssociationReleased, ConnectionDropped
from engine.intake.pipeline import ObjectOutcome
from engine.model.limits import Limits
from engine.model.session import ObjectState
from engine.net.admission import CLOSED_WITHOUT_DATA, DISPLACED
from engine.reception.association import (
    LINGER_SECONDS,
    MAX_DISCARDED_BYTES,
    IncomingAssociation,
    Phase,
)
from engine.reception.deadlines import Deadlines
from tests.caller import Caller, call
from tests.dicom import CT_IMAGE_STORAGE, image
from tests.peers.pdus import (
    AC,
    C_ECHO,
    COMMAND,
    P_DATA,
    RELEASE_RQ,
    abort_pdu,
    associate_rq,
    c_store_rq,
    command,
    message,
    pdu,
    pdv,
)
from tests.peers.peer import Peer
from tests.running import (
    LOOPBACK,
    Dock,
    SettableTime,
    calls_of,
    free_port,
    make_receiver,
    sockets_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOON_SECONDS = 20
PDU_SECONDS = Deadlines().pdu_seconds
ECHO = message(C_ECHO, context_id=3)
STORED = ObjectOutcome(ObjectState.STORED, 0)


@dataclass
class Object:
    """One object on its way in, and what becomes of it."""

    storage: Storage
    uid: str
    content: bytes = b""
    fate: list[str] = field(default_factory=list)

    def write(self, segments: Sequence[memoryview], size_bytes: int) -> None:
        self.content += b"".join(segments)
        assert size_bytes == sum(map(len, segments))

    def begins_write_back(self) -> bool:
        return self.uid in self.storage.written_back

    def write_back(self) -> str:
        return threading.current_thread().name

    def wrote_back(self, thread: str) -> None:
        self.fate.append(f"written back by {thread.partition('_')[0]}")

    def finish_at_once(self) -> ObjectOutcome | None:
        return None if self.uid in self.storage.slow else self.finish()

    def finish(self) -> ObjectOutcome:
        self.fate.append("finished")
        self.storage.order.append(self.uid)
        if self.uid in self.storage.slow:
            self.storage.begun.release()
            assert self.storage.go_on.acquire(timeout=SOON_SECONDS)
        return self.storage.outcome

    def record(self, outcome: ObjectOutcome) -> None:
        assert outcome == self.storage.outcome
        self.fate.append("recorded")
        self.storage.recorded.release()

    def abandon(self) -> None:
        self.fate.append("abandoned")
        self.storage.recorded.release()


class Storage:
    """Stands for the storage: its slow objects are finished when a test lets them."""

    def __init__(self) -> None:
        self.slow: set[str] = set()
        self.written_back: set[str] = set()
        self.outcome = STORED
        self.objects: list[Object] = []
        self.order: list[str] = []
        """UIDs as the objects were finished."""
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.recorded = threading.Semaphore(0)

    def begin(self, request: Any, transfer_syntax_uid: str, live: Any) -> Object:
        live.source = live.source or "something that its objects have in common"
        assert transfer_syntax_uid
        self.objects.append(Object(self, request.sop_instance_uid))
        return self.objects[-1]

    def end(self, live: Any) -> None:
        assert live.source
        live.source = None
        for one in self.objects:
            one.fate.append("source ended")

    def wait_until_begun(self) -> None:
        assert self.begun.acquire(timeout=SOON_SECONDS)

    def wait_until_recorded(self) -> None:
        assert self.recorded.acquire(timeout=SOON_SECONDS)

    def fates(self) -> list[list[str]]:
        return [one.fate for one in self.objects]


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def dock(storage: Storage) -> Iterator[Dock]:
    """Listeners for whose peers no time passes unless a test lets it."""
    dock: Any = Dock(storage=storage, time=SettableTime())  # type: ignore[arg-type]
    with dock:
        yield dock


@pytest.fixture
def port(dock: Dock) -> int:
    port = free_port()
    dock.apply(make_receiver("XNAT", port, limits=(("idle_seconds", 3600),)))
    return port


@pytest.fixture
def peer(port: int) -> Iterator[Peer]:
    with Peer(port) as peer:
        yield peer.request().expect_accept()


@pytest.fixture
def neighbour(port: int) -> Iterator[Peer]:
    with Peer(port) as neighbour:
        yield neighbour.request(calling="BESIDE").expect_accept()


def store(uid: str, data: bytes = b"") -> bytes:
    return message(command(c_store_rq(CT_IMAGE_STORAGE, uid)), data or image())


def send_slow(peer: Peer, storage: Storage, uid: str = "1.1", behind: bytes = b"") -> None:
    """Send an object, and return when a thread of the pool is held at it."""
    storage.slow.add(uid)
    peer.expects_answer_to(image()).send(store(uid) + behind)
    storage.wait_until_begun()


def ending(dock: Dock) -> str:
    """Return how the one association ended, once it has."""
    dock.wait_until(lambda: dock.told(AssociationAborted, AssociationReleased) != [])
    (told,) = dock.told(AssociationAborted, AssociationReleased)
    return told


def dropped(dock: Dock) -> str:
    """Return how the one connection without an association ended, once it has."""
    dock.wait_until(lambda: dock.told(ConnectionDropped) != [])
    (told,) = dock.told(ConnectionDropped)
    return told


# An object that is finished elsewhere.


def test_writing_back_what_has_arrived_is_for_the_pool(
    dock: Dock, storage: Storage, peer: Peer
) -> None:
    storage.written_back.add("1.1")
    peer.store(image(), "1.1").expect_status(0)
    (fate,) = storage.fates()
    dock.wait_until(lambda: "written back by reactor-pool" in fate)


def test_an_object_that_takes_long_holds_up_no_neighbour(
    storage: Storage, peer: Peer, neighbour: Peer
) -> None:
    send_slow(peer, storage)
    neighbour.echo()
    neighbour.store(image(), "1.9").expect_status(0)
    storage.go_on.release()
    peer.expect_status(0)
    assert [one.uid for one in storage.objects] == ["1.1", "1.9"]


def test_what_is_sent_behind_a_slow_object_is_served_in_order_after_it(
    dock: Dock, storage: Storage, peer: Peer
) -> None:
    storage.slow.update({"1.1", "1.3"})
    for _ in range(4):
        peer.expects_answer_to(image())
    sent = b"".join(store(f"1.{number}") for number in range(1, 5))
    peer.send(sent + ECHO + pdu(RELEASE_RQ))
    storage.wait_until_begun()
    dock.settle()
    assert [one.uid for one in storage.objects] == ["1.1"]
    storage.go_on.release()
    storage.wait_until_begun()
    assert [one.uid for one in storage.objects] == ["1.1", "1.2", "1.3"]
    storage.go_on.release()
    for _ in range(5):
        peer.expect_status(0)
    peer.expect_released()
    assert [one.content for one in storage.objects] == [image()] * 4


def test_nothing_more_is_received_while_an_object_behind_another_one_takes_long(
    dock: Dock, storage: Storage, peer: Peer
) -> None:
    storage.slow.add("1.2")
    send_slow(peer, storage, behind=store("1.2"))
    peer.send(store("1.3") + ECHO)
    storage.go_on.release()
    storage.wait_until_begun()
    dock.settle()
    assert [one.uid for one in storage.objects] == ["1.1", "1.2"]
    storage.go_on.release()
    for _ in range(4):
        peer.expect_status(0)


def test_an_object_is_finished_then_answered_then_recorded(
    storage: Storage, peer: Peer, dock: Dock
) -> None:
    peer.store(image(), "1.1").expect_status(0)
    send_slow(peer, storage, "1.2")
    storage.go_on.release()
    peer.expect_status(0)
    peer.release()
    assert dock.associations.wait_until_none(SOON_SECONDS)
    peer.close()
    wait_until_closed(dock)
    assert storage.fates() == [["finished", "recorded", "source ended"]] * 2


def wait_until_closed(dock: Dock) -> None:
    """Return when no connection is open any more."""
    listeners = [port.listener for port in dock.receivers._ports.values()]
    closing = dock.receivers._context.closing
    with closing:
        assert closing.wait_for(lambda: not any(x.connections() for x in listeners), SOON_SECONDS)


def test_a_peer_that_resets_the_connection_meanwhile_changes_nothing_about_the_object(
    dock: Dock, storage: Storage, peer: Peer, neighbour: Peer
) -> None:
    send_slow(peer, storage)
    peer.rst()
    dock.settle()
    neighbour.echo()
    storage.go_on.release()
    storage.wait_until_recorded()
    neighbour.echo().release()
    wait_until_closed(dock)
    assert storage.fates() == [["finished", "recorded", "source ended"]]


def test_an_abort_that_is_asked_for_meanwhile_comes_after_the_answer(
    dock: Dock, storage: Storage, peer: Peer
) -> None:
    send_slow(peer, storage, behind=store("1.2"))
    (live,) = dock.associations.live()
    dock.associations.abort(live, "enough")
    dock.settle()
    storage.go_on.release()
    peer.expect_status(0)
    peer.expect_abort(0).close()
    wait_until_closed(dock)
    assert storage.fates()[0] == ["finished", "recorded", "source ended"]
    assert [one.uid for one in storage.objects] == ["1.1"]
    assert ending(dock).endswith(": enough")


def test_a_connection_that_is_closed_meanwhile_still_has_its_object_recorded(
    dock: Dock, storage: Storage, peer: Peer, port: int
) -> None:
    send_slow(peer, storage)
    (connection,) = connections(dock)
    assert dock.reactor.call_and_wait(connection.close, SOON_SECONDS)
    assert dock.associations.live() == ()
    assert storage.fates() == [["finished"]]
    peer.expect_closed()
    storage.go_on.release()
    storage.wait_until_recorded()
    dock.settle()
    assert storage.fates() == [["finished", "recorded", "source ended"]]
    assert call(port, "XNAT") == "answered"


def connections(dock: Dock) -> list[IncomingAssociation]:
    ports = dock.receivers._ports.values()
    both = (one for port in ports for one in port.listener.connections())
    return [one for one in both if isinstance(one, IncomingAssociation)]


def test_no_deadline_of_the_peer_runs_while_we_work(
    dock: Dock, storage: Storage, peer: Peer
) -> None:
    send_slow(peer, storage, behind=ECHO[:9])
    dock.pass_time(10_000)
    dock.pass_time(PDU_SECONDS - 1)
    storage.go_on.release()
    peer.expect_status(0)
    dock.pass_time(PDU_SECONDS - 1)
    peer.send(ECHO[9:]).expect_status(0)


def test_the_end_of_all_waits_for_an_object_that_is_being_filed(
    storage: Storage, peer: Peer, dock: Dock
) -> None:
    send_slow(peer, storage)
    with calls_of(IncomingAssociation, "abort") as asked:
        stop = threading.Thread(target=dock.receivers.stop_accepting)
        stop.start()
        stop.join(SOON_SECONDS)
        end = threading.Thread(target=dock.receivers.abort_all)
        end.start()
        assert asked.acquire(timeout=SOON_SECONDS)
    storage.go_on.release()
    peer.expect_status(0)
    peer.expect_abort(0)
    peer.close()
    end.join(SOON_SECONDS)
    assert storage.fates() == [["finished", "recorded", "source ended"]]


@pytest.mark.parametrize("first", [1, 5, 11, 12, len(ECHO) - 1])
def test_a_message_may_come_in_parts_while_others_use_the_same_memory(
    dock: Dock, peer: Peer, neighbour: Peer, first: int
) -> None:
    peer.send(ECHO[:first])
    dock.settle()
    neighbour.store(bytes(10_000), "1.9").expect_status(0)
    peer.send(ECHO[first:]).expect_status(0)


def test_who_sends_more_than_a_buffer_full_waits_for_its_turn(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.running.BUFFER_BYTES", 8_192)
    port, held, go_on = free_port(), threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        assert go_on.wait(SOON_SECONDS)

    given: Any = storage
    with Dock(storage=given) as dock:
        dock.apply(make_receiver("XNAT", port))
        with Peer(port) as eager, Peer(port) as modest:
            eager.request().expect_accept()
            modest.request().expect_accept()
            dock.settle()
            dock.reactor.call_soon(hold)
            assert held.wait(SOON_SECONDS)
            eager.send(store("1.1", bytes(60_000)))
            modest.send(store("1.2"))
            go_on.set()
            for peer in (eager, modest):
                peer.expect_status(0)
    assert storage.order == ["1.2", "1.1"]


@pytest.mark.parametrize("way", ["close", "rst", "abort"])
def test_an_object_whose_association_ends_before_it_does_is_abandoned(
    dock: Dock, storage: Storage, peer: Peer, way: str
) -> None:
    begun = message(command(c_store_rq(CT_IMAGE_STORAGE, "1.1"))) + pdu(P_DATA, pdv(b"half", 0))
    peer.send(begun)
    dock.settle()
    getattr(peer, way)()
    storage.wait_until_recorded()
    wait_until_closed(dock)
    assert storage.fates() == [["abandoned", "source ended"]]


# What goes wrong with one connection.


def test_a_defect_that_meets_one_connection_ends_this_one_and_no_other(
    storage: Storage,
    peer: Peer,
    neighbour: Peer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    dock: Dock,
) -> None:
    monkeypatch.setattr(storage, "begin", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR):
        peer.store(image()).expect_abort(2, 0)
    neighbour.echo()
    assert ending(dock).endswith(": internal error (ZeroDivisionError)")
    assert [r.message for r in caplog.records] == ["a connection failed while it was served"]


UNKNOWN_IDENTITY = pack(">BxHBBHH", 0x58, 6, 9, 0, 0, 0)
"""A user identity item of a type that does not exist (PS3.7 D.3.3.7)."""


@pytest.mark.parametrize("more", [UNKNOWN_IDENTITY[:-2], b"\x58\0\xff\xff"])
def test_a_request_that_makes_no_sense_ends_its_connection_and_nothing_else(
    dock: Dock, port: int, neighbour: Peer, more: bytes
) -> None:
    with Caller(port) as caller:
        caller.ask("XNAT", more=more)
        assert caller.is_aborted()
    neighbour.echo()
    assert call(port, "XNAT") == "answered"
    assert dropped(dock).endswith("its A-ASSOCIATE-RQ ends in the middle of an item")
    assert dock.told(AssociationAborted) == []


def test_the_first_reason_why_a_connection_ends_is_the_one_that_is_told(
    dock: Dock, port: int
) -> None:
    with Caller(port) as caller:
        dock.wait_until(lambda: connections(dock) != [])
        (connection,) = connections(dock)
        connection.why = DISPLACED
        caller.ask("XNAT", more=UNKNOWN_IDENTITY[:-2])
        assert caller.is_aborted()
    assert dropped(dock).endswith(DISPLACED)


def test_a_user_identity_of_an_unknown_type_is_ignored(port: int) -> None:
    with Caller(port) as caller:
        caller.ask("XNAT", more=UNKNOWN_IDENTITY)
        assert caller.is_accepted()
        caller.echo()
        caller.release()


def test_a_connection_that_can_not_be_served_is_closed_and_leaves_the_port_answering(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr("engine.reception.listener.IncomingAssociation", lambda *_: 1 / 0)
        with Caller(port) as caller:
            assert caller.is_gone()
    assert call(port, "XNAT") == "answered"
    assert [r.message for r in caplog.records] == [
        f"a connection on port {port} could not be served"
    ]


def test_a_connection_that_can_not_begin_is_closed_told_and_leaves_nothing(
    dock: Dock, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_memory(_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
        patch.setattr(IncomingAssociation, "begin", no_memory)
        with Caller(port) as caller:
            assert caller.is_gone()
    assert dropped(dock).endswith("it could not be served")
    assert dock.pending.wait_until_empty(0)
    assert connections(dock) == []
    assert sockets_at(port) == 1  # the listener's
    assert call(port, "XNAT") == "answered"


def test_an_association_has_no_thread_of_its_own(dock: Dock, port: int) -> None:
    assert call(port, "XNAT") == "answered"
    before = set(threading.enumerate())
    with ExitStack() as stack:
        for _ in range(10):
            caller = stack.enter_context(Caller(port))
            assert caller.associate("XNAT") is None
            caller.echo()
        assert set(threading.enumerate()) == before
        assert len(dock.associations.live()) == 10


# Peers that stop, drip, half-close or take nothing.


def test_a_peer_that_drips_one_byte_a_second_is_gone_after_the_deadline_of_a_pdu(
    dock: Dock, peer: Peer, neighbour: Peer
) -> None:
    for byte in ECHO[: int(PDU_SECONDS) - 1]:
        peer.send(bytes([byte]))
        dock.pass_time(1)
    assert len(dock.associations.live()) == 2
    peer.send(ECHO[:1])
    dock.pass_time(1)
    peer.expect_abort(2, 0)
    assert ending(dock).endswith(": the peer sends a PDU too slowly")
    neighbour.echo()


def test_a_peer_that_stops_in_a_pdu_is_gone_after_its_deadline(dock: Dock, peer: Peer) -> None:
    peer.echo()
    dock.pass_time(10 * PDU_SECONDS)
    peer.send(ECHO[:9])
    dock.pass_time(PDU_SECONDS - 0.1)
    assert dock.associations.live() != ()
    dock.pass_time(0.2)
    peer.expect_abort(2, 0)
    assert ending(dock).endswith(": the peer stopped in the middle of a PDU")


def test_a_long_pdu_may_take_its_time_at_a_kilobyte_a_second(
    dock: Dock, storage: Storage, peer: Peer
) -> None:
    sent = message(command(c_store_rq(CT_IMAGE_STORAGE, "1.1"))) + pdu(
        P_DATA, pdv(bytes(60_000), 2)
    )
    for position in range(0, len(sent), 2_000):
        peer.send(sent[position : position + 2_000])
        dock.pass_time(1.8)
    peer.expect_status(0)
    assert storage.objects[0].content == bytes(60_000)


def test_a_peer_that_takes_no_answers_is_cut_and_others_are_served_meanwhile(
    dock: Dock, port: int, neighbour: Peer
) -> None:
    with Peer(port, is_deaf=True) as deaf:
        deaf.request(calling="DEAF").expect_accept()
        (connection,) = [
            one for one in connections(dock) if one.live and one.live.calling_ae_title == "DEAF"
        ]
        stream = connection._stream
        while not stream.unsent:
            deaf.send(ECHO * 20)
            dock.settle()
        neighbour.echo()
        dock.pass_time(PDU_SECONDS - 1)
        neighbour.echo()
        assert len(dock.associations.live()) == 2
        dock.pass_time(2)
        neighbour.echo()
        (left,) = dock.associations.live()
        assert left.calling_ae_title == "BESIDE"


def test_a_peer_that_takes_its_answers_late_gets_all_of_them(dock: Dock, port: int) -> None:
    with Peer(port, is_deaf=True) as late:
        late.request().expect_accept()
        (connection,) = connections(dock)
        sent = 0
        while not connection._stream.unsent:
            late.send(ECHO * 20)
            sent += 20
            dock.settle()
        for _ in range(sent):
            late.expect_status(0)
        late.echo().release()


def test_a_half_closed_peer_gets_all_its_answers(dock: Dock, storage: Storage, peer: Peer) -> None:
    send_slow(peer, storage, behind=ECHO * 3)
    peer.half_close()
    dock.settle()
    storage.go_on.release()
    for _ in range(4):
        peer.expect_status(0)
    peer.expect_closed()
    assert ending(dock).endswith(" by the caller")


def test_a_peer_that_half_closes_right_behind_its_release_is_released(
    dock: Dock, peer: Peer
) -> None:
    peer.send(ECHO + pdu(RELEASE_RQ)).half_close()
    peer.expect_status(0).expect_released()
    assert " released " in ending(dock)


def test_a_peer_that_aborts_is_let_go_at_once(dock: Dock, peer: Peer) -> None:
    peer.send(ECHO + abort_pdu())
    peer.expect_status(0).expect_closed()
    wait_until_closed(dock)
    assert ending(dock).endswith(" by the caller")


# Last words.


def test_last_words_reach_a_peer_that_is_still_sending(peer: Peer) -> None:
    begun = message(command(c_store_rq(CT_IMAGE_STORAGE, "1.1")))
    peer.send(begun + pdu(0x42) + bytes(1_000_000))
    peer.expect_abort(2, 1)


def test_a_peer_that_does_not_close_after_our_last_words_is_closed_after_a_moment(
    dock: Dock, peer: Peer
) -> None:
    peer.send(pdu(0x42)).expect_abort(2, 1)
    (connection,) = connections(dock)
    assert connection._phase is Phase.LEAVING
    dock.pass_time(LINGER_SECONDS - 0.1)
    assert connections(dock) == [connection]
    dock.pass_time(0.2)
    assert connections(dock) == []


def test_a_peer_that_still_sends_after_our_last_words_is_waited_for_until_it_closes(
    dock: Dock, peer: Peer
) -> None:
    peer.send(pdu(0x42)).expect_abort(2, 1).send(ECHO)
    dock.settle()
    (connection,) = connections(dock)
    peer.close()
    wait_until_closed(dock)
    assert connection._discarded_bytes == len(ECHO)


def test_last_words_come_after_all_that_a_slow_peer_has_not_taken_yet(
    dock: Dock, port: int
) -> None:
    with Peer(port, is_deaf=True) as slow:
        slow.request().expect_accept()
        (connection,) = connections(dock)

        def say_much_and_abort() -> None:
            connection._stream.send(pdu(P_DATA, bytes(2_000_000)))
            connection.abort()

        assert dock.reactor.call_and_wait(say_much_and_abort, SOON_SECONDS)
        kind, said = slow._pdu(SOON_SECONDS)
        assert (kind, len(said)) == (P_DATA, 2_000_000)
        slow.expect_abort(0)


def test_only_so_much_is_discarded_of_a_peer_that_goes_on_sending(dock: Dock, peer: Peer) -> None:
    peer.send(pdu(0x42))
    peer.flood(bytes(1_000_000), 4 * MAX_DISCARDED_BYTES)
    wait_until_closed(dock)


@pytest.mark.parametrize("called", ["XNAT", "NOBODY"])
def test_a_deadline_does_not_hit_those_who_have_left(dock: Dock, port: int, called: str) -> None:
    with Peer(port) as peer:
        peer.request(called).send(pdu(RELEASE_RQ))
        peer.drain()
    wait_until_closed(dock)
    dock.pass_time(100_000)
    assert dock.told(ConnectionDropped) == []


# First bytes.


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "this is not DICOM but looks like an HTTP request"),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            "this is not DICOM but looks like a TLS ClientHello",
        ),
        (pdu(0x42), "this is not DICOM but looks like bytes of no known protocol"),
        (ECHO, "it begins with a P-DATA-TF instead of an A-ASSOCIATE-RQ"),
        (pdu(RELEASE_RQ), "it begins with an A-RELEASE-RQ instead of an A-ASSOCIATE-RQ"),
        (pdu(AC), "it begins with an A-ASSOCIATE-AC instead of an A-ASSOCIATE-RQ"),
        (abort_pdu(), "it begins with an A-ABORT instead of an A-ASSOCIATE-RQ"),
        (pdu(1, length=2**24)[:6], "its A-ASSOCIATE-RQ is longer than 262,138 bytes"),
        (associate_rq()[:100], "it was closed in the middle of its A-ASSOCIATE-RQ"),
        (b"\x01", "it was closed in the middle of its A-ASSOCIATE-RQ"),
    ],
)
def test_a_connection_that_brings_no_request_is_told_in_words(
    dock: Dock, port: int, first: bytes, why: str
) -> None:
    with Peer(port) as peer:
        peer.send(first).half_close().expect_end()
    assert why in dropped(dock)
    assert dock.pending.wait_until_empty(0)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"", "nothing came for 10 s"),
        (associate_rq()[:100], "its A-ASSOCIATE-RQ was not complete after 10 s"),
    ],
)
def test_who_does_not_complete_a_request_in_time_is_closed_and_told_in_words(
    dock: Dock, port: int, first: bytes, why: str
) -> None:
    with Peer(port) as peer:
        peer.send(first)
        dock.pass_time(9.9)
        assert len(connections(dock)) == 1
        dock.pass_time(0.2)
        peer.expect_closed()
    assert dropped(dock).endswith(why)


def test_who_has_not_begun_to_speak_gives_way_before_those_who_have(dock: Dock, port: int) -> None:
    dock.pending._most = 2
    with Peer(port) as speaking, Peer(port) as silent:
        speaking.send(associate_rq()[:1])
        dock.settle()
        with Peer(port) as third:
            silent.expect_closed()
            third.request().expect_accept()
        speaking.send(associate_rq()[1:]).expect_accept()
    assert dropped(dock).endswith(DISPLACED)


def test_dripping_a_request_gives_no_more_time(dock: Dock, port: int) -> None:
    with Peer(port) as peer:
        for byte in associate_rq()[:10]:
            peer.send(bytes([byte]))
            dock.pass_time(1.1)
        peer.expect_closed()
    assert dropped(dock).endswith("its A-ASSOCIATE-RQ was not complete after 10 s")


def test_one_look_at_the_port_is_not_told_and_the_tenth_is(dock: Dock, port: int) -> None:
    for _ in range(10):
        with socket.create_connection((LOOPBACK, port)):
            pass
        dock.settle()
    assert CLOSED_WITHOUT_DATA in dropped(dock)


def test_a_request_may_come_byte_by_byte_and_right_before_the_first_messages(
    port: int, storage: Storage
) -> None:
    with Peer(port) as peer:
        for byte in associate_rq():
            peer.send(bytes([byte]))
        peer.expect_accept()
    with Peer(port) as hasty:
        hasty.expects_answer_to(image())
        hasty.send(associate_rq() + store("1.1") + ECHO + pdu(RELEASE_RQ))
        hasty.expect_accept().expect_status(0).expect_status(0).expect_released()
    assert [one.content for one in storage.objects] == [image()]


def test_an_association_that_ends_within_a_command_is_not_called_slow(
    dock: Dock, peer: Peer
) -> None:
    peer.send(pdu(P_DATA, pdv(b"beginning", COMMAND)))
    dock.pass_time(PDU_SECONDS + 1)
    assert dock.associations.live() != ()
    peer.close()
    assert dock.associations.wait_until_none(SOON_SECONDS)
    assert ending(dock).endswith(" by the caller")


def test_the_receivers_limits_hold_once_the_association_is_accepted(dock: Dock) -> None:
    port = free_port()
    limits = (("data_set_bytes", Limits().data_set_bytes // 2), ("idle_seconds", 7))
    dock.apply(make_receiver("SMALL", port, limits=limits))
    with Peer(port) as peer:
        peer.request("SMALL").expect_accept()
        dock.pass_time(6.9)
        assert dock.associations.live() != ()
        dock.pass_time(0.2)
        peer.expect_abort(2, 0)
    assert ending(dock).endswith(": nothing arrived for 7 s")
