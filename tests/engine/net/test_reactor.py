"""The loop: descriptors, points in time, calls of other threads, and what may block."""

from __future__ import annotations

import logging
import select
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.net.reactor import POOL_THREADS, READABLE, WRITABLE, Reactor
from tests.running import SettableTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON_SECONDS = 20


@pytest.fixture
def time() -> SettableTime:
    return SettableTime()


@pytest.fixture
def reactor(time: SettableTime) -> Iterator[Reactor]:
    reactor = Reactor(monotonic=time.monotonic)
    yield reactor
    reactor.stop()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def on_loop(reactor: Reactor, call: Callable[[], object] = lambda: None) -> None:
    """Call on the loop's thread, after everything that is ready there."""
    assert reactor.call_and_wait(lambda: None, SOON_SECONDS)
    assert reactor.call_and_wait(call, SOON_SECONDS)


def _pool_threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{name}-pool")]


def fail(*_: object) -> None:
    raise RuntimeError("something nobody thought of")


def test_calls_of_other_threads_are_made_on_the_loops_thread_in_their_order(
    reactor: Reactor,
) -> None:
    made: list[tuple[int, bool]] = []

    def call(number: int) -> None:
        made.append((number, reactor.is_loop_thread()))

    for number in range(100):
        reactor.call_soon(partial(call, number))
    on_loop(reactor)
    assert made == [(number, True) for number in range(100)]
    assert not reactor.is_loop_thread()


def test_a_call_that_asks_for_another_lets_the_others_have_their_turn(reactor: Reactor) -> None:
    rounds, other = list[int](), threading.Event()

    def again() -> None:
        rounds.append(1)
        if not other.is_set():
            reactor.call_soon(again)

    reactor.call_soon(again)
    on_loop(reactor, other.set)
    on_loop(reactor)
    assert rounds


def test_whoever_is_on_the_loop_already_does_not_wait_for_it(reactor: Reactor) -> None:
    made: list[str] = []

    def call() -> None:
        assert reactor.call_and_wait(lambda: made.append("inner"), 0)
        made.append("outer")

    on_loop(reactor, call)
    assert made == ["inner", "outer"]


def test_waiting_for_a_call_ends_when_the_time_is_over(reactor: Reactor) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        assert go_on.wait(SOON_SECONDS)

    reactor.call_soon(hold)
    assert held.wait(SOON_SECONDS)
    assert not reactor.call_and_wait(lambda: None, 0.01)
    go_on.set()


