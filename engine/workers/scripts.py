"""Anonymization on receipt: a script's result replaces the file, or the object is refused.

There is no third way: an object that must be anonymized is never stored as it came (fails closed).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.dicom.part10 import body_offset
from engine.errors import OutOfResources, ProcessingFailed, StorageUnusable, UnreadableObject
from engine.events import AnonymizationFailed
from engine.model.anonymization import ScriptScope
from engine.storage.held import HeldPart
from engine.storage.incoming import out_of_resources
from engine.storage.placement import ObjectFiltered
from engine.workers.pool import Workers, received_path, worker_faults
from engine.workers.resources import (
    VARIABLES,
    dependence_in,
    is_too_large,
    parsed_script,
    target_of,
    uid_maps_in,
)
from engine.workers.start import Start, load_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.anonymize import Profile, Script
    from engine.dicom.repeated_edit import Dependence
    from engine.events.journal import Journal
    from engine.intake.object import AssociationContext
    from engine.model.anonymization import Anonymization
    from engine.storage.held import WithoutPixels
    from engine.storage.incoming import IncomingArea, PartFile

    Steps = tuple[Anonymization, ...]


class RunsScripts(Protocol):
    """Runs the anonymizations of site and projects; for all threads."""

    def run_scripts(
        self,
        source: int,
        target: int,
        steps: tuple[Anonymization, ...],
        labels: tuple[str, str, str],
    ) -> ScriptResult:
        """Anonymize a file into another; see `ScriptRunner.run_scripts`."""
        ...


class MustWait(Exception):
    """A script must run for an object that may not wait; it is stored by a thread that may."""


class Anonymizer:
    """Anonymizes received objects; for all threads."""

    def __init__(self, incoming: IncomingArea, runner: RunsScripts, journal: Journal) -> None:
        self._incoming = incoming
        self._runner = runner
        self._journal = journal

    def edit(
        self, part: PartFile, steps: Steps, labels: tuple[str, str, str], source: AssociationContext
    ) -> PartFile:
        """Return an anonymized copy of a part.

        Raises:
            ObjectFiltered: if a script rejects the object.
            ProcessingFailed: if that can't be done; it is reported as an event.
            OutOfResources: if the storage fails.
            MustWait: if a script must run, and this thread may not wait.
        """
        try:
            return self._edit(part, steps, labels, source)
        except ProcessingFailed as error:
            self._report(error, steps, source)
            raise

    def _edit(
        self, part: PartFile, steps: Steps, labels: tuple[str, str, str], source: AssociationContext
    ) -> PartFile:
        # Into a second part: the first one stays whole, and is removed only if this one takes its
        # place.
        if isinstance(part, HeldPart) and part.is_held:
            header = part.without_pixels()
            if header is not None:
                return self._edit_header(part, header, steps, labels, source)
        if source.may_not_wait:
            raise MustWait
        edited = self._incoming.create_part()
        try:
            self._run(part.fd, edited, steps, labels)
        except BaseException:
            edited.discard()
            raise
        return edited

    def _edit_header(
        self,
        part: HeldPart,
        header: WithoutPixels,
        steps: Steps,
        labels: tuple[str, str, str],
        source: AssociationContext,
    ) -> PartFile:
        """Edit an object without its pixel data, which no process needs to see or to copy."""
        syntax = part.transfer_syntax_uid
        key, before = (steps, labels, syntax), header.content
        after = source.edits.apply(key, before, part.body_offset, syntax)
        if after is None:
            if source.may_not_wait:
                raise MustWait
            after, depends = self._made_of(before, steps, labels)
            if depends is not None:
                source.edits.learn(key, depends, before, part.body_offset, syntax, after)
        try:
            whole = part.with_pixels(after, header)
        except UnreadableObject as error:
            what = f"{steps[0].script_name}: it left what can't be read"
            raise ProcessingFailed(f"{what}: {error.detail}") from error
        source.pixel_shift = part.shift
        return whole

    def _made_of(
        self, content: bytes, steps: Steps, labels: tuple[str, str, str]
    ) -> tuple[bytes, Dependence | None]:
        """Return what a process makes of a DICOM file."""
        with self._incoming.create_held_part() as given, self._incoming.create_held_part() as made:
            given.writev((content,))
            depends = self._run(given.fd, made, steps, labels)
            try:
                return os.pread(made.fd, made.size_bytes, 0), depends
            except OSError as error:
                raise out_of_resources(error) from error

    def _run(
        self, source: int, target: PartFile, steps: Steps, labels: tuple[str, str, str]
    ) -> Dependence | None:
        result = self._runner.run_scripts(source, target.fd, steps, labels)
        if result.verdict is ScriptVerdict.REJECTED:
            raise ObjectFiltered.by_script(result.where)
        _require_file(target, steps)
        return result.depends

    def _report(self, error: ProcessingFailed, steps: Steps, source: AssociationContext) -> None:
        """Report a failure the first time, the 10th, the 100th and so on."""
        revision = max(step.revision for step in steps)
        make = partial(
            AnonymizationFailed,
            receiver=source.receiver_label,
            calling_ae_title=source.calling_ae_title,
            association=source.association,
            revision=revision,
            why=error.detail,
        )
        # By the script's revision and the cause, which names the line.
        self._journal.record_repeated(make, (AnonymizationFailed, revision, error.detail))


def _require_file(part: PartFile, steps: Steps) -> None:
    """Check that the worker has left a DICOM file with our file meta."""
    try:
        offset = body_offset(part.fd)
    except OSError as error:
        raise out_of_resources(error) from error
    if offset is None:
        raise ProcessingFailed(f"{steps[0].script_name}: it left no DICOM file")


@dataclass(frozen=True, slots=True)
class ScriptJob:
    """One object to anonymize."""

    source: str
    """The path of a DICOM file."""
    target: str
    """The path of a file that exists and may be overwritten."""
    steps: tuple[Anonymization, ...]
    """The anonymizations, in this order."""
    labels: tuple[str, str, str]
    """Project, subject and session, which scripts get as variables."""
    uid_maps: str
    """The path of the SQLite file that remembers mapped UIDs."""


class ScriptVerdict(StrEnum):
    """How a job ended."""

    EDITED = "edited"
    REJECTED = "rejected"
    FAILED = "failed"
    NO_RESOURCES = "no resources"


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How a job ended; the target may be used only after `EDITED`."""

    verdict: ScriptVerdict
    why: str = ""
    """The reason, without element values."""
    where: str = ""
    """The script that failed, with its line, or that rejected the object; else empty."""
    depends: Dependence | None = None
    """Which elements have decided about the result, if that is certain and it is edited."""


