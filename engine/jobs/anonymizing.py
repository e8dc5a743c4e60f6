"""The job `anonymize`: a script, and perhaps the basic profile, applied to each file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.anonymize import (
    LookupTable,
    Profile,
    ScriptContext,
    ScriptOutcome,
    ScriptRuntimeError,
    UneditableFile,
    differences,
    edit_file,
    read_object,
)
from engine.errors import EngineError
from engine.jobs.file import FileOutcome, FileResult, Task, TaskResult
from engine.jobs.places import FULL, Writer, readable
from engine.jobs.uids import Draw, ProposingUidMaps
from engine.workers.resources import parsed_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.anonymize import ElementDifference, Script
    from engine.jobs.file import JobFile
    from engine.jobs.places import NewFile


class _AwaitsUids(Exception):
    """A UID is only proposed, so the file must not be written yet."""


@dataclass(frozen=True, slots=True)
class AnonymizeJob:
    """Everything that decides about the result; two hosts make the same bytes of it."""

    script: str
    script_name: str
    key: bytes
    """New UIDs are drawn from it; secret, as `newUID` and `mapUID` must not be guessed."""
    variables: Mapping[str, str]
    profile: Profile | None = None
    """Applied before the script."""
    lookup: LookupTable = field(default_factory=LookupTable)
    script_ids: tuple[int, ...] = ()
    """The numbers to record in (0012,0064)."""
    mark: str = ""
    """The method to write to (0012,0063); empty for none."""
    diff: bool = False
    """Whether results have the differences between source and target."""
    show_values: bool = False

    def run(self, task: Task) -> TaskResult:
        """Work on the files of a task, in any process on any host."""
        maps, writer = ProposingUidMaps(task.uids), Writer()
        results: list[FileResult] = []
        waiting: list[JobFile] = []
        stopped = ""
        try:
            for file in task.files:
                maps.is_open = False
                try:
                    results.append(self._edit(file, maps, writer))
                except _AwaitsUids:
                    waiting.append(file)
        except OSError as error:
            # Of the storage, not of a file.
            stopped = f"can't write: {error.strerror or error}"
        try:
            writer.close()
        except OSError as error:
            return TaskResult((), stopped=f"can't flush a folder: {error.strerror or error}")
        return TaskResult(tuple(results), tuple(waiting), dict(maps.wanted), stopped)

    def _edit(self, file: JobFile, maps: ProposingUidMaps, writer: Writer) -> FileResult:
        failed = partial(FileResult, file, FileOutcome.FAILED)
        try:
            with readable(file.source) as source, writer.writing(file.target) as new:
                outcome = self._edited(source, new, file, maps)
                if outcome is ScriptOutcome.REJECTED:
                    return FileResult(file, FileOutcome.REJECTED)
                if new.is_file(source) or not new.publish():
                    remedy = "remove it, or choose another -o"
                    return failed(f"{file.target} exists already", remedy)
                return FileResult(file, FileOutcome.OK, details=self._differences(source, new.fd))
        except EngineError as error:
            return failed(error.detail, error.remedy)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            why = getattr(error, "strerror", None) or str(error)
            is_of_output = getattr(error, "filename", None) not in {None, file.source}
            return failed(f"{file.target}: {why}" if is_of_output else why)

    def _edited(
        self, source: Path, new: NewFile, file: JobFile, maps: ProposingUidMaps
    ) -> ScriptOutcome:
        try:
            outcome = edit_file(
                source,
                new.fd,
                self._steps(maps),
                self.variables,
                script_context=ScriptContext(
                    lookup=self.lookup, uid_maps=maps, draw=Draw(self.key, file.source)
                ),
                script_ids=self.script_ids,
                mark=self.mark,
                # In memory, which a command may take; reception refuses deflated objects.
                deflated=True,
            )
        except (ScriptRuntimeError, UneditableFile):
            if not maps.is_open:
                raise
            # It may fail only because of a proposal.
            raise _AwaitsUids from None
        if maps.is_open:
            raise _AwaitsUids
        return outcome

    def _steps(self, maps: ProposingUidMaps) -> Iterator[Profile | Script]:
        if self.profile is not None:
            yield self.profile
        yield parsed_script(self.script, self.script_name)
        if maps.is_open:
            # Here nothing is written yet.
            raise _AwaitsUids

    def _differences(self, source: Path, target: int) -> tuple[ElementDifference, ...]:
        if not self.diff:
            return ()
        with source.open("rb") as before, Path(f"/proc/self/fd/{target}").open("rb") as after:
            objects = (read_object(file, deflated=True) for file in (before, after))
            return differences(*objects, masked=not self.show_values, telling=True)
