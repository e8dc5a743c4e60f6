"""Applies scripts and profiles to a file: edits the header and splices long values."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydicom.uid import ExplicitVRLittleEndian

from engine.anonymize.datasets.pixels import PIXEL_ELEMENTS
from engine.anonymize.datasets.reading import UNREADABLE
from engine.anonymize.errors import StatementFailure, UneditableFile
from engine.anonymize.files.reading import read_object
from engine.anonymize.files.values import kept_element, part_of
from engine.anonymize.files.writing import transfer_syntax_of, write_object
from engine.anonymize.record import mark_as_deidentified, note_project, record
from engine.anonymize.run import ScriptContext, ScriptRun, TimeLimit
from engine.anonymize.script import Script, ScriptOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset
    from pydicom.uid import UID

    from engine.anonymize.profile import Profile

_NEW_FILE_MODE = 0o640


def edit_file(
    source: Path,
    target: Path | int,
    steps: Iterable[Script | Profile],
    variables: Mapping[str, str],
    *,
    script_context: ScriptContext | None = None,
    script_ids: Sequence[int] = (),
    mark: str = "",
    done_for: str = "",
    deflated: bool = False,
) -> ScriptOutcome:
    """Apply steps, one after the other, to a file and write the result to another.

    Args:
        source: a DICOM file (PS3.10).
        target: a file that must not exist, or the descriptor of one that is open for writing.
        steps: scripts and profiles in their order; a rejection ends them.
        variables: what every script is given.
        script_context: limits, UID maps and what else is the same for many files.
        script_ids: the numbers to record in (0012,0064), after all steps.
        mark: the method to write to (0012,0063), with YES in (0012,0062); empty for neither.
        done_for: the project whose steps are among them, noted in the file; empty for none.
        deflated: whether deflated objects are edited too, wholly in memory.

    Returns:
        `ScriptOutcome.REJECTED` if a script drops the object; then nothing is written.

    Raises:
        UneditableFile: if the source is no complete DICOM file or the result can't be encoded.
        ScriptRuntimeError: if a script fails; nothing is left at `target` if that is a path.
        OSError: if a file can't be opened, read or written.
    """
    with source.open("rb") as file:
        ds = read_object(file, deflated=deflated)
        # Before any step: one of them may write to (0002,0010).
        read_as = transfer_syntax_of(ds)
        for step in steps:
            if (
                _apply(step, ds, variables, script_context or ScriptContext())
                is ScriptOutcome.REJECTED
            ):
                return ScriptOutcome.REJECTED
        # After the steps, so that a script can't remove the record of itself.
        with _errors_translated():
            record(ds, script_ids)
            if mark:
                mark_as_deidentified(ds, mark)
            if done_for:
                note_project(ds, done_for)
            _check_transfer_syntax(ds, read_as)
        with _opened(target) as descriptor:
            write_object(ds, descriptor, read_as=read_as)
    return ScriptOutcome.OK


def _apply(
    step: Script | Profile, ds: Dataset, variables: Mapping[str, str], script_context: ScriptContext
) -> ScriptOutcome:
    if isinstance(step, Script):
        return step.apply(ds, variables, script_context=script_context)
    with _errors_translated():
        step.apply(ds, ScriptRun(ds, {}, script_context).tick)
    return ScriptOutcome.OK


@contextmanager
def _errors_translated() -> Iterator[None]:
    """Raise errors of steps that are no script as `UneditableFile`."""
    try:
        yield
    except StatementFailure as failure:
        raise UneditableFile(failure.cause, failure.remedy) from failure
    except TimeLimit as limit:
        raise UneditableFile(f"the profile took longer than {limit}", "leave it out") from None
    except UNREADABLE as error:
        detail = f"it can't be edited ({type(error).__name__})"
        raise UneditableFile(detail, "check it with dcmdump") from error


def _check_transfer_syntax(ds: Dataset, read_as: UID) -> None:
    """Refuse a changed (0002,0010), by which the rest is read; only alterPixels may change it."""
    # alterPixels leaves decoded pixels, so that they are no part of the source file any more.
    now = transfer_syntax_of(ds)
    pixels = next((tag for tag in PIXEL_ELEMENTS if tag in ds), None)
    altered = pixels is not None and part_of(kept_element(ds, pixels)) is None
    if now != read_as and not (now == ExplicitVRLittleEndian and altered):
        raise UneditableFile("a script wrote to (0002,0010)", "leave the transfer syntax alone")


@contextmanager
def _opened(target: Path | int) -> Iterator[int]:
    """Yield a descriptor; a new file that is not complete is removed."""
    if isinstance(target, int):
        yield target
        return
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE_MODE)
    try:
        yield descriptor
    # Also when the process is interrupted: a half file must not stay.
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
