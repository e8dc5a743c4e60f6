"""Finds the sessions that got no object for the idle time, by the monotonic clock."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from engine.state.database import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.host.clock import Clock
    from engine.index.session_reader import SessionReader

STEP_SECONDS = 1.0
"""Difference between the clocks that is no step of the wall clock yet."""
AT_ONCE = 64
"""Sessions that are read at once. The rows of the next ones are read when these are done."""


class _Moment(NamedTuple):
    wall: datetime
    monotonic: float


class _LastObject(NamedTuple):
    stamp: str
    """When the last object came, as the index has it."""
    at: float
    """The same, by the monotonic clock."""


class IdleSessions:
    """Asks the index, so that a call costs as much as it finds; for one thread.

    After a step of the wall clock the times in the index can't be compared with it. Then each call
    reads all sessions that are being received, until those from before the step are built.
    """

    def __init__(self, clock: Clock, ledger: SessionReader) -> None:
        self._clock = clock
        self._ledger = ledger
        self._last: _Moment | None = None
        self._heard: dict[int, _LastObject] = {}
        """All sessions that are being received, while the wall clock can't be used."""

    def due(self, idle_seconds: float) -> Iterator[int]:
        """Yield the sessions that were silent for so long at the first step, the longest first."""
        now = self._look()
        if self._heard:
            known = sorted(self._heard.items(), key=lambda item: item[1].at)
            yield from (s for s, last in known if now.monotonic - last.at >= idle_seconds)
            return
        until, after = stamp(now.wall - timedelta(seconds=idle_seconds)), ("", 0)
        while found := self._ledger.silent(until, after, AT_ONCE):
            yield from (session for session, _ in found)
            session, at = found[-1]
            after = (at, session)

    def seconds_left(self, idle_seconds: float) -> float:
        """Return after how long the next session is due, at most the idle time; below 0 if one is.

        A session that begins meanwhile can't be due before the idle time is over.
        """
        now = self._look()
        if self._heard:
            return idle_seconds - now.monotonic + min(last.at for last in self._heard.values())
        oldest, _ = self._ledger.receiving_since()
        silence = _seconds(oldest, now) if oldest else 0.0
        return idle_seconds - max(silence, 0.0)

    def _look(self) -> _Moment:
        now = _Moment(self._clock.now(), self._clock.monotonic())
        before, self._last = self._last, now
        if self._heard or self._is_wrong(before, now):
            self._hear(before, now)
        return now

    def _is_wrong(self, before: _Moment | None, now: _Moment) -> bool:
        """Tell whether the wall clock stepped, or an object came at a time that is still to be."""
        _, newest = self._ledger.receiving_since()
        if newest and _seconds(newest, now) < -STEP_SECONDS:
            return True
        if before is None:
            return False
        passed = (now.wall - before.wall).total_seconds()
        return abs(passed - (now.monotonic - before.monotonic)) > STEP_SECONDS

    def _hear(self, before: _Moment | None, now: _Moment) -> None:
        heard, is_right = {}, True
        for session, at in self._ledger.receiving():
            last = self._heard.get(session)
            if last is None or last.stamp != at:
                last = _LastObject(at, _heard_at(at, before, now))
            heard[session] = last
            silence = now.monotonic - last.at
            is_right = is_right and abs(_seconds(at, now) - silence) <= STEP_SECONDS
        self._heard = {} if is_right else heard


def _seconds(at: str, now: _Moment) -> float:
    return (now.wall - datetime.fromisoformat(at)).total_seconds()


def _heard_at(at: str, before: _Moment | None, now: _Moment) -> float:
    """Return by the monotonic clock when an object came, though the wall clock stepped since."""
    since_last_look = now.monotonic - before.monotonic if before else math.inf
    age = _seconds(at, now)
    if before is not None and not 0 <= age <= since_last_look:
        age_before = _seconds(at, before)
        if age_before >= 0:  # it was there at the last look, when the clock had another time
            return before.monotonic - age_before
    # A time in the future counts as now; a new one counts as no older than the last look.
    return now.monotonic - min(max(age, 0.0), since_last_look)
