"""Counts and limits repeated reports, so that a noisy peer causes a few lines, not thousands."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

FOLDED_WITHIN_SECONDS = 600
"""A repetition counts on if it comes within this time of the last one, else it starts at 1."""
KEPT = 1_000
"""How many different things are counted; the least recent one is forgotten for a new one.

A peer that invents AE titles or comes from many addresses must not fill the memory.
"""


class Repetitions:
    """Counts repetitions of equal keys; for all threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Use a monotonic clock in seconds."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def count(self, same: Hashable) -> int:
        """Count a key and return its count, this time included."""
        now = self._monotonic()
        with self._lock:
            # Taken out and put at the end, so that the first one is the least recent.
            times, last = self._seen.pop(same, (0, now))
            times = times + 1 if now - last < FOLDED_WITHIN_SECONDS else 1
            self._seen[same] = times, now
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        return times


class Counts:
    """Counts equal keys without end; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[Hashable, int] = OrderedDict()

    def count(self, same: Hashable) -> int:
        """Count a key and return its count, this time included."""
        with self._lock:
            self._seen[same] = times = self._seen.pop(same, 0) + 1
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        return times


def should_report_repeat(times: int) -> bool:
    """Tell whether a repetition is worth a line: the 1st, 10th, 100th and so on."""
    return str(times).rstrip("0") == "1"


class Budget:
    """Limits the number of reports of one kind in a period of time; for all threads.

    A peer with many addresses causes many different reports, which `Repetitions` can't fold.
    """

    def __init__(self, reports: int, seconds: float, monotonic: Callable[[], float]) -> None:
        """Allow so many `reports` within `seconds`, by a monotonic clock in seconds."""
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # As long as the limit: its first entry is the oldest report that still counts.
        self._reported: deque[float] = deque(maxlen=reports)
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many reports were left out before this one; None if this one must be too."""
        now = self._monotonic()
        with self._lock:
            is_spent = len(self._reported) == self._reported.maxlen
            # A sliding window: the oldest of the last reports must have left it.
            if is_spent and now - self._reported[0] < self._seconds:
                self._left_out += 1
                return None
            self._reported.append(now)
            left_out, self._left_out = self._left_out, 0
        return left_out
