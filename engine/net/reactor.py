"""One loop that serves all connections of a process, and a pool of threads for blocking work.

Handlers are called on the loop's thread and must not block. `run_in_pool` is for work that may.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import threading
import time
from collections import deque
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int], None]
    """Gets the event mask of `epoll`."""
    Call = Callable[[], object]

Result = TypeVar("Result")

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT

POOL_THREADS = 64
"""More than the associations of one receiver (50 by default).

So a processor that hangs at one receiver leaves threads for the others. Threads are made when they
are needed, and stay: 21 kB each (2026).
"""

_logger = logging.getLogger(__name__)


class Timer:
    """A call at one point in time."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call: Call | None = call

    def cancel(self) -> None:
        """Cancel the call, and forget it: the timer itself stays in the heap until its time."""
        self._call = None

    def expire(self) -> None:
        """Make the call, unless it is cancelled."""
        call, self._call = self._call, None
        if call is not None:
            call()


class _Pool:
    """Threads for work that may block, made when they are needed; for all threads.

    An executor of the standard library makes a future, a condition and a lock for each call. They
    cost 25 of the 37 µs of CPU time that handing a call over takes there and back (2026).
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        """Guards the two numbers."""
        self._unfinished = 0
        self._threads = 0
        self._work: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], object]] | None]
        self._work = SimpleQueue()

    def submit(self, work: Callable[[], Result], deliver: Callable[[Result], object]) -> None:
        """Do work on one of the threads, which then passes on the result."""
        with self._lock:
            self._unfinished += 1
            if self._threads < min(self._unfinished, POOL_THREADS):
                name = f"{self._name}_{self._threads}"
                threading.Thread(target=self._run, name=name).start()
                self._threads += 1
        self._work.put((work, deliver))

    def stop(self) -> None:
        """Drop what has not begun, and let each thread end after its present work."""
        try:
            while True:
                self._work.get_nowait()
        except Empty:
            for _ in range(self._threads):
                self._work.put(None)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            # Given away: idle threads keep no object of the last association alive.
            self._do(*item)
            del item

    def _do(self, work: Callable[[], Result], deliver: Callable[[Result], object]) -> None:
        try:
            result = work()
        except Exception:
            # The border: a defect must not cost the thread. Nobody gets a result.
            _logger.exception("work of the pool failed")
            return
        finally:
            # Before the result is known: work that follows it at once needs no second thread.
            with self._lock:
                self._unfinished -= 1
        deliver(result)


class Reactor:
    """Waits for descriptors, for points in time and for calls of other threads."""

    def __init__(
        self, name: str = "reactor", monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = monotonic
        """Returns the monotonic time in seconds."""
        self._epoll = select.epoll()
        # One descriptor and eight bytes for any number of wake-ups; a pipe has two and can be full.
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._handlers: dict[int, Handler] = {self._wake_fd: self._drain_wakeups}
        self._epoll.register(self._wake_fd, READABLE)
        self._calls: deque[Call] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        """A heap, by monotonic time and order of arrival."""
        # Orders timers of one time: `Timer` has no order, and a heap would compare it.
        self._arrivals = count()
        self._pool = _Pool(f"{name}-pool")
        self._stopping = False
        # A daemon: a loop that hangs in a handler must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop after its present step; calling it again has no effect."""
        if self._stopping:
            return
        self._stopping = True
        self._wake()
        self._thread.join()
        # Not waited for: a processor that hangs would block this stop.
        self._pool.stop()
        self._epoll.close()
        os.close(self._wake_fd)

    def is_dead(self) -> bool:
        """Tell whether the loop should run and does not."""
        return not self._stopping and not self._thread.is_alive()

    def is_loop_thread(self) -> bool:
        """Tell whether the calling thread is the loop's."""
        return threading.current_thread() is self._thread

    # From any thread.

    def call_soon(self, call: Call) -> None:
        """Make a call on the loop's thread, soon; does not wait for it."""
        # Append, then wake: in the other order the loop could wake, find nothing, and sleep again.
        # A deque needs no lock for it.
        self._calls.append(call)
        if not self._stopping:
            self._wake()

    def call_and_wait(self, call: Call, seconds: float) -> bool:
        """Make a call on the loop's thread; return whether it was made within `seconds`.

        The calling thread must hold no lock that the loop takes.
        """
        done = threading.Event()

        def perform() -> None:
            try:
                call()
            finally:
                done.set()

        if self.is_loop_thread():
            perform()
        elif self._stopping or not self._thread.is_alive():
            return False
        else:
            self.call_soon(perform)
        return done.wait(seconds)

    def register(self, fd: int, handler: Handler, events: int = READABLE) -> None:
        """Call a handler whenever a descriptor is ready; call `forget` before closing it."""
        # The handler first: the loop may see the descriptor before this thread continues.
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    # On the loop's thread only.

    def modify(self, fd: int, events: int) -> None:
        """Change the events that a descriptor is waited for."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop waiting for a descriptor."""
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def call_at(self, at: float, call: Call) -> Timer:
        """Call something at a monotonic time, unless the timer is cancelled before."""
        timer = Timer(call)
        heapq.heappush(self._timers, (at, next(self._arrivals), timer))
        return timer

    def run_in_pool(self, work: Callable[[], Result], finished: Callable[[Result], object]) -> None:
        """Do blocking work on a thread of the pool, then call `finished` with its result here.

        `work` must not raise: `finished` would never be called.
        """
        self._pool.submit(work, lambda result: self.call_soon(lambda: finished(result)))

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)

    def _drain_wakeups(self, _: int) -> None:
        os.eventfd_read(self._wake_fd)

    def _run(self) -> None:
        while not self._stopping:
            for fd, events in self._epoll.poll(self._poll_timeout()):
                # An earlier handler of the same round may have closed this connection.
                handler = self._handlers.get(fd)
                if handler is not None:
                    self._guarded(handler, events)
            # Only those that are queued now: calls that queue further calls must not starve the
            # connections.
            for _ in range(len(self._calls)):
                self._guarded(self._calls.popleft())
            # After the connections: bytes that are here count as received before a deadline is
            # looked at.
            while self._timers and self._timers[0][0] <= self.now():
                self._guarded(heapq.heappop(self._timers)[2].expire)

    def _poll_timeout(self) -> float | None:
        """Return the seconds until the next timer; None if there is none."""
        return max(0.0, self._timers[0][0] - self.now()) if self._timers else None

    def _guarded(self, call: Callable[..., object], *arguments: int) -> None:
        """Make a call. This is the border: an error of one connection must not end the others."""
        try:
            call(*arguments)
        except Exception:
            _logger.exception("the loop goes on after an error")
