"""Runs one plugin or script on one object, file to file, in a processor's worker process."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from engine.errors import OutOfResources, StorageUnusable
from engine.model.identity import IdentifyingValues
from engine.model.plugins import PROCESSORS
from engine.model.processing import Assignment, ElementChange, Verdict
from engine.plugins.loading import place_of
from engine.processing.contract import Context, Continue, Facts, Known, Reject, Settings
from engine.storage.incoming import out_of_resources
from engine.workers.resources import VARIABLES, is_too_large, parsed_script, target_of, uid_maps_in

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import Dataset

    from engine.model.processor import Location
    from engine.processing.contract import ObjectProcessor

MAX_LOG_LINES: Final = 20
MAX_LINE_CHARACTERS: Final = 300
_MOST_READ_CHARACTERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PluginCall:
    """A plugin and the parameters of its instance."""

    id: str
    target: str
    """``module:object``."""
    settings: Settings


@dataclass(frozen=True, slots=True)
class ProcessorJob:
    """One object for one processor."""

    source: str
    """The path of a DICOM file."""
    target: str
    """The path of a file that exists and may be overwritten."""
    location: Location
    facts: Facts
    known: Known
    uid_maps: str
    """The path of the SQLite file that remembers mapped UIDs; empty for a dry run."""
    plugin: PluginCall | None = None
    script: str = ""
    """Applied after the plugin."""
    wants_changes: bool = False
    """Whether the result has each change with its values, for a dry run."""


class FailureKind(StrEnum):
    """Whose fault it is that a job failed."""

    PROCESSOR = "processor"
    RESOURCES = "resources"


@dataclass(frozen=True, slots=True)
class ProcessorResult:
    """How a job ended."""

    verdict: Verdict
    why: str = ""
    """A clause without element values."""
    failure: FailureKind = FailureKind.PROCESSOR
    edited: bool = False
    """Whether the target holds the object from now on."""
    assigned: Assignment = Assignment()
    changes: tuple[ElementChange, ...] = ()
    log: tuple[str, ...] = ()


def get_ready(call: PluginCall | None) -> None:
    """Import slow modules, and the plugin last; called before the first job."""
    # pydicom and the parser take over a second, which the first object would wait for.
    importlib.import_module("engine.anonymize")
    if call is not None:
        _plugin(call.id, call.target)


def run_processor(job: ProcessorJob) -> ProcessorResult:
    """Process one object; failures are returned, not raised."""
    # Imported here: only the worker process needs Lark and pydicom, which take a while.
    from engine.anonymize import ScriptError, ScriptRuntimeError, UneditableFile

    try:
        return _processed(job)
    except ScriptRuntimeError as error:
        return _failed(f"script line {error.line}: {error.cause}")
    except ScriptError as error:
        return _failed(f"the script is not valid at line {error.line} column {error.column}")
    except UneditableFile as error:
        return _failed(f"the object can't be edited: {error.detail}")
    except OSError as error:
        if is_too_large(error):
            return _failed("what it makes of the object is too large")
        return _failed(out_of_resources(error).detail, FailureKind.RESOURCES)
    except OutOfResources as error:
        return _failed(error.detail, FailureKind.RESOURCES)
    except StorageUnusable:
        return _failed("the table of UIDs can't be used", FailureKind.RESOURCES)


def _failed(why: str, failure: FailureKind = FailureKind.PROCESSOR) -> ProcessorResult:
    return ProcessorResult(Verdict.FAILED, why, failure)


class _Lines:
    """The lines that a plugin logs, limited in number and length."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def __call__(self, message: str) -> None:
        # Limited: what a plugin logs travels through a pipe into the engine.
        if len(self.kept) < MAX_LOG_LINES:
            self.kept.append(str(message)[:_MOST_READ_CHARACTERS])

    def shown(self, source: Path) -> tuple[str, ...]:
        """Return the lines, with the identifying values of the object masked."""
        if not self.kept:
            return ()
        known = _known_to(source)
        return tuple(_clause(line, known) for line in self.kept)


