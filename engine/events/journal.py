"""The event journal: a ring in memory for the console, JSON lines on disk for everybody else.

The audit log is a second file, of what people did. It rotates by itself, so that other events never
push its lines out.

A flood of events of one kind does not push all others out of the event log. An event whose kind or
caller has written many lines lately is not written but counted, and its numbers are added up. The
sums of a minute are one line for each of the busiest callers, and one for all others. Actions of
people, urgent events and errors are always written.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

from engine.events import Event, EventPage, EventsSummed, Listener, RecordedEvent, Severity
from engine.events.repeats import Counts, should_report_repeat

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from io import TextIOWrapper
    from pathlib import Path

    from engine.host.clock import Clock

    MakeEvent = Callable[..., Event]
    """A `partial` of an event, so that another process can make it."""

RING_EVENTS = 5_000
# Both logs together take at most 2 x 6 x 10 MiB.
FILE_BYTES = 10 * 1024 * 1024
FILES_KEPT = 5

_logger = logging.getLogger(__name__)


class Journal:
    """Records events in order; every method may be called from any thread."""

    def __init__(
        self,
        clock: Clock,
        log_file: Path | None = None,
        least: Severity = Severity.INFO,
        *,
        audit_file: Path | None = None,
        repeated: Callable[[MakeEvent, Hashable, bool], object] | None = None,
    ) -> None:
        """Begin with no events.

        Args:
            clock: gives the times of events.
            log_file: the event log, as JSON lines.
            least: the least severity that is written to the log; memory has all events.
            audit_file: the audit log, with audited events of every severity.
            repeated: counts what may come often, in place of this journal; gets what
                `record_repeated` gets.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._ring: deque[RecordedEvent] = deque(maxlen=RING_EVENTS)
        self._next_sequence = 1
        self._listeners: list[Listener] = []
        self._followers: tuple[Listener, ...] = ()
        self._written = frozenset(list(Severity)[list(Severity).index(least) :])
        self._file = _LineFile(log_file) if log_file else None
        self._budget = LineBudget(clock.monotonic)
        self._audit = _LineFile(audit_file) if audit_file else None
        self._counts = Counts()
        self._repeated = repeated

    def record(self, event: Event) -> RecordedEvent:
        """Append an event, then call the followers, and the subscribers if it is urgent."""
        with self._lock:
            # Number, time and line are written under one lock, so the file has the order of the
            # numbers.
            recorded = RecordedEvent(self._next_sequence, self._clock.now(), event)
            self._next_sequence += 1
            self._ring.append(recorded)
            if self._file is not None and event.severity in self._written:
                self._write_sums()
                if self._budget.allows(recorded):
                    self._file.write(recorded)
            if self._audit is not None and event.is_audited():
                self._audit.write(recorded)
            # Called without the lock: a listener may record an event itself, or wait for a thread
            # that does. Followers come first: they only take notes and return at once, a console
            # may be slow.
            listeners = (*self._followers, *(self._listeners if event.urgent else ()))
        for listener in listeners:
            _tell(listener, recorded)
        return recorded

    def record_repeated(self, make: MakeEvent, kind: Hashable, once: bool = False) -> None:
        """Count what may come with every object; record it the 1st, 10th, 100th time and so on.

        Args:
            make: makes the event, with the count as `times`, unless it is recorded `once`.
            kind: what is counted as the same.
            once: whether it is recorded the first time only.
        """
        if self._repeated is not None:
            self._repeated(make, kind, once)
            return
        times = self._counts.count(kind)
        if once and times == 1:
            self.record(make())
        elif not once and should_report_repeat(times):
            self.record(make(times=times))

    def events_since(self, sequence: int, limit: int) -> EventPage:
        """Return at most `limit` events from `sequence` on, oldest first."""
        with self._lock:
            # From the end: a console polls for the last few of 5,000 events.
            newest_first = iter(reversed(self._ring))
            wanted = []
            for recorded in newest_first:
                if recorded.sequence < sequence:
                    break
                wanted.append(recorded)
            coming = self._next_sequence
            first_kept = self._ring[0].sequence if self._ring else coming
        wanted.reverse()
        page = tuple(wanted[:limit])
        following = page[-1].sequence + 1 if page else max(sequence, coming)
        return EventPage(page, following, max(0, first_kept - max(sequence, 1)))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each urgent event, from the thread that records it.

        Returns:
            A function that ends the subscription.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def follow(self, listener: Listener) -> None:
        """Call `listener` with every event, from the recording thread; it must return at once."""
        with self._lock:
            self._followers = (*self._followers, listener)

    def write_sums(self) -> None:
        """Write the sums of a minute that is over; for a quiet time after a flood."""
        with self._lock:
            self._write_sums()

    def _write_sums(self, *, everything: bool = False) -> None:
        if self._file is not None:
            for recorded in self._budget.sums(everything=everything):
                self._file.write(recorded)

    def close(self) -> None:
        """Close the files; events recorded later stay in memory only."""
        with self._lock:
            self._write_sums(everything=True)
            for file in filter(None, (self._file, self._audit)):
                file.close()
            self._file = self._audit = None


