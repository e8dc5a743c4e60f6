"""Site settings, projects and their sessions, asked for anew when the configuration changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.session_query import SessionQuery
from tui.link import EngineCall
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.errors import EngineError
    from engine.model.project import Project
    from engine.model.site import SiteSettings
    from engine.view import EngineSnapshot, EngineView

RETRY_SECONDS = 5
MAX_COUNTED = 200
"""Projects whose sessions are counted for the list."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one look brought."""

    site: SiteSettings
    projects: tuple[Project, ...]
    sessions: dict[str, int]
    """By project, of the first `MAX_COUNTED`."""

    def project(self, project_id: str | None) -> Project | None:
        """Return a project that there is."""
        return next((p for p in self.projects if p.id == project_id), None)


class KnownSettings:
    """Asks the engine once for each revision, and when somebody wants to know anew."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._ask = ask
        self._changed = changed
        self._revision = -1
        self._asked_at: datetime | None = None
        self.settings: Settings | None = None
        self.problem = ""
        """Why what is known may be old; safe text."""

    def forget(self) -> None:
        """Ask again with the next reading."""
        self._revision = -1
        self._asked_at = None

    def look(self, snapshot: EngineSnapshot) -> None:
        """Ask if the configuration is another one, or the last question failed a while ago."""
        since = snapshot.taken_at - self._asked_at if self._asked_at else None
        waited = since is None or since.total_seconds() >= RETRY_SECONDS
        if snapshot.revision == self._revision and not (self.problem and waited):
            return
        self._revision, self._asked_at = snapshot.revision, snapshot.taken_at
        self._ask(
            EngineCall(
                "look at the settings", "settings", _settings, self._take, self._miss,
                changes=False, latest=True,
            )
        )  # fmt: skip

    def _take(self, settings: Settings) -> None:
        self.settings, self.problem = settings, ""
        self._changed()

    def _miss(self, error: EngineError) -> None:
        self.problem = safe(f"not up to date: {error.detail}")
        self._changed()


def _settings(engine: EngineView) -> Settings:
    projects = engine.projects()
    sessions = {
        project.id: engine.sessions.list(SessionQuery(project=project.id), limit=1).total.sessions
        for project in projects[:MAX_COUNTED]
    }
    return Settings(engine.site(), projects, sessions)
