"""The dependencies of session work, and the wait for a session's last objects."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import EngineError, LinkInTheWay
from engine.model.identity import UNASSIGNED
from engine.model.project import FIRST_ARCHIVE_FOLDER, AutoArchive, PetMr
from engine.sessions.folders.staging import NoScripts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.index.store import SessionIndex
    from engine.model.session import Session
    from engine.sessions.folders.staging import ArchiveScripts
    from engine.sessions.ledger import SessionRepository
    from engine.storage.areas import Areas
    from engine.storage.scans import ReadStored


IDLE_WAIT_SECONDS = 30.0
"""How long objects on their way into a session are waited for; then it is tried again later."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The parts that the lifecycle of sessions works with."""

    index: SessionIndex
    ledger: SessionRepository
    areas: Areas
    read: ReadStored
    journal: Journal
    clock: Clock
    scripts: ArchiveScripts = field(default_factory=NoScripts)
    """What projects do to objects before they are archived."""
    archived: Callable[[Session], None] = lambda _: None
    """Is told of each session that has got into the archive."""
    archive_folder: Callable[[str], str] = lambda _: FIRST_ARCHIVE_FOLDER
    """Where a project's sessions are archived just now."""
    same: Callable[[Path, Path], bool] = lambda one, other: one.read_bytes() == other.read_bytes()
    """Whether two files hold the same data set."""
    pet_mr: Callable[[str | None], PetMr] = lambda _: PetMr.PETMR
    """What becomes of a project's sessions with PET and MR."""

    def wait_for_writers(self, session_id: int) -> bool:
        """Return whether all objects that were on their way have their file and their row."""
        free = self.index.session_writers.wait_until_free(session_id, IDLE_WAIT_SECONDS)
        return free and self.index.flush(IDLE_WAIT_SECONDS)


def project_of(session: Session) -> str:
    """Return a session's project as events name it."""
    return session.project or UNASSIGNED


def describe_error(error: EngineError | OSError, *, with_path: bool = False) -> str:
    """Say what failed.

    Args:
        error: what failed.
        with_path: whether the path of a link is named, which may tell who the patient is: in the
            row of a session, which has the same names, but in no event.
    """
    if with_path and isinstance(error, LinkInTheWay):
        return f"{error.detail}; {error.remedy}"
    if isinstance(error, EngineError):
        return error.detail
    return f"the storage failed: {error.strerror or type(error).__name__}"


def is_full(error: Exception) -> bool:
    """Tell whether it is for want of room that something failed."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """What the lifecycle goes by; asked for anew each time, so that a change applies at once."""

    idle_seconds: float
    """A session is complete when no object came for this long."""
    trash_days: float
    """How long deleted sessions and replaced objects are kept."""
    archive_code: Callable[[str], AutoArchive]
    """What a project, by id, wants done with its complete sessions."""


def effective_code(asked: bool | None, project_code: AutoArchive) -> AutoArchive:
    """Return what applies to one session: what its header or a rule asked for wins (XNAT 8.3).

    Args:
        asked: whether the identity of its first object says to archive it; None if it says nothing.
        project_code: what its project wants.
    """
    if asked is None:
        return project_code
    return max(project_code, AutoArchive.ARCHIVE) if asked else AutoArchive.MANUAL
