"""Connections without an association: how many are taken, and which give way."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine.events import ConnectionDropped
from engine.events.journal import Journal
from engine.model.limits import Limits
from engine.model.whitelist import normalize_address
from engine.net.admission import DISPLACED, TOO_MANY_PENDING, PendingConnections, too_fast
from tests.caller import Caller
from tests.fakes import FixedClock
from tests.running import LOOPBACK, Dock, free_port, make_receiver

SECOND, THIRD, FOURTH = "127.0.0.2", "127.0.0.3", "127.0.0.4"


class Waiting:
    """A connection that has no association yet."""

    limits: Limits
    is_rate_limited: bool

    def __init__(self, *, is_silent: bool = True, request_received: bool = False) -> None:
        self.is_silent, self.request_received = is_silent, request_received
        self.why = ""
        self.is_gone = False

    def hang_up(self) -> None:
        self.is_gone = True


@pytest.fixture
def pending() -> PendingConnections:
    clock = FixedClock()
    return PendingConnections(clock, Journal(clock), unassociated=4, unassociated_per_address=3)


def knock(pending: PendingConnections, address: str, one: Any = None) -> Any:
    """Let a connection in if there is room for it; return it then."""
    place = normalize_address(address)
    if not pending.allows(place, 104):
        return None
    connection = one or Waiting()
    pending.add(connection, place)
    return connection


def test_an_address_may_have_only_so_many(pending: PendingConnections) -> None:
    assert [bool(knock(pending, "10.0.0.1")) for _ in range(4)] == [True] * 3 + [False]
    assert knock(pending, "10.0.0.2")


def test_an_ipv6_network_counts_as_one_address(pending: PendingConnections) -> None:
    took = [bool(knock(pending, f"2001:db8::{host}")) for host in range(1, 5)]
    assert took == [True] * 3 + [False]
    assert knock(pending, "2001:db8:0:1::1")


def test_when_it_is_full_the_oldest_of_the_busiest_address_gives_way(
    pending: PendingConnections,
) -> None:
    alone = knock(pending, "10.0.0.2")
    busy = [knock(pending, "10.0.0.1") for _ in range(3)]
    assert knock(pending, "10.0.0.3")
    assert [one.is_gone for one in (alone, *busy)] == [False, True, False, False]
    assert busy[0].why == DISPLACED
    assert knock(pending, "10.0.0.4")
    assert [one.is_gone for one in (alone, *busy)] == [False, True, True, False]


def test_who_is_silent_gives_way_before_who_has_begun_to_speak(pending: PendingConnections) -> None:
    speaking = knock(pending, "10.0.0.1", Waiting(is_silent=False))
    silent = knock(pending, "10.0.0.1")
    knock(pending, "10.0.0.1")
    knock(pending, "10.0.0.2")
    assert knock(pending, "10.0.0.3")
    assert (speaking.is_gone, silent.is_gone) == (False, True)


def test_who_is_being_answered_does_not_give_way(pending: PendingConnections) -> None:
    heard = [knock(pending, "10.0.0.1", Waiting(request_received=True)) for _ in range(3)]
    knock(pending, "10.0.0.2", Waiting(request_received=True))
    assert knock(pending, "10.0.0.3")
    assert not any(one.is_gone for one in heard)


def test_the_limits_of_the_site_hold_until_there_is_an_association(
    pending: PendingConnections,
) -> None:
    pending.limits = Limits(user_items=7)
    assert knock(pending, "10.0.0.1").limits.user_items == 7


def test_everybody_who_waits_is_hung_up_at_the_end(pending: PendingConnections) -> None:
    waiting = [knock(pending, f"10.0.0.{host}") for host in range(1, 4)]
    pending.hang_up()
    assert all(one.is_gone for one in waiting)
    assert not pending.wait_until_empty(0)
    for one in waiting:
        pending.remove(one)
    assert pending.wait_until_empty(0)


def test_whoever_waits_for_an_empty_door_goes_on_when_the_last_one_leaves(
    pending: PendingConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, begins, empty = knock(pending, "10.0.0.1"), threading.Event(), list[bool]()
    wait_for = pending._lock.wait_for

    def wait_and_tell(*how: Any) -> Any:
        begins.set()  # who wants to leave needs the lock, and gets it once this one waits
        return wait_for(*how)

    monkeypatch.setattr(pending._lock, "wait_for", wait_and_tell)
    waiting = threading.Thread(target=lambda: empty.append(pending.wait_until_empty(60)))
    waiting.start()
    assert begins.wait(20)
    pending.remove(last)
    waiting.join(20)
    assert empty == [True]


def test_an_address_that_goes_on_too_fast_is_turned_away_and_told_of() -> None:
    clock = FixedClock()
    journal = Journal(clock)
    pending = PendingConnections(clock, journal)
    pending.limits = Limits(associations_per_second_per_address=1, association_burst_per_address=1)
    for _ in range(2):
        pending.remove(knock(pending, "10.0.0.1"))
    assert knock(pending, "10.0.0.1") is None
    (told,) = journal.events_since(0, 10).events
    assert isinstance(told.event, ConnectionDropped)
    assert told.event.why == too_fast(pending.limits)


@pytest.mark.parametrize("look", ["allows", "hang_up"])
def test_nobody_comes_or_leaves_while_the_connections_are_looked_through(look: str) -> None:
    clock = FixedClock()
    pending = PendingConnections(clock, Journal(clock), unassociated=2, unassociated_per_address=3)
    first, place = knock(pending, "10.0.0.1"), normalize_address("10.0.0.1")
    held, through, left = threading.Event(), threading.Event(), threading.Event()
    pending._waiting = HeldDict(pending._waiting, held, through)

    def act() -> None:
        pending.allows(place, 104) if look == "allows" else pending.hang_up()

    def leave() -> None:
        pending.remove(first)
        left.set()

    threads = [threading.Thread(target=act), threading.Thread(target=leave)]
    threads[0].start()
    assert held.wait(20)
    threads[1].start()
    assert not left.wait(0.1)
    through.set()
    for thread in threads:
        thread.join(20)
    assert left.is_set()


class HeldDict(dict[Any, str]):
    """Holds whoever looks through it, until it is let go on."""

    def __init__(self, of: Any, held: threading.Event, go_on: threading.Event) -> None:
        super().__init__(of)
        self._held, self._go_on = held, go_on

    def values(self) -> Any:
        self._hold()
        return super().values()

    def __iter__(self) -> Any:
        self._hold()
        return super().__iter__()

    def _hold(self) -> None:
        self._held.set()
        self._go_on.wait(20)


def test_three_addresses_that_say_nothing_keep_nobody_out() -> None:
    ports = free_port(), free_port()
    with Dock() as dock:
        dock.pending._most, dock.pending._most_per_address = 6, 3
        dock.apply(make_receiver("XNAT", ports[0]), make_receiver("OTHER", ports[1]))
        silent = [
            Caller(ports[0], source=source)
            for source in (LOOPBACK, SECOND, THIRD)
            for _ in range(5)
        ]
        for port, called in zip(ports, ("XNAT", "OTHER"), strict=True):
            with Caller(port, source=FOURTH) as caller:
                assert caller.associate(called) is None
                caller.echo()
                caller.release()
        told = dock.told(ConnectionDropped)
        for caller in silent:
            caller.socket.close()
    assert any(TOO_MANY_PENDING in sentence for sentence in told)
    assert any(DISPLACED in sentence for sentence in told)
