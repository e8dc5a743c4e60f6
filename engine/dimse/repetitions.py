"""Counts what happens again and again, so that it becomes a few lines and not thousands."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from engine.clock import Clock

FOLDED_WITHIN_SECONDS = 600
"""Something is one more of the same if it comes this soon after the last one."""
KEPT = 1_000
"""How many different things are counted; the one that did not come for longest gives way."""


class Repetitions:
    """Counts by what is the same; any thread may use it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def count(self, same: Hashable) -> int:
        """Return how many times this has come by now, this time included."""
        now = self._clock.monotonic()
        with self._lock:
            times, last = self._seen.pop(same, (0, now))
            times = times + 1 if now - last < FOLDED_WITHIN_SECONDS else 1
            self._seen[same] = times, now
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        return times
