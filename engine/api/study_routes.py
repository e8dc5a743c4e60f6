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
    """The study routes of the identifier ``studyRouting``; every method reads a file."""

    def list(self, limit: int = MOST_ROUTES) -> StudyRoutePage:
        """Return at most 1,000 routes."""
        ...

    def save(
        self, route: StudyRoute, actor: str, *, replacing: StudyRoute | None = None
    ) -> StudyRoute:
        """Save the route of a study; return it as it is stored.

        Args:
            route: the route; `added_by` and `added_at` are set here.
            actor: who saves it.
            replacing: the route as its editor saw it; None adds one.

        Raises:
            InvalidStudyRoute: if a value is invalid, or the study has another route.
            ChangedMeanwhile: if somebody else changed the route after its editor saw it.
            NotFound: if the route to replace does not exist any more.
        """
        ...

    def delete(self, study_instance_uid: str, actor: str) -> None:
        """Remove the route of a study; objects that arrived already stay where they are.

        Raises:
            NotFound: if the study has none.
        """
        ...
