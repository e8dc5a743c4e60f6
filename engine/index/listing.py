"""Lists, pages and totals of sessions, readable while an engine writes."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from engine.api.sessions import Amount, AreaCounts, SessionOrder, SessionPage, StatusCount
from engine.index.database import translate_sqlite_errors
from engine.index.store import SESSION_COLUMNS, session_of
from engine.model.identity import UNASSIGNED
from engine.model.queries import SessionQuery
from engine.model.session import SessionArea, SessionStatus
from engine.state.database import stamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta

    from engine.index.reader import IndexReader
    from engine.index.session_reader import Connection
    from engine.model.session import Session


DEFAULT_LIMIT = 1000
ANYTHING = "*"
TEXTS = ("project", "subject", "label", "study_instance_uid")
"""The columns that words are looked for in."""


class StateCount(NamedTuple):
    """How many objects of a session ended in a state."""

    state: str
    objects: int
    bytes: int


def find_sessions(
    index: Connection, query: SessionQuery, limit: int = DEFAULT_LIMIT
) -> tuple[Session, ...]:
    """Return the sessions that a query means, the most recently changed first."""
    where, values = where_of(query, by_time=True)
    sql = f"SELECT {SESSION_COLUMNS} FROM sessions {where} ORDER BY last_object_at DESC LIMIT ?"
    with index.reading() as connection:
        return tuple(map(session_of, connection.execute(sql, (*values, limit))))


class WorkWaiting(NamedTuple):
    """Sessions that something is to be done with."""

    sessions: int
    """Silent ones that are not built yet, and those that a request waits for."""
    since: datetime | None
    """From when on the first of them could be worked on; None if there is none."""


_WORK_WAITING = (
    "SELECT COUNT(*), MIN(last_object_at) FROM sessions"
    f" WHERE status = '{SessionStatus.RECEIVING}' AND last_object_at <= ?"
    " UNION ALL SELECT COUNT(*), MIN(asked_at) FROM operations WHERE plan IS NULL"
    " UNION ALL SELECT COUNT(*), NULL FROM sessions"
    f" WHERE status = '{SessionStatus.QUEUED_BUILDING}'"
)


def work_waiting(index: Connection, now: datetime, idle: timedelta) -> WorkWaiting:
    """Return how many sessions wait for work.

    Args:
        index: the index.
        now: the present time.
        idle: after so long without an object, a session is to be built.

    Raises:
        StorageUnusable: if the index can't be read.
    """
    with translate_sqlite_errors(), index.reading() as connection:
        rows = connection.execute(_WORK_WAITING, (stamp(now - idle),)).fetchall()
    silent, asked = (datetime.fromisoformat(at) if at else None for _, at in rows[:2])
    since = min(filter(None, (silent and silent + idle, asked)), default=None)
    return WorkWaiting(sum(number for number, _ in rows), since)


def state_counts(index: Connection, session_id: int) -> tuple[StateCount, ...]:
    """Return what became of the objects of a session."""
    sql = (
        "SELECT state, COUNT(*), SUM(bytes) FROM objects WHERE session = ?"
        " GROUP BY state ORDER BY state"
    )
    with index.reading() as connection:
        return tuple(StateCount(*row) for row in connection.execute(sql, (session_id,)))


def where_of(query: SessionQuery, *, by_time: bool = False) -> tuple[str, tuple[object, ...]]:
    """Return the WHERE clause of a query, empty if it means all, and its values.

    Args:
        query: what the sessions must be like.
        by_time: whether they are looked through in the order of time until there are enough.
    """
    conditions = [
        *_equalities(query),
        *_area(query, by_time),
        *_project(query),
        *_modality(query),
        *_receiver(query),
        *_words(query),
    ]
    where = f"WHERE {' AND '.join(sql for sql, _ in conditions)}" if conditions else ""
    return where, tuple(value for _, values in conditions for value in values)


Condition = tuple[str, tuple[object, ...]]


def _equalities(query: SessionQuery) -> Iterator[Condition]:
    if query.statuses:
        yield f"status IN ({', '.join('?' * len(query.statuses))})", query.statuses
    if query.since is not None:
        yield "last_object_at >= ?", (stamp(query.since),)
    if query.caller is not None:
        yield "instr(lower(calling_ae_title), lower(?))", (query.caller,)


def _area(query: SessionQuery, by_time: bool) -> Iterator[Condition]:
    if query.area is not None:
        # The + keeps SQLite from using the index of areas: the one of times finds the newest
        # sooner. The trash holds few sessions, so that its area is the better choice.
        column = "+area" if by_time and query.area is not SessionArea.TRASH else "area"
        yield f"{column} = ?", (query.area,)


def _project(query: SessionQuery) -> Iterator[Condition]:
    if query.project == UNASSIGNED:
        yield "project IS NULL", ()
    elif query.project is not None and ANYTHING in query.project:
        yield _pattern(f"COALESCE(project, '{UNASSIGNED}')", query.project)
    elif query.project is not None:
        yield "project = ?", (query.project,)


def _modality(query: SessionQuery) -> Iterator[Condition]:
    if query.modality is not None and ANYTHING in query.modality:
        yield _pattern("modality", query.modality)
    elif query.modality is not None:
        yield "modality = ?", (query.modality,)


def _receiver(query: SessionQuery) -> Iterator[Condition]:
    label = query.receiver
    if label is not None and ANYTHING in label:
        yield _pattern("receiver", label)
    elif label is not None:
        # An AE title without a port means its receivers on all ports.
        yield "(receiver = ? OR substr(receiver, 1, ?) = ?)", (label, len(label) + 1, f"{label}:")


def _words(query: SessionQuery) -> Iterator[Condition]:
    for word in query.words:
        yield _anywhere(word, TEXTS)
    for word in query.without:
        # NOT of NULL is NULL: sessions without a subject would not be found.
        sql, values = _anywhere(word, tuple(f"COALESCE({column}, '')" for column in TEXTS))
        yield f"NOT {sql}", values


def _anywhere(word: str, columns: Sequence[str]) -> Condition:
    likes = [_like(column, f"%{_literal(word)}%") for column in columns]
    values = tuple(value for _, parts in likes for value in parts)
    return f"({' OR '.join(sql for sql, _ in likes)})", values


def _pattern(column: str, pattern: str) -> Condition:
    """Return the condition that a column is like a pattern with asterisks for anything."""
    return _like(column, "%".join(map(_literal, pattern.split(ANYTHING))))


def _like(column: str, like: str) -> Condition:
    escape = " ESCAPE '^'" if "^" in like else ""  # only if needed: it is slower
    return f"{column} LIKE ?{escape}", (like,)


def _literal(text: str) -> str:
    return re.sub("([%_^])", r"^\1", text)


LONGEST_PAGE = 1_000
_NOT_INDEXED = "NOT INDEXED"
"""Scan the table: faster than an index where most rows have to be read."""
_FEW = 1_000
_STATUS, _OBJECTS, _BYTES = map(SESSION_COLUMNS.split(", ").index, ("status", "objects", "bytes"))
Row = tuple[object, ...]
Areas = list[tuple[str, str, Amount]]
"""The sessions, objects and bytes of each area and status."""

_COLUMNS: Mapping[SessionOrder, str] = {
    SessionOrder.CHANGED: "last_object_at",
    SessionOrder.STATUS: "status",
    SessionOrder.PROJECT: "COALESCE(project, '')",
    SessionOrder.SUBJECT: "COALESCE(subject, '')",
    SessionOrder.LABEL: "label",
    SessionOrder.MODALITY: "modality",
    SessionOrder.OBJECTS: "objects",
    SessionOrder.BYTES: "bytes",
}


def session_page(
    reader: IndexReader,
    query: SessionQuery,
    order: SessionOrder,
    *,
    descending: bool,
    offset: int,
    limit: int,
) -> SessionPage:
    """Return some of the sessions that a query means; those that are equal in order by number."""
    wanted, offset = min(max(0, limit), LONGEST_PAGE), max(0, offset)
    with reader.reading() as connection:
        areas = _by_area(connection)
        # No index helps to find words. If there are few sessions, one scan gives both rows and
        # totals.
        rows = _few(connection, query, (order, descending)) if _is_text(query) else None
        if rows is not None:
            found, total = _counted(rows)
            rows = rows[offset : offset + wanted]
        elif query == SessionQuery(area=query.area):
            found, total = _all(areas, query.area)
        else:
            found, total = _some(connection, query)
        if rows is None:
            rows = _rows(connection, query, (order, descending), (wanted, offset))
    return SessionPage(
        sessions=tuple(map(session_of, rows)),
        offset=offset,
        total=total,
        by_status=tuple(StatusCount(s, found[s]) for s in SessionStatus if found.get(s)),
        areas=AreaCounts(*(_all(areas, area)[1].sessions for area in SessionArea)),
    )


def _rows(
    connection: sqlite3.Connection,
    query: SessionQuery,
    ordered: tuple[SessionOrder, bool],
    page: tuple[int, int],
    hint: str = "",
) -> list[Row]:
    order, way = _COLUMNS[ordered[0]], "DESC" if ordered[1] else "ASC"
    # Equal rows are ordered by number, so that pages neither repeat nor lose a session.
    where, values = where_of(query, by_time=ordered[0] is SessionOrder.CHANGED)
    sql = (
        f"SELECT {SESSION_COLUMNS} FROM sessions {hint} {where}"
        f" ORDER BY {order} {way}, id {way} LIMIT ? OFFSET ?"
    )
    return connection.execute(sql, (*values, *page)).fetchall()


def _few(
    connection: sqlite3.Connection, query: SessionQuery, ordered: tuple[SessionOrder, bool]
) -> list[Row] | None:
    """Return all sessions that a query means, by a scan of the table; None if there are many."""
    rows = _rows(connection, query, ordered, (_FEW + 1, 0), _NOT_INDEXED)
    return rows if len(rows) <= _FEW else None


def _counted(rows: list[Row]) -> tuple[Counter[str], Amount]:
    counts = Counter(str(row[_STATUS]) for row in rows)
    objects, size = (sum(int(str(row[at])) for row in rows) for at in (_OBJECTS, _BYTES))
    return counts, Amount(len(rows), objects, size)


def _by_area(connection: sqlite3.Connection) -> Areas:
    """Count all sessions; the index `sessions_by_area` covers the query."""
    sql = (
        "SELECT area, status, COUNT(*), SUM(objects), SUM(bytes) FROM sessions"
        " GROUP BY area, status"
    )
    return [(area, status, Amount(*rest)) for area, status, *rest in connection.execute(sql)]


def _all(areas: Areas, wanted: SessionArea | None) -> tuple[Counter[str], Amount]:
    """Return the sessions of one area, or of all, by status, and their sum."""
    parts = [(s, amount) for area, s, amount in areas if wanted in {None, area}]
    counts = Counter[str]()
    for status, amount in parts:
        counts[status] += amount.sessions
    objects, size = sum(a.objects for _, a in parts), sum(a.bytes for _, a in parts)
    return counts, Amount(counts.total(), objects, size)


def _some(connection: sqlite3.Connection, query: SessionQuery) -> tuple[Counter[str], Amount]:
    """Count the sessions that a query means, in one scan of the table."""
    where, values = where_of(query)
    statuses = tuple(SessionStatus)
    counts = ", ".join(f"COALESCE(SUM(status = '{status}'), 0)" for status in statuses)
    table = f"sessions {_NOT_INDEXED}" if _is_text(query) else "sessions"
    sums = "COUNT(*), COALESCE(SUM(objects), 0), COALESCE(SUM(bytes), 0)"
    row = connection.execute(f"SELECT {sums}, {counts} FROM {table} {where}", values).fetchone()
    return Counter(dict(zip(map(str, statuses), row[3:], strict=True))), Amount(*row[:3])


def _is_text(query: SessionQuery) -> bool:
    return bool(query.words or query.without)
