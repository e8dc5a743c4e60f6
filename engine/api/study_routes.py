"""Study routes for the console: destinations of studies that were announced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.model.study_route import StudyRoute

MOST_ROUTES = 1_000


@dataclass(frozen=True, slots=True)
class StudyRoutePage:
    """The newest study routes, and how many there are in all."""

    routes: tuple[StudyRoute, ...]
    """The newest first."""
    total: int


class StudyRoutesView(Protocol):
    """The study routes that the identifier ``studyRouting`` asks; every method reads a file."""

    def list(self, limit: int = MOST_ROUTES) -> StudyRoutePage:
        """Return at most 1,000 routes."""
        ...

    def save(
        self, route: StudyRoute, actor: str, *, replacing: StudyRoute | None = None
    ) -> StudyRoute:
        """Say where a study goes; return the route as it is stored.

        Args:
            route: what is to hold; who added it and when is set here.
            actor: who says so.
            replacing: the route as its editor saw it; None adds one.

        Raises:
            InvalidStudyRoute: if a member is not acceptable, or the study has another route.
            ChangedMeanwhile: if somebody else changed the route after its editor saw it.
            NotFound: if the route to replace does not exist any more.
        """
        ...

    def delete(self, study_instance_uid: str, actor: str) -> None:
        """Remove the route of a study; what arrived already stays where it is.

        Raises:
            NotFound: if the study has none.
        """
        ...
