"""What a worker process does: one object anonymized by site, project or both, file to file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import OutOfResources, StorageUnusable
from engine.intake.job_resources import (
    VARIABLES,
    is_too_large,
    parsed_script,
    target_of,
    uid_maps_in,
)
from engine.intake.write import out_of_resources
from engine.model.anonymization import ScriptScope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.anonymize import Profile, Script
    from engine.model.anonymization import Anonymization


@dataclass(frozen=True, slots=True)
class ScriptJob:
    """One object to anonymize."""

    source: str
    """The path of a DICOM file."""
    target: str
    """The path of a file that exists and may be overwritten."""
    steps: tuple[Anonymization, ...]
    """What is done, in this order."""
    labels: tuple[str, str, str]
    """Project, subject and session, which scripts are given."""
    uid_maps: str
    """The path of the SQLite file that remembers mapped UIDs."""


class Verdict(StrEnum):
    """What became of a job."""

    EDITED = "edited"
    REJECTED = "rejected"
    FAILED = "failed"
    NO_RESOURCES = "no resources"


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How a job ended; only after `EDITED` the target is of use."""

    verdict: Verdict
    why: str = ""
    """A clause without element values."""
    where: str = ""
    """The script that is at fault, with its line, or that rejected the object; else empty."""


def run_script(job: ScriptJob) -> ScriptResult:
    """Anonymize one object; what may go wrong with it is in the result."""
    from engine.anonymize import ScriptRuntimeError, UneditableFile

    try:
        return _edit(job)
    except ScriptRuntimeError as error:
        return ScriptResult(Verdict.FAILED, error.cause, f"{error.name} line {error.line}")
    except UneditableFile as error:
        return ScriptResult(Verdict.FAILED, f"the object can't be edited: {error.detail}")
    except OSError as error:
        if is_too_large(error):
            return ScriptResult(Verdict.FAILED, "what it makes of the object is too large")
        return ScriptResult(Verdict.NO_RESOURCES, out_of_resources(error).detail)
    except OutOfResources as error:
        return ScriptResult(Verdict.NO_RESOURCES, error.detail)
    except StorageUnusable:
        return ScriptResult(Verdict.NO_RESOURCES, "the table of UIDs can't be used")


def _edit(job: ScriptJob) -> ScriptResult:
    from engine.anonymize import Outcome, Surroundings, edit_file

    begun: list[str] = []
    scopes = {step.scope for step in job.steps}
    uid_maps = uid_maps_in(job.uid_maps)
    with target_of(job.target, job.source, job.uid_maps) as target:
        outcome = edit_file(
            Path(job.source),
            target,
            _steps(job, begun),
            dict(zip(VARIABLES, job.labels, strict=True)),
            surroundings=Surroundings(uid_maps=uid_maps),
            script_ids=[step.revision for step in job.steps if step.text],
            done_for=job.labels[0] if ScriptScope.PROJECT in scopes else "",
        )
    if outcome is Outcome.REJECTED:
        return ScriptResult(Verdict.REJECTED, where=begun[-1])
    return ScriptResult(Verdict.EDITED)


def _steps(job: ScriptJob, begun: list[str]) -> Iterator[Profile | Script]:
    """Yield what each step consists of, its profile, then its script, and note which has begun."""
    from engine.anonymize import Profile

    for step in job.steps:
        begun.append(step.script_name)
        if step.profile is not None:
            yield Profile(frozenset(step.profile.retain), step.profile.shift_days)
        if step.text:
            yield parsed_script(step.text, step.script_name)
