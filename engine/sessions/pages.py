"""Pages of sessions for a console, with what all that is looked for comes to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from engine.model.session import SessionArea, SessionStatus
from engine.model.session_query import SessionQuery
from engine.sessions.index import SESSION_COLUMNS, session_of
from engine.sessions.listing import where_of
from engine.view.sessions import Amount, AreaCounts, SessionOrder, SessionPage, StatusCount

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from engine.sessions.reader import IndexReader

LONGEST_PAGE = 1_000
_NOT_INDEXED = "NOT INDEXED"
"""One row after the other, which is faster where most have to be looked at."""
_FEW = 1_000
_STATUS, _OBJECTS, _BYTES = map(SESSION_COLUMNS.split(", ").index, ("status", "objects", "bytes"))
Row = tuple[object, ...]
Areas = list[tuple[str, str, Amount]]
"""What there is in each area and status."""

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
    where, values = where_of(query, by_time=ordered[0] is SessionOrder.CHANGED)
    sql = (
        f"SELECT {SESSION_COLUMNS} FROM sessions {hint} {where}"
        f" ORDER BY {order} {way}, id {way} LIMIT ? OFFSET ?"
    )
    return connection.execute(sql, (*values, *page)).fetchall()


def _few(
    connection: sqlite3.Connection, query: SessionQuery, ordered: tuple[SessionOrder, bool]
) -> list[Row] | None:
    """Return all that a query means after one look at every session; None if there are many."""
    rows = _rows(connection, query, ordered, (_FEW + 1, 0), _NOT_INDEXED)
    return rows if len(rows) <= _FEW else None


def _counted(rows: list[Row]) -> tuple[Counter[str], Amount]:
    counts = Counter(str(row[_STATUS]) for row in rows)
    objects, size = (sum(int(str(row[at])) for row in rows) for at in (_OBJECTS, _BYTES))
    return counts, Amount(len(rows), objects, size)


def _by_area(connection: sqlite3.Connection) -> Areas:
    """Count all sessions; one index has everything that this needs."""
    sql = (
        "SELECT area, status, COUNT(*), SUM(objects), SUM(bytes) FROM sessions"
        " GROUP BY area, status"
    )
    return [(area, status, Amount(*rest)) for area, status, *rest in connection.execute(sql)]


def _all(areas: Areas, wanted: SessionArea | None) -> tuple[Counter[str], Amount]:
    """Return the sessions of one area, or of all, by status, and what they come to."""
    parts = [(s, amount) for area, s, amount in areas if wanted in {None, area}]
    counts = Counter[str]()
    for status, amount in parts:
        counts[status] += amount.sessions
    objects, size = sum(a.objects for _, a in parts), sum(a.bytes for _, a in parts)
    return counts, Amount(counts.total(), objects, size)


def _some(connection: sqlite3.Connection, query: SessionQuery) -> tuple[Counter[str], Amount]:
    """Do the same for what a query means, in one look at the sessions."""
    where, values = where_of(query)
    statuses = tuple(SessionStatus)
    counts = ", ".join(f"COALESCE(SUM(status = '{status}'), 0)" for status in statuses)
    table = f"sessions {_NOT_INDEXED}" if _is_text(query) else "sessions"
    sums = "COUNT(*), COALESCE(SUM(objects), 0), COALESCE(SUM(bytes), 0)"
    row = connection.execute(f"SELECT {sums}, {counts} FROM {table} {where}", values).fetchone()
    return Counter(dict(zip(map(str, statuses), row[3:], strict=True))), Amount(*row[:3])


def _is_text(query: SessionQuery) -> bool:
    return bool(query.words or query.without)
