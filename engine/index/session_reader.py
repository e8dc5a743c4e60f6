"""Reads the rows of sessions, of their objects and of requests; changes nothing."""

from __future__ import annotations

from datetime import datetime
from json import loads
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.errors import NotFound, SessionError
from engine.index.actions import Action, action_row, newest_actions, why_not
from engine.index.operations import (
    AUTO_ARCHIVE,
    QUEUED_STATUS,
    Operation,
    OperationKind,
    Plan,
    Request,
    plan_from_json,
)
from engine.index.store import SESSION_COLUMNS, is_folder_in_use, session_of
from engine.index.writer import REPLACES
from engine.model.identity import LABEL_REMEDY, is_label
from engine.model.session import (
    ObjectState,
    ProjectScript,
    Session,
    SessionArea,
    SessionStatus,
    require_request,
)
from engine.storage.scans import natural_order

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from engine.api.sessions import PastAction

_OPERATION_COLUMNS = "session, kind, previous, asked_by, arguments, plan"
# The target of a merge that is not complete must stay as it is.
_TARGETS = (
    "SELECT json_extract(plan, '$.into') FROM operations"
    " WHERE plan IS NOT NULL AND json_extract(plan, '$.into') IS NOT NULL"
)
_NEXT_REQUEST = (
    f"SELECT {_OPERATION_COLUMNS} FROM operations WHERE plan IS NULL"
    f" AND (asked_by = '{AUTO_ARCHIVE}') = ? AND session NOT IN ({_TARGETS}){{but_not}}"
    " ORDER BY asked_at, session LIMIT 1"
)
_NEXT_BUILD = (
    f"SELECT id FROM sessions WHERE status = ? AND id NOT IN ({_TARGETS}){{but_not}}"
    " ORDER BY last_object_at LIMIT 1"
)


class StoredRow(NamedTuple):
    """The row of a stored object."""

    file: str
    """Relative to the session's folder."""
    sop_instance_uid: str
    bytes: int
    """Of its data set."""
    project_script: str = ProjectScript.DUE
    replaces: bool = False
    """Whether it took the place of a file that was there."""


class AskedOperation(NamedTuple):
    """An operation and when it was asked for."""

    operation: Operation
    asked_at: datetime


class Connection(Protocol):
    """The index, in the process of its engine or beside it."""

    def changing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return a context manager that yields the connection for one transaction."""
        ...

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return a context manager for queries that see one state; they wait for no writer."""
        ...

    def forget_place(self, session_id: int) -> None:
        """Look a session up anew when its next object arrives."""
        ...

    def notify_finished(self) -> None:
        """Wake the threads that act on finished sessions."""
        ...