def _tell(listener: Listener, recorded: RecordedEvent) -> None:
    try:
        listener(recorded)
    except Exception:
        # A console that breaks must not break the reception that has news for it.
        _logger.exception("a subscriber of the journal failed")


LINES_OF_KIND = 600
LINES_OF_KIND_PER_MINUTE = 30
LINES_OF_CALLER = 60
LINES_OF_CALLER_PER_MINUTE = 2
"""Of one kind. A caller with an association a minute is listed in full.

A flood of one kind by one caller writes 3 lines a minute, one by any number of callers 34: with 300
bytes a line the log of 60 MiB holds a flood of four kinds by one caller for 12 days, and one by
many callers for a day.
"""
CALLERS_NAMED = 3
"""Callers with a line of their own in the sums of a minute."""
_SECONDS = 60
_CALLERS_KNOWN = 1_000
"""A peer that invents AE titles must not fill the memory; the least recent one is forgotten."""

Caller = tuple[str, str]
"""Receiver and calling AE title."""


@dataclass(slots=True)
class _Bucket:
    """Lines that may still be written, and the monotonic time at which they were counted."""

    lines: float
    at: float

    def take(self, now: float, most: int, per_minute: int) -> bool:
        """Take a line if there is one."""
        self.lines = min(most, self.lines + (now - self.at) * per_minute / 60)
        self.at = now
        if self.lines < 1:
            return False
        self.lines -= 1
        return True


@dataclass(slots=True)
class _Sum:
    """What was not written of one kind and caller."""

    last: RecordedEvent
    times: int = 0
    objects: int = 0
    bytes: int = 0

    def add(self, recorded: RecordedEvent) -> None:
        """Add one event."""
        self.last = recorded
        self.times += 1
        self.objects += getattr(recorded.event, "objects", 0)
        self.bytes += getattr(recorded.event, "bytes", 0)


@dataclass(slots=True)
class _Minute:
    """What was not written of one kind since a moment."""

    since: float
    by_caller: dict[Caller, _Sum] = field(default_factory=dict)


class LineBudget:
    """Decides which events are written to the log; the journal calls it with its lock held."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Use a monotonic clock in seconds."""
        self._monotonic = monotonic
        self._kinds: dict[type[Event], _Bucket] = {}
        self._callers: OrderedDict[Hashable, _Bucket] = OrderedDict()
        self._left_out: dict[type[Event], _Minute] = {}

    def allows(self, recorded: RecordedEvent) -> bool:
        """Return whether to write an event; if not, it is in the next sums."""
        event, now = recorded.event, self._monotonic()
        if event.urgent or event.severity is Severity.ERROR or event.is_audited():
            return True
        kind, caller = type(event), (event.receiver, event.calling_ae_title)
        if self._has_line(kind, caller, now):
            return True
        minute = self._left_out.setdefault(kind, _Minute(now))
        # Beyond a number the callers are one: they may be invented.
        if caller not in minute.by_caller and len(minute.by_caller) >= _CALLERS_KNOWN:
            caller = ("", "")
        minute.by_caller.setdefault(caller, _Sum(recorded)).add(recorded)
        return False

    def sums(self, *, everything: bool = False) -> Iterator[RecordedEvent]:
        """Yield the sums of kinds whose minute is over, or of all kinds."""
        now = self._monotonic()
        for kind, minute in list(self._left_out.items()):
            if everything or now - minute.since >= _SECONDS:
                del self._left_out[kind]
                yield from _lines(minute.by_caller, round(now - minute.since))

    def _has_line(self, kind: type[Event], caller: Caller, now: float) -> bool:
        by_kind = self._kinds.setdefault(kind, _Bucket(LINES_OF_KIND, now))
        by_caller = self._callers.pop((kind, caller), None) or _Bucket(LINES_OF_CALLER, now)
        # Taken out and put at the end, so that the first one is the least recent.
        self._callers[kind, caller] = by_caller
        if len(self._callers) > _CALLERS_KNOWN:
            self._callers.popitem(last=False)
        # The caller's first: what it may not write takes nothing from the others.
        return by_caller.take(now, LINES_OF_CALLER, LINES_OF_CALLER_PER_MINUTE) and by_kind.take(
            now, LINES_OF_KIND, LINES_OF_KIND_PER_MINUTE
        )


