"""The table of study routes, in a file of its own that commands and a running engine share."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from engine.errors import InvalidStudyRoute, NotFound, OutOfResources, Problem
from engine.model.study_route import StudyRoute
from engine.sessions.moments import stamp
from engine.sessions.private_file import PrivateFile, PrivateTables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SCHEMA_VERSION = 1
_REMEDY = "check the disk; the received files are not affected"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS study_routes (
    study_instance_uid TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    subject TEXT NOT NULL,
    session TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at TEXT NOT NULL
) WITHOUT ROWID;
"""


class StudyRoutes(PrivateTables):
    """The routes; every method may be called from any thread and any process."""

    def __init__(self, path: Path) -> None:
        super().__init__(PrivateFile(path.name, _SCHEMA, SCHEMA_VERSION, _REMEDY), path)

    def find(self, study_instance_uid: str) -> StudyRoute | None:
        """Return the route of a study, as it is now.

        Raises:
            OutOfResources: if the table can't be read.
        """
        query = "SELECT * FROM study_routes WHERE study_instance_uid = ?"
        try:
            with self._lock:
                row = self._connection.execute(query, (study_instance_uid,)).fetchone()
        except sqlite3.Error as error:
            raise OutOfResources(f"study routes: {error}") from error
        return _route(row) if row else None

    def all(self) -> tuple[StudyRoute, ...]:
        """Return every route, the newest first."""
        query = "SELECT * FROM study_routes ORDER BY added_at DESC, study_instance_uid"
        with self._changing() as connection:
            return tuple(map(_route, connection.execute(query).fetchall()))

    def add(
        self, routes: Sequence[StudyRoute], actor: str, at: datetime, *, replace: bool = False
    ) -> int:
        """Add all routes, or none; return how many there were not before.

        Raises:
            InvalidStudyRoute: if a study has another route already and that may not be replaced.
        """
        with self._changing() as connection:
            known = {route.study_instance_uid: _known(connection, route) for route in routes}
            problems = [] if replace else list(_conflicts(routes, known))
            if problems:
                raise InvalidStudyRoute(*problems)
            fresh = [r for r in routes if not _same(r, known[r.study_instance_uid])]
            connection.executemany(
                "INSERT OR REPLACE INTO study_routes VALUES (?, ?, ?, ?, ?, ?)",
                [(r.study_instance_uid, r.project, r.subject, r.session, actor, stamp(at))
                 for r in fresh],
            )  # fmt: skip
        return len(fresh)

    def delete(self, study_instance_uid: str) -> StudyRoute:
        """Remove the route of a study and return it.

        Raises:
            NotFound: if the study has none.
        """
        statement = "DELETE FROM study_routes WHERE study_instance_uid = ? RETURNING *"
        with self._changing() as connection:
            row = connection.execute(statement, (study_instance_uid,)).fetchone()
        if row is None:
            what = f"study {study_instance_uid[:80]!r} has no route"
            raise NotFound(what, "list them with: study-routes list")
        return _route(row)

    def fulfil(self, study_instance_uid: str) -> None:
        """Forget the route of a study that is where it was to go, if it has one."""
        with suppress(NotFound):
            self.delete(study_instance_uid)


def read_study_routes(path: Path) -> tuple[StudyRoute, ...]:
    """Return every route of a file, the newest first; none if there is no file."""
    if not path.exists():
        return ()
    with closing(StudyRoutes(path)) as routes:
        return routes.all()


def _known(connection: sqlite3.Connection, route: StudyRoute) -> StudyRoute | None:
    query = "SELECT * FROM study_routes WHERE study_instance_uid = ?"
    row = connection.execute(query, (route.study_instance_uid,)).fetchone()
    return _route(row) if row else None


def _conflicts(
    routes: Sequence[StudyRoute], known: dict[str, StudyRoute | None]
) -> Iterator[Problem]:
    for route in routes:
        other = known[route.study_instance_uid]
        if other is not None and not other.says_the_same_as(route):
            where = " / ".join(filter(None, (other.project, other.subject, other.session)))
            message = f"has a route to {where} already"
            remedy = "delete that one first, or add --replace"
            yield Problem("study_instance_uid", route.study_instance_uid, message, remedy)


def _same(route: StudyRoute, known: StudyRoute | None) -> bool:
    return known is not None and known.says_the_same_as(route)


def _route(row: tuple[str, str, str, str, str, str]) -> StudyRoute:
    return StudyRoute(*row[:-1], datetime.fromisoformat(row[-1]))
