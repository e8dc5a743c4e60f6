"""The main function of a receiving process: builds its parts, and serves until the engine ends."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.dimse.pdata import BUFFER_BYTES, ReceiveBuffer
from engine.events import IdentifierSlow, PluginBroken, ProcessorProblem
from engine.events.journal import Journal
from engine.events.logging_handler import JournalHandler
from engine.events.monitoring import StorageLow, StorageRefuses, StorageSuffices
from engine.host.clock import SystemClock
from engine.host.open_files import raise_limit
from engine.identification.caches import RecentHeaders
from engine.intake.label_processing import CustomProcessing
from engine.net.reactor import Reactor
from engine.plugins.loading import WARNING_SECONDS
from engine.reception.association import SharedServices
from engine.reception.commitment_scp import CommitmentSCP
from engine.reception.deadlines import Deadlines
from engine.reception.processes.link import Link
from engine.reception.processes.receiver import ConnectionReceiver
from engine.reception.processes.remote import (
    RemoteDock,
    RemoteProcessorNotes,
    RemoteRoom,
    RemoteRuleFailures,
)
from engine.reception.processes.workers import RemoteWorkers
from engine.reception.storage_scp import StorageSCP
from engine.service.object_path import ObjectPathParts
from engine.service.processors import processing_of
from engine.service.storage import Plugins, open_tree
from engine.storage.incoming import IncomingArea
from engine.workers.start import use_as_engine

# Loaded here although entry points name them: what is loaded before the fork is shared.
# isort: split
import engine.identification.builtin
import engine.processing.builtin.relabel_from_table
import engine.processing.builtin.remap_by_study
import engine.processing.builtin.set_elements
import engine.processing.command.processor
import engine.processing.forward.processor  # noqa: F401

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from engine.events import Event, RecordedEvent
    from engine.intake.pipeline import Pipeline
    from engine.model.configuration import Configuration
    from engine.settings import EngineSettings

_STORAGE = (StorageLow, StorageRefuses, StorageSuffices)
_OF_THE_ENGINE = (PluginBroken, ProcessorProblem)
"""Events about what the engine has as well, and reports itself."""


@dataclass(frozen=True, slots=True)
class ProcessStart:
    """What a receiving process is started with."""

    settings: EngineSettings
    configuration: Configuration
    area: str
    """The name of its folder of arriving objects."""
    beat_seconds: float
    """How often it says that it is alive."""


def run(start: ProcessStart, link_socket: socket.socket, sockets: socket.socket) -> None:
    """Receive objects until the engine says so or has ended."""
    use_as_engine()
    raise_limit()
    link = Link(link_socket)
    with ExitStack() as resources:
        reactor = Reactor()
        dock = RemoteDock(link, reactor)
        rules = RemoteRuleFailures(link)
        path = _ObjectPath(start, link, sockets, dock, rules, resources)
        services = SharedServices(
            reactor,
            ReceiveBuffer(BUFFER_BYTES),
            dock,
            StorageSCP(path.pipeline, dock),
            CommitmentSCP(dock, path.journal),
            Deadlines.of(start.settings),
        )
        receiver = ConnectionReceiver(link, sockets, services, dock, rules, path, path.clock)
        reactor.call_soon(partial(receiver.beat, start.beat_seconds))
        if not receiver.serve():
            # At once: the next engine must find all that is published when it looks for it.
            os._exit(1)
        reactor.stop()
        dock.flush()
    # At once: what threads of the pool still do belongs to associations that have ended.
    os._exit(0)


class ToldChanges:
    """Reads files again when the engine, which watches them, says so; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refreshing: dict[Path, list[Callable[[], None]]] = {}

    def watch(self, path: Path, refresh: Callable[[], None]) -> Callable[[], None]:
        """Call `refresh` after each change of a file; return what ends that."""
        with self._lock:
            self._refreshing.setdefault(path, []).append(refresh)

        def end() -> None:
            with self._lock:
                self._refreshing[path].remove(refresh)

        return end

    def changed(self, path: Path) -> None:
        """Read a file again, for all that use it."""
        with self._lock:
            refreshing = tuple(self._refreshing.get(path, ()))
        for refresh in refreshing:
            refresh()


class _ObjectPath:
    """The way of an object in this process; satisfies `ObjectPath`."""

    def __init__(
        self,
        start: ProcessStart,
        link: Link,
        sockets: socket.socket,
        dock: RemoteDock,
        rules: RemoteRuleFailures,
        resources: ExitStack,
    ) -> None:
        settings = start.settings
        self.clock = SystemClock()
        self.configuration = start.configuration
        journal = self.journal = Journal(self.clock, repeated=partial(link.tell, "record_repeated"))
        journal.follow(lambda recorded: self._report(link, recorded))
        resources.callback(JournalHandler(journal).attach())
        plugins = Plugins.load()
        area = IncomingArea(settings.incoming_dir, start.area)
        resources.callback(area.close)
        workers = RemoteWorkers(link, sockets)
        parts = ObjectPathParts(
            settings,
            open_tree(settings.prearchive_dir, resources),
            open_tree(settings.archive_dir, resources),
            *(area, workers, journal, self.clock, lambda: self.configuration, resources),
        )
        self._tables = ToldChanges()
        self._processing = processing_of(
            *(plugins.processors, area, settings.state_file, journal.record),
            *(self._tables.watch, RemoteProcessorNotes(link), workers),
        )
        resources.callback(self._processing.close)
        self._recent = RecentHeaders()
        router = parts.router(plugins, self._processing, self._recent, rules)
        guard = parts.guard(lambda: 0.0)
        custom = CustomProcessing(self._processing, router)
        self.pipeline: Pipeline = parts.pipeline(dock, guard, router, custom, RemoteRoom(link))
        self.apply(start.configuration)

    def apply(self, configuration: Configuration) -> None:
        """Prepare for a configuration, and use it from now on."""
        self._processing.apply(configuration)
        self.configuration = configuration

    def table_changed(self, path: Path) -> None:
        """Read the tables of a file again."""
        self._tables.changed(path)

    def recent(self) -> tuple[Any, ...]:
        """Return the latest headers."""
        return self._recent.everything()

    def _report(self, link: Link, recorded: RecordedEvent) -> None:
        event: Event = recorded.event
        if isinstance(event, _STORAGE):
            link.tell("look_at_storage")
        elif isinstance(event, IdentifierSlow):
            # Once for all processes in that time.
            period = int(self.clock.monotonic() // WARNING_SECONDS)
            kind = IdentifierSlow, event.identifier, period
            link.tell("record_repeated", partial(replace, event), kind, True)
        elif not isinstance(event, _OF_THE_ENGINE):
            link.tell("event", event)
