"""What has been counted since the engine started, by receiver, by sender and by reason; values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

ANSWER_BOUNDS_MS = (
    1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1200, 2000, 5000, 30000,
)  # fmt: skip
"""Upper bounds of the buckets that answers are counted in; one more bucket takes the rest."""
SENDERS_COUNTED = 100
"""Calling AE titles that are counted by name: a peer may call itself anything."""
OTHER_SENDERS = "(other)"
"""What further ones are counted under."""


@dataclass(frozen=True, slots=True)
class ReceiverCounts:
    """What one receiver received."""

    receiver: str
    """``AE:port``."""
    objects: tuple[tuple[str, int], ...] = ()
    """How many ended in each final state."""
    bytes: int = 0
    failures: tuple[tuple[int, int], ...] = ()
    """How many were answered with each C-STORE status other than success (PS3.4 B.2.3)."""
    answers: tuple[int, ...] = (0,) * (len(ANSWER_BOUNDS_MS) + 1)
    """How many took up to each of `ANSWER_BOUNDS_MS`, and longer."""
    answer_seconds: float = 0.0
    """How long all of them took together."""
    associations: int = 0


@dataclass(frozen=True, slots=True)
class SenderCounts:
    """What one calling AE title sent."""

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
    """What waits to be sent on to one destination."""

    destination: str
    """The label of its processor."""
    waiting: int
    given_up: int
    sent: int
    """Ever."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Everything that is counted, taken at one moment."""

    receivers: tuple[ReceiverCounts, ...] = ()
    senders: tuple[SenderCounts, ...] = ()
    rejections: tuple[RejectionCount, ...] = ()
    sessions: tuple[tuple[str, int], ...] = ()
    """How many sessions are in each status."""
    queues: tuple[QueueCounts, ...] = ()
    """What waits to be sent on."""
    rows_waiting: int = 0
    """Objects whose row is not in the index yet."""
    rows_lost: int = 0
    """Rows that could not be kept until they were written; `check --adopt` brings them back."""
    longest_wait_seconds: float = 0.0
    """How long the oldest of the waiting rows has waited."""
