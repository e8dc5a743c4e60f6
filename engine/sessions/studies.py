"""What is known of a study besides its objects: where it was announced to go, and its label."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Protocol

from engine.errors import StorageUnusable
from engine.sessions.study_labels import StudyLabels, read_label
from engine.sessions.study_routes import StudyRoutes, read_study_routes

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.study_route import StudyRoute
    from engine.sessions.study_labels import LabelKey


class Studies(Protocol):
    """What identifiers may ask about a study."""

    def route(self, study_instance_uid: str) -> StudyRoute | None:
        """Return where the study was announced to go, as it is now.

        Raises:
            OutOfResources: if that can't be read.
        """
        ...

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        """Return the study's session label; see `StudyLabels.label`."""
        ...


class KnownStudies:
    """The studies of a data directory; may be called from any thread."""

    def __init__(self, routes_file: Path, index_file: Path) -> None:
        """Open the table of routes, and the labels in the index, which must exist.

        Raises:
            StorageUnusable: if one of them can't be used.
        """
        self._routes = StudyRoutes(routes_file)
        try:
            self._labels = StudyLabels(index_file)
        except sqlite3.Error as error:
            self._routes.close()
            raise StorageUnusable(
                f"the session index {index_file.name} can't be used: {error}",
                "check the disk; the received files are not affected",
            ) from error

    def route(self, study_instance_uid: str) -> StudyRoute | None:
        """Return where the study was announced to go, as it is now."""
        return self._routes.find(study_instance_uid)

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        """Return the study's session label."""
        return self._labels.label(key, modality, take=take)

    def close(self) -> None:
        """Close both."""
        self._routes.close()
        self._labels.close()


class StudiesToRead:
    """The studies of a data directory for a dry run: nothing is made there, nothing taken."""

    def __init__(self, routes_file: Path, index_file: Path) -> None:
        routes = read_study_routes(routes_file)
        self._routes = {route.study_instance_uid: route for route in routes}
        self._index_file = index_file

    def route(self, study_instance_uid: str) -> StudyRoute | None:
        """Return where the study was announced to go, as it was at first."""
        return self._routes.get(study_instance_uid)

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        """Return the label that the study has, or would get now."""
        return read_label(self._index_file, key, modality)


class _NoStudies:
    def route(self, study_instance_uid: str) -> StudyRoute | None:
        return None

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        return f"{key.subject}_{modality}1"


NO_STUDIES: Studies = _NoStudies()
"""Where nothing is known: nothing was announced, and every study is the first."""
