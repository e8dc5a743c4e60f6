"""What a running engine says of itself, for `dicomdock status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.app.status import EngineStatus, ReceiverSummary, index_bytes, read_status
from engine.errors import EngineError
from engine.host.lock import EngineLock
from engine.remote.attach import find_engine

if TYPE_CHECKING:
    from engine.api import EngineSnapshot, ReceiverStatus
    from engine.settings import EngineSettings


def current_status(settings: EngineSettings) -> EngineStatus:
    """Return the status from the running engine, or from its files if none answers."""
    try:
        engine = find_engine(settings, wait_seconds=0)
        if engine is None:
            return read_status(settings)
        try:
            return _status_of(engine.view.snapshot(), settings)
        finally:
            engine.close()
    except EngineError:
        return read_status(settings)


def _status_of(snapshot: EngineSnapshot, settings: EngineSettings) -> EngineStatus:
    return EngineStatus(
        EngineLock.holder(settings.lock_file),
        snapshot.revision,
        tuple(map(_summary, snapshot.receivers)),
        sum(status.objects_today for status in snapshot.receivers),
        snapshot.sessions_receiving,
        snapshot.configuration_problem,
        snapshot.processes,
        snapshot.sessions_waiting,
        snapshot.recovery,
        index_bytes(settings),
        snapshot.declared_by,
    )


def _summary(status: ReceiverStatus) -> ReceiverSummary:
    reason = status.failure.reason if status.failure else ""
    receiver = status.receiver
    return ReceiverSummary(receiver.label, receiver.enabled, status.state, reason, status.since)
