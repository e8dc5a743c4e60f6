"""Counters and rates: objects and bytes per second and in total, and the latency of answers."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.host.clock import Clock


ANSWER_BOUNDS_MS = (
    1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1200, 2000, 5000, 30000,
)  # fmt: skip
"""Upper bounds, in milliseconds, of the buckets for answer times; one more takes the rest."""
SENDERS_COUNTED = 100
"""How many calling AE titles are counted by name.

A peer may invent titles, and each is a time series in Prometheus.
"""
OTHER_SENDERS = "(other)"
"""The name under which further senders are counted."""


@dataclass(frozen=True, slots=True)
class ReceiverCounts:
    """The counts of one receiver since the engine started."""

    receiver: str
    """``AE:port``."""
    objects: tuple[tuple[str, int], ...] = ()
    """How many objects ended in each state."""
    bytes: int = 0
    failures: tuple[tuple[int, int], ...] = ()
    """How many objects were answered with each failure status (PS3.4 B.2.3)."""
    answers: tuple[int, ...] = (0,) * (len(ANSWER_BOUNDS_MS) + 1)
    """How many answers took up to each of `ANSWER_BOUNDS_MS`, and longer."""
    answer_seconds: float = 0.0
    """The sum of all answer times."""
    associations: int = 0


@dataclass(frozen=True, slots=True)
class SenderCounts:
    """The counts of one calling AE title since the engine started."""

    calling_ae_title: str
    objects: int = 0
    failed: int = 0
    """Answered with another status than success."""
    bytes: int = 0
    last_object_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RejectionCount:
    """How many associations were rejected for one reason (PS3.8 9.3.4)."""

    result: int
    source: int
    reason: int
    times: int


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The queue of one destination of forward copies."""

    destination: str
    """The label of its processor."""
    waiting: int
    given_up: int
    sent: int
    """Number of objects ever sent."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Everything that is counted, taken at one moment."""

    receivers: tuple[ReceiverCounts, ...] = ()
    senders: tuple[SenderCounts, ...] = ()
    rejections: tuple[RejectionCount, ...] = ()
    sessions: tuple[tuple[str, int], ...] = ()
    """How many sessions are in each status."""
    queues: tuple[QueueCounts, ...] = ()
    """The queues of forward copies."""
    commitment_requests: int = 0
    """Requests for storage commitment that were answered."""
    committed: int = 0
    """Objects that they named and that are committed."""
    not_committed: int = 0
    commitments_waiting: int = 0
    """Requests whose result is not delivered yet."""
    rows_waiting: int = 0
    """Objects whose row is not in the index yet."""
    rows_lost: int = 0
    """Rows that could not be kept until they were written; `check --adopt` brings them back."""
    longest_wait_seconds: float = 0.0
    """How long the oldest of the waiting rows has waited."""
    sessions_waiting: int = 0
    """Sessions that are to be built, or that a request waits for."""
    longest_session_wait_seconds: float = 0.0
    """For how long the first of them could have been worked on."""


WINDOW_SECONDS = 60
RATE_SECONDS = 5
"""Rates are means over the last full seconds, so that they do not flicker."""

_KEPT_STATES = frozenset(("stored", "duplicate"))
_FILTERED = "filtered"
"""Neither stored nor a failure."""
_SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class Throughput:
    """The volume of the last minute, oldest second first, and the present rates."""

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


class _LocalDay:
    """Computes the local day of a moment.

    Keeps the bounds of the last day: a conversion to local time for each object costs more than two
    comparisons.
    """

    def __init__(self, at: datetime) -> None:
        self._set(at)

    def of(self, at: datetime) -> date:
        """Return the local day of a moment."""
        if not self._begins <= at < self._ends:
            self._set(at)
        return self._day

    def _set(self, at: datetime) -> None:
        self._day = at.astimezone().date()
        # From the dates: on a day whose clocks change, the day has not 24 hours.
        midnight = datetime.combine(self._day, time.min)
        self._begins = midnight.astimezone(UTC)
        self._ends = (midnight + timedelta(days=1)).astimezone(UTC)


_SILENCE = Throughput()
_NEVER = Today()


