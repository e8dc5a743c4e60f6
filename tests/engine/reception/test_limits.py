"""Limits in force: what callers beyond one are told, and when a new one counts."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE

from engine.app.demo.sender import CT_SCANNER, study
from engine.events import AssociationAborted, AssociationRejected
from engine.intake.pipeline import ObjectOutcome
from engine.model.limits import Limits
from engine.model.session import ObjectState
from engine.reception.acceptance import Acceptance, Rejection, decide
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.caller import VERIFICATION, Caller, call
from tests.peers.scu import Destination, SendingAssociation
from tests.running import (
    LOOPBACK,
    Dock,
    SettableTime,
    configure,
    free_port,
    join_all_but,
    leftovers,
    make_receiver,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    from engine.api import AssociationStatus

OTHER_LOOPBACK = "127.0.0.2"
FULL = (2, 3, 2)
NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def dock() -> Iterator[Dock]:
    with Dock() as dock:
        yield dock


def limit(dock: Dock, **limits: int) -> None:
    dock.site = replace(dock.site, limits=Limits(**limits))


def answer(port: int, address: str, called: str, calling: str) -> tuple[int, int, int] | None:
    """Ask for an association from a local address and leave; return the rejection, if any."""
    with Caller(port, source=address) as caller:
        return caller.associate(called, calling)


@pytest.mark.parametrize(
    ("limits", "words", "still_welcome"),
    [
        ({"associations": 2}, "2 associations of the engine are open", None),
        (
            {"associations_per_receiver": 2},
            "2 associations of XNAT are open",
            (LOOPBACK, "OTHER", "CT1"),
        ),
        (
            {"associations_per_address": 2},
            "2 associations of address 127.0.0.1 are open",
            (OTHER_LOOPBACK, "XNAT", "CT1"),
        ),
        (
            {"associations_per_calling_ae_title": 2},
            "2 associations of calling AE title CT1 are open",
            (LOOPBACK, "XNAT", "CT2"),
        ),
    ],
)
def test_a_caller_beyond_a_limit_is_rejected_for_now_in_words_and_others_are_not(
    dock: Dock,
    port: int,
    limits: dict[str, int],
    words: str,
    still_welcome: tuple[str, str, str] | None,
) -> None:
    limit(dock, **limits)
    dock.apply(make_receiver("XNAT", port), make_receiver("OTHER", port))
    with Caller(port) as first, Caller(port) as second:
        assert [first.associate("XNAT", "CT1"), second.associate("XNAT", "CT1")] == [None, None]
        assert answer(port, LOOPBACK, "XNAT", "CT1") == FULL
        if still_welcome is not None:
            address, called, calling = still_welcome
            assert answer(port, address, called, calling) is None
        second.echo()
        first.echo()
    assert dock.told(AssociationRejected) == [
        f"XNAT:{port} association rejected (2/3/2): {words}, and no more are allowed"
    ]


def test_a_released_association_makes_room(dock: Dock, port: int) -> None:
    limit(dock, associations=1)
    dock.apply(make_receiver("XNAT", port))
    for _ in range(10):
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            assert call(port, "XNAT") == "2/3/2"
            caller.release()
        assert dock.associations.wait_until_none(10)


@pytest.fixture
def _slow_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave room between a decision and what follows from it."""
    never = threading.Event()

    def decide_slowly(*what: Any) -> Acceptance | Rejection:
        decision = decide(*what)
        never.wait(0.01)
        return decision

    monkeypatch.setattr("engine.reception.listener.decide", decide_slowly)


