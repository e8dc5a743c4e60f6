"""Custom processing of one engine: builds its parts, and answers the console."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.config.masking import masked_processor, revealed_processor
from engine.config.watcher import watch_file
from engine.events import ProcessorProblem
from engine.intake.label_processing import CustomProcessing
from engine.model.processor import parse_processor
from engine.processing.builtin.label_tables import LabelTables
from engine.processing.chain import Processing, ProcessorStates
from engine.processing.installed import classes_of, report_broken, rules_of
from engine.processing.workers import ProcessorWorkers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from engine.events import Event
    from engine.host.clock import Clock
    from engine.inspection.showings import PhiAccessLog
    from engine.intake.rules import ObjectRouter
    from engine.model.configuration import Configuration
    from engine.model.processing import ProcessorStatus, ProcessorTrial
    from engine.model.processor import Processor, ProcessorClass
    from engine.plugins.loading import Plugin
    from engine.processing.chain import ProcessorNotes
    from engine.processing.contract import ProcessorType
    from engine.processing.workers import RunsProcessors
    from engine.storage.incoming import IncomingArea


@dataclass(frozen=True, slots=True)
class ConfigurationAccess:
    """How the configuration in force is read and changed."""

    current: Callable[[], Configuration]
    changing: Callable[[], AbstractContextManager[ConfigurationStore]]
    apply: Callable[[Configuration], None]
    repairing: Callable[[], AbstractContextManager[ConfigurationStore]]
    """The same as `changing`, also while the file can't be read."""


class ProcessorService:
    """Satisfies `engine.api.processors.ProcessorsView`; for all threads."""

    def __init__(
        self,
        plugins: Sequence[Plugin[ProcessorType]],
        area: IncomingArea,
        uid_maps_file: Path,
        report: Callable[[Event], object],
        clock: Clock,
        access: ConfigurationAccess,
        phi_access_log: PhiAccessLog,
    ) -> None:
        """Take the installed classes, the incoming area, and access to the configuration.

        `phi_access_log` records who saw identifying values.
        """
        self._plugins = plugins
        self._area = area
        self._access = access
        self._phi_access_log = phi_access_log
        self._states = ProcessorStates(clock, report)
        report_broken(plugins, report)

        self.workers = ProcessorWorkers()
        """Run the processors, also for objects of other processes."""

        def watch(path: Path, refresh: Callable[[], None]) -> Callable[[], None]:
            def changed() -> None:
                self.table_changed(path)
                refresh()

            return watch_file(path, changed)

        self.processing = processing_of(
            *(plugins, area, uid_maps_file, report, watch, self._states, self.workers)
        )
        self.note = self._states.note
        """Counts an object that a processor has seen in another process."""
        self.table_changed: Callable[[Path], object] = lambda _: None
        """Called when the file of a table has changed, before it is read here and reported."""
        self._router: ObjectRouter | None = None

    def custom(self, router: ObjectRouter) -> CustomProcessing:
        """Return the step of the pipeline that runs processors on arriving objects."""
        self._router = router
        return CustomProcessing(self.processing, router)

    def close(self) -> None:
        """End all processes and watches."""
        self.processing.close()

    def classes(self) -> tuple[ProcessorClass, ...]:
        """Return the installed classes, our own first; broken ones with their error."""
        return classes_of(self._plugins)

    def list(self) -> tuple[ProcessorStatus, ...]:
        """Return the processors in the order in which they act, with their counts and problems."""
        configuration = self._access.current()
        ordered = sorted(configuration.processors, key=lambda processor: processor.order)
        return tuple(self._status(processor, configuration) for processor in ordered)

    def save(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> Processor:
        """Store a new (id 0) or changed processor and bring it into force."""
        with self._access.changing() as store:
            in_force = self._access.current()
            meant = revealed_processor(processor, in_force)
            seen = replacing and revealed_processor(replacing, in_force)
            configuration, saved = store.save_processor(meant, actor, replacing=seen)
            self._access.apply(configuration)
        return masked_processor(saved)

    def set_enabled(self, processor_id: int, enabled: bool, actor: str) -> Processor:
        """Enable or disable a processor, from the next object on."""
        with self._access.changing() as store:
            configuration, saved = store.set_processor_enabled(processor_id, enabled, actor)
            self._access.apply(configuration)
        return masked_processor(saved)

    def delete(self, processor_id: int, actor: str) -> None:
        """Remove a processor."""
        with self._access.changing() as store:
            self._access.apply(store.delete_processor(processor_id, actor))

    def test(self, processor: Processor, receiver: str = "") -> ProcessorTrial:
        """Try an unsaved processor on the newest object, with values masked."""
        return self._tried(processor, receiver, shown=False)

    def shown_test(self, processor: Processor, actor: str, receiver: str = "") -> ProcessorTrial:
        """Try a processor with nothing masked, and record the access in the audit log."""
        trial = self._tried(processor, receiver, shown=True)
        if trial.steps:
            self._phi_access_log.note(actor, trial.sop_instance_uid)
        return trial

    def _tried(self, processor: Processor, receiver: str, *, shown: bool) -> ProcessorTrial:
        configuration = self._access.current()
        rules = replace(
            rules_of(self._plugins),
            others=configuration.processors,
            projects=configuration.projects,
        )
        meant = revealed_processor(processor, configuration)
        parsed = parse_processor(meant.to_record(), rules)
        assert self._router is not None
        return self._router.try_processor(parsed, receiver, shown=shown)

    def _status(self, processor: Processor, configuration: Configuration) -> ProcessorStatus:
        seen = tuple(
            receiver.label
            for receiver in configuration.receivers
            if processor in configuration.processors_of(receiver)
        )
        problem = self.processing.problem_of(processor) if processor.enabled else ""
        return self._states.of(masked_processor(processor), seen, problem)


def processing_of(
    plugins: Sequence[Plugin[ProcessorType]],
    area: IncomingArea,
    uid_maps_file: Path,
    report: Callable[[Event], object],
    watch: Callable[[Path, Callable[[], None]], Callable[[], None]],
    notes: ProcessorNotes,
    workers: RunsProcessors,
) -> Processing:
    """Build what takes objects through processors."""

    def report_problem(processor: str, problem: str) -> None:
        report(ProcessorProblem(processor=processor, problem=problem))

    tables = LabelTables(watch, report_problem)
    return Processing(plugins, area, uid_maps_file, tables, workers, notes)
