"""Custom processing of one engine: its parts put together, and what a console asks of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.config.watcher import watched
from engine.events import ProcessorProblem
from engine.intake.custom_processing import CustomProcessing
from engine.intake.installed_processors import classes_of, rules_of, tell_broken
from engine.intake.label_tables import LabelTables
from engine.intake.processing import Processing
from engine.intake.processor_states import ProcessorStates
from engine.intake.processor_workers import ProcessorWorkers
from engine.model.masked_settings import masked_processor, revealed_processor
from engine.model.processor import parse_processor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from engine.clock import Clock
    from engine.config.store import ConfigurationStore
    from engine.events import Event
    from engine.inspection.showings import Showings
    from engine.intake.processors import ProcessorType
    from engine.intake.router import Router
    from engine.intake.write import IncomingArea
    from engine.model.configuration import Configuration
    from engine.model.processing import ProcessorStatus, ProcessorTrial
    from engine.model.processor import Processor
    from engine.model.processor_class import ProcessorClass
    from engine.plugins import Plugin


@dataclass(frozen=True, slots=True)
class ConfigurationAccess:
    """How the configuration in force is read and changed."""

    current: Callable[[], Configuration]
    changing: Callable[[], AbstractContextManager[ConfigurationStore]]
    apply: Callable[[Configuration], None]


class ProcessorKeeping:
    """Satisfies `engine.view.processors.ProcessorsView`; for all threads."""

    def __init__(
        self,
        plugins: Sequence[Plugin[ProcessorType]],
        area: IncomingArea,
        uid_maps_file: Path,
        tell: Callable[[Event], object],
        clock: Clock,
        access: ConfigurationAccess,
        showings: Showings,
    ) -> None:
        """Take the installed classes, where objects lie on their way, and the configuration.

        The showings keep who saw values of objects.
        """
        self._plugins = plugins
        self._area = area
        self._access = access
        self._showings = showings
        self._states = ProcessorStates(clock)
        tell_broken(plugins, tell)

        def tell_problem(processor: str, problem: str) -> None:
            tell(ProcessorProblem(processor=processor, problem=problem))

        self.processing = Processing(
            plugins,
            area,
            uid_maps_file,
            LabelTables(watched, tell_problem),
            ProcessorWorkers(),
            self._states,
            tell,
        )
        self._router: Router | None = None

    def custom(self, router: Router) -> CustomProcessing:
        """Return what takes arriving objects through their receivers' processors."""
        self._router = router
        return CustomProcessing(self.processing, router, self._area)

    def close(self) -> None:
        """End all processes and watches."""
        self.processing.close()

    def classes(self) -> tuple[ProcessorClass, ...]:
        """Return the installed classes, our own first; broken ones with their error."""
        return classes_of(self._plugins)

    def list(self) -> tuple[ProcessorStatus, ...]:
        """Return the processors in the order in which they act, with what they did."""
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
            saved = store.processors.save(meant, actor, replacing=seen)
            self._access.apply(saved[0])
        return masked_processor(saved[1])

    def set_enabled(self, processor_id: int, enabled: bool, actor: str) -> Processor:
        """Enable or disable a processor, from the next object on."""
        with self._access.changing() as store:
            saved = store.processors.set_enabled(processor_id, enabled, actor)
            self._access.apply(saved[0])
        return masked_processor(saved[1])

    def delete(self, processor_id: int, actor: str) -> None:
        """Remove a processor."""
        with self._access.changing() as store:
            self._access.apply(store.processors.delete(processor_id, actor))

    def test(self, processor: Processor, receiver: str = "") -> ProcessorTrial:
        """Try a processor, as it might be saved, on the newest object, with values masked."""
        return self._tried(processor, receiver, shown=False)

    def shown_test(self, processor: Processor, actor: str, receiver: str = "") -> ProcessorTrial:
        """Try a processor likewise with nothing masked, and note who saw it."""
        trial = self._tried(processor, receiver, shown=True)
        if trial.steps:
            self._showings.note(actor, trial.sop_instance_uid)
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
