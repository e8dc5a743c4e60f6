"""Reports who uses the control API and who is refused, and keeps the number of reports small."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.events import ControlRefused, ControlUsed
from engine.journal import is_told
from engine.repetitions import Budget, Repetitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import Event

REFUSALS_PER_HOUR = 20
"""Reports of refusals, whatever their number: strangers must not fill the audit log."""
_HOUR_SECONDS = 3_600.0


class AccessLog:
    """Turns single requests into few events; used by one event loop."""

    def __init__(
        self, tell: Callable[[Event], object], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the journal's `record`, and a clock in seconds."""
        self._tell = tell
        self._uses, self._refusals = Repetitions(monotonic), Repetitions(monotonic)
        self._budget = Budget(REFUSALS_PER_HOUR, _HOUR_SECONDS, monotonic)

    def used(self, name: str) -> None:
        """Note an admitted request; the first one after a while is reported."""
        if self._uses.count(name) == 1:
            self._tell(ControlUsed(by=name))

    def refused(self, address: str, why: str) -> None:
        """Note a refused request; the 1st, 10th, 100th … of one address and reason is reported."""
        times = self._refusals.count((address, why))
        if not is_told(times):
            return
        left_out = self._budget.take()
        if left_out is not None:
            self._tell(ControlRefused(address=address, why=why, times=times, left_out=left_out))