def test_a_handler_is_called_when_its_descriptor_is_ready_and_not_after_it_is_forgotten(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    seen: list[tuple[int, bytes]] = []
    reactor.register(ours.fileno(), lambda events: seen.append((events, ours.recv(100))))
    on_loop(reactor)
    assert seen == []
    theirs.send(b"one")
    on_loop(reactor)
    assert seen == [(READABLE, b"one")]
    on_loop(reactor, lambda: reactor.forget(ours.fileno()))
    theirs.send(b"two")
    on_loop(reactor)
    assert seen == [(READABLE, b"one")]


def test_what_is_waited_for_can_be_changed(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    seen: list[int] = []

    def note(events: int) -> None:
        seen.append(events)
        reactor.modify(ours.fileno(), 0)

    reactor.register(ours.fileno(), note)
    on_loop(reactor, lambda: reactor.modify(ours.fileno(), WRITABLE))
    on_loop(reactor)
    theirs.send(b"one")
    on_loop(reactor)
    assert seen == [WRITABLE]


def test_a_handler_may_forget_a_descriptor_that_is_ready_in_the_same_round(
    reactor: Reactor,
) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def forget_the_other(number: int, _: int) -> None:
        called.append(number)
        for ours, _theirs in pairs:
            reactor.forget(ours.fileno())

    def begin() -> None:
        for number, (ours, theirs) in enumerate(pairs):
            theirs.send(b"ready")
            reactor.register(ours.fileno(), partial(forget_the_other, number))

    on_loop(reactor, begin)
    on_loop(reactor)
    assert len(called) == 1
    for end in (end for pair in pairs for end in pair):
        end.close()


def test_timers_expire_in_the_order_of_their_times_and_those_of_one_time_as_they_came(
    reactor: Reactor, time: SettableTime
) -> None:
    expired: list[str] = []
    now = time.seconds

    def begin() -> None:
        for after, name in [(2, "c"), (1, "a"), (3, "d"), (1, "b"), (9, "later")]:
            reactor.call_at(now + after, partial(expired.append, name))

    on_loop(reactor, begin)
    assert expired == []
    time.seconds += 0.999
    on_loop(reactor)
    assert expired == []
    time.seconds = now + 3
    on_loop(reactor)
    on_loop(reactor)
    assert expired == ["a", "b", "c", "d"]


def test_a_cancelled_timer_does_not_expire_and_keeps_nothing(
    reactor: Reactor, time: SettableTime, caplog: pytest.LogCaptureFixture
) -> None:
    expired: list[str] = []
    now = time.seconds

    def begin() -> None:
        first = reactor.call_at(now + 1, partial(expired.append, "first"))
        reactor.call_at(now + 2, partial(expired.append, "second"))
        first.cancel()
        assert first._call is None

    on_loop(reactor, begin)
    time.seconds += 5
    on_loop(reactor)
    on_loop(reactor)
    assert expired == ["second"]
    assert caplog.records == []


def test_a_timer_may_set_the_next_one_even_for_a_time_that_is_over(
    reactor: Reactor, time: SettableTime
) -> None:
    expired: list[int] = []

    def expire(number: int) -> None:
        expired.append(number)
        if number:
            reactor.call_at(time.seconds - 1, partial(expire, number - 1))

    on_loop(reactor, lambda: reactor.call_at(time.seconds, partial(expire, 3)))
    on_loop(reactor)
    assert expired == [3, 2, 1, 0]


def test_the_loop_rests_until_it_is_called_or_a_timer_is_due(
    reactor: Reactor, time: SettableTime
) -> None:
    ready: list[list[int]] = []
    on_loop(reactor, lambda: ready.append(select.select([reactor._wake_fd], [], [], 0)[0]))
    assert ready == [[]]
    assert reactor._poll_timeout() is None
    on_loop(reactor, lambda: reactor.call_at(time.seconds + 5, fail))
    assert reactor._poll_timeout() == 5


def test_the_loop_wakes_by_itself_when_a_timer_is_due() -> None:
    reactor, expired = Reactor(), threading.Event()
    reactor.call_soon(lambda: reactor.call_at(reactor.now() + 0.02, expired.set))
    assert expired.wait(SOON_SECONDS)
    reactor.stop()


def test_the_loop_goes_on_whatever_a_handler_a_call_or_a_timer_raises(
    reactor: Reactor,
    time: SettableTime,
    pair: tuple[socket.socket, socket.socket],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = pair

    def fail_once(_: int) -> None:
        reactor.forget(ours.fileno())
        fail()

    reactor.register(ours.fileno(), fail_once)
    with caplog.at_level(logging.ERROR):
        theirs.send(b"ready")
        reactor.call_soon(fail)
        reactor.call_soon(lambda: reactor.call_at(time.seconds, fail))
        on_loop(reactor)
        on_loop(reactor)
    assert not reactor.is_dead()
    assert [r.message for r in caplog.records] == ["the loop goes on after an error"] * 3


def test_a_call_that_is_waited_for_and_fails_keeps_nobody_waiting(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        assert reactor.call_and_wait(fail, SOON_SECONDS)
    assert not reactor.is_dead()


def test_work_that_may_block_is_done_elsewhere_and_its_result_comes_back_to_the_loop(
    reactor: Reactor,
) -> None:
    may_end, ended = threading.Event(), threading.Event()
    found: list[tuple[str, bool]] = []

    def work() -> bool:
        assert may_end.wait(SOON_SECONDS)
        return reactor.is_loop_thread()

    def finished(was_on_loop: bool) -> None:
        found.append((f"work on the loop: {was_on_loop}", reactor.is_loop_thread()))
        ended.set()

    on_loop(reactor, lambda: reactor.run_in_pool(work, finished))
    on_loop(reactor)  # which goes on meanwhile
    assert found == []
    may_end.set()
    assert ended.wait(SOON_SECONDS)
    assert found == [("work on the loop: False", True)]


def test_work_of_more_than_a_receivers_associations_is_done_at_once(reactor: Reactor) -> None:
    together, ended = threading.Barrier(POOL_THREADS), threading.Semaphore(0)

    def work() -> int:
        return together.wait(SOON_SECONDS)

    def begin() -> None:
        for _ in range(POOL_THREADS):
            reactor.run_in_pool(work, lambda _: ended.release())

    on_loop(reactor, begin)
    for _ in range(POOL_THREADS):
        assert ended.acquire(timeout=SOON_SECONDS)


def test_work_one_after_another_needs_one_thread_which_survives_a_defect() -> None:
    reactor, ended = Reactor("one"), threading.Semaphore(0)

    def do(work: Callable[[], object]) -> None:
        on_loop(reactor, lambda: reactor.run_in_pool(work, lambda _: ended.release()))

    for _ in range(5):
        do(lambda: None)
        assert ended.acquire(timeout=SOON_SECONDS)
    (thread,) = _pool_threads("one")
    do(fail)
    do(lambda: None)
    assert ended.acquire(timeout=SOON_SECONDS)
    assert thread.is_alive()
    reactor.stop()
    thread.join(SOON_SECONDS)
    assert not thread.is_alive()


def test_a_stop_waits_for_no_work_and_what_work_returns_after_it_is_dropped() -> None:
    reactor = Reactor("ending")
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    finished: list[None] = []

    def work() -> None:
        begun.set()
        assert may_end.wait(SOON_SECONDS)
        ended.set()

    on_loop(reactor, lambda: reactor.run_in_pool(work, finished.append))
    assert begun.wait(SOON_SECONDS)
    reactor.stop()
    may_end.set()
    assert ended.wait(SOON_SECONDS)
    for thread in _pool_threads("ending"):
        thread.join(SOON_SECONDS)
    assert finished == []


def test_work_that_has_not_begun_at_a_stop_is_not_done_and_its_threads_end() -> None:
    reactor, may_end = Reactor("full"), threading.Event()
    begun, done = threading.Semaphore(0), list[str]()

    def work() -> None:
        begun.release()
        assert may_end.wait(SOON_SECONDS)

    def begin() -> None:
        for _ in range(POOL_THREADS):
            reactor.run_in_pool(work, lambda _: None)
        reactor.run_in_pool(lambda: done.append("one more"), lambda _: None)

    on_loop(reactor, begin)
    for _ in range(POOL_THREADS):
        assert begun.acquire(timeout=SOON_SECONDS)
    reactor.stop()
    may_end.set()
    for thread in _pool_threads("full"):
        thread.join(SOON_SECONDS)
        assert not thread.is_alive()
    assert done == []


def test_a_stopped_loop_takes_no_calls_and_says_so() -> None:
    reactor, made = Reactor(), list[str]()
    reactor.stop()
    reactor.stop()
    reactor.call_soon(lambda: made.append("soon"))
    assert not reactor.call_and_wait(lambda: made.append("waited for"), 3_600)  # at once
    assert not reactor.is_dead()
    assert made == []


def test_a_loop_that_nobody_stops_keeps_no_process_from_ending() -> None:
    code = "from engine.net.reactor import Reactor; Reactor()"
    ended = subprocess.run([sys.executable, "-c", code], timeout=SOON_SECONDS, check=False)
    assert ended.returncode == 0


def event_number(descriptor: int) -> str:
    """Return what the kernel calls an eventfd, which no other one is called; empty if closed."""
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("eventfd-id")), "")


def test_a_stopped_loop_leaves_no_thread_and_no_descriptor() -> None:
    reactor = Reactor("to-be-stopped")
    on_loop(reactor)
    wake_up, number = reactor._wake_fd, event_number(reactor._wake_fd)
    assert number
    reactor.stop()
    assert reactor._epoll.closed
    assert event_number(wake_up) != number
    assert not any(thread.name == "to-be-stopped" for thread in threading.enumerate())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_that_the_loop_has_died_shows_and_nobody_waits_for_it() -> None:
    reactor = Reactor()
    assert not reactor.is_dead()

    def die() -> None:
        raise SystemExit

    reactor.call_soon(die)
    reactor._thread.join(SOON_SECONDS)
    assert reactor.is_dead()
    assert not reactor.call_and_wait(lambda: None, 3_600)  # at once
    reactor.stop()
