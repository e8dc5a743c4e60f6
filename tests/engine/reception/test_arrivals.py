"""Who comes too fast, stays too long or never gets to an association, over real connections."""

from __future__ import annotations

import errno
from dataclasses import replace
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from engine.events import AssociationAborted, AssociationRejected, ConnectionDropped
from engine.model.limits import Limits
from engine.net.admission import TOO_MANY_PENDING
from engine.reception.listener import EXHAUSTED_SECONDS
from tests.caller import Caller, call
from tests.fakes import FixedClock
from tests.running import Dock, SettableTime, free_port, make_receiver

if TYPE_CHECKING:
    import socket
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
        dock.pending._most_per_address = 1
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as silent, Caller(port) as second:
            assert second.is_gone()
            with Caller(port, source=ELSEWHERE) as other:
                assert other.associate("XNAT") is None
            assert silent.associate("XNAT") is None
        (told,) = dock.told(ConnectionDropped)
        assert told.endswith(f"to port {port} ended without an association: {TOO_MANY_PENDING}")


class FewDescriptors:
    """A listening socket of a process that has no descriptors left for the first three callers."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.refused: list[float] = []

    def accept(self) -> tuple[socket.socket, Any]:
        if len(self.refused) < 3:
            self.refused.append(monotonic())
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listening.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)


def without_descriptors(dock: Dock, port: int) -> FewDescriptors:
    dock.apply(make_receiver("XNAT", port))
    listener: Any = next(iter(dock.receivers._ports.values())).listener
    exhausted = FewDescriptors(listener._socket)
    listener._socket = exhausted
    return exhausted


def test_without_descriptors_the_listener_rests_and_takes_the_connection_later() -> None:
    port = free_port()
    with Dock() as dock:
        exhausted = without_descriptors(dock, port)
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            caller.echo()
        refused = exhausted.refused
    assert len(refused) == 3
    assert all(b - a >= EXHAUSTED_SECONDS * 0.9 for a, b in pairwise(refused))


def test_a_listener_that_rests_can_be_stopped() -> None:
    port = free_port()
    with Dock(time=SettableTime()) as dock:
        exhausted = without_descriptors(dock, port)
        with Caller(port):
            dock.settle()
            assert len(exhausted.refused) == 1
            dock.apply()
            dock.pass_time(EXHAUSTED_SECONDS + 1)
        assert len(exhausted.refused) == 1
        assert call(port, "XNAT") == "closed"


def test_an_association_ends_with_the_first_message_after_its_time() -> None:
    port = free_port()
    with Dock(time=SettableTime()) as dock:
        dock.site = replace(dock.site, limits=Limits(association_seconds=60, idle_seconds=86_400))
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            dock.pass_time(59)
            caller.echo()
            dock.pass_time(2)
            caller.send_echo()
            assert caller.is_aborted()
        assert call(port, "XNAT") == "answered"
        assert dock.associations.wait_until_none(20)
        (told,) = dock.told(AssociationAborted)
    assert told.endswith(": the association has been open for 60 s, as long as one may be")
