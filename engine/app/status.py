"""Status of a data directory from its lock, configuration and index, without an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.config.store import ConfigurationStore
from engine.errors import ConfigurationError
from engine.host.clock import SystemClock, local_midnight
from engine.host.lock import EngineLock
from engine.index.reader import read_counts, read_observed
from engine.model.configuration import Configuration

if TYPE_CHECKING:
    from datetime import datetime

    from engine.api import ProcessStatus, RecoveryStatus
    from engine.host.lock import Holder
    from engine.index.reader import ObservedReceiver
    from engine.model.receiver import Receiver
    from engine.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class ReceiverSummary:
    """One configured receiver, and its state as the engine last wrote it."""

    label: str
    enabled: bool
    state: str
    reason: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The output of `dicomdock status`."""

    running: Holder | None
    revision: int
    receivers: tuple[ReceiverSummary, ...]
    objects_today: int
    sessions_receiving: int
    configuration_problem: str = ""
    """Why the configuration file is invalid; then there are no receivers here. Empty if valid."""
    processes: tuple[ProcessStatus, ...] = ()
    """The receiving processes of a running engine that answers."""
    sessions_waiting: int = 0
    """Sessions that are to be built, or that a request waits for; of an engine that answers."""
    recovery: RecoveryStatus | None = None
    """How far a running engine that answers is with the sessions that a killed one left open."""
    index_bytes: int = 0
    """The size of the index."""
    declared_by: str = ""
    """The document (``--config``) that declares the configuration of a running engine."""


def read_status(settings: EngineSettings) -> EngineStatus:
    """Return the status from lock, configuration and index of a data directory."""
    clock = SystemClock()
    running = EngineLock.holder(settings.lock_file)
    try:
        store = ConfigurationStore(settings.config_file, clock=clock, in_use=settings.in_use_files)
        configuration, problem = store.expected(), ""
    except ConfigurationError as error:
        configuration, problem = Configuration(), error.detail
    # Without a running engine the index has the states of the last one.
    observed = {o.receiver: o for o in read_observed(settings.index_file)} if running else {}
    otherwise = "not applied yet" if running else "not running"
    receivers = tuple(
        _summary(receiver, observed.get(receiver.label), otherwise)
        for receiver in configuration.receivers
    )
    objects, sessions = read_counts(settings.index_file, local_midnight(clock.now()))
    size = index_bytes(settings)
    return EngineStatus(
        *(running, configuration.revision, receivers, objects, sessions, problem), index_bytes=size
    )


def index_bytes(settings: EngineSettings) -> int:
    """Return the size of the index; 0 if there is none."""
    try:
        return settings.index_file.stat().st_size
    except OSError:
        return 0


def _summary(receiver: Receiver, said: ObservedReceiver | None, otherwise: str) -> ReceiverSummary:
    if said is None:
        return ReceiverSummary(receiver.label, receiver.enabled, otherwise, "", None)
    return ReceiverSummary(receiver.label, receiver.enabled, said.state, said.reason, said.since)
