"""Pages of sessions for a console, with what all that is looked for comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.session import SessionArea, SessionStatus
from engine.sessions.index import SESSION_COLUMNS, session_of
from engine.sessions.listing import where_of
from engine.view.sessions import Amount, AreaCounts, SessionOrder, SessionPage, StatusAmount

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from engine.model.session_query import SessionQuery
    from engine.sessions.reader import IndexReader

LONGEST_PAGE = 1_000

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
    offset = max(0, offset)
    with reader.reading() as connection:
        by_status = _by_status(connection, query)
        areas = _areas(connection)
        total = Amount(
            sum(part.amount.sessions for part in by_status),
            sum(part.amount.objects for part in by_status),
            sum(part.amount.bytes for part in by_status),
        )
        rows: list[tuple[object, ...]] = []
        if offset < total.sessions:
            rows = _rows(connection, query, order, descending, offset, limit)
    return SessionPage(tuple(map(session_of, rows)), offset, total, by_status, areas)


def _rows(
    connection: sqlite3.Connection,
    query: SessionQuery,
    order: SessionOrder,
    descending: bool,
    offset: int,
    limit: int,
) -> list[tuple[object, ...]]:
    where, values = where_of(query)
    way = "DESC" if descending else "ASC"
    sql = (
        f"SELECT {SESSION_COLUMNS} FROM sessions {where}"
        f" ORDER BY {_COLUMNS[order]} {way}, id {way} LIMIT ? OFFSET ?"
    )
    page = (min(max(0, limit), LONGEST_PAGE), offset)
    return connection.execute(sql, (*values, *page)).fetchall()


def _by_status(connection: sqlite3.Connection, query: SessionQuery) -> tuple[StatusAmount, ...]:
    where, values = where_of(query)
    sql = f"SELECT status, COUNT(*), SUM(objects), SUM(bytes) FROM sessions {where} GROUP BY status"
    found = {row[0]: Amount(*row[1:]) for row in connection.execute(sql, values)}
    return tuple(StatusAmount(s, found[s]) for s in SessionStatus if s in found)


def _areas(connection: sqlite3.Connection) -> AreaCounts:
    counts = dict(connection.execute("SELECT area, COUNT(*) FROM sessions GROUP BY area"))
    return AreaCounts(*(counts.get(area, 0) for area in SessionArea))
