"""Custom processing: the processors of a receiver see an object, one after the other (XNAT 10).

Which they are is decided once per receiver and configuration (`Processing.chain`). The pipeline
and every dry run take an object through them with the same `ProcessorRun`.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from engine.dicom.part10 import body_offset, read_file
from engine.errors import OutOfResources, ProcessingFailed, UnreadableObject
from engine.events import ProcessorFailed
from engine.events.repeats import should_report_repeat
from engine.model.identity import UNASSIGNED
from engine.model.processing import ProcessorStatus, ProcessorStep, Verdict
from engine.plugins.loading import OWN_DISTRIBUTION
from engine.processing.context import NoEditor, known_with
from engine.processing.contract import Context, Preparing, Reject, Settings
from engine.processing.installed import settings_of
from engine.processing.job import FailureKind, PluginCall, ProcessorJob, ProcessorResult
from engine.storage.held import IN_MEMORY_BYTES
from engine.storage.incoming import out_of_resources
from engine.storage.placement import ObjectFiltered
from engine.workers.pool import received_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from engine.errors import IntakeError
    from engine.events import Event
    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.model.processor import Location, Processor
    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver
    from engine.plugins.loading import Plugin
    from engine.processing.builtin.label_tables import LabelTables
    from engine.processing.context import ProcessorRun
    from engine.processing.contract import Known, PreparedProcessor, ProcessorType
    from engine.processing.workers import RunsProcessors
    from engine.storage.incoming import IncomingArea, PartFile


_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessorStage:
    """One instance, ready to see objects."""

    processor: Processor
    settings: Settings
    prepared: PreparedProcessor | None
    """The instance that runs on the thread that files the object; None if a process does."""
    call: PluginCall | None
    fault: str = ""
    """Why it can't see any object; every object fails then."""

    @property
    def needs_process(self) -> bool:
        """Whether a process does some of its work."""
        runs_scripts = self.prepared is not None and self.prepared.runs_scripts
        return self.call is not None or runs_scripts


@dataclass(frozen=True, slots=True)
class ProcessorChain:
    """The processors of one receiver under one configuration."""

    stages: Mapping[Location, tuple[ProcessorStage, ...]]
    """Before storing, by location; those without a stage are left out."""
    projects: ProjectRegistry
    last_tag: int
    """The greatest tag that a stage reads from the header."""

    @property
    def needs_process(self) -> bool:
        """Whether a process does some of the work."""
        return any(stage.needs_process for several in self.stages.values() for stage in several)


