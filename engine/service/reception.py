"""Builds the listeners and the table of associations."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from engine.commitment.service import CommitmentService
from engine.dimse.pdata import BUFFER_BYTES, ReceiveBuffer
from engine.identification.caches import RecentHeaders
from engine.net.admission import PendingConnections
from engine.net.reactor import POOL_THREADS, Reactor
from engine.reception.association import SharedServices
from engine.reception.associations import Associations
from engine.reception.commitment_scp import CommitmentSCP
from engine.reception.deadlines import Deadlines
from engine.reception.listener import ListenerContext
from engine.reception.processes.process import DockParts
from engine.reception.processes.processes import ReceivingProcesses
from engine.reception.receivers import Receivers
from engine.reception.storage_scp import StorageSCP
from engine.service.receiving import ProcessStart, run
from engine.sessions.service import areas_of
from engine.workers.start import (
    RECEIVING,
    Start,
    end_process,
    preload_receiving,
    start_process,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import ExitStack
    from multiprocessing.context import ForkServerProcess, SpawnProcess

    from engine.host.clock import Clock
    from engine.identification.caches import RecentHeader
    from engine.metrics import Metrics
    from engine.model.configuration import Configuration
    from engine.net.ports import InheritedSockets
    from engine.reception.acceptance import EngineLoad
    from engine.service.intake import Intake
    from engine.service.storage import Storage
    from engine.settings import EngineSettings


def associations_of(storage: Storage, intake: Intake, clock: Clock) -> Associations:
    """Return the table of associations, still empty."""
    index = storage.index
    known = index.known_callers()
    return Associations(clock, storage.journal, index.record, intake.metrics, known)


def commitments_of(
    settings: EngineSettings,
    storage: Storage,
    metrics: Metrics,
    associations: Associations,
    processes: ReceivingProcesses | None,
    clock: Clock,
    configuration: Callable[[], Configuration],
    require_rows: Callable[[int], object],
    resources: ExitStack,
) -> CommitmentService:
    """Return what answers requests for storage commitment; `resources` closes it."""
    service = CommitmentService(
        *(settings, storage.index, areas_of(settings), storage.journal, metrics, clock),
        *(configuration, storage.expiry, associations),
        settle=processes.settle if processes is not None else lambda: None,
        require_rows=require_rows,
    )
    resources.callback(service.close)
    associations.commitments = service
    return service


def receivers_of(
    settings: EngineSettings,
    storage: Storage,
    intake: Intake,
    associations: Associations,
    clock: Clock,
    load: Callable[[], EngineLoad],
    changed: Callable[[], None],
    inherited: InheritedSockets,
    processes: ReceivingProcesses | None,
    resources: ExitStack,
) -> Receivers:
    """Return the receivers, none of which listens yet; `resources` ends them.

    Args:
        settings: of the engine.
        storage: its open data directory.
        intake: takes the objects in.
        associations: the table of associations.
        clock: the engine's.
        load: returns the present load, for accepting or rejecting.
        changed: is called when a receiver's state has changed.
        inherited: the listening sockets that the parent process handed over.
        processes: those that receive objects; None if this one does.
        resources: ends what is begun here.
    """
    services = SharedServices(
        Reactor(),
        ReceiveBuffer(BUFFER_BYTES),
        associations,
        StorageSCP(intake.pipeline, associations),
        CommitmentSCP(associations, storage.journal),
        Deadlines.of(settings),
    )
    pending = PendingConnections(
        clock,
        storage.journal,
        settings.unassociated_peers,
        settings.unassociated_peers_per_address,
    )
    listener_context = ListenerContext(
        *(services, associations, pending, load, clock, storage.journal, inherited),
        processes.connection if processes is not None else None,
    )
    receivers = Receivers(listener_context, changed)
    # Undone in reverse order: no new associations, then no associations, then no sockets.
    resources.callback(inherited.close)
    resources.callback(receivers.abort_all)
    resources.callback(receivers.stop_accepting)
    return receivers


class HeadersOfProcesses(RecentHeaders):
    """The latest headers, which the receiving processes have."""

    def __init__(self) -> None:
        super().__init__()
        self.gather: Callable[[], Iterable[RecentHeader]] = tuple
        """Returns the headers of all processes, in any order."""

    def of(self, receiver_id: int) -> tuple[RecentHeader, ...]:
        """Return the last headers of a receiver, newest first; id 0 stands for all receivers."""
        return self._gathered().of(receiver_id)

    def everything(self) -> tuple[RecentHeader, ...]:
        """Return the last headers of all receivers, newest first."""
        return self._gathered().everything()

    def _gathered(self) -> RecentHeaders:
        gathered = RecentHeaders()
        for recent in sorted(self.gather(), key=lambda recent: recent.at):
            gathered.put(recent)
        return gathered


def processes_of(
    settings: EngineSettings,
    storage: Storage,
    intake: Intake,
    associations: Associations,
    adopt: Callable[[Sequence[int], Collection[int]], object],
    recent: HeadersOfProcesses,
    resources: ExitStack,
) -> ReceivingProcesses:
    """Return the receiving processes, none of which is started yet; `resources` ends them."""
    assert run.__module__ == RECEIVING
    preload_receiving()

    def start(
        area: str,
        link: socket.socket,
        sockets: socket.socket,
        configuration: Configuration,
        beat_seconds: float,
    ) -> SpawnProcess | ForkServerProcess:
        begin = ProcessStart(settings, configuration, area, beat_seconds)
        arguments = begin, link, sockets
        return start_process(Start.FORKED, run, arguments, name="receiving", daemon=False)

    pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="for-processes")
    resources.callback(pool.shutdown, wait=False, cancel_futures=True)
    parts = DockParts(
        *(storage.index, intake.dock, associations, storage.journal),
        *(intake.guard.refusal, intake.processors.note, intake.slow_rules, intake.room),
        *(storage.runner, intake.processors.workers, pool),
    )
    processes = ReceivingProcesses(
        *(settings.receiving_processes, parts, start, end_process),
        *(settings.incoming_dir, uuid.uuid4().hex[:12], adopt),
    )
    recent.gather = processes.recent
    intake.slow_rules.changed = processes.suspend
    intake.processors.table_changed = processes.table_changed
    resources.callback(processes.stop)
    return processes
