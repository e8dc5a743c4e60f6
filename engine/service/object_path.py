"""Builds the way of an object: router and pipeline, in the engine or in a receiving process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.identification.installed import usable
from engine.intake.pipeline import Pipeline, StorageAreas
from engine.intake.rules import ObjectRouter
from engine.plugins.file_namers import templates_of
from engine.state.studies import KnownStudies
from engine.storage.guard import StorageGuard
from engine.storage.quarantine import Quarantine
from engine.workers.scripts import Anonymizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.identification.caches import RecentHeaders
    from engine.intake.dock import ObjectDock
    from engine.intake.label_processing import CustomProcessing
    from engine.intake.rule_failures import RuleFailures
    from engine.model.configuration import Configuration
    from engine.processing.chain import Processing
    from engine.service.storage import Plugins
    from engine.settings import EngineSettings
    from engine.storage.incoming import IncomingArea
    from engine.storage.quarantine import Room
    from engine.workers.scripts import RunsScripts


@dataclass(frozen=True, slots=True)
class ObjectPathParts:
    """The parts of a process that objects need on their way."""

    settings: EngineSettings
    prearchive_fd: int
    archive_fd: int
    incoming: IncomingArea
    runner: RunsScripts
    journal: Journal
    clock: Clock
    configuration: Callable[[], Configuration]
    resources: ExitStack
    """Closes what is built here."""

    def guard(self, bytes_rate: Callable[[], float]) -> StorageGuard:
        """Return what watches the free space."""
        return StorageGuard(
            self.settings.data_dir,
            self.prearchive_fd,
            self.settings.marker,
            lambda: self.configuration().site.limits,
            bytes_rate,
            self.journal,
            self.clock,
        )

    def router(
        self,
        plugins: Plugins,
        processing: Processing,
        recent: RecentHeaders | None,
        rule_failures: RuleFailures,
    ) -> ObjectRouter:
        """Build the router; it asks the study routes and labels by connections of its own."""
        studies = KnownStudies(self.settings.state_file, self.settings.index_file)
        self.resources.callback(studies.close)
        report = self.journal.record
        return ObjectRouter(
            usable(plugins.identifiers, report, self.clock),
            self.configuration,
            self.journal,
            self.clock,
            studies,
            processing,
            templates_of(plugins.file_namers, report),
            recent,
            rule_failures,
        )

    def pipeline(
        self,
        dock: ObjectDock,
        guard: StorageGuard,
        router: ObjectRouter,
        custom: CustomProcessing,
        room: Room,
    ) -> Pipeline:
        """Build the pipeline."""
        quarantine = Quarantine(self.settings.quarantine_dir, room, self.clock)
        self.resources.callback(quarantine.close)
        places = StorageAreas(
            incoming=self.incoming,
            prearchive_fd=self.prearchive_fd,
            archive_fd=self.archive_fd,
            quarantine=quarantine,
            durability=self.settings.durability,
            guard=guard,
            held_header_bytes=self.settings.held_header_mib * 1024**2,
        )
        anonymizer = Anonymizer(self.incoming, self.runner, self.journal)
        return Pipeline(places, dock, self.journal, self.clock, router, anonymizer, custom)