class Processing:
    """Takes objects through processors; for all threads."""

    def __init__(
        self,
        plugins: Sequence[Plugin[ProcessorType]],
        area: IncomingArea,
        uid_maps_file: Path,
        tables: LabelTables,
        workers: RunsProcessors,
        notes: ProcessorNotes,
    ) -> None:
        # Reversed: of several classes of one id the first counts, and built-in ones come first.
        self._plugins = {plugin.info.id: plugin for plugin in reversed(plugins)}
        self.area = area
        """Where objects lie on their way."""
        self._uid_maps_file = uid_maps_file.absolute()
        self._tables = tables
        self._workers = workers
        self._notes = notes
        self._lock = threading.Lock()
        self._prepared: dict[_Told, PreparedProcessor] = {}

    def apply(self, configuration: Configuration) -> None:
        """Close what belongs to instances that are gone or changed, and prepare the others."""
        known = {p.id for p in configuration.processors}
        enabled = {p for p in configuration.processors if p.enabled}
        self._workers.keep_only({p.id for p in enabled})
        self._notes.forget_all_but(known)
        with self._lock:
            gone = set(self._prepared).difference(map(_compiled_parameters, enabled))
            closing = [self._prepared.pop(told) for told in gone]
        for prepared in closing:
            prepared.close()
        for processor in enabled:
            self._stage(processor)

    def start_ahead(self, configuration: Configuration) -> None:
        """Start a process for every instance that will need one, without waiting for it."""
        seen = {
            processor
            for receiver in configuration.receivers
            if receiver.enabled
            for processor in configuration.processors_of(receiver)
            if processor.location.is_before_storing
        }
        for stage in map(self._stage, seen):
            if stage.needs_process:
                self._workers.start_ahead(stage.processor.id, stage.call)

    def close(self) -> None:
        """Kill all processes and close all prepared instances."""
        self._workers.close()
        with self._lock:
            closing, self._prepared = list(self._prepared.values()), {}
        for prepared in closing:
            prepared.close()

    def problem_of(self, processor: Processor) -> str:
        """Return why an instance can't work as it should; empty if it can."""
        stage = self._stage(processor)
        return stage.fault or (stage.prepared.problem if stage.prepared else "")

    def chain(self, receiver: Receiver, configuration: Configuration) -> ProcessorChain | None:
        """Return what sees a receiver's objects; None if nothing does."""
        admitted = configuration.processors_of(receiver)
        processors = [p for p in admitted if p.location.is_before_storing]
        return self.chain_of(processors, configuration) if processors else None

    def chain_of(
        self, processors: Sequence[Processor], configuration: Configuration
    ) -> ProcessorChain:
        """Return some instances as a chain, in the order in which they are given."""
        stages: dict[Location, list[ProcessorStage]] = {}
        for processor in processors:
            if processor.location.is_before_storing:
                stages.setdefault(processor.location, []).append(self._stage(processor))
        tags = [
            tag
            for several in stages.values()
            for stage in several
            for tag in (stage.prepared.tags if stage.prepared else ())
        ]
        return ProcessorChain(
            {location: tuple(several) for location, several in stages.items()},
            configuration.projects,
            max(tags, default=0),
        )

    @contextmanager
    def preparing(
        self, processor: Processor, configuration: Configuration
    ) -> Iterator[ProcessorChain]:
        """Yield a chain of one processor, which need not be saved, while it is tried."""
        tried = replace(processor, enabled=True)
        try:
            yield self.chain_of((tried,), configuration)
        finally:
            # If an instance of the configuration has the same parameters, it uses what was
            # prepared.
            if _compiled_parameters(tried) not in {
                _compiled_parameters(p) for p in configuration.processors if p.enabled
            }:
                with self._lock:
                    prepared = self._prepared.pop(_compiled_parameters(tried), None)
                if prepared is not None:
                    prepared.close()

    def run(self, chain: ProcessorChain, location: Location, processor_run: ProcessorRun) -> None:
        """Run the stages of a location on an object, until one rejects it.

        Raises:
            ObjectFiltered: if a stage rejects it.
            ProcessingFailed: if a stage fails; an event reports it.
            OutOfResources: if the storage fails.
        """
        for stage in chain.stages.get(location, ()):
            processor = stage.processor
            # At each stage anew: the processors before may have changed the project.
            if not processor.admits_project(processor_run.known.project, chain.projects):
                why = f"its project is {processor_run.known.project or UNASSIGNED}"
                _note_step(processor_run, stage, ProcessorResult(Verdict.NOT_SEEN, why), 0.0)
                continue
            answer = self._answer(stage, processor_run, chain.projects)
            if answer.verdict is Verdict.FAILED:
                raise _failure(answer, processor)
            if answer.verdict is Verdict.REJECTED:
                raise ObjectFiltered.by_processor(processor.label, answer.why)
            processor_run.assign(answer.assigned, processor.label, chain.projects)

    def _answer(
        self, stage: ProcessorStage, processor_run: ProcessorRun, projects: ProjectRegistry
    ) -> ProcessorResult:
        began = monotonic()
        try:
            answer = self._asked(stage, processor_run, projects)
        except OutOfResources as error:
            answer = ProcessorResult(Verdict.FAILED, error.detail, FailureKind.RESOURCES)
        except ProcessingFailed as error:
            answer = ProcessorResult(Verdict.FAILED, error.detail)
        seconds = monotonic() - began
        for line in answer.log:
            _logger.info("processor %s: %r", stage.processor.label, line)
        _note_step(processor_run, stage, answer, seconds)
        # A dry run changes no count and reports nothing.
        if not processor_run.is_trial:
            processor, facts = stage.processor, processor_run.facts
            make = partial(
                ProcessorFailed,
                receiver=facts.receiver,
                calling_ae_title=facts.calling_ae_title,
                association=facts.association,
                processor=processor.label,
                why=answer.why,
            )
            self._notes.note(processor.id, answer.verdict, seconds, answer.why, make)
        return answer

    def _asked(
        self, stage: ProcessorStage, processor_run: ProcessorRun, projects: ProjectRegistry
    ) -> ProcessorResult:
        if stage.fault:
            raise ProcessingFailed(stage.fault)
        if stage.prepared is None:
            return self._work(stage, processor_run, stage.call, "")
        context = _context(stage, processor_run)
        said = stage.prepared.process(context)
        if said is None:
            return ProcessorResult(Verdict.SKIPPED)
        if isinstance(said, Reject):
            return ProcessorResult(Verdict.REJECTED, said.reason)
        if not said.script:
            return ProcessorResult(Verdict.CONTINUED, assigned=context.assigned)
        known = known_with(processor_run.known, context.assigned, projects)
        answer = self._work(stage, processor_run, None, said.script, known)
        return replace(answer, assigned=context.assigned)

    def _work(
        self,
        stage: ProcessorStage,
        processor_run: ProcessorRun,
        call: PluginCall | None,
        script: str,
        known: Known | None = None,
    ) -> ProcessorResult:
        """Run a job in a worker process, from the object's file to another one."""
        # The result is yet to be anonymized: it stays in memory, unless the object itself was too
        # large for that.
        is_held = processor_run.path.stat().st_size <= IN_MEMORY_BYTES
        target = self.area.create_held_part() if is_held else self.area.create_part()
        try:
            job = ProcessorJob(
                source=received_path(0),
                target=received_path(1),
                location=stage.processor.location,
                facts=processor_run.facts,
                known=known or processor_run.known,
                # A dry run must not leave mapped UIDs behind.
                uid_maps="" if processor_run.is_trial else str(self._uid_maps_file),
                plugin=call,
                script=script,
                wants_changes=processor_run.is_trial,
            )
            with processor_run.path.open("rb") as source:
                files = source.fileno(), target.fd
                answer = self._workers.run(stage.processor.id, job, files)
            if answer.edited and answer.verdict is Verdict.CONTINUED:
                self._replace_file(processor_run, target)
        except BaseException:
            target.discard()
            raise
        # A result that is not used must leave no part behind.
        if processor_run.edited is not target:
            target.discard()
        return answer

    def _replace_file(self, processor_run: ProcessorRun, target: PartFile) -> None:
        """Continue with the file that a process wrote, if it is a DICOM file."""
        try:
            # A plugin may write anything: the part must still be DICOM, and readable up to its
            # labels.
            if body_offset(target.fd) is None:
                raise ProcessingFailed("it left no DICOM file")
        except OSError as error:
            raise out_of_resources(error) from error
        path = target.path
        try:
            header = read_file(path, last_tag=processor_run.last_tag)
        except UnreadableObject as error:
            raise ProcessingFailed(f"it left what can't be read: {error.detail}") from error
        processor_run.replace_file(target, path, header)

    def _stage(self, processor: Processor) -> ProcessorStage:
        plugin = self._plugins.get(processor.processor_class)
        loaded = plugin.loaded if plugin else None
        if plugin is None or loaded is None:
            said = f"can't be used: {plugin.info.error}" if plugin else "is not installed"
            return ProcessorStage(processor, Settings(), None, None, f"its class {said}")
        settings = settings_of(loaded.info, processor)
        # Only built-in code runs in the engine itself: a plugin that hangs there could not be
        # killed.
        if plugin.info.distribution == OWN_DISTRIBUTION and isinstance(loaded, Preparing):
            return ProcessorStage(
                processor, settings, self._ready(loaded, processor, settings), None
            )
        call = PluginCall(plugin.info.id, plugin.info.target, settings)
        return ProcessorStage(processor, settings, None, call)

    def _ready(
        self, preparing: Preparing, processor: Processor, settings: Settings
    ) -> PreparedProcessor:
        """Return what runs on the thread that files the object, made once for all receivers."""
        with self._lock:
            known = self._prepared.get(_compiled_parameters(processor))
        if known is not None:
            return known
        # Outside of the lock: a table may be large. If two threads make one, the second is closed.
        made = preparing.prepare(settings, self._tables.of(processor.label))
        with self._lock:
            known = self._prepared.setdefault(_compiled_parameters(processor), made)
        if known is not made:
            made.close()
        return known


