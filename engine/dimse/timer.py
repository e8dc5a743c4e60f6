"""A timer that a step of the wall clock neither fires nor stops (PS3.8 9.1.5)."""

from __future__ import annotations

import time

from pynetdicom.timer import Timer


class MonotonicTimer(Timer):
    """pynetdicom's timer, on the monotonic clock."""

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped, and can expire."""
        return self.timeout is not None and self._start_time is not None and self._end_time is None

    @property
    def remaining(self) -> float:
        """Return the seconds until it expires; 1 if it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        end = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (end - self._start_time)

    def start(self) -> None:
        """Begin to run."""
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        """Stop where it is."""
        self._end_time = time.monotonic()

    def hold(self) -> None:
        """Begin anew without running, until it is started."""
        self._start_time = self._end_time = time.monotonic()