class SecondsRing:
    """Objects and bytes of the last seconds; not thread-safe by itself."""

    __slots__ = ("_added", "_bytes", "_objects", "_second", "_shown", "_shown_second")

    def __init__(self) -> None:
        self._objects = [0] * WINDOW_SECONDS
        self._bytes = [0] * WINDOW_SECONDS
        self._second = 0
        self._added = -WINDOW_SECONDS
        """The second of the last object."""
        self._shown: Throughput | None = None
        self._shown_second = 0

    def add(self, second: int, size_bytes: int) -> None:
        """Count one object."""
        # Seconds without objects are emptied when the next object or query comes: no timer is
        # needed.
        if second > self._second:
            self._advance(second)
        place = second % WINDOW_SECONDS
        self._objects[place] += 1
        self._bytes[place] += size_bytes
        self._added = second
        self._shown = None

    def throughput(self, second: int) -> Throughput:
        """Return the minute that ends with `second`; the same object if nothing has changed."""
        # Most receivers and associations are silent, and a console asks four times a second.
        if second - self._added >= WINDOW_SECONDS:
            return _SILENCE
        if self._shown is None or self._shown_second != second:
            self._shown, self._shown_second = self._minute(second), second
        return self._shown

    def _minute(self, second: int) -> Throughput:
        self._advance(second)
        order = [(second + 1 + i) % WINDOW_SECONDS for i in range(WINDOW_SECONDS)]
        objects = tuple(self._objects[i] for i in order)
        sizes = tuple(self._bytes[i] for i in order)
        # Without the present second, which is not over yet.
        full = slice(-1 - RATE_SECONDS, -1)
        rates = sum(objects[full]) / RATE_SECONDS, sum(sizes[full]) / RATE_SECONDS
        return Throughput(sizes, objects, *rates)

    def _advance(self, second: int) -> None:
        # At most the whole ring, even after days without an object.
        for passed in range(max(self._second + 1, second - WINDOW_SECONDS + 1), second + 1):
            self._objects[passed % WINDOW_SECONDS] = 0
            self._bytes[passed % WINDOW_SECONDS] = 0
        self._second = max(self._second, second)


@dataclass(slots=True)
class _Receiver:
    """The counts of one receiver: today, of the last minute, and since the engine started."""

    day: date | None = None
    objects: int = 0
    bytes: int = 0
    failed: int = 0
    last_object_at: datetime | None = None
    """The fields up to here count today only."""
    ring: SecondsRing = field(default_factory=SecondsRing)
    states: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    all_bytes: int = 0
    answers: list[int] = field(default_factory=lambda: [0] * (len(ANSWER_BOUNDS_MS) + 1))
    answer_seconds: float = 0.0
    associations: int = 0

    def add(self, day: date, at: datetime, size_bytes: int, state: str) -> None:
        """Count one object of today; a new local day starts at zero."""
        if day != self.day:
            self.day, self.objects, self.bytes, self.failed = day, 0, 0, 0
        self.last_object_at = at
        if state in _KEPT_STATES:
            self.objects += 1
            self.bytes += size_bytes
        elif state != _FILTERED:
            self.failed += 1

    def counts(self, receiver: str) -> ReceiverCounts:
        """Return what was counted since the engine started."""
        return ReceiverCounts(
            receiver,
            tuple((str(state), objects) for state, objects in self.states.items()),
            self.all_bytes,
            tuple(self.failures.items()),
            tuple(self.answers),
            self.answer_seconds,
            self.associations,
        )


@dataclass(slots=True)
class _Sender:
    """The counts of one calling AE title since the engine started."""

    objects: int = 0
    failed: int = 0
    bytes: int = 0
    last_object_at: datetime | None = None