class SessionReader:
    """Reads the rows of sessions; may be used by any thread."""

    def __init__(self, index: Connection) -> None:
        self._index = index

    def session(self, session_id: int) -> Session:
        """Return a session.

        Raises:
            NotFound: if there is none of this number.
        """
        with self._index.reading() as connection:
            return session_row(connection, session_id)

    def in_status(self, *statuses: SessionStatus) -> tuple[Session, ...]:
        """Return the sessions in some states, the one that was silent for longest first."""
        marks = ", ".join("?" * len(statuses))
        query = (
            f"SELECT {SESSION_COLUMNS} FROM sessions WHERE status IN ({marks})"
            " ORDER BY last_object_at"
        )
        with self._index.reading() as connection:
            return tuple(map(session_of, connection.execute(query, statuses)))

    def former_names(self, *statuses: SessionStatus) -> tuple[tuple[int, str | None, str], ...]:
        """Return number, project and label under which objects of renamed sessions come."""
        marks = ", ".join("?" * len(statuses))
        query = (
            "SELECT id, came_project, came_label, project FROM sessions"
            f" WHERE status IN ({marks}) AND came_label IS NOT NULL"
        )
        with self._index.reading() as connection:
            rows = connection.execute(query, statuses).fetchall()
        # As in `engine.index.store.arrives_as`.
        since = [(number, now, label) for number, came, label, now in rows if came is None and now]
        return (*((number, came, label) for number, came, label, _ in rows), *since)

    def receiving(self) -> tuple[tuple[int, str], ...]:
        """Return the sessions being received, each with the time of its last object."""
        query = "SELECT id, last_object_at FROM sessions WHERE status = ?"
        with self._index.reading() as connection:
            return tuple(connection.execute(query, (SessionStatus.RECEIVING,)).fetchall())

    def receiving_since(self) -> tuple[str, str]:
        """Return the times of the oldest and newest last objects of sessions being received.

        Both are empty if there is none.
        """
        query = (
            "SELECT COALESCE((SELECT MIN(last_object_at) FROM sessions WHERE status = ?1), ''),"
            " COALESCE((SELECT MAX(last_object_at) FROM sessions WHERE status = ?1), '')"
        )
        with self._index.reading() as connection:
            oldest, newest = connection.execute(query, (SessionStatus.RECEIVING,)).fetchone()
        return str(oldest), str(newest)

    def silent(self, until: str, after: tuple[str, int], limit: int) -> tuple[tuple[int, str], ...]:
        """Return sessions being received that got no object since a time, the oldest first.

        Args:
            until: the latest time of a last object.
            after: time and number behind which to begin.
            limit: how many at most.
        """
        query = (
            "SELECT id, last_object_at FROM sessions WHERE status = ?"
            " AND (last_object_at, id) > (?, ?) AND last_object_at <= ?"
            " ORDER BY last_object_at, id LIMIT ?"
        )
        values = (SessionStatus.RECEIVING, *after, until, limit)
        with self._index.reading() as connection:
            return tuple(connection.execute(query, values).fetchall())

    def archived_as(self, project: str, label: str) -> Session | None:
        """Return the session that is, or is becoming, the archive's of a project and label."""
        query = (
            f"SELECT {SESSION_COLUMNS} FROM sessions"
            " WHERE project = ? AND label = ? AND area = ? ORDER BY id DESC LIMIT 1"
        )
        with self._index.reading() as connection:
            row = connection.execute(query, (project, label, SessionArea.ARCHIVE)).fetchone()
        return session_of(row) if row else None

    def named(self, project: str | None, label: str) -> tuple[Session, ...]:
        """Return the sessions of a project and label in all areas, the newest first."""
        query = (
            f"SELECT {SESSION_COLUMNS} FROM sessions"
            " WHERE project IS ? AND label = ? ORDER BY id DESC LIMIT 50"
        )
        with self._index.reading() as connection:
            return tuple(map(session_of, connection.execute(query, (project, label)).fetchall()))

    def of_other_subjects(self, session: Session) -> tuple[int, ...]:
        """Return other sessions of a study that have another subject; ten at most."""
        query = (
            "SELECT id FROM sessions WHERE study_instance_uid = ? AND id <> ?"
            " AND +area <> ? AND COALESCE(subject, '') <> ? ORDER BY id LIMIT 10"
        )
        subject = session.subject or ""
        values = (session.study_instance_uid, session.id, SessionArea.TRASH, subject)
        if not session.study_instance_uid or session.area is SessionArea.TRASH:
            return ()
        with self._index.reading() as connection:
            return tuple(number for (number,) in connection.execute(query, values))

    def is_folder_in_use(self, folder: str) -> bool:
        """Tell whether a folder is a session's, or will be."""
        with self._index.reading() as connection:
            return is_folder_in_use(connection, folder)

    def stored_rows(self, session_id: int) -> tuple[StoredRow, ...]:
        """Return the objects that the index says a session has, in the order of arrival.

        Raises:
            SessionError: if the rows were removed: none of its files would seem to be known.
        """
        found = self.stored_rows_of((session_id,))
        if session_id not in found:
            # A defect: whoever needs them calls `engine.sessions.rereading.require_rows` before.
            raise SessionError(
                f"the rows of the objects of session {session_id} were removed",
                f"list them, which reads them again: sessions objects {session_id} SCAN",
            )
        return found[session_id]

    def stored_rows_of(self, sessions: Collection[int]) -> Mapping[int, tuple[StoredRow, ...]]:
        """Return the same for some sessions, but for those whose rows were removed.

        All are read in one transaction.
        """
        query = (
            "SELECT file, sop_instance_uid, bytes, project_script, INSTR(reason, ?) > 0"
            " FROM objects WHERE session = ? AND state = ? ORDER BY sequence"
        )
        with self._index.reading() as connection:
            found = {
                session: connection.execute(
                    query, (REPLACES, session, ObjectState.STORED)
                ).fetchall()
                for session in sessions
                if not _rows_are_removed(connection, session)
            }
        # Outside of the lock: there may be a hundred thousand.
        return {session: _stored_rows(rows) for session, rows in found.items()}

    def newest_row(self) -> int:
        """Return the number of the newest row of an object; later ones have higher numbers."""
        with self._index.reading() as connection:
            query = "SELECT COALESCE(MAX(sequence), 0) FROM objects"
            return int(connection.execute(query).fetchone()[0])

    def stored_files(self, session_id: int) -> tuple[str, ...]:
        """Return the objects of a session in the order of arrival, relative to its folder."""
        return tuple(row.file for row in self.stored_rows(session_id))

    def waits_in_prearchive(self, study_instance_uid: str) -> bool:
        """Tell whether a study has a session that is not in the archive yet."""
        # The + keeps SQLite from using the index of areas, which would read all of this one.
        query = "SELECT 1 FROM sessions WHERE study_instance_uid = ? AND +area = ? LIMIT 1"
        values = (study_instance_uid, SessionArea.PREARCHIVE)
        with self._index.reading() as connection:
            return connection.execute(query, values).fetchone() is not None

    def due_files(self, session_id: int) -> tuple[str, ...]:
        """Return the objects of a session that its project's anonymization is due for."""
        rows = self.stored_rows(session_id)
        return tuple(row.file for row in rows if row.project_script == ProjectScript.DUE)

    def possible(self, session_id: int, request: Request) -> Session:
        """Return a session for which a request may be made; raises as `ask` does."""
        with self._index.reading() as connection:
            return possible_session(connection, session_id, request)

    def operation(self, session_id: int) -> AskedOperation | None:
        """Return the operation of a session that is not finished yet."""
        query = f"SELECT {_OPERATION_COLUMNS}, asked_at FROM operations WHERE session = ?"
        with self._index.reading() as connection:
            row = connection.execute(query, (session_id,)).fetchone()
        if row is None:
            return None
        return AskedOperation(_operation_of(row[:-1]), datetime.fromisoformat(row[-1]))

    def operations(self) -> tuple[Operation, ...]:
        """Return all operations, in the order of their requests."""
        query = f"SELECT {_OPERATION_COLUMNS} FROM operations ORDER BY asked_at, session"
        with self._index.reading() as connection:
            rows = connection.execute(query).fetchall()
        # Outside of the lock: a plan may name a hundred thousand files.
        return tuple(map(_operation_of, rows))

    def action(self, number: int) -> Action:
        """Return an action of a person; raises as `action_row` does."""
        with self._index.reading() as connection:
            return action_row(connection, number)

    def request_of_undo(self, number: int, by: str) -> tuple[int, Request]:
        """Return which session is to be asked for what, so that an action is undone.

        Raises:
            NotFound: if there is no such action (any more).
            SessionError: if it can't be undone.
        """
        with self._index.reading() as connection:
            action = action_row(connection, number)
            _require_undoable(connection, action)
        if action.removed is not None:
            return action.removed, Request(OperationKind.RESTORE, by)
        return action.session, Request(OperationKind.UNDO, by, action=number)

    def newest_actions(self, limit: int = 10) -> tuple[PastAction, ...]:
        """Return the last actions of everybody, the newest first."""
        with self._index.reading() as connection:
            return newest_actions(connection, limit)

    def part_of(self, session_id: int) -> int | None:
        """Return the session that removed scans are of; None if these are none."""
        query = "SELECT part_of FROM sessions WHERE id = ?"
        with self._index.reading() as connection:
            row = connection.execute(query, (session_id,)).fetchone()
        return row[0] if row else None

    def next_request(self, *, automatic: bool, but_not: Collection[int] = ()) -> Operation | None:
        """Return the oldest request that can be begun; None if there is none.

        Args:
            automatic: whether a rule made it; else a person did.
            but_not: sessions that are not recovered yet.
        """
        sql = _NEXT_REQUEST.format(but_not=_but_not("session", but_not))
        with self._index.reading() as connection:
            row = connection.execute(sql, (automatic,)).fetchone()
        return _operation_of(row) if row else None

    def next_build(self, *, but_not: Collection[int] = ()) -> int | None:
        """Return the session that was silent for longest of those that are queued to be built."""
        sql = _NEXT_BUILD.format(but_not=_but_not("id", but_not))
        with self._index.reading() as connection:
            row = connection.execute(sql, (SessionStatus.QUEUED_BUILDING,)).fetchone()
        return row[0] if row else None

    def is_merged_into(self, session_id: int) -> bool:
        """Tell whether a merge into a session is not complete: until then it must stay."""
        query = (
            "SELECT 1 FROM operations"
            " WHERE plan IS NOT NULL AND json_extract(plan, '$.into') = ? LIMIT 1"
        )
        with self._index.reading() as connection:
            return connection.execute(query, (session_id,)).fetchone() is not None

    def has_begun(self) -> bool:
        """Tell whether the steps of some plan are not all made yet."""
        with self._index.reading() as connection:
            query = "SELECT 1 FROM operations WHERE plan IS NOT NULL LIMIT 1"
            return connection.execute(query).fetchone() is not None

    def begun(self) -> tuple[Operation, ...]:
        """Return the operations whose steps are not all made yet, in the order of requests."""
        query = (
            f"SELECT {_OPERATION_COLUMNS} FROM operations WHERE plan IS NOT NULL"
            " ORDER BY asked_at, session"
        )
        with self._index.reading() as connection:
            rows = connection.execute(query).fetchall()
        return tuple(map(_operation_of, rows))

    def plans(self) -> tuple[Plan, ...]:
        """Return the plans whose steps are not all made yet."""
        return tuple(op.plan for op in self.begun() if op.plan is not None)