_Told = tuple[int, str, str, tuple[tuple[str, str], ...]]
"""What a prepared instance depends on. Other changes, as of its order, keep its table."""


def _compiled_parameters(processor: Processor) -> _Told:
    return processor.id, processor.label, processor.processor_class, processor.parameters


def _context(stage: ProcessorStage, processor_run: ProcessorRun) -> Context:
    return Context(
        location=stage.processor.location,
        header=processor_run.header,
        edit=NoEditor(),
        facts=processor_run.facts,
        identity=processor_run.known,
        settings=stage.settings,
        log=lambda message: _logger.info("processor %s: %s", stage.processor.label, message),
    )


def _failure(answer: ProcessorResult, processor: Processor) -> IntakeError:
    # A full disk is no fault of the processor: the sender gets 0xA700 and may retry.
    if answer.failure is FailureKind.RESOURCES:
        return OutOfResources(answer.why)
    return ProcessingFailed(f"processor {processor.label}: {answer.why}")


def _note_step(
    processor_run: ProcessorRun, stage: ProcessorStage, answer: ProcessorResult, seconds: float
) -> None:
    """Keep the step of a stage in a dry run, which shows it."""
    if processor_run.is_trial:
        processor = stage.processor
        processor_run.steps.append(
            ProcessorStep(
                processor.label,
                processor.processor_class,
                processor.location,
                answer.verdict,
                answer.why,
                answer.assigned,
                answer.changes,
                seconds,
            )
        )


