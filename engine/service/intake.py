"""Builds the parts that take objects in: identification, processors, pipeline, quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.host.clock import local_midnight
from engine.identification.installed import IdentifierFaults, usable
from engine.index.traces import TraceIndex, TraceKey
from engine.inspection.showings import PhiAccessLog
from engine.intake.dock import LocalObjectDock
from engine.intake.filing import Filing
from engine.intake.pipeline import Pipeline, StorageAreas
from engine.intake.rules import ObjectRouter
from engine.metrics import Metrics
from engine.plugins.file_namers import templates_of
from engine.service.processors import ProcessorService
from engine.state.studies import KnownStudies
from engine.storage.guard import StorageGuard
from engine.storage.quarantine import Quarantine
from engine.workers.scripts import Anonymizer

if TYPE_CHECKING:
    from contextlib import ExitStack

    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.service.processors import ConfigurationAccess
    from engine.service.storage import Plugins, Storage
    from engine.settings import EngineSettings

# Limited: a peer that sends broken objects must not fill the disk.
QUARANTINE_BYTES: Final = 1024**3


class Intake:
    """The parts of one engine through which an object passes."""

    def __init__(
        self,
        settings: EngineSettings,
        storage: Storage,
        clock: Clock,
        plugins: Plugins,
        access: ConfigurationAccess,
        resources: ExitStack,
    ) -> None:
        """Build the parts; `resources` closes them."""
        self._settings, self._storage, self._clock = settings, storage, clock
        self.metrics = Metrics(clock)
        # Today's counts go on where the last engine left them.
        self.metrics.resume_today(storage.index.today(local_midnight(clock.now())))
        self.guard = self._guard(access)
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
        self.router = self._router(plugins, access, resources)
        self.dock = self._object_dock()
        """What pipelines ask."""
        self.pipeline = self._pipeline(resources)

    def start_ahead(self, configuration: Configuration) -> None:
        """Start the worker processes that the first object will need; returns at once."""
        if configuration.anonymizes:
            self._storage.runner.start_ahead()
        self.processors.processing.start_ahead(configuration)

    def _guard(self, access: ConfigurationAccess) -> StorageGuard:
        return StorageGuard(
            self._settings.data_dir,
            self._storage.prearchive_fd,
            self._settings.marker,
            lambda: access.current().site.limits,
            lambda: self.metrics.throughput().bytes_rate,
            self._storage.journal,
            self._clock,
        )

    def _router(
        self, plugins: Plugins, access: ConfigurationAccess, resources: ExitStack
    ) -> ObjectRouter:
        """Build the router; it asks the study routes and labels by connections of its own."""
        studies = KnownStudies(self._settings.state_file, self._settings.index_file)
        resources.callback(studies.close)
        journal = self._storage.journal
        return ObjectRouter(
            usable(plugins.identifiers, journal.record, self._clock),
            access.current,
            journal,
            self._clock,
            studies,
            self.processors.processing,
            templates_of(plugins.file_namers, journal.record),
        )

    def _object_dock(self) -> LocalObjectDock:
        storage, archive_folder = self._storage, self.router.archive_folder
        return LocalObjectDock(
            storage.index,
            Filing(storage.index, storage.prearchive_fd, storage.archive_fd, archive_folder),
            self.metrics,
            TraceIndex(storage.index, self.trace_key),
        )

    def _pipeline(self, resources: ExitStack) -> Pipeline:
        storage = self._storage
        return Pipeline(
            self._places(resources),
            self.dock,
            storage.journal,
            self._clock,
            self.router,
            Anonymizer(storage.incoming, storage.runner, storage.journal),
            self.processors.custom(self.router),
        )

    def _places(self, resources: ExitStack) -> StorageAreas:
        storage, settings = self._storage, self._settings
        quarantine = Quarantine(settings.quarantine_dir, QUARANTINE_BYTES, self._clock)
        resources.callback(quarantine.close)
        return StorageAreas(
            incoming=storage.incoming,
            prearchive_fd=storage.prearchive_fd,
            archive_fd=storage.archive_fd,
            quarantine=quarantine,
            durability=settings.durability,
            guard=self.guard,
            held_header_bytes=settings.held_header_mib * 1024**2,
        )
