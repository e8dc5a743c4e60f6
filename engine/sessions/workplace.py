"""What everything needs that works on whole sessions, and how it waits for their last objects."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import EngineError, LinkInTheWay
from engine.model.identity import UNASSIGNED
from engine.model.pet_mr import PetMr
from engine.model.project import FIRST_ARCHIVE_FOLDER
from engine.sessions.staging import NoScripts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.clock import Clock
    from engine.journal import Journal
    from engine.model.session import Session
    from engine.sessions.areas import Areas
    from engine.sessions.index import SessionIndex
    from engine.sessions.ledger import SessionLedger
    from engine.sessions.scans import ReadStored
    from engine.sessions.staging import ArchiveScripts

SETTLE_SECONDS = 30.0
"""How long objects on their way into a session are waited for; then it is tried again later."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """The parts that the lifecycle of sessions works with."""

    index: SessionIndex
    ledger: SessionLedger
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

    def is_settled(self, session_id: int) -> bool:
        """Return whether all objects that were on their way have their file and their row."""
        free = self.index.holds.wait_until_free(session_id, SETTLE_SECONDS)
        return free and self.index.flush(SETTLE_SECONDS)


def project_of(session: Session) -> str:
    """Return a session's project as events name it."""
    return session.project or UNASSIGNED


def in_words(error: EngineError | OSError, *, with_path: bool = False) -> str:
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