@dataclass(slots=True)
class _Tally:
    runs: int = 0
    rejects: int = 0
    errors: int = 0
    seconds: float = 0.0
    last_error: str = ""
    last_error_at: datetime | None = None
    same_error: int = 0


class ProcessorNotes(Protocol):
    """Counts what processors do; for all threads."""

    def note(
        self,
        processor_id: int,
        verdict: Verdict,
        seconds: float,
        why: str,
        make: Callable[..., Event],
    ) -> None:
        """Count one object, and report a failure if it is worth that.

        Args:
            processor_id: the instance.
            verdict: what it decided.
            seconds: how long it took.
            why: the reason.
            make: makes the event of a failure, with `times`.
        """
        ...

    def forget_all_but(self, ids: set[int]) -> None:
        """Remove the counts of instances that are gone."""
        ...


class ProcessorStates:
    """Satisfies `ProcessorNotes` for all processes: counts by the instance's id."""

    def __init__(self, clock: Clock, report: Callable[[Event], object]) -> None:
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._tallies: dict[int, _Tally] = {}

    def note(
        self,
        processor_id: int,
        verdict: Verdict,
        seconds: float,
        why: str,
        make: Callable[..., Event],
    ) -> None:
        """Count one object; report an error the first time, the 10th, the 100th and so on."""
        with self._lock:
            tally = self._tallies.setdefault(processor_id, _Tally())
            tally.runs += 1
            tally.seconds += seconds
            tally.rejects += verdict is Verdict.REJECTED
            if verdict is not Verdict.FAILED:
                return
            tally.errors += 1
            # Another error is reported at once; repeats only now and then.
            tally.same_error = tally.same_error + 1 if tally.last_error == why else 1
            tally.last_error, tally.last_error_at = why, self._clock.now()
            times = tally.same_error
        if should_report_repeat(times):
            self._report(make(times=times))

    def of(self, processor: Processor, receivers: tuple[str, ...], problem: str) -> ProcessorStatus:
        """Return an instance with its counts.

        Args:
            processor: the instance.
            receivers: those whose objects it sees.
            problem: why it can't work as it should.
        """
        with self._lock:
            tally = self._tallies.get(processor.id, _Tally())
            return ProcessorStatus(
                processor,
                receivers,
                problem,
                tally.runs,
                tally.rejects,
                tally.errors,
                tally.last_error,
                tally.last_error_at,
                tally.seconds / tally.runs if tally.runs else 0.0,
            )

    def forget_all_but(self, ids: set[int]) -> None:
        """Remove the counts of instances that are gone."""
        with self._lock:
            for gone in set(self._tallies) - ids:
                del self._tallies[gone]
