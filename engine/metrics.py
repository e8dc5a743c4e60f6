"""Counters and rates of what arrives: per second, in total, and how long an answer took."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.clock import Clock

WINDOW_SECONDS = 60
RATE_SECONDS = 5
"""Rates are means over the last full seconds, so that they don't flicker."""

_KEPT_STATES = frozenset(("stored", "duplicate"))
_FILTERED = "filtered"
"""Neither kept nor a failure."""
_BOUNDS_MS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1200, 2000, 5000, 30000)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What arrived in the last minute, oldest second first, and the present rates."""

    bytes_per_second: tuple[int, ...] = (0,) * WINDOW_SECONDS
    objects_per_second: tuple[int, ...] = (0,) * WINDOW_SECONDS
    objects_rate: float = 0.0
    """Objects per second."""
    bytes_rate: float = 0.0
    """Bytes per second."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the engine started."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0
    failed: int = 0
    bytes: int = 0
    filtered: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the engine took from the last byte of an object to its answer."""

    p50_ms: int | None = None
    p95_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Today:
    """What one receiver received since local midnight."""

    day: date | None = None
    objects: int = 0
    bytes: int = 0
    failed: int = 0
    last_object_at: datetime | None = None


@dataclass(slots=True)
class _Counted:
    """`Today` while it grows."""

    day: date
    objects: int = 0
    bytes: int = 0
    failed: int = 0
    last_object_at: datetime | None = None

    def add(self, day: date, at: datetime, size_bytes: int, state: str) -> None:
        """Count one object; a new local day starts from nothing."""
        if day != self.day:
            self.day, self.objects, self.bytes, self.failed = day, 0, 0, 0
        self.last_object_at = at
        if state in _KEPT_STATES:
            self.objects += 1
            self.bytes += size_bytes
        elif state != _FILTERED:
            self.failed += 1


class _LocalDay:
    """Tells the local day of moments, most of which are in the same one."""

    def __init__(self, at: datetime) -> None:
        self._set(at)

    def of(self, at: datetime) -> date:
        """Return the local day of a moment."""
        if not self._begins <= at < self._ends:
            self._set(at)
        return self._day

    def _set(self, at: datetime) -> None:
        self._day = at.astimezone().date()
        midnight = datetime.combine(self._day, time.min)
        self._begins = midnight.astimezone(UTC)
        self._ends = (midnight + timedelta(days=1)).astimezone(UTC)


class SecondsRing:
    """Objects and bytes of the last seconds; not thread-safe by itself."""

    __slots__ = ("_bytes", "_objects", "_second")

    def __init__(self) -> None:
        self._objects = [0] * WINDOW_SECONDS
        self._bytes = [0] * WINDOW_SECONDS
        self._second = 0

    def add(self, second: int, size_bytes: int) -> None:
        """Count one object."""
        if second > self._second:
            self._advance(second)
        place = second % WINDOW_SECONDS
        self._objects[place] += 1
        self._bytes[place] += size_bytes

    def throughput(self, second: int) -> Throughput:
        """Return the minute that ends with `second`."""
        self._advance(second)
        order = [(second + 1 + i) % WINDOW_SECONDS for i in range(WINDOW_SECONDS)]
        objects = tuple(self._objects[i] for i in order)
        sizes = tuple(self._bytes[i] for i in order)
        full = slice(-1 - RATE_SECONDS, -1)
        rates = sum(objects[full]) / RATE_SECONDS, sum(sizes[full]) / RATE_SECONDS
        return Throughput(sizes, objects, *rates)

    def _advance(self, second: int) -> None:
        for passed in range(max(self._second + 1, second - WINDOW_SECONDS + 1), second + 1):
            self._objects[passed % WINDOW_SECONDS] = 0
            self._bytes[passed % WINDOW_SECONDS] = 0
        self._second = max(self._second, second)


class Metrics:
    """All counters of one engine; every method may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._all = SecondsRing()
        self._receivers: defaultdict[str, SecondsRing] = defaultdict(SecondsRing)
        self._states: defaultdict[str, int] = defaultdict(int)
        self._day = _LocalDay(clock.now())
        self._today: dict[str, _Counted] = {}
        self._bytes = 0
        self._answers = [0] * (len(_BOUNDS_MS) + 1)

    def record_object(
        self, receiver: str, state: str, size_bytes: int, answer_seconds: float
    ) -> None:
        """Count one object in its final state."""
        second, at = int(self._clock.monotonic()), self._clock.now()
        bucket = bisect_left(_BOUNDS_MS, answer_seconds * 1000)
        with self._lock:
            day = self._day.of(at)
            today = self._today.get(receiver)
            if today is None:
                today = self._today[receiver] = _Counted(day)
            today.add(day, at, size_bytes, state)
            self._all.add(second, size_bytes)
            self._receivers[receiver].add(second, size_bytes)
            self._states[state] += 1
            self._bytes += size_bytes
            self._answers[bucket] += 1

    def resume_today(self, counts: Mapping[str, Today]) -> None:
        """Continue from what an earlier engine received today."""
        with self._lock:
            for receiver, count in counts.items():
                if count.day is not None:
                    self._today[receiver] = _Counted(
                        count.day, count.objects, count.bytes, count.failed, count.last_object_at
                    )

    def today(self, receiver: str) -> Today:
        """Return what one receiver (``AE:port``) received since local midnight."""
        at = self._clock.now()
        with self._lock:
            counted = self._today.get(receiver)
            if counted is None:
                return Today()
            if counted.day != self._day.of(at):
                return Today(last_object_at=counted.last_object_at)
            return Today(
                counted.day,
                counted.objects,
                counted.bytes,
                counted.failed,
                counted.last_object_at,
            )

    def throughput(self, receiver: str | None = None) -> Throughput:
        """Return the last minute of one receiver (``AE:port``), or of all."""
        second = int(self._clock.monotonic())
        with self._lock:
            ring = self._all if receiver is None else self._receivers.get(receiver)
            return ring.throughput(second) if ring is not None else Throughput()

    def totals(self) -> Totals:
        """Return the counts since the engine started."""
        with self._lock:
            states = dict(self._states)
            size_bytes = self._bytes
        return Totals(
            received=sum(states.values()),
            stored=states.get("stored", 0),
            duplicates=states.get("duplicate", 0),
            quarantined=states.get("quarantined", 0),
            failed=states.get("failed", 0),
            bytes=size_bytes,
            filtered=states.get("filtered", 0),
        )

    def latency(self) -> Latency:
        """Return how long answers took since the engine started."""
        with self._lock:
            answers = tuple(self._answers)
        if not any(answers):
            return Latency()
        return Latency(_percentile(answers, 0.50), _percentile(answers, 0.95))


def _percentile(counts: tuple[int, ...], share: float) -> int:
    wanted = share * sum(counts)
    seen = 0
    for i, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return _BOUNDS_MS[min(i, len(_BOUNDS_MS) - 1)]
    return _BOUNDS_MS[-1]
