"""The time by which things expire: the wall clock, but a jump forward counts only after a day.

A wall clock is wrong sometimes: before the network is there, after a machine slept, by a mistake.
What is removed or given up then does not come back. So the wall clock is compared with the
monotonic clock while the engine runs, and with a file that an earlier run left.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from engine.monitoring_events import ClockStepped
from engine.replaced_file import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.journal import Journal

STEP = timedelta(minutes=1)
"""By how much the clocks may differ between two looks."""
BELIEVED_AFTER = timedelta(days=1)
"""For how long a wall clock must go on after a jump forward until things expire by it.

A pause of that length between two runs is believed at once.
"""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of the time at one moment."""

    at: datetime
    """The time by which things expire."""
    ahead_for: timedelta | None = None
    """For how long the wall clock has been ahead of that by more than `STEP`; None if it is not."""


class ExpiryClock:
    """Compares the clocks whenever somebody asks; may be used by any thread."""

    def __init__(self, clock: Clock, journal: Journal, file: Path | None = None) -> None:
        """Go on from what an earlier run left in a file, if there is one."""
        self._clock = clock
        self._journal = journal
        self._file = file
        self._lock = threading.Lock()
        self._wall, self._monotonic = clock.now(), clock.monotonic()
        self._judged = _resumed(_read(file), self._wall)

    def now(self) -> datetime:
        """Return the time by which things are old enough to be removed or given up."""
        with self._lock:
            wall, monotonic = self._clock.now(), self._clock.monotonic()
            passed = timedelta(seconds=monotonic - self._monotonic)
            step = wall - self._wall - passed
            self._wall, self._monotonic = wall, monotonic
            self._judged = _judged(self._judged, wall, passed, stepped=abs(step) > STEP)
            at = self._judged.at
        if abs(step) > STEP:
            self._journal.record(ClockStepped(seconds=round(step.total_seconds())))
        return at

    def keep(self) -> None:
        """Leave for the next run what is known now.

        Raises:
            OSError: if the file can't be written.
        """
        self.now()
        if self._file is None:
            return
        with self._lock:
            judged = self._judged
        ahead_for = judged.ahead_for.total_seconds() if judged.ahead_for is not None else None
        record = {"at": judged.at.isoformat(), "ahead_for_seconds": ahead_for}
        replace_file(self._file, json.dumps(record).encode())


def _judged(before: Judgement, wall: datetime, passed: timedelta, *, stepped: bool) -> Judgement:
    at = before.at + passed
    if wall <= at + STEP:
        return Judgement(wall)
    if before.ahead_for is None or stepped:
        return Judgement(at, timedelta())
    ahead_for = before.ahead_for + passed
    return Judgement(wall) if ahead_for >= BELIEVED_AFTER else Judgement(at, ahead_for)


def _resumed(before: Judgement | None, wall: datetime) -> Judgement:
    """Judge the wall clock at the start: nobody knows how long no engine ran."""
    if before is None or wall <= before.at + BELIEVED_AFTER:
        return Judgement(wall)
    return replace(before, ahead_for=before.ahead_for or timedelta())


def _read(path: Path | None) -> Judgement | None:
    if path is None:
        return None
    try:
        raw = json.loads(path.read_bytes())
        at, ahead_for = datetime.fromisoformat(raw["at"]), raw["ahead_for_seconds"]
        return Judgement(
            at.astimezone(UTC), None if ahead_for is None else timedelta(seconds=ahead_for)
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        _logger.warning("%s can't be read; the present time is taken as right", path.name)
        return None
