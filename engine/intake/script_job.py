"""What a worker process does: one script applied to one received object, from part to part."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import OutOfResources, StorageUnusable
from engine.intake.write import out_of_resources

if TYPE_CHECKING:
    from engine.anonymize import Script
    from engine.model.site_script import SiteScript
    from engine.sessions.uid_maps import SqliteUidMaps

_TARGET_FLAGS: Final = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_VARIABLES: Final = ("project", "subject", "session")


@dataclass(frozen=True, slots=True)
class ScriptJob:
    """One object to anonymize."""

    source: str
    """The path of a DICOM file."""
    target: str
    """The path of a file that exists and may be overwritten."""
    script: SiteScript
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
    line: int = 0
    """1-based, of the script; 0 if it is not at fault."""


def run_script(job: ScriptJob) -> ScriptResult:
    """Anonymize one object; what may go wrong with it is in the result."""
    from engine.anonymize import ScriptRuntimeError, UneditableFile

    try:
        return ScriptResult(_edit(job))
    except ScriptRuntimeError as error:
        return ScriptResult(Verdict.FAILED, error.cause, error.line)
    except UneditableFile as error:
        return ScriptResult(Verdict.FAILED, f"the object can't be edited: {error.detail}")
    except OSError as error:
        return ScriptResult(Verdict.NO_RESOURCES, out_of_resources(error).detail)
    except OutOfResources as error:
        return ScriptResult(Verdict.NO_RESOURCES, error.detail)
    except StorageUnusable:
        return ScriptResult(Verdict.NO_RESOURCES, "the table of UIDs can't be used")


def _edit(job: ScriptJob) -> Verdict:
    from engine.anonymize import Outcome, Surroundings, edit_file

    target = os.open(job.target, _TARGET_FLAGS)
    try:
        outcome = edit_file(
            Path(job.source),
            target,
            [_script(job.script.text)],
            dict(zip(_VARIABLES, job.labels, strict=True)),
            surroundings=Surroundings(uid_maps=_uid_maps(job.uid_maps)),
            script_ids=[job.script.revision],
        )
    finally:
        os.close(target)
    return Verdict.REJECTED if outcome is Outcome.REJECTED else Verdict.EDITED


@lru_cache(4)
def _script(text: str) -> Script:
    from engine.anonymize import Script

    return Script.parse(text, "site script")


@lru_cache(1)
def _uid_maps(path: str) -> SqliteUidMaps:
    from engine.sessions.uid_maps import SqliteUidMaps

    return SqliteUidMaps(Path(path))
