"""Keeps a flood of events from pushing all others out of the event log.

An event whose kind or caller has written many lines lately is not written but counted, and its
numbers are added up. The sums of a minute are one line for each of the busiest callers, and one for
all others. Actions of people, urgent events and errors are always written.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.events.engine import EventsSummed
from engine.events.event import RecordedEvent, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from engine.events.event import Event

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
