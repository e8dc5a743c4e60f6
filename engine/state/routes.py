"""Study routes: where announced studies go; shared by an engine and commands."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from engine.errors import (
    ChangedMeanwhile,
    InvalidStudyRoute,
    NotFound,
    OutOfResources,
    Problem,
)
from engine.model.study_route import FIELDS, StudyRoute
from engine.state.database import PrivateTables, open_to_read, stamp
from engine.state.earlier import file_with_table
from engine.state.schema import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_ALL = "SELECT * FROM study_routes ORDER BY added_at DESC, study_instance_uid"
_REPLACE = "delete that one first, or add --replace"


class StudyRoutes(PrivateTables):
    """The routes; every method may be called from any thread and any process."""

    def __init__(self, path: Path) -> None:
        super().__init__(STATE, path)

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
            # Answered with 0xA700: the sender tries again, and the object goes to no wrong project.
            raise OutOfResources(f"study routes: {error}") from error
        return _route(row) if row else None

    def all(self) -> tuple[StudyRoute, ...]:
        """Return every route, the newest first."""
        with self._reading() as connection:
            return tuple(map(_route, connection.execute(_ALL).fetchall()))

    def newest(self, limit: int) -> tuple[tuple[StudyRoute, ...], int]:
        """Return that many routes, the newest first, and how many there are."""
        with self._reading() as connection:
            rows = connection.execute(f"{_ALL} LIMIT ?", (limit,)).fetchall()
            found = tuple(map(_route, rows))
            total = connection.execute("SELECT COUNT(*) FROM study_routes").fetchone()[0]
        return found, total

    def add(
        self,
        routes: Sequence[StudyRoute],
        actor: str,
        at: datetime,
        *,
        replace: bool = False,
        remedy: str = _REPLACE,
    ) -> int:
        """Add all routes, or none; return how many there were not before.

        Args:
            routes: what is to hold.
            actor: who says so.
            at: when.
            replace: whether a route takes the place of another one of its study.
            remedy: what is to be done where a study has another route.

        Raises:
            InvalidStudyRoute: if a study has another route already and that may not be replaced.
        """
        with self._changing() as connection:
            known = {route.study_instance_uid: _known(connection, route) for route in routes}
            problems = [] if replace else list(_conflicts(routes, known, remedy))
            if problems:
                # Before the first write: of many routes all are added, or none.
                raise InvalidStudyRoute(*problems)
            fresh = [r for r in routes if not _same(r, known[r.study_instance_uid])]
            _put(connection, fresh, actor, at)
        return len(fresh)

    def exchange(self, seen: StudyRoute, route: StudyRoute, actor: str, at: datetime) -> None:
        """Put a route in the place of another, perhaps of another study.

        Raises:
            ChangedMeanwhile: if the other one is not as it was seen any more.
            InvalidStudyRoute: if the study has a further route already.
            NotFound: if the other one does not exist any more.
        """
        with self._changing() as connection:
            now = _known(connection, seen)
            if now is None:
                raise _unknown(seen.study_instance_uid)
            if not now.has_same_target(seen):
                what = f"the route of study {seen.study_instance_uid[:80]}"
                raise ChangedMeanwhile(what, now.added_by, now.added_at, _differences(seen, now))
            if route.study_instance_uid != seen.study_instance_uid:
                known = {route.study_instance_uid: _known(connection, route)}
                if problems := list(_conflicts([route], known, "change that one")):
                    raise InvalidStudyRoute(*problems)
                statement = "DELETE FROM study_routes WHERE study_instance_uid = ?"
                connection.execute(statement, (seen.study_instance_uid,))
            _put(connection, [route], actor, at)

    def delete(self, study_instance_uid: str) -> StudyRoute:
        """Remove the route of a study and return it.

        Raises:
            NotFound: if the study has none.
        """
        statement = "DELETE FROM study_routes WHERE study_instance_uid = ? RETURNING *"
        with self._changing() as connection:
            row = connection.execute(statement, (study_instance_uid,)).fetchone()
        if row is None:
            raise _unknown(study_instance_uid)
        return _route(row)

    def fulfil(self, study_instance_uid: str) -> None:
        """Forget the route of a study that is where it was to go, if it has one."""
        with suppress(NotFound):
            self.delete(study_instance_uid)


def read_study_routes(path: Path) -> tuple[StudyRoute, ...]:
    """Return every route of a state database, the newest first; makes and moves nothing.

    Raises:
        StorageUnusable: if it can't be read.
    """
    with STATE.in_words():
        file = file_with_table(path, "study_routes")
        if file is None:
            return ()
        with closing(open_to_read(file)) as connection:
            return tuple(map(_route, connection.execute(_ALL).fetchall()))


def _known(connection: sqlite3.Connection, route: StudyRoute) -> StudyRoute | None:
    query = "SELECT * FROM study_routes WHERE study_instance_uid = ?"
    row = connection.execute(query, (route.study_instance_uid,)).fetchone()
    return _route(row) if row else None


def _put(
    connection: sqlite3.Connection, routes: Sequence[StudyRoute], actor: str, at: datetime
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO study_routes VALUES (?, ?, ?, ?, ?, ?)",
        [(r.study_instance_uid, r.project, r.subject, r.session, actor, stamp(at)) for r in routes],
    )


def _conflicts(
    routes: Sequence[StudyRoute],
    known: dict[str, StudyRoute | None],
    remedy: str = _REPLACE,
) -> Iterator[Problem]:
    for route in routes:
        other = known[route.study_instance_uid]
        if other is not None and not other.has_same_target(route):
            where = " / ".join(filter(None, (other.project, other.subject, other.session)))
            message = f"has a route to {where} already"
            yield Problem("study_instance_uid", route.study_instance_uid, message, remedy)


def _unknown(study_instance_uid: str) -> NotFound:
    what = f"study {study_instance_uid[:80]!r} has no route"
    return NotFound(what, "list them with: study-routes list")


def _differences(seen: StudyRoute, now: StudyRoute) -> list[str]:
    pairs = [(name, getattr(seen, name), getattr(now, name)) for name in FIELDS]
    return [f"{name}: {old or '–'} → {new or '–'}" for name, old, new in pairs if old != new]


def _same(route: StudyRoute, known: StudyRoute | None) -> bool:
    return known is not None and known.has_same_target(route)


def _route(row: tuple[str, str, str, str, str, str]) -> StudyRoute:
    return StudyRoute(*row[:-1], datetime.fromisoformat(row[-1]))
