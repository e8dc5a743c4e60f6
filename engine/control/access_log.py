"""Reports who uses the control API and who is refused, and keeps the number of reports small."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from engine.events import ControlRefused, ControlUsed
from engine.journal import is_told

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import Event

AGAIN_SECONDS = 600.0
"""A use or refusal within this time of the last one belongs to it."""
REFUSALS_PER_HOUR = 20
"""Reports of refusals, whatever their number: strangers must not fill the audit log."""
KEPT = 1_000
"""Users and refused addresses that are remembered; the oldest is forgotten."""
_HOUR_SECONDS = 3_600.0


class AccessLog:
    """Turns single requests into few events; used by one event loop."""

    def __init__(
        self, tell: Callable[[Event], object], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the journal's `record`, and a clock in seconds."""
        self._tell = tell
        self._monotonic = monotonic
        self._used: OrderedDict[str, float] = OrderedDict()
        self._refused: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._reported: deque[float] = deque(maxlen=REFUSALS_PER_HOUR)
        self._left_out = 0

    def used(self, name: str) -> None:
        """Note an admitted request; the first one after a while is reported."""
        now = self._monotonic()
        last = self._used.pop(name, None)
        self._used[name] = now
        if len(self._used) > KEPT:
            self._used.popitem(last=False)
        if last is None or now - last >= AGAIN_SECONDS:
            self._tell(ControlUsed(by=name))

    def refused(self, address: str, why: str) -> None:
        """Note a refused request; the 1st, 10th, 100th … of one address and reason is reported."""
        now = self._monotonic()
        times, last = self._refused.pop((address, why), (0, now))
        times = times + 1 if now - last < AGAIN_SECONDS else 1
        self._refused[address, why] = times, now
        if len(self._refused) > KEPT:
            self._refused.popitem(last=False)
        if not is_told(times):
            return
        if len(self._reported) == REFUSALS_PER_HOUR and now - self._reported[0] < _HOUR_SECONDS:
            self._left_out += 1
            return
        self._reported.append(now)
        left_out, self._left_out = self._left_out, 0
        self._tell(ControlRefused(address=address, why=why, times=times, left_out=left_out))
