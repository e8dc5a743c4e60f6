"""Counts what happens again and again, so that it becomes a few lines and not thousands."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

FOLDED_WITHIN_SECONDS = 600
"""Something is one more of the same if it comes this soon after the last one."""
KEPT = 1_000
"""How many different things are counted; the one that did not come for longest gives way."""


class Repetitions:
    """Counts by what is the same; any thread may use it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Take a clock in seconds."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def count(self, same: Hashable) -> int:
        """Return how many times this has come by now, this time included."""
        now = self._monotonic()
        with self._lock:
            times, last = self._seen.pop(same, (0, now))
            times = times + 1 if now - last < FOLDED_WITHIN_SECONDS else 1
            self._seen[same] = times, now
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        return times


class Budget:
    """Limits the reports of one kind, whoever causes them; any thread may use it.

    Who has many addresses causes many reports that differ, which `Repetitions` can't fold.
    """

    def __init__(self, reports: int, seconds: float, monotonic: Callable[[], float]) -> None:
        """Take how many reports there may be in how many seconds, and a clock in seconds."""
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._reported: deque[float] = deque(maxlen=reports)
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many reports were left out before this one; None if this one is too."""
        now = self._monotonic()
        with self._lock:
            is_spent = len(self._reported) == self._reported.maxlen
            if is_spent and now - self._reported[0] < self._seconds:
                self._left_out += 1
                return None
            self._reported.append(now)
            left_out, self._left_out = self._left_out, 0
        return left_out
