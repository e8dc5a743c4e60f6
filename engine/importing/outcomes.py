"""What the engine made of each object, from the row that every object gets in the index.

The answer to a C-STORE says less: a stored object, a copy of one that is here already, and one that
a filter drops are all answered with success.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.dimse.commands import RetryDecision, retry_decision
from engine.importing.found import FoundObject, Name, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.importing.found import Found
    from engine.index.arrivals import Arrivals, RecordedOutcome
    from engine.jobs.report import Report

_ROWS_AT_ONCE = 1000
LATEST_ROW_SECONDS = 5.0
"""Rows are written in batches of 50 ms. Those of an engine that was killed never come."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one file."""

    name: Name
    outcome: Outcome
    reason: str = ""
    sop_instance_uid: str = ""
    status: int | None = None
    """The answer to its C-STORE; None if it was not sent."""
    session: int | None = None
    sent_bytes: int = 0
    read_bytes: int = 0
    """The share of the source's bytes that is done with it."""

    def to_record(self) -> dict[str, object]:
        """Return the line of the report."""
        return {
            "source": self.name.source,
            "member": self.name.member,
            "bytes": self.name.size_bytes,
            "sop_instance_uid": self.sop_instance_uid,
            "outcome": str(self.outcome),
            "reason": self.reason,
            "status": self.status,
            "session": self.session,
        }


def key_if_done(record: Mapping[str, object]) -> tuple[object, ...] | None:
    """Return what a line of the report knows its file by; None if it is to be sent again."""
    status = record.get("status")
    is_done = isinstance(status, int) and retry_decision(status) is RetryDecision.DONE
    # An object without a commitment is sent again, and asked for again: the peer may have lost it.
    if is_done and record.get("outcome") != Outcome.NOT_COMMITTED:
        return record.get("source"), record.get("member"), record.get("bytes")
    return None


def not_done(found: Iterable[Found], report: Report) -> Iterator[Found]:
    """Yield what an earlier run has not stored; the rest is closed."""
    for one in found:
        key = one.name.source, one.name.member, one.name.size_bytes
        if isinstance(one, FoundObject) and report.has(key, one.read_bytes):
            one.close()
        else:
            yield one


@dataclass(frozen=True, slots=True)
class Answered:
    """An object that has its answer, and not yet its row."""

    result: Result
    """What follows from the answer alone."""
    at: float
    """Monotonic time of the answer."""


class Outcomes:
    """Joins the answers to objects with their rows; `expect` is for any thread."""

    def __init__(self, arrivals: Arrivals) -> None:
        """Read rows from here on: make this before the first object is sent."""
        self._arrivals = arrivals
        self._sequence = arrivals.newest()
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], deque[Answered]] = {}
        """By the association's address, and SOP Instance UID."""

    def expect(self, address: str, answered: Answered) -> None:
        """Wait for the row of an object that was answered on an association."""
        key = address, answered.result.sop_instance_uid
        with self._lock:
            self._waiting.setdefault(key, deque()).append(answered)

    @property
    def are_complete(self) -> bool:
        """Whether every answered object has its row."""
        with self._lock:
            return not self._waiting

    def ready(self, now: float) -> Iterator[Result]:
        """Yield what is known by now; after a while without a row, what the answer said.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        rows: tuple[RecordedOutcome, ...] = self._arrivals.outcomes_after(
            self._sequence, _ROWS_AT_ONCE
        )
        while rows:
            self._sequence = rows[-1].sequence
            for row in rows:
                answered = self._take((row.address, row.sop_instance_uid))
                if answered is not None:
                    yield replace(
                        answered.result,
                        outcome=Outcome(row.state),
                        reason=row.reason,
                        session=row.session,
                    )
            rows = self._arrivals.outcomes_after(self._sequence, _ROWS_AT_ONCE)
        yield from self._overdue(now)

    def _take(self, key: tuple[str, str]) -> Answered | None:
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:
                return None
            # One association has its objects one after the other, and so have their rows.
            first = waiting.popleft()
            if not waiting:
                del self._waiting[key]
            return first

    def _overdue(self, now: float) -> Iterator[Result]:
        with self._lock:
            late = [
                key
                for key, waiting in self._waiting.items()
                if now - waiting[0].at > LATEST_ROW_SECONDS
            ]
        for key in late:
            answered = self._take(key)
            if answered is not None:
                yield answered.result