def _but_not(column: str, sessions: Collection[int]) -> str:
    """Return a condition that leaves sessions out: few, those whose recovery has failed."""
    return f" AND {column} NOT IN ({', '.join(map(str, sessions))})" if sessions else ""


def _stored_rows(rows: Iterable[tuple[Any, ...]]) -> tuple[StoredRow, ...]:
    # A replaced file has several rows: the newest counts, at the place of the first.
    newest = {row[0]: row for row in rows}
    return tuple(
        StoredRow(file, uid, size, script, bool(replaces))
        for file, uid, size, script, replaces in newest.values()
    )


def session_row(connection: sqlite3.Connection, session_id: int) -> Session:
    """Return a session, inside a transaction; raises as `SessionReader.session` does."""
    query = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?"
    row = connection.execute(query, (session_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no session {session_id}", "list them with: sessions list")
    return session_of(row)


def _rows_are_removed(connection: sqlite3.Connection, session_id: int) -> bool:
    """Tell whether a session has no rows of its objects, though it has objects."""
    query = "SELECT 1 FROM sessions WHERE id = ? AND rows_removed_at IS NOT NULL"
    return connection.execute(query, (session_id,)).fetchone() is not None


def operation_row(connection: sqlite3.Connection, session_id: int) -> Operation | None:
    """Return the operation of a session, inside a transaction."""
    query = f"SELECT {_OPERATION_COLUMNS} FROM operations WHERE session = ?"
    row = connection.execute(query, (session_id,)).fetchone()
    return _operation_of(row) if row else None


def in_trash(connection: sqlite3.Connection, entry: str) -> list[tuple[int, str, int]]:
    """Return number, status and objects of the sessions in one folder of the trash."""
    # A range of names, for which there is an index: 0 is the character behind the slash.
    query = "SELECT id, status, objects FROM sessions WHERE +area = ? AND folder > ? AND folder < ?"
    values = (SessionArea.TRASH, f"{entry}/", f"{entry}0")
    return connection.execute(query, values).fetchall()


def _operation_of(row: tuple[object, ...]) -> Operation:
    session_id, kind, previous, _, arguments, plan = row
    raw = loads(str(arguments))
    request = Request(
        **raw | {"kind": OperationKind(str(kind)), "scans": tuple(raw.get("scans", ()))}
    )
    assert isinstance(session_id, int)
    return Operation(
        session_id,
        request,
        SessionStatus(str(previous)),
        plan_from_json(str(plan)) if plan else None,
    )


def possible_session(connection: sqlite3.Connection, session_id: int, request: Request) -> Session:
    """Return a session for which a request may be made; raises as `SessionRepository.ask` does."""
    session = session_row(connection, session_id)
    _require_sense(connection, session, request)
    require_request(session.status, QUEUED_STATUS[request.kind])
    return session


_SCANS = (
    "SELECT DISTINCT substr(file, 7, instr(substr(file, 7), '/') - 1) FROM objects"
    f" WHERE session = ? AND state = '{ObjectState.STORED}' AND file <> ''"
)


def _require_sense(connection: sqlite3.Connection, session: Session, request: Request) -> None:
    kind, area = request.kind, session.area
    if kind is OperationKind.ARCHIVE and session.project is None:
        raise SessionError("a session without a project can't be archived", "move it to one first")
    if kind in _PREARCHIVE_ONLY and area is SessionArea.TRASH:
        raise SessionError("the session is in the trash", "restore it first")
    if kind in _PREARCHIVE_ONLY and area is SessionArea.ARCHIVE:
        raise SessionError("the session is archived", "undo that first; see: sessions undo")
    if kind is OperationKind.RESTORE and area is not SessionArea.TRASH:
        raise SessionError("the session is not in the trash", "there is nothing to restore")
    if kind is OperationKind.MOVE:
        _require_new_names(session, request)
    if kind is OperationKind.REMOVE_SCANS:
        _require_scans(connection, session, request)
    if kind is OperationKind.UNDO:
        # Asked again here, where no other request can come between.
        _require_undoable(connection, action_row(connection, request.action))


def _require_undoable(connection: sqlite3.Connection, action: Action) -> None:
    reason = why_not(connection, action)
    if reason:
        detail = f"action {action.id} ({action.kind}) can't be undone: {reason}"
        raise SessionError(detail, "see: sessions undo")


_PREARCHIVE_ONLY = frozenset((OperationKind.MOVE, OperationKind.REMOVE_SCANS))


def _require_new_names(session: Session, request: Request) -> None:
    for name, text in (("subject", request.subject), ("session label", request.label)):
        # The text comes from a client: quoted, and cut.
        if text and not is_label(text):
            raise SessionError(f"{name} {text[:80]!r} is no label", LABEL_REMEDY)
    before = (session.project, session.subject, session.label)
    after = (
        request.project or session.project,
        request.subject or session.subject,
        request.label or session.label,
    )
    if before != after:
        return
    if request.project and not (request.subject or request.label):
        raise SessionError(f"the session is in {request.project} already", "name another project")
    raise SessionError("the session has these names already", "name what is to be changed")


def _require_scans(connection: sqlite3.Connection, session: Session, request: Request) -> None:
    known = {str(scan) for (scan,) in connection.execute(_SCANS, (session.id,))}
    missing = [scan for scan in request.scans if scan not in known]
    if missing or not request.scans:
        detail = f"there is no scan {missing[0][:64]!r}" if missing else "no scan is named"
        raise SessionError(detail, f"use {', '.join(sorted(known, key=natural_order)[:50])}")
    if known <= set(request.scans):
        raise SessionError("these are all scans of the session", "delete the session instead")
