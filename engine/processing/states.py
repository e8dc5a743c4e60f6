"""Counts results and errors of each processor since the engine started."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.events.journal import should_report_repeat
from engine.model.processing import ProcessorStatus, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from engine.host.clock import Clock
    from engine.model.processor import Processor


@dataclass(slots=True)
class _Tally:
    runs: int = 0
    rejects: int = 0
    errors: int = 0
    seconds: float = 0.0
    last_error: str = ""
    last_error_at: datetime | None = None
    same_error: int = 0


class ProcessorStates:
    """Counts by the instance's id; every method may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tallies: dict[int, _Tally] = {}

    def note(self, processor: Processor, verdict: Verdict, seconds: float, why: str) -> int:
        """Count one object; return how often this error came if it is to be reported, else 0."""
        with self._lock:
            tally = self._tallies.setdefault(processor.id, _Tally())
            tally.runs += 1
            tally.seconds += seconds
            tally.rejects += verdict is Verdict.REJECTED
            if verdict is not Verdict.FAILED:
                return 0
            tally.errors += 1
            tally.same_error = tally.same_error + 1 if tally.last_error == why else 1
            tally.last_error, tally.last_error_at = why, self._clock.now()
            return tally.same_error if should_report_repeat(tally.same_error) else 0

    def of(self, processor: Processor, receivers: tuple[str, ...], problem: str) -> ProcessorStatus:
        """Return an instance with its counts.

        Args:
            processor: the instance.
            receivers: those whose objects it sees.
            problem: why it can't work as it should.
        """
        with self._lock:
            tally = self._tallies.get(processor.id, _Tally())
            return ProcessorStatus(
                processor,
                receivers,
                problem,
                tally.runs,
                tally.rejects,
                tally.errors,
                tally.last_error,
                tally.last_error_at,
                tally.seconds / tally.runs if tally.runs else 0.0,
            )

    def forget_all_but(self, ids: set[int]) -> None:
        """Let go of instances that are gone."""
        with self._lock:
            for gone in set(self._tallies) - ids:
                del self._tallies[gone]