def run_script(job: ScriptJob) -> ScriptResult:
    """Anonymize one object, in a worker process; errors of the object are in the result."""
    from engine.anonymize import ScriptRuntimeError, UneditableFile

    try:
        return _edit(job)
    except ScriptRuntimeError as error:
        return ScriptResult(ScriptVerdict.FAILED, error.cause, f"{error.name} line {error.line}")
    except UneditableFile as error:
        return ScriptResult(ScriptVerdict.FAILED, f"the object can't be edited: {error.detail}")
    except OSError as error:
        if is_too_large(error):
            return ScriptResult(ScriptVerdict.FAILED, "what it makes of the object is too large")
        return ScriptResult(ScriptVerdict.NO_RESOURCES, out_of_resources(error).detail)
    except OutOfResources as error:
        return ScriptResult(ScriptVerdict.NO_RESOURCES, error.detail)
    except StorageUnusable:
        return ScriptResult(ScriptVerdict.NO_RESOURCES, "the table of UIDs can't be used")


def _edit(job: ScriptJob) -> ScriptResult:
    from engine.anonymize import ScriptContext, ScriptOutcome, edit_file

    begun: list[str] = []
    scopes = {step.scope for step in job.steps}
    uid_maps = uid_maps_in(job.uid_maps)
    with target_of(job.target, job.source, job.uid_maps) as target:
        outcome = edit_file(
            Path(job.source),
            target,
            _steps(job, begun),
            dict(zip(VARIABLES, job.labels, strict=True)),
            script_context=ScriptContext(uid_maps=uid_maps),
            script_ids=[step.revision for step in job.steps if step.text],
            done_for=job.labels[0] if ScriptScope.PROJECT in scopes else "",
        )
    if outcome is ScriptOutcome.REJECTED:
        return ScriptResult(ScriptVerdict.REJECTED, where=begun[-1])
    return ScriptResult(ScriptVerdict.EDITED, depends=dependence_in(job.steps))


def _steps(job: ScriptJob, begun: list[str]) -> Iterator[Profile | Script]:
    """Yield profile and script of each step, and note the steps that have begun."""
    from engine.anonymize import Profile

    for step in job.steps:
        begun.append(step.script_name)
        if step.profile is not None:
            yield Profile(frozenset(step.profile.retain), step.profile.shift_days)
        if step.text:
            yield parsed_script(step.text, step.script_name)


_logger = logging.getLogger(__name__)


ScriptWorkers = Workers[ScriptJob, ScriptResult]


class ScriptRunner:
    """Runs the anonymizations of site and projects in worker processes; for all threads."""

    def __init__(self, uid_maps_file: Path, workers: ScriptWorkers | None = None) -> None:
        self._uid_maps_file = uid_maps_file.absolute()
        self._workers: ScriptWorkers = workers or Workers(run_script, start=Start.FORKED)

    def run_scripts(
        self,
        source: int,
        target: int,
        steps: tuple[Anonymization, ...],
        labels: tuple[str, str, str],
    ) -> ScriptResult:
        """Anonymize a file into another, unless a script rejects the object.

        Args:
            source: the descriptor of a DICOM file, or of one that is in memory only.
            target: the descriptor of a file that is overwritten; its content is valid only if the
                object was edited.
            steps: the anonymizations, in their order.
            labels: project, subject and session, which scripts get as variables.

        Raises:
            ProcessingFailed: if that can't be done.
            OutOfResources: if the storage fails.
        """
        paths = received_path(0), received_path(1)
        job = ScriptJob(*paths, steps, labels, str(self._uid_maps_file))
        with worker_faults(steps[0].script_name):
            result = self._workers.run(job, (source, target))
        if result.verdict is ScriptVerdict.NO_RESOURCES:
            raise OutOfResources(result.why)
        if result.verdict is ScriptVerdict.FAILED:
            raise ProcessingFailed(f"{result.where or steps[0].script_name}: {result.why}")
        return result

    def start_ahead(self) -> None:
        """Start the fork server, which loads what scripts need, before the first object."""
        try:
            load_ahead()
        except OSError as error:
            _logger.warning("no process for scripts can be started yet: %s", error.strerror)

    @property
    def processes(self) -> int:
        """How many processes there are now."""
        return self._workers.processes

    def close(self) -> None:
        """End all processes."""
        self._workers.close()
