"""`StudyRoutesView` of an engine in this process, on the file that the commands use too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api.study_routes import MOST_ROUTES, StudyRoutePage
from engine.errors import InvalidStudyRoute, Problem
from engine.events import StudyRouteChanged
from engine.model.study_route import FIELDS, parse_study_route
from engine.state.routes import StudyRoutes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.model.study_route import StudyRoute


class StudyRouteQueries:
    """Opens the file for each call, because commands change it too; for all threads."""

    def __init__(
        self,
        file: Path,
        configuration: Callable[[], Configuration],
        clock: Clock,
        report: Callable[[Event], object],
    ) -> None:
        self._file = file
        self._configuration = configuration
        self._clock = clock
        self._report = report

    def list(self, limit: int = MOST_ROUTES) -> StudyRoutePage:
        """Return the newest routes."""
        with StudyRoutes(self._file) as table:
            return StudyRoutePage(*table.newest(min(max(0, limit), MOST_ROUTES)))

    def save(
        self, route: StudyRoute, actor: str, *, replacing: StudyRoute | None = None
    ) -> StudyRoute:
        """Save the route of a study."""
        raw = {name: getattr(route, name) for name in FIELDS}
        # From its fields: a client may have made the value without any check.
        parsed = parse_study_route(raw, self._configuration().projects)
        now = self._clock.now()
        with StudyRoutes(self._file) as table:
            if replacing is not None:
                table.exchange(replacing, parsed, actor, now)
            # Nothing was added: the very same route was there.
            elif not table.add([parsed], actor, now, remedy="change that one"):
                known = Problem("study_instance_uid", parsed.study_instance_uid, "has this route",
                                "nothing needs to be done")  # fmt: skip
                raise InvalidStudyRoute(known)
        self._report(StudyRouteChanged(by=actor, project=parsed.project))
        return replace(parsed, added_by=actor, added_at=now)

    def delete(self, study_instance_uid: str, actor: str) -> None:
        """Remove the route of a study."""
        with StudyRoutes(self._file) as table:
            table.delete(study_instance_uid)
        self._report(StudyRouteChanged(by=actor))