class Metrics:
    """All counters of one engine, behind one lock; for all threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._day = _LocalDay(clock.now())
        self._commitments = 0, 0, 0
        """Answered requests for storage commitment, and their objects: committed, and not."""
        self._receivers: defaultdict[str, _Receiver] = defaultdict(_Receiver)
        self._senders: dict[str, _Sender] = {}
        self._rejections: defaultdict[tuple[int, int, int], int] = defaultdict(int)

    def record_object(
        self,
        receiver: str,
        state: str,
        size_bytes: int,
        answer_seconds: float,
        calling_ae_title: str = OTHER_SENDERS,
        status: int = _SUCCESS,
    ) -> None:
        """Count one object in its final state."""
        # Clock and bucket before the lock, which every answer of every thread takes.
        second, at = int(self._clock.monotonic()), self._clock.now()
        bucket = bisect_left(ANSWER_BOUNDS_MS, answer_seconds * 1000)
        with self._lock:
            counted = self._receivers[receiver]
            counted.add(self._day.of(at), at, size_bytes, state)
            counted.ring.add(second, size_bytes)
            counted.states[state] += 1
            counted.all_bytes += size_bytes
            counted.answers[bucket] += 1
            counted.answer_seconds += answer_seconds
            sender = self._senders.get(calling_ae_title) or self._new_sender(calling_ae_title)
            sender.objects += 1
            sender.bytes += size_bytes
            sender.last_object_at = at
            if status != _SUCCESS:
                counted.failures[status] += 1
                sender.failed += 1

    def record_association(self, receiver: str) -> None:
        """Count one association that was accepted."""
        with self._lock:
            self._receivers[receiver].associations += 1

    def record_commitment(self, committed: int, not_committed: int) -> None:
        """Count one request for storage commitment whose objects were looked up."""
        with self._lock:
            requests, earlier, failed = self._commitments
            self._commitments = requests + 1, earlier + committed, failed + not_committed

    def record_rejection(self, result: int, source: int, reason: int) -> None:
        """Count one association that was rejected (PS3.8 9.3.4)."""
        with self._lock:
            self._rejections[result, source, reason] += 1

    def counters(self) -> Counters:
        """Return the counters since the engine started; those of the index are left at zero."""
        with self._lock:
            return Counters(
                tuple(counted.counts(name) for name, counted in self._receivers.items()),
                tuple(
                    SenderCounts(name, s.objects, s.failed, s.bytes, s.last_object_at)
                    for name, s in self._senders.items()
                ),
                tuple(RejectionCount(*why, times) for why, times in self._rejections.items()),
                commitment_requests=self._commitments[0],
                committed=self._commitments[1],
                not_committed=self._commitments[2],
            )

    def resume_today(self, counts: Mapping[str, Today]) -> None:
        """Continue the counts of today from those of an earlier run."""
        with self._lock:
            for receiver, count in counts.items():
                if count.day is not None:
                    self._receivers[receiver] = _Receiver(
                        count.day, count.objects, count.bytes, count.failed, count.last_object_at
                    )

    def today(self, receiver: str) -> Today:
        """Return what one receiver (``AE:port``) received since local midnight."""
        at = self._clock.now()
        with self._lock:
            return self._today(self._receivers.get(receiver), self._day.of(at))

    def of_receivers(self, receivers: Iterable[str]) -> Sequence[tuple[Today, Throughput]]:
        """Return `today` and `throughput` of each receiver, in their order."""
        second, at = int(self._clock.monotonic()), self._clock.now()
        with self._lock:
            day = self._day.of(at)
            found = map(self._receivers.get, receivers)
            return [
                (self._today(one, day), one.ring.throughput(second)) if one else (_NEVER, _SILENCE)
                for one in found
            ]

    def throughput(self, receiver: str | None = None) -> Throughput:
        """Return the last minute of one receiver (``AE:port``), or of all."""
        second = int(self._clock.monotonic())
        with self._lock:
            if receiver is None:
                rings = [counted.ring for counted in self._receivers.values()]
                minutes = [ring.throughput(second) for ring in rings]
                return _together([minute for minute in minutes if minute is not _SILENCE])
            counted = self._receivers.get(receiver)
            return counted.ring.throughput(second) if counted is not None else _SILENCE

    def totals(self) -> Totals:
        """Return the counts since the engine started."""
        states: defaultdict[str, int] = defaultdict(int)
        with self._lock:
            for counted in self._receivers.values():
                for state, times in counted.states.items():
                    states[state] += times
            size_bytes = sum(counted.all_bytes for counted in self._receivers.values())
        return Totals(
            # Each object ends in exactly one state.
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
        """Return percentiles of the answer times since the engine started, by bucket."""
        with self._lock:
            answers = _added(counted.answers for counted in self._receivers.values())
        if not any(answers):
            return Latency()
        return Latency(_percentile(answers, 0.50), _percentile(answers, 0.95))

    @staticmethod
    def _today(counted: _Receiver | None, day: date) -> Today:
        if counted is None or counted.day is None:
            return _NEVER
        # No object has come since midnight, so the fields still hold an earlier day.
        if counted.day != day:
            return Today(last_object_at=counted.last_object_at)
        return Today(
            counted.day, counted.objects, counted.bytes, counted.failed, counted.last_object_at
        )

    def _new_sender(self, calling_ae_title: str) -> _Sender:
        """Return the counts for a new sender: its own, or those of `OTHER_SENDERS`."""
        named = len(self._senders) < SENDERS_COUNTED
        return self._senders.setdefault(calling_ae_title if named else OTHER_SENDERS, _Sender())


def _together(some: Sequence[Throughput]) -> Throughput:
    if not some:
        return _SILENCE
    return Throughput(
        _added(one.bytes_per_second for one in some),
        _added(one.objects_per_second for one in some),
        sum(one.objects_rate for one in some),
        sum(one.bytes_rate for one in some),
    )


def _added(rows: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*rows, strict=True)))


def _percentile(counts: tuple[int, ...], share: float) -> int:
    wanted = share * sum(counts)
    seen = 0
    for i, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            # The bucket's upper bound: single times are not kept.
            return ANSWER_BOUNDS_MS[min(i, len(ANSWER_BOUNDS_MS) - 1)]
    return ANSWER_BOUNDS_MS[-1]
