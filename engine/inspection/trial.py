"""Scripts and profiles tried on a copy of an object in memory; nothing is written anywhere."""

from __future__ import annotations

import re
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from engine.anonymize import (
    Profile,
    Script,
    ScriptError,
    ScriptOutcome,
    ScriptRuntimeError,
    UneditableFile,
    differences,
    read_object,
)
from engine.anonymize.datasets.reading import UNREADABLE
from engine.anonymize.datasets.tree import Level
from engine.anonymize.errors import StatementFailure
from engine.api.objects import RowChange
from engine.api.scripts import EditedRow, TrialOutcome
from engine.inspection.job import TrialResult
from engine.model.identity import IdentifyingValue, identifies_anywhere, is_identifying, is_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from engine.anonymize import ElementDifference
    from engine.inspection.job import TrialJob
    from engine.model.anonymization import Anonymization


_MOST_BYTES: Final = 256
"""Longer binary values are no text by which a patient is known."""


def identifying_values_in(ds: Dataset) -> Iterator[IdentifyingValue]:
    """Yield the values by which an object's patient may be known.

    Args:
        ds: the object as it arrived; unreadable elements are skipped.
    """
    yield from _in_level(Level(ds), in_private=False)


def _in_level(level: Level, *, in_private: bool) -> Iterator[IdentifyingValue]:
    """Yield those of a level and below; in an item of a private sequence everything is private."""
    for tag in level.tags():
        private = in_private or is_private(int(tag))
        try:
            items = level.below(tag)
            element = level.ds[tag]
        except (StatementFailure, *UNREADABLE):
            continue
        for item in items:
            yield from _in_level(item, in_private=private)
        if element.VR != "SQ" and (in_private or identifies_anywhere(int(tag), element.VR)):
            yield from _values(element.value, element.VR, private)


def _values(value: object, vr: str, private: bool) -> Iterator[IdentifyingValue]:
    for one in value if isinstance(value, MultiValue) else (value,):
        text = _text(one)
        if text and text.isprintable():
            yield IdentifyingValue(text, vr, private)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ").decode("latin-1") if len(value) <= _MOST_BYTES else ""
    return "" if value is None else str(value)


MOST_ROWS: Final = 5_000
_PIXELS: Final = 0x7FE00008
_VARIABLES: Final = ("project", "subject", "session")
_LAST_STEP: Final = re.compile(r"\(([0-9A-F]{4}),(\{.*\})?([0-9A-F]{2,4})\)$")
_CHANGES: Final = {
    "removed": RowChange.REMOVED,
    "changed": RowChange.CHANGED,
    "added": RowChange.ADDED,
    "kept": RowChange.EQUAL,
}


def try_out(job: TrialJob) -> TrialResult:
    """Apply the steps of a job to a copy; problems of the object are in the result."""
    telling: list[IdentifyingValue] = []
    return replace(_tried_out(job, telling), telling=tuple(telling))


def _tried_out(job: TrialJob, telling: list[IdentifyingValue]) -> TrialResult:
    try:
        with ExitStack() as resources:
            before, after = _read(job, resources), _read(job, resources)
            # Before any step: the values are needed too if a step fails.
            telling += identifying_values_in(before)
            if _given(job.before, before, job) and _given(job.before, after, job):
                return _tried(job, before, after)
            return TrialResult(TrialOutcome.REJECTED, why="rejected by the site script")
    except ScriptError as error:
        return TrialResult(TrialOutcome.INVALID, (), error.reason, error.remedy, error.line)
    except ScriptRuntimeError as error:
        why = f"{error.name} line {error.line}: {error.cause}"
        return TrialResult(TrialOutcome.FAILED, (), why, error.remedy, error.line)
    except (StatementFailure, UneditableFile) as error:
        why = error.detail if isinstance(error, UneditableFile) else error.cause
        return TrialResult(TrialOutcome.FAILED, (), why, error.remedy)
    except (MemoryError, *UNREADABLE) as error:
        return TrialResult(problem=f"the object can't be read ({type(error).__name__})")


def _tried(job: TrialJob, before: Dataset, after: Dataset) -> TrialResult:
    if not _given(job.steps, after, job):
        return TrialResult(TrialOutcome.REJECTED, why=f"rejected by the {job.steps[0].script_name}")
    rows = [_row(found) for found in differences(before, after, kept=job.equal)]
    # A header in memory ends before the pixel data.
    complete = bool(job.path) and len(rows) <= MOST_ROWS
    return TrialResult(TrialOutcome.EDITED, tuple(rows[:MOST_ROWS]), complete=complete)


def _given(steps: tuple[Anonymization, ...], ds: Dataset, job: TrialJob) -> bool:
    """Apply steps in place; return whether the object is to be kept."""
    variables = dict(zip(_VARIABLES, job.labels, strict=True))
    for step in steps:
        if step.profile is not None:
            Profile(frozenset(step.profile.retain), step.profile.shift_days).apply(ds)
        if step.text:
            script = Script.parse(step.text, step.script_name)
            if script.apply(ds, variables, script_id=step.revision) is ScriptOutcome.REJECTED:
                return False
    return True


def _read(job: TrialJob, resources: ExitStack) -> Dataset:
    if job.path:
        return read_object(resources.enter_context(Path(job.path).open("rb")))
    syntax = UID(job.transfer_syntax_uid)
    ds = read_dataset(
        BytesIO(job.data),
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=lambda tag, _vr, _length: tag >= _PIXELS,
    )
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    # A header in memory has no file meta; scripts and comparisons expect one.
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if keyword in ds:
            setattr(ds.file_meta, f"MediaStorage{keyword}", ds.get(keyword))
    return deepcopy(ds)


def _row(found: ElementDifference) -> EditedRow:
    return EditedRow(
        found.path,
        found.keyword,
        found.vr,
        _CHANGES[found.change],
        found.before,
        found.after,
        identifying=_is_identifying(found),
    )


def _is_identifying(found: ElementDifference) -> bool:
    """Judge an element by its own tag; everything in a private sequence is private."""
    if "{" in found.path:
        return found.vr != "SQ"
    last = _LAST_STEP.search(found.path)
    return last is None or is_identifying(int(last[1] + last[3], 16), found.vr)
