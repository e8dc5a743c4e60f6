"""What lock, configuration and index of a data directory say, without asking an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import SystemClock, local_midnight
from engine.config.store import ConfigurationStore
from engine.lock import EngineLock
from engine.sessions.observed import read_counts, read_observed

if TYPE_CHECKING:
    from datetime import datetime

    from engine.lock import Holder
    from engine.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class ReceiverSummary:
    """One configured receiver and what the running engine last said of it."""

    label: str
    enabled: bool
    state: str
    reason: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What `dicomdock status` tells without asking the engine."""

    running: Holder | None
    revision: int
    receivers: tuple[ReceiverSummary, ...]
    objects_today: int
    sessions_receiving: int


def read_status(settings: EngineSettings) -> EngineStatus:
    """Return what lock, configuration and index of a data directory say.

    Raises:
        ConfigurationError: if the configuration file is not acceptable.
    """
    clock = SystemClock()
    running = EngineLock.holder(settings.lock_file)
    configuration = ConfigurationStore(settings.config_file, clock=clock).load()
    observed = {o.receiver: o for o in read_observed(settings.index_file)} if running else {}
    summaries = []
    for receiver in configuration.receivers:
        said = observed.get(receiver.label)
        state = said.state if said else "not running" if not running else "not applied yet"
        summaries.append(
            ReceiverSummary(
                receiver.label,
                receiver.enabled,
                state,
                said.reason if said else "",
                said.since if said else None,
            )
        )
    objects, sessions = read_counts(settings.index_file, local_midnight(clock.now()))
    return EngineStatus(running, configuration.revision, tuple(summaries), objects, sessions)
