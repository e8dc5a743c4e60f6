"""Slows the work on sessions down while objects arrive, so that reception keeps its speed.

Both run in one process, and one Python thread at a time: without pauses, reception had half of its
speed beside a builder.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.host.clock import Clock
    from engine.storage.scans import ReadStored, StoredObject

PAUSE = 12.0
"""The pause after work, in processor times of the work, while objects arrive without a break."""
PAUSE_WHEN_LATE = 1.0
LATE_SECONDS = 3600.0
"""After so long without an end, the work gets half of the time: else it might never end."""
BUSY_RATE = 100.0
"""Objects per second from which on they count as arriving without a break."""
LEAST_SECONDS = 0.001
LONGEST_SECONDS = 0.25
"""Longest pause: a request that comes meanwhile waits for its end."""


class Pace:
    """Measures the work of one thread and what arrives meanwhile; used by that thread."""

    def __init__(
        self,
        clock: Clock,
        arrived: Callable[[], int],
        wait: Callable[[float], object] = time.sleep,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        """Take what is measured.

        Args:
            clock: the time.
            arrived: returns how many objects arrived so far.
            wait: returns after some seconds, or when the engine stops.
            worked: returns the processor time of the calling thread, in seconds.
        """
        self._clock = clock
        self._arrived = arrived
        self._wait = wait
        self._worked = worked
        self.begin()

    def begin(self) -> None:
        """Note that work begins after there was none."""
        self._began_at = self._at = self._clock.monotonic()
        self._arrived_before, self._worked_before = self._arrived(), self._worked()

    def paced(self, read: ReadStored) -> ReadStored:
        """Return a function that reads objects and pauses between them."""

        def read_and_breathe(folder: Path, file: str) -> StoredObject:
            self.breathe()
            return read(folder, file)

        return read_and_breathe

    def breathe(self) -> None:
        """Pause in proportion to the work since the last call, if objects arrived since."""
        worked = self._worked() - self._worked_before
        if worked < LEAST_SECONDS:
            return
        now, arrived = self._clock.monotonic(), self._arrived()
        # The time includes the last pause: an object now and then is no stream of them.
        rate = (arrived - self._arrived_before) / max(now - self._at, LEAST_SECONDS)
        self._at, self._arrived_before = now, arrived
        is_late = now - self._began_at > LATE_SECONDS
        pause = worked * (PAUSE_WHEN_LATE if is_late else PAUSE) * min(1.0, rate / BUSY_RATE)
        if pause > 0:
            self._wait(min(pause, LONGEST_SECONDS))
        self._worked_before = self._worked()
