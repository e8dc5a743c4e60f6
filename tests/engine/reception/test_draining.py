"""What goes on, for how long and under which settings, after a receiver was changed or left."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import CTImageStorage

from engine.api import ReceiverState
from engine.app.demo.sender import CT_SCANNER, study
from engine.events import AssociationAborted, AssociationReleased
from engine.intake.pipeline import ObjectOutcome
from engine.model.limits import Limits
from engine.model.session import ObjectState
from engine.model.site import SiteSettings
from engine.reception.acceptance import Acceptance, Rejection, decide
from engine.reception.association import IncomingAssociation
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.caller import Caller, call
from tests.certificates import Authority
from tests.fakes import FixedClock
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, Dock, calls_of, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    from engine.model.receiver import Receiver

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
UNKNOWN_CALLED = (1, 1, 7)
STOPPING = (2, 3, 1)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def dock(clock: FixedClock) -> Iterator[Dock]:
    with Dock(clock) as dock:
        dock.site = replace(dock.site, limits=Limits(drain_seconds=300))
        yield dock


def disable(dock: Dock, receiver: Receiver) -> None:
    dock.apply(replace(receiver, enabled=False))


def delete(dock: Dock, _: Receiver) -> None:
    dock.apply()


def rename(dock: Dock, receiver: Receiver) -> None:
    dock.apply(replace(receiver, ae_title=type(receiver.ae_title)("NEW")))


def move(dock: Dock, receiver: Receiver) -> None:
    dock.apply(replace(receiver, port=free_port()))


def forbid_all(dock: Dock, receiver: Receiver) -> None:
    dock.site = replace(dock.site, receivers_allowed=False)
    dock.apply(receiver)


def disable_beside_another(dock: Dock, receiver: Receiver) -> None:
    dock.apply(replace(receiver, enabled=False), make_receiver("OTHER", receiver.port))


GOING_AWAY = [disable, delete, rename, move, forbid_all, disable_beside_another]


@pytest.mark.parametrize("go_away", GOING_AWAY)
def test_whoever_goes_away_refuses_new_callers_at_once_and_lets_the_running_one_finish(
    dock: Dock, port: int, go_away: Callable[[Dock, Receiver], None]
) -> None:
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        go_away(dock, xnat)
        assert call(port, "XNAT") in {"closed", "1/1/7"}
        caller.echo()
        caller.release()
    assert dock.associations.wait_until_none(20)
    assert dock.told(AssociationAborted) == []


@pytest.mark.parametrize("go_away", GOING_AWAY)
def test_whoever_has_gone_away_is_given_its_time_and_then_aborted_saying_so(
    dock: Dock, clock: FixedClock, port: int, go_away: Callable[[Dock, Receiver], None]
) -> None:
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        go_away(dock, xnat)
        clock.advance(299.9)
        dock.wake()
        caller.echo()
        clock.advance(0.1)
        dock.wake()
        assert caller.is_aborted()
    assert dock.associations.wait_until_none(20)
    (told,) = dock.told(AssociationAborted)
    assert told.startswith(f"XNAT:{port} association aborted after 0 objects, 300.0 s")
    assert told.endswith(f": XNAT:{port} is switched off and its time to finish is over")


def test_a_receiver_that_comes_back_in_time_keeps_its_association(
    dock: Dock, clock: FixedClock, port: int
) -> None:
    back, gone = make_receiver("BACK", port), make_receiver("GONE", port)
    dock.apply(back, gone)
    with Caller(port) as kept, Caller(port) as aborted:
        assert [kept.associate("BACK"), aborted.associate("GONE")] == [None, None]
        dock.apply()
        clock.advance(299)
        dock.apply(back)
        clock.advance(1000)
        dock.wake()
        assert aborted.is_aborted()
        kept.echo()
        kept.release()


def test_a_second_change_does_not_give_more_time(dock: Dock, clock: FixedClock, port: int) -> None:
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        disable(dock, xnat)
        clock.advance(200)
        delete(dock, xnat)
        clock.advance(100)
        dock.wake()
        assert caller.is_aborted()


def test_without_time_to_finish_the_running_association_is_aborted_at_once(
    dock: Dock, port: int
) -> None:
    dock.site = replace(dock.site, limits=Limits(drain_seconds=0))
    xnat, other = make_receiver("XNAT", port), make_receiver("OTHER", port)
    dock.apply(xnat, other)
    with Caller(port) as caller, Caller(port) as untouched:
        assert [caller.associate("XNAT"), untouched.associate("OTHER")] == [None, None]
        dock.apply(replace(xnat, enabled=False), other)
        assert caller.is_aborted()
        untouched.echo()


def test_a_caller_that_stalls_inside_a_message_is_aborted_all_the_same(
    dock: Dock, port: int
) -> None:
    dock.site = replace(dock.site, limits=Limits(drain_seconds=0))
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        caller.stall()
        disable(dock, xnat)
        assert caller.is_aborted()
    assert dock.associations.wait_until_none(20)
    assert dock.associations.live() == ()


@pytest.fixture
def connected(dock: Dock) -> Iterator[threading.Semaphore]:
    """Released when a connection is in the hands of its association, before anything was read."""
    with calls_of(dock.pending, "add") as added:
        yield added


@pytest.mark.parametrize("go_away", GOING_AWAY)
def test_who_connected_before_but_asks_after_it_is_refused_too(
    dock: Dock,
    port: int,
    connected: threading.Semaphore,
    go_away: Callable[[Dock, Receiver], None],
) -> None:
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    with Caller(port) as caller:
        assert connected.acquire(timeout=20)
        go_away(dock, xnat)
        assert caller.associate("XNAT") == UNKNOWN_CALLED
    assert dock.associations.live() == ()


@pytest.mark.parametrize("begins_with_tls", [False, True])
def test_who_connected_with_another_kind_of_tls_reaches_no_receiver_of_the_new_one(
    dock: Dock, port: int, tmp_path: Path, *, begins_with_tls: bool
) -> None:
    authority = Authority(tmp_path / "pki")
    plain = make_receiver("XNAT", port)
    safe = make_receiver("XNAT", port, **authority.settings())
    context = authority.client("ct1.hospital.example") if begins_with_tls else None
    dock.apply(safe if begins_with_tls else plain)
    with Caller(port, tls=context) as caller:
        dock.settle()
        dock.apply(plain if begins_with_tls else safe)
        assert caller.associate("XNAT") == UNKNOWN_CALLED


def test_who_is_being_decided_on_meanwhile_is_not_forgotten(
    dock: Dock, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.site = replace(dock.site, limits=Limits(drain_seconds=0))
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    deciding, go_on = threading.Event(), threading.Event()

    def decide_when_told(*what: Any) -> Acceptance | Rejection:
        decision = decide(*what)
        deciding.set()
        assert go_on.wait(20)
        return decision

    monkeypatch.setattr("engine.reception.listener.decide", decide_when_told)
    with Caller(port) as caller:
        caller.ask("XNAT")
        assert deciding.wait(20)
        change = threading.Thread(target=disable, args=(dock, xnat))
        change.start()
        change.join(0.2)  # it waits for the decision; were it to return, it would do so in time
        go_on.set()
        change.join(20)
        assert caller.is_gone()
    assert dock.associations.live() == ()


def test_who_asks_while_the_engine_stops_is_told_to_come_back(
    dock: Dock, port: int, connected: threading.Semaphore
) -> None:
    dock.apply(make_receiver("XNAT", port))
    with Caller(port) as caller:
        assert connected.acquire(timeout=20)
        dock.draining = True
        dock.receivers.stop_accepting()
        assert caller.associate("XNAT") == STOPPING


def test_a_change_after_the_stop_opens_nothing(dock: Dock, port: int) -> None:
    dock.receivers.stop_accepting()
    dock.apply(make_receiver("XNAT", port))
    assert call(port, "XNAT") == "closed"


def test_a_request_that_can_not_be_decided_is_refused_for_now(
    dock: Dock, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.apply(make_receiver("XNAT", port))
    monkeypatch.setattr("engine.reception.listener.decide", lambda *_: 1 / 0)
    with Caller(port) as caller:
        assert caller.associate("XNAT") == (2, 1, 1)


def test_a_new_whitelist_counts_from_the_next_association_on(dock: Dock, port: int) -> None:
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    with Caller(port) as caller:
        assert caller.associate("XNAT", "CT1") is None
        dock.apply(replace(xnat, whitelist_enabled=True, whitelist=("MR1",)))
        assert call(port, "XNAT", "CT1") == "1/1/3"
        assert call(port, "XNAT", "MR1") == "answered"
        caller.echo()
        caller.release()
    assert dock.told(AssociationAborted) == []


class HeldStorage:
    """Holds each object until it is let go, and remembers under which settings it came."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.settings: list[Receiver] = []

    def begin(self, *given: Any) -> HeldStorage:
        self.settings.append(given[-1].settings)
        return self

    def begins_write_back(self) -> bool:
        return False

    def finish_at_once(self) -> None:
        """Let a thread of the pool finish it."""

    def write(self, segments: Sequence[memoryview], size_bytes: int) -> None:
        """Keep nothing."""

    def record(self, _outcome: ObjectOutcome) -> None:
        """Keep no account."""

    def finish(self) -> ObjectOutcome:
        self.arrived.release()
        assert self.let_go.acquire(timeout=20)
        return ObjectOutcome(ObjectState.STORED, 0)


