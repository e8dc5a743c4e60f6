"""Builds the parts that take objects in: identification, processors, pipeline, quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.host.clock import local_midnight
from engine.identification.installed import IdentifierFaults
from engine.index.traces import TraceIndex, TraceKey
from engine.inspection.showings import PhiAccessLog
from engine.intake.dock import LocalObjectDock
from engine.intake.filing import Filing
from engine.intake.rule_failures import SlowRules
from engine.metrics import Metrics
from engine.service.object_path import ObjectPathParts
from engine.service.processors import ProcessorService
from engine.storage.quarantine import QuarantineRoom

if TYPE_CHECKING:
    from contextlib import ExitStack

    from engine.host.clock import Clock
    from engine.identification.caches import RecentHeaders
    from engine.model.configuration import Configuration
    from engine.service.processors import ConfigurationAccess
    from engine.service.storage import Plugins, Storage
    from engine.sessions.recovery import Recovery
    from engine.settings import EngineSettings

QUARANTINE_BYTES: Final = 1024**3
"""Limited: a peer that sends broken objects must not fill the disk."""


class Intake:
    """The parts of one engine through which an object passes."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        clock: Clock,
        plugins: Plugins,
        access: ConfigurationAccess,
        recovery: Recovery,
        resources: ExitStack,
        recent: RecentHeaders | None = None,
    ) -> None:
        """Build the parts; `resources` closes them.

        Objects wait for sessions that `recovery` still has; `recent` has the latest headers, if
        other processes receive them.
        """
        self._storage = storage
        self.metrics = Metrics(clock)
        # Today's counts go on where the last engine left them.
        self.metrics.resume_today(storage.index.today(local_midnight(clock.now())))
        parts = ObjectPathParts(
            settings,
            storage.prearchive_fd,
            storage.archive_fd,
            storage.incoming,
            storage.runner,
            storage.journal,
            clock,
            access.current,
            resources,
        )
        self.guard = parts.guard(lambda: self.metrics.throughput().bytes_rate)
        report = storage.journal.record
        self.trace_key = TraceKey(settings.trace_key_file)
        self.phi_access_log = PhiAccessLog(report, self.trace_key, clock)
        """Records whose identifying values were shown."""
        self.processors = ProcessorService(
            *(plugins.processors, storage.incoming, settings.state_file, report, clock, access),
            self.phi_access_log,
        )
        resources.callback(self.processors.close)
        self.faults = IdentifierFaults(plugins.identifier_infos, clock, report)
        """The receivers whose identifier can't be used."""
        self.slow_rules = SlowRules(report)
        processing = self.processors.processing
        self.router = parts.router(plugins, processing, recent, self.slow_rules)
        self.dock = self._object_dock(recovery)
        """What pipelines ask."""
        custom = self.processors.custom(self.router)
        self.room = QuarantineRoom(settings.quarantine_dir, QUARANTINE_BYTES, clock)
        self.pipeline = parts.pipeline(self.dock, self.guard, self.router, custom, self.room)

    def start_ahead(self, configuration: Configuration) -> None:
        """Start the worker processes that the first object will need; returns at once."""
        if configuration.anonymizes:
            self._storage.runner.start_ahead()
        self.processors.processing.start_ahead(configuration)

    def _object_dock(self, recovery: Recovery) -> LocalObjectDock:
        storage, archive_folder = self._storage, self.router.archive_folder
        return LocalObjectDock(
            storage.index,
            Filing(storage.index, storage.prearchive_fd, storage.archive_fd, archive_folder),
            self.metrics,
            recovery,
            TraceIndex(storage.index, self.trace_key),
        )
