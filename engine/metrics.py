"""Counters and rates of what arrives: per second, in total, and how long an answer took."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from engine.clock import Clock

WINDOW_SECONDS = 60
RATE_SECONDS = 5
"""Rates are means over the last full seconds, so that they don't flicker."""

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
    rejected: int = 0


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

    def plus(self, at: datetime, size_bytes: int, failed: bool) -> Today:
        """Return these counts with one more object; a new local day starts from nothing."""
        day = at.astimezone().date()
        before = self if self.day == day else Today()
        return Today(
            day,
            before.objects + (not failed),
            before.bytes + (0 if failed else size_bytes),
            before.failed + failed,
            at,
        )


class SecondsRing:
    """Objects and bytes of the last seconds; not thread-safe by itself."""

    __slots__ = ("_bytes", "_objects", "_second")

    def __init__(self) -> None:
        self._objects = [0] * WINDOW_SECONDS
        self._bytes = [0] * WINDOW_SECONDS
        self._second = 0

    def add(self, second: int, size_bytes: int) -> None:
        """Count one object."""
        self._advance(second)
        self._objects[second % WINDOW_SECONDS] += 1
        self._bytes[second % WINDOW_SECONDS] += size_bytes

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
        self._today: dict[str, Today] = {}
        self._bytes = 0
        self._answers = [0] * (len(_BOUNDS_MS) + 1)

    def record_object(
        self, receiver: str, state: str, size_bytes: int, answer_seconds: float
    ) -> None:
        """Count one object in its final state."""
        second, at = int(self._clock.monotonic()), self._clock.now()
        bucket = _bucket(answer_seconds * 1000)
        failed = state not in {"stored", "duplicate", "filtered"}
        with self._lock:
            today = self._today.get(receiver, Today())
            self._today[receiver] = today.plus(at, size_bytes, failed)
            self._all.add(second, size_bytes)
            self._receivers[receiver].add(second, size_bytes)
            self._states[state] += 1
            self._bytes += size_bytes
            self._answers[bucket] += 1

    def resume_today(self, counts: Mapping[str, Today]) -> None:
        """Continue from what an earlier engine received today."""
        with self._lock:
            self._today.update(counts)

    def today(self, receiver: str) -> Today:
        """Return what one receiver (``AE:port``) received since local midnight."""
        with self._lock:
            counts = self._today.get(receiver, Today())
        if counts.day == self._clock.now().astimezone().date():
            return counts
        return Today(last_object_at=counts.last_object_at)

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
            rejected=states.get("rejected", 0),
        )

    def latency(self) -> Latency:
        """Return how long answers took since the engine started."""
        with self._lock:
            answers = tuple(self._answers)
        if not any(answers):
            return Latency()
        return Latency(_percentile(answers, 0.50), _percentile(answers, 0.95))


def _bucket(milliseconds: float) -> int:
    return next((i for i, bound in enumerate(_BOUNDS_MS) if milliseconds <= bound), len(_BOUNDS_MS))


def _percentile(counts: tuple[int, ...], share: float) -> int:
    wanted = share * sum(counts)
    seen = 0
    for i, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return _BOUNDS_MS[min(i, len(_BOUNDS_MS) - 1)]
    return _BOUNDS_MS[-1]