class Sender:
    """Sends one object after the other on one association, each when told to."""

    def __init__(self, port: int) -> None:
        to = Destination(LOOPBACK, port, "XNAT", "CT1")
        self.association = SendingAssociation(to, [CTImageStorage])
        self.statuses: list[int | None] = []
        self._images: Iterator[Dataset] = study(CT_SCANNER, 1, "NEURO-01", NOW)
        self._thread: threading.Thread | None = None

    def send(self) -> None:
        self._thread = threading.Thread(target=self._send, args=(next(self._images),))
        self._thread.start()

    def _send(self, ds: Dataset) -> None:
        self.statuses.append(self.association.send(ds))

    def finish(self) -> None:
        assert self._thread is not None
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def storage() -> HeldStorage:
    return HeldStorage()


@pytest.fixture
def receiving(storage: HeldStorage) -> Iterator[Dock]:
    with Dock(storage=storage) as dock:  # type: ignore[arg-type]
        yield dock


def test_a_flag_acts_from_the_next_object_on_and_not_on_the_one_in_flight(
    receiving: Dock, storage: HeldStorage, port: int
) -> None:
    xnat = make_receiver("XNAT", port, anonymization=True)
    receiving.apply(xnat)
    sender = Sender(port)
    with sender.association:
        sender.send()
        assert storage.arrived.acquire(timeout=20)
        receiving.apply(replace(xnat, anonymization=False))
        storage.let_go.release(2)
        sender.finish()
        sender.send()
        sender.finish()
    assert sender.statuses == [0, 0]
    assert [settings.anonymization for settings in storage.settings] == [True, False]


