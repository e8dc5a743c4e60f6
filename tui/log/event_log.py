"""The events that the log keeps: a bounded list, filtered as events arrive, with marks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING

from engine.events import Severity
from engine.model.queries import EVENT_FIELDS
from tui.text import safe
from tui.widgets.filter import NO_FILTER, folded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from engine.events import Event, RecordedEvent
    from tui.widgets.filter import RowFilter

KEPT = 10_000
FIELDS = (*EVENT_FIELDS, "text")
"""Fields of a filter."""
LEVEL_WORDS = tuple(severity.word for severity in Severity)
_OF_SOME_EVENTS = ("address", "session", "project", "status")
LEVELS = (Severity.INFO, Severity.WARNING, Severity.ERROR)
LogPosition = tuple[int, int]
"""Where an entry stands: the event's sequence, and the number of a mark behind it.

Events that were there before the first look have numbers below 0.
"""


@dataclass(frozen=True)
class LogEntry:
    """An event, or a mark that a user made."""

    place: LogPosition
    at: datetime
    recorded: RecordedEvent | None = None

    @property
    def severity(self) -> Severity | None:
        """How much the event matters; None for a mark."""
        return self.recorded.event.severity if self.recorded else None

    @cached_property
    def sentence(self) -> str:
        """What happened; safe text."""
        return safe(self.recorded.event.sentence()) if self.recorded else "mark"

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The values that a filter searches, by field."""
        if self.recorded is None:
            return {}
        event = self.recorded.event
        return folded(
            level=event.severity.word,
            kind=type(event).__name__,
            topic=event.topic,
            receiver=event.receiver,
            caller=event.calling_ae_title,
            association=event.association,
            text=self.sentence,
            # Of some kinds of events only.
            **{name: getattr(event, name, "") for name in _OF_SOME_EVENTS},
        )


class LogModel:
    """Takes readings; `entry` gives what is wanted of them, the newest first."""

    def __init__(
        self, kept: int = KEPT, *, takes: Callable[[Event], bool] = lambda _: True
    ) -> None:
        """Begin with nothing; keep so many of the events that it takes."""
        self._takes = takes
        self._kept: deque[LogEntry] = deque(maxlen=kept)
        self._newest = 0
        self._put_before: frozenset[tuple[int, datetime]] = frozenset()
        self._marks = 0
        self._wanted: RowFilter = NO_FILTER
        self._levels: frozenset[Severity] = frozenset(LEVELS)
        self._cleared: LogPosition | None = None
        self._matching: list[LogEntry] = []
        self.counts: Counter[Severity] = Counter()
        """How many events of each severity are kept."""
        self.version = 0
        """Changes whenever `entry` would give something else."""

    def __len__(self) -> int:
        return len(self._matching)

    @property
    def total(self) -> int:
        """How many events are kept."""
        return sum(self.counts.values())

    @property
    def is_cleared(self) -> bool:
        """Whether older events are hidden."""
        return self._cleared is not None

    def entry(self, row: int) -> LogEntry:
        """Return the entry in a row; row 0 is the newest."""
        return self._matching[-1 - row]

    def oldest_first(self) -> tuple[LogEntry, ...]:
        """Return all wanted entries."""
        return tuple(self._matching)

    def row_of(self, place: LogPosition) -> int:
        """Return the row of an entry, or of the one that stands where it would."""
        at = bisect_left(self._matching, place, key=lambda entry: entry.place)
        return max(0, min(len(self) - 1, len(self) - 1 - at))

    def next_error(self, row: int, step: int) -> int | None:
        """Return the next row below (`step` 1) or above (-1) that has an error, if any."""
        rows = range(row + 1, len(self)) if step > 0 else range(row - 1, -1, -1)
        return next((r for r in rows if self.entry(r).severity is Severity.ERROR), None)

    def take(self, events: Sequence[RecordedEvent]) -> bool:
        """Add the events that are new; `events` are the newest first. Tell if any was wanted."""
        # Only the new ones are looked at: 10,000 events may be kept.
        new = list(takewhile(lambda recorded: recorded.sequence > self._newest, events))
        before = len(self._matching)
        for recorded in reversed(new):
            self._newest = recorded.sequence
            if self._takes(recorded.event) and _identity(recorded) not in self._put_before:
                self._append(LogEntry((recorded.sequence, 0), recorded.at, recorded))
        added = len(self._matching) > before
        self._forget()
        return added

    def put_before(self, events: Sequence[RecordedEvent]) -> None:
        """Add events, oldest first, below all others; once, and none that is there already."""
        there = {_identity(entry.recorded) for entry in self._kept if entry.recorded}
        older = [recorded for recorded in events if _identity(recorded) not in there]
        room = (self._kept.maxlen or KEPT) - len(self._kept)
        for number, recorded in enumerate(reversed(older[max(0, len(older) - room) :]), start=1):
            self._kept.appendleft(LogEntry((-number, 0), recorded.at, recorded))
            self.counts[recorded.event.severity] += 1
        # An answer of the audit log may have events that a poll brings a moment later.
        self._put_before = frozenset(map(_identity, older))
        self._filter()

    def mark(self, at: datetime) -> None:
        """Put a mark above the newest event."""
        self._marks += 1
        self._append(LogEntry((self._newest, self._marks), at))
        self._forget()

    def want(self, wanted: RowFilter, levels: frozenset[Severity]) -> None:
        """Show only what matches from now on; marks always do."""
        if (wanted, levels) != (self._wanted, self._levels):
            self._wanted, self._levels = wanted, levels
            self._filter()

    def clear(self) -> None:
        """Hide what is there now, or show it again."""
        self._cleared = None if self.is_cleared else (self._newest, self._marks)
        self._filter()

    def _append(self, entry: LogEntry) -> None:
        if len(self._kept) == self._kept.maxlen:
            gone = self._kept.popleft()
            if gone.severity is not None:
                self.counts[gone.severity] -= 1
        self._kept.append(entry)
        if entry.severity is not None:
            self.counts[entry.severity] += 1
        if self._is_wanted(entry):
            self._matching.append(entry)
            self.version += 1

    def _forget(self) -> None:
        """Show no entry that is not kept any more."""
        if self._kept and self._matching and self._matching[0].place < self._kept[0].place:
            first = self._kept[0].place
            del self._matching[: bisect_left(self._matching, first, key=lambda e: e.place)]
            self.version += 1

    def newest_fields(self) -> Iterator[Mapping[str, str]]:
        """Yield the fields of all entries, the newest first."""
        return (entry.fields for entry in reversed(self._kept))

    def _filter(self) -> None:
        self._matching = [entry for entry in self._kept if self._is_wanted(entry)]
        self.version += 1

    def _is_wanted(self, entry: LogEntry) -> bool:
        if self._cleared is not None and entry.place <= self._cleared:
            return False
        if entry.severity is None:
            return True
        if entry.severity not in self._levels:
            return False
        return not self._wanted or self._wanted.matches(entry.fields)


def _identity(recorded: RecordedEvent) -> tuple[int, datetime]:
    """Return what tells an event from all others, those of other runs of the engine too."""
    return recorded.sequence, recorded.at
