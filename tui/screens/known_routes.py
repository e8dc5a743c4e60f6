"""The study routes, asked for again and again: commands and archiving change them unannounced."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tui.screens.fetch import Fetch
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.model.study_route import StudyRoute
    from engine.view import EngineView
    from engine.view.study_routes import StudyRoutePage
    from tui.link import EngineCall

OLD_AFTER = timedelta(seconds=5)
WISH = "study routes"


class KnownRoutes:
    """Keeps the newest routes while somebody looks at them."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._routes: Fetch[StudyRoutePage] = Fetch("list study routes", ask, changed)
        self._looked_at: datetime | None = None
        self._forced = False

    def forget(self) -> None:
        """Ask again with the next reading; what is known stays until then."""
        self._forced = True

    def look(self, now: datetime) -> None:
        """Ask if what is known is old."""
        old = self._looked_at is None or abs(now - self._looked_at) >= OLD_AFTER
        if old or self._forced:
            self._looked_at = now
            self._routes.want(WISH, _list, now, again=True, at_once=self._forced)
            self._forced = False

    @property
    def routes(self) -> tuple[StudyRoute, ...]:
        """The newest ones; none while nothing is known."""
        return self._routes.answer.routes if self._routes.answer else ()

    @property
    def total(self) -> int | None:
        """How many there are; None while nothing is known."""
        return self._routes.answer.total if self._routes.answer else None

    @property
    def problem(self) -> str:
        """Why what is known may be old; safe text."""
        problem = self._routes.problem
        return safe(f"not up to date: {problem.detail}") if problem else ""

    def route(self, study_instance_uid: str | None) -> StudyRoute | None:
        """Return the route of a study, if it is known."""
        return next((r for r in self.routes if r.study_instance_uid == study_instance_uid), None)


def _list(engine: EngineView) -> StudyRoutePage:
    return engine.study_routes.list()