OTHER_ADDRESS = SiteSettings(bind_address="127.0.0.2")


@pytest.mark.parametrize("how", ["disabled", "disabled beside another", "on another address"])
def test_a_flag_acts_on_a_running_association_whatever_became_of_its_socket(
    receiving: Dock, storage: HeldStorage, port: int, how: str
) -> None:
    xnat = make_receiver("XNAT", port, anonymization=True)
    others = [make_receiver("OTHER", port)] if how == "disabled beside another" else []
    receiving.apply(xnat, *others)
    storage.let_go.release(2)
    sender = Sender(port)
    with sender.association:
        sender.send()
        sender.finish()
        if how == "on another address":
            receiving.site = OTHER_ADDRESS
        xnat = replace(xnat, enabled=how == "on another address")
        receiving.apply(xnat, *others)
        receiving.apply(replace(xnat, anonymization=False), *others)
        sender.send()
        sender.finish()
    assert sender.statuses == [0, 0]
    assert [settings.anonymization for settings in storage.settings] == [True, False]


@pytest.mark.parametrize("others", [[], ["OTHER"]])
def test_a_deleted_receivers_association_goes_on_under_its_last_settings(
    receiving: Dock, storage: HeldStorage, port: int, others: list[str]
) -> None:
    xnat = make_receiver("XNAT", port, anonymization=True)
    rest = [make_receiver(title, port) for title in others]
    receiving.apply(xnat, *rest)
    storage.let_go.release()
    sender = Sender(port)
    with sender.association:
        receiving.apply(replace(xnat, anonymization=False), *rest)
        receiving.apply(*rest)
        sender.send()
        sender.finish()
    assert sender.statuses == [0]
    assert [settings.anonymization for settings in storage.settings] == [False]


def test_an_association_that_is_aborted_while_an_object_is_stored_ends_after_its_answer(
    receiving: Dock, storage: HeldStorage, port: int
) -> None:
    receiving.site = replace(receiving.site, limits=Limits(drain_seconds=0))
    xnat = make_receiver("XNAT", port)
    receiving.apply(xnat)
    with calls_of(IncomingAssociation, "abort") as asked:
        sender = Sender(port)
        with sender.association:
            sender.send()
            assert storage.arrived.acquire(timeout=20)
            disable(receiving, xnat)
            assert asked.acquire(timeout=20)
            storage.let_go.release()
            sender.finish()
            assert receiving.associations.wait_until_none(20)
    assert sender.statuses == [0]
    assert receiving.associations.live() == ()
    (told,) = receiving.told(AssociationAborted, AssociationReleased)
    assert told.endswith("its time to finish is over")


@pytest.fixture
def engine(tmp_path: Path, port: int) -> Iterator[Engine]:
    configure(tmp_path / "data", make_receiver("XNAT", port))
    engine = Engine(EngineSettings(tmp_path / "data", durability=Durability.NONE))
    engine.start()
    yield engine
    engine.stop(drain_seconds=0)


def test_a_draining_receiver_is_shown_as_such_until_it_is_enabled_again(
    engine: Engine, port: int
) -> None:
    (status,) = engine.snapshot().receivers
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        engine.set_enabled(status.receiver.id, False, "anna")
        (status,) = engine.snapshot().receivers
        assert (status.state, status.open_associations) == (ReceiverState.DRAINING, 1)
        engine.set_enabled(status.receiver.id, True, "anna")
        (status,) = engine.snapshot().receivers
        assert (status.state, status.open_associations) == (ReceiverState.LISTENING, 1)
        caller.echo()
        caller.release()
    assert engine._associations.wait_until_none(20)


def test_a_stop_does_not_wait_for_a_caller_that_stalls(engine: Engine, port: int) -> None:
    with Caller(port) as caller, Caller(port) as silent:
        assert caller.associate("XNAT") is None
        caller.stall()
        silent.socket.sendall(b"\1\0\0")
        engine.stop(drain_seconds=0)
        assert caller.is_aborted()
