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
    from engine.model.receiver import DirectMerge
    from engine.model.session import Session
    from engine.sessions.folders.staging import ArchiveScripts
    from engine.sessions.ledger import SessionRepository
    from engine.storage.areas import Areas
    from engine.storage.scans import ReadStored


IDLE_WAIT_SECONDS = 30.0
"""Longest wait for objects on their way into a session; then the work is tried again later."""


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
    """The anonymization of projects before the archive."""
    archived: Callable[[Session], None] = lambda _: None
    """Called with each session that was archived."""
    archive_folder: Callable[[str], str] = lambda _: FIRST_ARCHIVE_FOLDER
    """Where a project's sessions are archived just now."""
    same: Callable[[Path, Path], bool] = lambda one, other: one.read_bytes() == other.read_bytes()
    """Whether two files hold the same data set."""
    pet_mr: Callable[[str | None], PetMr] = lambda _: PetMr.PETMR
    """The setting of a project for sessions with PET and MR."""
    reruns_script: Callable[[], bool] = lambda: False
    """Whether the project's script runs again on objects of a renamed session (XNAT's setting)."""

    def wait_for_writers(self, session_id: int) -> bool:
        """Return whether all objects that were on their way have their file and their row."""
        # In this order: a writer queues its row before it releases the session.
        free = self.index.session_writers.wait_until_free(session_id, IDLE_WAIT_SECONDS)
        return free and self.index.flush_session(session_id, IDLE_WAIT_SECONDS)


def project_of(session: Session) -> str:
    """Return a session's project as events name it."""
    return session.project or UNASSIGNED


def describe_error(error: EngineError | OSError, *, with_path: bool = False) -> str:
    """Return what failed, in words.

    Args:
        error: what failed.
        with_path: whether the path of a link is named. The path may identify the patient: it may
            stand in the session's row, which has the same names, but in no event.
    """
    if with_path and isinstance(error, LinkInTheWay):
        return f"{error.detail}; {error.remedy}"
    if isinstance(error, EngineError):
        return error.detail
    return f"the storage failed: {error.strerror or type(error).__name__}"


def is_full(error: Exception) -> bool:
    """Tell whether the disk or the quota is full."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Settings of the lifecycle; read anew for each run, so that a change applies at once."""

    idle_seconds: float
    """A session is complete when no object came for this long."""
    trash_days: float
    """How long deleted sessions and replaced objects are kept."""
    archive_code: Callable[[str], AutoArchive]
    """Returns the auto-archive code of a project, by id."""
    direct_merge: Callable[[str], DirectMerge | None] = lambda _: None
    """Returns how a receiver, by its label, adds to archived sessions; None if the project says."""
    index_days: float = 0
    """How long rows of objects that no session has are kept; 0 for ever."""


def effective_code(asked: bool | None, project_code: AutoArchive) -> AutoArchive:
    """Return the code for one session; a request by header or rule wins (XNAT 8.3).

    Args:
        asked: whether its first object asked for the archive; None if it did not say.
        project_code: the code of its project.
    """
    if asked is None:
        return project_code
    return max(project_code, AutoArchive.ARCHIVE) if asked else AutoArchive.MANUAL