def _lines(by_caller: dict[Caller, _Sum], seconds: int) -> Iterator[RecordedEvent]:
    busiest = sorted(by_caller, key=lambda caller: by_caller[caller].times, reverse=True)
    for caller in busiest[:CALLERS_NAMED]:
        yield _line(by_caller[caller], caller, 1, seconds)
    others = [by_caller[caller] for caller in busiest[CALLERS_NAMED:]]
    if others:
        last = max((one.last for one in others), key=lambda recorded: recorded.sequence)
        total = _Sum(
            last,
            *(sum(one.times for one in others), sum(one.objects for one in others)),
            sum(one.bytes for one in others),
        )
        yield _line(total, ("", ""), len(others), seconds)


def _line(total: _Sum, caller: Caller, callers: int, seconds: int) -> RecordedEvent:
    receiver, calling_ae_title = caller
    event = EventsSummed(
        severity=total.last.event.severity,
        of=type(total.last.event).__name__,
        times=total.times,
        objects=total.objects,
        bytes=total.bytes,
        callers=callers,
        seconds=seconds,
        receiver=receiver,
        calling_ae_title=calling_ae_title,
    )
    # With the number and the time of the last one, so that no number is there twice.
    return RecordedEvent(total.last.sequence, total.last.at, event)


class _LineFile(RotatingFileHandler):
    """Appends JSON lines with rotation. On a full disk lines are lost, but reception goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True
        )
        self._path = path
        self._complained = False
        self._size = 0
        """Size of the file in bytes; nothing else writes to it."""

    def _open(self) -> TextIOWrapper:
        # The log names callers and users. The opener sets the mode at creation, so that there is no
        # moment at which others can read it; a link in its place is not followed.
        def readable_by_the_owner(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

        return open(self.baseFilename, "a", encoding=self.encoding, opener=readable_by_the_owner)

    def write(self, recorded: RecordedEvent) -> None:
        """Append one event."""
        record = {"sequence": recorded.sequence, "at": recorded.at.isoformat()}
        # `json` escapes control characters, so that peer text stays on one line and in ASCII.
        line = json.dumps(record | recorded.event.to_record(), default=str)
        try:
            self._append(line + "\n")
        except (OSError, ValueError):
            self._complain()

    def _append(self, line: str) -> None:
        """Write a line of ASCII. Unlike `emit`, this makes no `stat` call for each line."""
        stream = self._opened()
        if self._size and self._size + len(line) > self.maxBytes:
            self.doRollover()
            stream = self._opened()
        stream.write(line)
        # After each line, so that a crash loses none and readers see it at once.
        stream.flush()
        self._size += len(line)

    def _opened(self) -> TextIOWrapper:
        if self.stream is None:
            self.stream = self._open()
            self._size = os.fstat(self.stream.fileno()).st_size
        return self.stream

    def close(self) -> None:
        """Close the file, even if its last lines can't be written any more."""
        with contextlib.suppress(OSError):
            super().close()

    def _complain(self) -> None:
        """Log once that lines are being lost."""
        if not self._complained:
            self._complained = True
            _logger.warning("%s can't be written; events stay in memory only", self._path.name)
