"""Study routes and running labels: what is known of a study besides its objects."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.errors import (
    ChangedMeanwhile,
    InvalidStudyRoute,
    NotFound,
    OutOfResources,
    Problem,
    StorageUnusable,
)
from engine.index.database import PrivateFile, PrivateTables, stamp
from engine.index.reader import open_to_read
from engine.model.study_route import FIELDS, StudyRoute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


MAX_KNOWN = 10_000
"""Labels that are kept in memory."""

_LABELS_SCHEMA = """
CREATE TABLE IF NOT EXISTS study_labels (
    project TEXT NOT NULL,
    subject TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (project, subject, study_instance_uid),
    UNIQUE (project, label)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_label ON sessions (project, label);
"""
_GIVEN = (
    "SELECT label FROM study_labels WHERE project = ? AND subject = ? AND study_instance_uid = ?"
)
_ALL = "SELECT project, subject, study_instance_uid, label FROM study_labels"
_TAKEN = (
    "SELECT label FROM study_labels WHERE project = ? AND label >= ? AND label < ?"
    " UNION SELECT label FROM sessions WHERE project IS ? AND label >= ? AND label < ?"
)


class LabelKey(NamedTuple):
    """What a label belongs to."""

    project: str | None
    """None means Unassigned."""
    subject: str
    study_instance_uid: str


class StudyLabels:
    """The labels given so far, kept in the session index; may be called from any thread.

    A label is taken in the same transaction that finds it free, so that no two studies get one.
    """

    def __init__(self, index_file: Path) -> None:
        self._lock = threading.Lock()
        """Guards the connection and what is known."""
        self._known: dict[LabelKey, str] = {}
        self._connection = sqlite3.connect(
            index_file, timeout=10, check_same_thread=False, isolation_level=None
        )
        try:
            # The session's row comes next, in the same log: what flushes it flushes the label, too.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_LABELS_SCHEMA)
        except sqlite3.Error:
            self._connection.close()
            raise

    def label(self, key: LabelKey, modality: str, *, take: bool = True) -> str:
        """Return the study's label; a new study gets ``<subject>_<modality><n>`` with a free n.

        Args:
            key: what the label belongs to.
            modality: (0008,0060) as a label.
            take: whether a new label is the study's from now on; if not, it is what it would get.

        Raises:
            OutOfResources: if the index can't be read or written.
        """
        with self._lock:
            known = self._known.get(key)
            if known is None:
                try:
                    known = self._find(key, f"{key.subject}_{modality}", take)
                except sqlite3.Error as error:
                    raise OutOfResources(f"session index: {error}") from error
                if take:
                    self._remember(key, known)
            return known

    def close(self) -> None:
        """Close the connection to the index."""
        with self._lock:
            self._connection.close()

    def _remember(self, key: LabelKey, label: str) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = label

    def _find(self, key: LabelKey, stem: str, take: bool) -> str:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE" if take else "BEGIN")
            label, is_new = _looked_up(self._connection, key, stem)
            if is_new and take:
                statement = "INSERT INTO study_labels VALUES (?, ?, ?, ?)"
                self._connection.execute(statement, (*_values(key), label))
        return label


def read_label(index_file: Path, key: LabelKey, modality: str) -> str:
    """Return the label that a study has, or would get now; nothing is taken or made.

    Raises:
        OutOfResources: if the index can't be read.
    """
    stem = f"{key.subject}_{modality}"
    if not index_file.exists():
        return f"{stem}1"
    try:
        with closing(open_to_read(index_file)) as connection:
            return _looked_up(connection, key, stem)[0]
    except sqlite3.Error as error:
        raise OutOfResources(f"session index: {error}") from error


def carry_over(before: Path, after: Path) -> None:
    """Let studies keep their labels in an index that is made anew, as far as the old one tells.

    Args:
        before: the index that was set aside; it may be damaged.
        after: the new one, which must exist.
    """
    with suppress(sqlite3.Error), closing(open_to_read(before)) as old:
        given = old.execute(_ALL).fetchall()
        with closing(sqlite3.connect(after, timeout=10)) as new, new:
            new.executescript(_LABELS_SCHEMA)
            new.executemany("INSERT OR IGNORE INTO study_labels VALUES (?, ?, ?, ?)", given)


def _looked_up(connection: sqlite3.Connection, key: LabelKey, stem: str) -> tuple[str, bool]:
    """Return the study's label, or the first free one; and whether it is new."""
    row = connection.execute(_GIVEN, _values(key)).fetchone()
    if row:
        return str(row[0]), False
    span = (f"{stem}0", f"{stem}:")  # all that begin with a digit after the stem
    rows = connection.execute(_TAKEN, (key.project or "", *span, key.project, *span))
    taken = {row[0] for row in rows}
    return next(label for n in count(1) if (label := f"{stem}{n}") not in taken), True


def _values(key: LabelKey) -> tuple[str, str, str]:
    return key.project or "", key.subject, key.study_instance_uid


SCHEMA_VERSION = 1
_REMEDY = "check the disk; the received files are not affected"
_REPLACE = "delete that one first, or add --replace"
_DELETE = "DELETE FROM study_routes WHERE study_instance_uid = ?"

_ROUTES_SCHEMA = """
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
        super().__init__(PrivateFile(path.name, _ROUTES_SCHEMA, SCHEMA_VERSION, _REMEDY), path)

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

    def newest(self, limit: int) -> tuple[tuple[StudyRoute, ...], int]:
        """Return that many routes, the newest first, and how many there are."""
        query = "SELECT * FROM study_routes ORDER BY added_at DESC, study_instance_uid LIMIT ?"
        with self._changing() as connection:
            found = tuple(map(_route, connection.execute(query, (limit,)).fetchall()))
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
        with self._changing() as connection:
            row = connection.execute(f"{_DELETE} RETURNING *", (study_instance_uid,)).fetchone()
        if row is None:
            raise _unknown(study_instance_uid)
        return _route(row)

    def fulfil(self, study_instance_uid: str) -> None:
        """Forget the route of a study that is where it was to go, if it has one."""
        with self._changing() as connection:
            connection.execute(_DELETE, (study_instance_uid,))


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


class ReadOnlyStudies:
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
