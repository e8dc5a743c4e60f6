"""Who comes too fast, stays too long or never gets to an association, over real connections."""

from __future__ import annotations

import errno
import threading
from dataclasses import replace
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from engine.dimse.door import CROWDED
from engine.dimse.server import EXHAUSTED_SECONDS
from engine.events import AssociationAborted, AssociationRejected, ConnectionDropped
from engine.model.limits import Limits
from tests.caller import Caller, call
from tests.engine.dimse.test_limits import SettableTime
from tests.fakes import FixedClock
from tests.running import Dock, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

ELSEWHERE = "127.0.0.2"
CONGESTED = (2, 3, 1)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def dock(clock: FixedClock) -> Iterator[Dock]:
    with Dock(clock) as dock:
        yield dock


@pytest.fixture
def port(dock: Dock) -> int:
    port = free_port()
    limits = Limits(associations_per_second_per_address=2, association_burst_per_address=3)
    dock.site = replace(dock.site, limits=limits)
    dock.apply(make_receiver("XNAT", port))
    return port


def answers(port: int, number: int, called: str = "XNAT") -> list[tuple[int, int, int] | None]:
    found = []
    for _ in range(number):
        with Caller(port) as caller:
            found.append(caller.associate(called))
    return found


def test_a_burst_is_accepted_and_what_comes_on_top_rejected_for_now(dock: Dock, port: int) -> None:
    assert answers(port, 5) == [None] * 3 + [CONGESTED] * 2
    with Caller(port, source=ELSEWHERE) as other:
        assert other.associate("XNAT") is None


def test_after_a_second_as_many_are_accepted_as_the_rate_says(port: int, clock: FixedClock) -> None:
    answers(port, 3)
    clock.advance(1)
    assert answers(port, 3) == [None, None, CONGESTED]


def test_who_goes_on_is_closed_without_an_answer_until_it_rests(
    dock: Dock, port: int, clock: FixedClock
) -> None:
    answers(port, 6)
    with Caller(port) as ignored:
        assert ignored.is_gone()
    with Caller(port, source=ELSEWHERE) as other:
        assert other.associate("XNAT") is None
    clock.advance(3)
    assert answers(port, 1) == [None]


def test_guesses_of_ae_titles_come_too_fast_and_are_one_line(dock: Dock, port: int) -> None:
    answers(port, 3)
    for number in range(3):
        assert answers(port, 1, f"GUESS{number}") == [CONGESTED]
    assert dock.told(AssociationRejected) == []
    (told,) = dock.told(ConnectionDropped)
    assert told.endswith(": its address asks for more than 2 associations a second")


def test_one_connection_too_many_without_an_association_is_closed_and_told() -> None:
    port = free_port()
    with Dock() as dock:
        dock.door._most_per_address = 1
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as silent, Caller(port) as second:
            assert second.is_gone()
            with Caller(port, source=ELSEWHERE) as other:
                assert other.associate("XNAT") is None
            assert silent.associate("XNAT") is None
        (told,) = dock.told(ConnectionDropped)
        assert told.endswith(f"to port {port} ended without an association: {CROWDED}")


def test_without_descriptors_the_listener_rests_and_takes_the_connection_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, refused = free_port(), list[float]()
    enough = threading.Event()

    def no_descriptor(_: object) -> None:
        refused.append(monotonic())
        if len(refused) == 3:
            enough.set()
        raise OSError(errno.EMFILE, "Too many open files")

    with Dock() as dock:
        dock.apply(make_receiver("XNAT", port))
        with monkeypatch.context() as exhausted:
            exhausted.setattr("pynetdicom.transport.AssociationServer.get_request", no_descriptor)
            caller = Caller(port)
            assert enough.wait(20)
        with caller:
            assert caller.associate("XNAT") is None
            caller.echo()
    assert all(b - a >= EXHAUSTED_SECONDS * 0.9 for a, b in pairwise(refused))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> SettableTime:
    time = SettableTime()
    monkeypatch.setattr("engine.dimse.timer.time", time)
    for module in ("receiving", "upper_layer"):
        monkeypatch.setattr(f"engine.dimse.{module}.time", time)
    return time


def test_an_association_ends_with_the_first_message_after_its_time(time: SettableTime) -> None:
    port = free_port()
    with Dock() as dock:
        dock.site = replace(dock.site, limits=Limits(association_seconds=60, idle_seconds=86_400))
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            time.seconds += 59
            caller.echo()
            time.seconds += 2
            caller.send_echo()
            assert caller.is_aborted()
        assert call(port, "XNAT") == "answered"
        assert dock.associations.wait_until_none(20)
        (told,) = dock.told(AssociationAborted)
    assert told.endswith(": the association has been open for 60 s, as long as one may be")
