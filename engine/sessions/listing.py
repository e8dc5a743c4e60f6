"""Sessions looked up in an index, also while an engine writes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.model.identity import UNASSIGNED
from engine.sessions.index import SESSION_COLUMNS, session_of, stamp

if TYPE_CHECKING:
    from engine.model.session import Session
    from engine.model.session_query import SessionQuery
    from engine.sessions.ledger import Connection

DEFAULT_LIMIT = 1000


class StateCount(NamedTuple):
    """How many objects of a session ended in a state."""

    state: str
    objects: int
    bytes: int


def find_sessions(
    index: Connection, query: SessionQuery, limit: int = DEFAULT_LIMIT
) -> tuple[Session, ...]:
    """Return the sessions that a query means, the most recently changed first."""
    conditions, values = _conditions(query)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"SELECT {SESSION_COLUMNS} FROM sessions {where} ORDER BY last_object_at DESC LIMIT ?"
    with index.changing() as connection:
        return tuple(map(session_of, connection.execute(sql, (*values, limit))))


def state_counts(index: Connection, session_id: int) -> tuple[StateCount, ...]:
    """Return what became of the objects of a session."""
    sql = (
        "SELECT state, COUNT(*), SUM(bytes) FROM objects WHERE session = ?"
        " GROUP BY state ORDER BY state"
    )
    with index.changing() as connection:
        return tuple(StateCount(*row) for row in connection.execute(sql, (session_id,)))


def _conditions(query: SessionQuery) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    if query.project == UNASSIGNED:
        conditions.append("project IS NULL")
    elif query.project is not None:
        conditions.append("project = ?")
        values.append(query.project)
    if query.statuses:
        conditions.append(f"status IN ({', '.join('?' * len(query.statuses))})")
        values.extend(query.statuses)
    if query.since is not None:
        conditions.append("last_object_at >= ?")
        values.append(stamp(query.since))
    if query.modality is not None:
        conditions.append("modality = ?")
        values.append(query.modality)
    if query.receiver is not None:
        conditions.append("(receiver = ? OR substr(receiver, 1, ?) = ?)")
        values.extend((query.receiver, len(query.receiver) + 1, f"{query.receiver}:"))
    return conditions, values
