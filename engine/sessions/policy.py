"""How sessions are to be treated by themselves, as the site's settings and projects have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.auto_archive import AutoArchive

if TYPE_CHECKING:
    from collections.abc import Callable


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
