"""Which connection is closed when there are too many, and which never is."""

from __future__ import annotations

import threading

import pytest

from engine.net.admission import ConnectionLimits, ConnectionTable, TableEntry

LIMITS = ConnectionLimits(silent=6, silent_per_origin=4, admitted=3, admitted_per_origin=2)


class Connections:
    """Connections of a table, by name; `closed` has the names of those that were closed."""

    def __init__(self, limits: ConnectionLimits = LIMITS) -> None:
        self.table = ConnectionTable(limits)
        self.closed: list[str] = []

    def enter(self, origin: str, name: str) -> TableEntry:
        return self.table.enter(origin, lambda: self.closed.append(name))


def test_of_an_origin_with_too_many_silent_connections_the_oldest_is_closed() -> None:
    connections = Connections()
    for number in range(6):
        connections.enter("a", f"a{number}")
    assert connections.closed == ["a0", "a1"]


def test_in_a_full_table_the_oldest_of_the_busiest_origin_is_closed() -> None:
    connections = Connections()
    connections.enter("b", "b0")
    for number in range(3):
        connections.enter("a", f"a{number}")
    connections.enter("b", "b1")
    connections.enter("c", "c0")
    connections.enter("d", "d0")
    assert connections.closed == ["a0"]


def test_an_admitted_connection_is_never_closed_for_a_new_one() -> None:
    connections = Connections()
    kept = connections.enter("a", "kept")
    assert kept.admit()
    for number in range(100):
        connections.enter("a", f"a{number}")
        connections.enter("b", f"b{number}")
    assert "kept" not in connections.closed
    assert kept.admit()


def test_a_connection_that_was_closed_is_not_admitted_any_more() -> None:
    connections = Connections()
    first = connections.enter("a", "a0")
    for _ in range(4):
        connections.enter("a", "later")
    assert connections.closed == ["a0"]
    assert not first.admit()


def test_admitted_connections_have_limits_of_their_own_and_leave_room_when_they_go() -> None:
    connections = Connections()
    first, second, third = (connections.enter("a", "a") for _ in range(3))
    assert [first.admit(), second.admit(), third.admit()] == [True, True, False]
    assert connections.enter("b", "b").admit()
    fourth = connections.enter("c", "c")
    assert not fourth.admit()
    first.leave()
    assert fourth.admit()
    assert not third.admit()
    second.leave()
    fourth.leave()
    assert third.admit()


def test_a_silent_connection_that_leaves_makes_room() -> None:
    connections = Connections()
    entries = [connections.enter("a", "a") for _ in range(4)]
    entries[2].leave()
    connections.enter("a", "new")
    assert connections.closed == []


@pytest.mark.parametrize("descriptors", [64, 256, 1024, 4096, 65_536])
def test_most_descriptors_are_left_to_other_parts(descriptors: int) -> None:
    limits = ConnectionLimits.within(descriptors)
    assert limits.silent + limits.admitted <= descriptors // 8
    assert 1 <= limits.silent_per_origin <= limits.silent // 2
    assert 1 <= limits.admitted_per_origin <= limits.admitted // 2


def test_with_many_descriptors_there_is_still_a_limit() -> None:
    assert ConnectionLimits.within(65_536) == ConnectionLimits(64, 32, 128, 32)


class Held(str):
    """An origin at which a thread that counts waits until it may go on."""

    __slots__ = ()
    reached, go_on = threading.Event(), threading.Event()

    def __hash__(self) -> int:
        if threading.current_thread().name == "held":
            self.reached.set()
            self.go_on.wait(20)
        return super().__hash__()

    __eq__ = str.__eq__


def test_a_thread_that_counts_is_not_disturbed_by_others() -> None:
    connections = Connections()
    first, second = connections.enter(Held("a"), "a0"), connections.enter("b", "b0")
    threads = [
        threading.Thread(target=connections.enter, args=("c", "c0"), name="held"),
        threading.Thread(target=connections.enter, args=("d", "d0")),
        threading.Thread(target=first.admit),
        threading.Thread(target=second.leave),
    ]
    threads[0].start()
    assert Held.reached.wait(20)
    for other in threads[1:]:
        other.start()
    for other in threads[1:]:
        other.join(0.05)
    assert all(thread.is_alive() for thread in threads)
    Held.go_on.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
