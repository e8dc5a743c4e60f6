"""Archiving or separating that is cancelled after it has begun; in a transaction of the index.

Whoever carries a plan out may be in the middle of it. The mark in the kept plan decides: it is
looked at in the transaction that would give the objects away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import SessionError
from engine.sessions.object_changes import has_rows

if TYPE_CHECKING:
    import sqlite3

    from engine.model.session import Session


class Withdrawn(Exception):
    """Somebody took the request back: what was done of it is to be undone."""


def withdraw(connection: sqlite3.Connection, session: Session) -> None:
    """Mark the plan of a session that is being archived or separated as taken back.

    Args:
        connection: the index.
        session: the session; of a separation, either of the two.

    Raises:
        SessionError: if the objects belong to the other session already.
    """
    query = (
        "SELECT session, json_extract(plan, '$.into'), json_extract(plan, '$.leaves_rest')"
        " FROM operations WHERE session = :id OR json_extract(plan, '$.into') = :id"
    )
    first, into, leaves_rest = connection.execute(query, {"id": session.id}).fetchone()
    if leaves_rest and has_rows(connection, into):
        raise SessionError("the session is separated already", "it is complete in a moment")
    if not has_rows(connection, first):
        raise SessionError("the session is merged already", "it is complete in a moment")
    connection.execute(
        "UPDATE operations SET plan = json_set(plan, '$.withdrawn', json('true'))"
        " WHERE session = ?",
        (first,),
    )


def require_wanted(connection: sqlite3.Connection, session_id: int) -> None:
    """Return if nobody took a session's plan back.

    Raises:
        Withdrawn: if somebody did.
    """
    query = "SELECT json_extract(plan, '$.withdrawn') FROM operations WHERE session = ?"
    row = connection.execute(query, (session_id,)).fetchone()
    if row is not None and row[0]:
        raise Withdrawn