def _processed(job: ProcessorJob) -> ProcessorResult:
    from engine.anonymize import read_object

    with Path(job.source).open("rb") as file:
        ds = read_object(file)
        answer = ProcessorResult(Verdict.CONTINUED)
        script = job.script
        if job.plugin is not None:
            answer, asked = _ask(job.plugin, job, ds)
            script = asked or script
        if answer.verdict is not Verdict.CONTINUED:
            return answer
        if script:
            rejected = _run_script(script, ds, job)
            if rejected:
                return replace(
                    answer, verdict=Verdict.REJECTED, why="its script rejects the object"
                )
        if not script and not answer.edited:
            return answer
        return _kept(answer, job, ds, file)


def _ask(call: PluginCall, job: ProcessorJob, ds: Dataset) -> tuple[ProcessorResult, str]:
    """Call a plugin; return its result, and the script that it wants to run."""
    from engine.processing.context import DatasetEditor, DatasetHeader

    editor, lines, source = DatasetEditor(ds), _Lines(), Path(job.source)
    context = Context(
        location=job.location,
        header=DatasetHeader(ds),
        edit=editor,
        facts=job.facts,
        identity=job.known,
        settings=call.settings,
        log=lines,
    )
    try:
        processor = _plugin(call.id, call.target)
        verdict: object = processor.process(context) if processor.accepts(context) else None
    except BaseException as error:  # code of others, which may even call sys.exit()
        # Kind and place only: the message of an exception may quote the patient's data.
        return replace(_failed(place_of(error)), log=lines.shown(source)), ""
    said = ProcessorResult(
        Verdict.CONTINUED,
        edited=bool(editor.changed),
        assigned=context.assigned,
        log=lines.shown(source),
    )
    if verdict is None:
        return ProcessorResult(Verdict.SKIPPED, log=said.log), ""
    if isinstance(verdict, Reject):
        why = _clause(verdict.reason, _known_to(source))
        return replace(said, verdict=Verdict.REJECTED, why=why), ""
    if not isinstance(verdict, Continue):
        return replace(_failed("neither Continue nor Reject was returned"), log=said.log), ""
    return said, verdict.script


def _clause(said: object, known: IdentifyingValues) -> str:
    """Return a text of a plugin as one masked line.

    Masked before it is cut: half a name would not be found, and identifies a patient as well.
    """
    text = "".join(c if c.isprintable() else " " for c in str(said)[:_MOST_READ_CHARACTERS])
    return known.hide(text.strip())[:MAX_LINE_CHARACTERS]


def _known_to(source: Path) -> IdentifyingValues:
    """Return the identifying values of the object as it came: a plugin may have changed it."""
    from engine.anonymize import read_object
    from engine.inspection.trial import identifying_values_in

    with source.open("rb") as file:
        return IdentifyingValues(identifying_values_in(read_object(file)))


def _run_script(text: str, ds: Dataset, job: ProcessorJob) -> bool:
    """Apply a script; return whether it rejects the object."""
    from engine.anonymize import MemoryUidMaps, ScriptContext, ScriptOutcome

    uid_maps = uid_maps_in(job.uid_maps) if job.uid_maps else MemoryUidMaps()
    variables = dict(zip(VARIABLES, job.known.labels, strict=True))
    outcome = parsed_script(text, "script").apply(
        ds, variables, script_context=ScriptContext(uid_maps=uid_maps)
    )
    return outcome is ScriptOutcome.REJECTED


def _kept(
    answer: ProcessorResult, job: ProcessorJob, ds: Dataset, file: BinaryIO
) -> ProcessorResult:
    """Write the object if anything in it changed."""
    from engine.anonymize import differences, read_object
    from engine.anonymize.files.writing import transfer_syntax_of, write_object

    # Read again: plugin and script changed the data set in place.
    file.seek(0)
    before = read_object(file)
    rows = differences(before, ds)
    if not rows:
        return replace(answer, edited=False)
    with target_of(job.target, job.source) as target:
        write_object(ds, target, read_as=transfer_syntax_of(before))
    changes = [ElementChange(r.path, r.keyword, str(r.change), r.before, r.after) for r in rows]
    return replace(answer, edited=True, changes=tuple(changes if job.wants_changes else ()))


@lru_cache(16)
def _plugin(plugin_id: str, target: str) -> ObjectProcessor:
    """Load a plugin, once for all objects that this process sees."""
    made = EntryPoint(plugin_id, target, PROCESSORS).load()()
    return cast("ObjectProcessor", made)