@pytest.mark.usefixtures("_slow_decisions")
def test_of_many_who_call_at_once_exactly_as_many_get_in_as_may(dock: Dock, port: int) -> None:
    limit(dock, associations=5, associations_per_address=40, associations_per_calling_ae_title=40)
    ports = [port, free_port()]
    dock.apply(*[make_receiver("XNAT", number) for number in ports])
    answers: list[tuple[int, int, int] | None] = []
    together = threading.Barrier(30)
    done = threading.Barrier(30)

    def one_caller(number: int) -> None:
        with Caller(ports[number % 2]) as caller:
            together.wait()
            answers.append(caller.associate("XNAT"))
            done.wait()

    callers = [threading.Thread(target=one_caller, args=(number,)) for number in range(30)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(answers, key=str) == [FULL] * 25 + [None] * 5


@pytest.mark.parametrize(("sites", "own", "allowed"), [(1, 3, 3), (3, 1, 1)])
def test_a_receivers_own_limit_takes_the_place_of_the_sites(
    dock: Dock, port: int, sites: int, own: int, allowed: int
) -> None:
    limit(dock, associations_per_receiver=sites)
    limits = (("associations_per_receiver", own),)
    dock.apply(make_receiver("XNAT", port, limits=limits), make_receiver("OTHER", port))
    with ExitStack() as leave:
        callers = [leave.enter_context(Caller(port)) for _ in range(4)]
        answers = [caller.associate("XNAT") for caller in callers]
        assert answers == [None] * allowed + [FULL] * (4 - allowed)
        more = [leave.enter_context(Caller(port)) for _ in range(4)]
        assert [caller.associate("OTHER") for caller in more] == [None] * sites + [FULL] * (
            4 - sites
        )


def test_a_new_limit_counts_from_the_next_association_on(dock: Dock, port: int) -> None:
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    with Caller(port) as first, Caller(port) as second, Caller(port) as third:
        assert [first.associate("XNAT"), second.associate("XNAT")] == [None, None]
        limit(dock, associations=1)
        dock.apply(xnat)
        first.echo()
        second.echo()
        assert call(port, "XNAT") == "2/3/2"
        limit(dock, associations=3)
        dock.apply(xnat)
        assert third.associate("XNAT") is None
        assert call(port, "XNAT") == "2/3/2"


@pytest.mark.parametrize(
    ("sites", "own", "offered"),
    [(4_096, (), 4_096), (1_048_576, (), 1_048_576), (65_536, (("pdu_bytes", 8_192),), 8_192)],
)
def test_the_maximum_length_of_pdus_is_offered_as_configured(
    dock: Dock, port: int, sites: int, own: tuple[tuple[str, int], ...], offered: int
) -> None:
    limit(dock, pdu_bytes=sites)
    dock.apply(make_receiver("XNAT", port, limits=own))
    ae = AE(ae_title="CT1")
    ae.add_requested_context(VERIFICATION)
    association = ae.associate(LOOPBACK, port, ae_title="XNAT")
    assert association.acceptor.maximum_length == offered
    association.release()


def ended(dock: Dock) -> AssociationStatus:
    """Return the association that ended last, once none is open any more."""
    assert dock.associations.wait_until_none(20)
    return dock.associations.ended()[0]


def test_an_association_on_which_nothing_arrives_is_aborted_saying_so(
    dock: Dock, port: int
) -> None:
    dock.apply(make_receiver("XNAT", port, limits=(("idle_seconds", 1),)))
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        assert caller.is_aborted()
    assert ended(dock).why == "nothing arrived for 1 s"
    (told,) = dock.told(AssociationAborted)
    assert told.endswith(": nothing arrived for 1 s")


@pytest.fixture
def time() -> SettableTime:
    return SettableTime()


@pytest.fixture
def timed(time: SettableTime) -> Iterator[Dock]:
    """Listeners for whose peers no time passes unless a test lets it."""
    with Dock(time=time) as dock:
        yield dock


def test_an_association_is_idle_from_its_last_message_on(timed: Dock, port: int) -> None:
    limit(timed, idle_seconds=1)
    timed.apply(make_receiver("XNAT", port))
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        for _ in range(5):
            timed.pass_time(0.9)
            caller.echo()
        timed.pass_time(1.1)
        assert caller.is_aborted()
    assert ended(timed).why == "nothing arrived for 1 s"


def test_a_caller_who_leaves_is_not_called_idle(dock: Dock, port: int) -> None:
    dock.apply(make_receiver("XNAT", port))
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
    assert ended(dock).why == ""
    (told,) = dock.told(AssociationAborted)
    assert told.endswith(" by the caller")


class SlowStorage:
    """Takes longer over an object than an association may be idle."""

    def __init__(self, time: SettableTime, *, may_block: bool) -> None:
        self._time, self._may_block = time, may_block

    def begin(self, *_: Any) -> SlowStorage:
        return self

    def begins_write_back(self) -> bool:
        return False

    def finish_at_once(self) -> ObjectOutcome | None:
        return None if self._may_block else self.finish()

    def write(self, segments: Sequence[memoryview], size_bytes: int) -> None:
        """Keep nothing."""

    def finish(self) -> ObjectOutcome:
        self._time.seconds += 1000
        return ObjectOutcome(ObjectState.STORED, 0)

    def record(self, _outcome: ObjectOutcome) -> None:
        """Keep no account."""


@pytest.mark.parametrize("may_block", [False, True])
def test_the_time_we_take_over_an_object_is_not_the_callers_silence(
    port: int, time: SettableTime, *, may_block: bool
) -> None:
    storage: Any = SlowStorage(time, may_block=may_block)
    with Dock(storage=storage, time=time) as dock:
        dock.apply(make_receiver("XNAT", port))
        with SendingAssociation(
            Destination(LOOPBACK, port, "XNAT", "CT1"), [CTImageStorage]
        ) as caller:
            images = study(CT_SCANNER, 1, "NEURO-01", NOW)
            for _ in range(3):
                assert caller.send(next(images)) == 0
                dock.settle()
        assert ended(dock).why == ""


def test_a_caller_that_has_sent_objects_is_aborted_when_it_falls_silent(
    port: int, time: SettableTime
) -> None:
    storage: Any = SlowStorage(time, may_block=False)
    with Dock(storage=storage, time=time) as dock:
        limit(dock, idle_seconds=1)
        dock.apply(make_receiver("XNAT", port))
        to = Destination(LOOPBACK, port, "XNAT", "CT1")
        with SendingAssociation(to, [CTImageStorage]) as caller:
            images = study(CT_SCANNER, 1, "NEURO-01", NOW)
            assert [caller.send(next(images)) for _ in range(3)] == [0, 0, 0]
            dock.pass_time(1.1)
            assert ended(dock).why == "nothing arrived for 1 s"


def test_a_message_that_takes_too_long_is_cut_off_saying_so(timed: Dock, port: int) -> None:
    timed.apply(make_receiver("XNAT", port, limits=(("message_seconds", 5),)))
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        for _ in range(5):
            timed.pass_time(2)
            caller.echo()
        caller.echo_and_begin()
        timed.pass_time(3)
        caller.send_part_of_a_command()
        timed.pass_time(1.9)
        assert timed.associations.live() != ()
        timed.pass_time(0.2)
        assert caller.is_aborted()
    assert ended(timed).why == "a message takes longer than 5 s"


def test_a_message_may_take_its_time_again_right_behind_another(timed: Dock, port: int) -> None:
    timed.apply(make_receiver("XNAT", port, limits=(("message_seconds", 5),)))
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        for _ in range(5):
            caller.send_echo_in_two_parts(partial(timed.pass_time, 4))
        caller.release()
    assert ended(timed).why == ""


@pytest.fixture
def settings(tmp_path: Path, port: int) -> EngineSettings:
    configure(
        tmp_path / "data", make_receiver("XNAT", port, limits=(("data_set_bytes", 1_048_576),))
    )
    return EngineSettings(tmp_path / "data", durability=Durability.NONE)


@pytest.fixture
def engine(settings: EngineSettings) -> Iterator[Engine]:
    engine = Engine(settings)
    engine.start()
    yield engine
    engine.stop(drain_seconds=0)


def image(pixel_bytes: int) -> Dataset:
    ds = next(study(CT_SCANNER, 1, "NEURO-01", NOW))
    ds.PixelData = bytes(pixel_bytes)
    return ds


def test_a_data_set_beyond_the_limit_is_cut_off_and_the_next_one_is_welcome(
    engine: Engine, settings: EngineSettings, port: int
) -> None:
    to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
    with SendingAssociation(to, [CTImageStorage]) as caller:
        assert caller.send(image(1_000_000)) == 0
        assert caller.send(image(1_100_000)) is None
    assert engine._associations.wait_until_none(20)
    assert len(stored_files(settings.data_dir)) == 1
    assert leftovers(settings.data_dir) == []
    events = [recorded.event for recorded in engine.events_since(0, 100).events]
    (aborted,) = [event for event in events if isinstance(event, AssociationAborted)]
    assert aborted.why == "a data set is longer than 1,048,576 bytes"
    with SendingAssociation(to, [CTImageStorage]) as caller:
        assert caller.send(image(1000)) == 0
    assert len(stored_files(settings.data_dir)) == 2


def test_many_data_sets_beyond_the_limit_leave_no_thread_and_no_association(
    engine: Engine, port: int
) -> None:
    before = set(threading.enumerate())
    to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
    for _ in range(5):
        with SendingAssociation(to, [CTImageStorage]) as caller:
            assert caller.send(image(3_000_000)) is None
    assert engine._associations.wait_until_none(20)
    join_all_but(before)
    assert engine.snapshot().associations == ()
