"""A clock that stands still, and values as an afternoon in a hospital has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from engine.api import (
    AssociationStatus,
    EngineSnapshot,
    ReceiverState,
    ReceiverStatus,
    StorageStatus,
)
from engine.metrics import WINDOW_SECONDS, Latency, Throughput, Totals
from engine.model.peer import AETitle
from engine.model.receiver import Receiver

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
GIB = 1024**3
WAVE = (8, 9, 12, 15, 18, 23, 27, 31, 36, 41, 44, 41, 37, 34, 35, 40, 46, 52, 47, 41)


class FixedClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, at: datetime = NOW) -> None:
        self._now = at
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set only the time of day, as an administrator or NTP does."""
        self._now += timedelta(seconds=seconds)


def make_receiver(id: int, ae_title: str = "XNAT", port: int = 8104, **changes: Any) -> Receiver:
    """Return a receiver; AE titles are taken as they are, valid or not."""
    return Receiver(id, AETitle(ae_title), port, **changes)


def make_throughput(megabytes: float, objects: float = 0.0, shift: int = 0) -> Throughput:
    """Return a minute of traffic that ends near the given rates."""
    if not megabytes:
        return Throughput()
    shape = [WAVE[(i + shift) % len(WAVE)] / 41 for i in range(WINDOW_SECONDS)]
    return Throughput(
        tuple(int(megabytes * 1e6 * s) for s in shape),
        tuple(int(objects * s) for s in shape),
        float(objects),
        megabytes * 1e6,
    )


def make_status(
    receiver: Receiver, state: ReceiverState = ReceiverState.LISTENING, **changes: Any
) -> ReceiverStatus:
    """Return a receiver's status, listening since six in the morning."""
    listening = state is ReceiverState.LISTENING
    address = f"[::]:{receiver.port}" if listening else ""
    since = changes.pop("since", NOW.replace(hour=6, minute=0, second=11))
    return ReceiverStatus(receiver, state, since, address, **changes)


def make_association(number: int, caller: str, called: str = "XNAT", **changes: Any) -> Any:
    """Return an association from 10.4.7.21 that lives since 14:02:41."""
    values: dict[str, Any] = {
        "receiver": f"{called}:8104",
        "address": "10.4.7.21:50112",
        "since": NOW - timedelta(seconds=41),
        "implementation": "DCM4CHE_5_29",
        "contexts_accepted": 12,
        "contexts_proposed": 14,
    }
    return AssociationStatus(
        id=f"A-{number:04}",
        calling_ae_title=caller,
        called_ae_title=called,
        **(values | changes),
    )


def make_snapshot(**changes: Any) -> EngineSnapshot:
    """Return a snapshot of an engine without receivers."""
    values: dict[str, Any] = {
        "taken_at": NOW,
        "started_at": NOW.replace(hour=6, minute=0, second=10),
        "version": "0.1.0",
        "host": "archive01",
        "data_dir": "/var/lib/dicomdock",
        "durability": "full",
        "revision": 12,
        "receivers": (),
        "associations": (),
        "ended_associations": (),
        "maximum_associations": 200,
        "throughput": Throughput(),
        "totals": Totals(),
        "latency": Latency(),
        "storage": StorageStatus("/var/lib/dicomdock", 4_600 * GIB, 1_794 * GIB),
        "sessions_receiving": 0,
    }
    return EngineSnapshot(**(values | changes))
