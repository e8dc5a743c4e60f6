"""The trail of an object: each of its arrivals, and the session that it went to.

The row of an object names the session that has it now: merges, moves and separations change it
with the files. It names none if the object was refused, or after its session was removed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from engine.api.objects import Filed, ObjectTrail, TrailStep
from engine.errors import NotFound
from engine.index.contents import OBJECT_REMEDY
from engine.index.store import SESSION_COLUMNS, session_of
from engine.index.writer import REPLACED_IN_ARCHIVE
from engine.model.session import ObjectState

if TYPE_CHECKING:
    import sqlite3

    from engine.model.session import Session

MOST_STEPS = 1_000
_SESSION = ", ".join(f"s.{column}" for column in SESSION_COLUMNS.split(", "))
# One statement whatever an object went through. An outer join: a row may name a session that was
# forgotten while it was empty.
_QUERY = (
    "SELECT o.at, o.receiver, o.calling_ae_title, o.state, o.status, o.reason, o.file,"
    f" {_SESSION} FROM objects AS o LEFT JOIN sessions AS s ON s.id = o.session"
    " WHERE o.sop_instance_uid = ? ORDER BY o.sequence LIMIT ?"
)
_COLUMNS = 7
_KEPT = (ObjectState.STORED, ObjectState.DUPLICATE)


def trail_of(connection: sqlite3.Connection, sop_instance_uid: str) -> ObjectTrail:
    """Return all arrivals of a SOP instance; none if the index knows no such object."""
    rows = connection.execute(_QUERY, (sop_instance_uid, MOST_STEPS)).fetchall()
    arrivals = [(row[:_COLUMNS], _session(row[_COLUMNS:])) for row in rows]
    # Of several objects that were stored in one place, the newest is there.
    newest = {
        (session.id, file): number
        for number, ((*_, state, _, _, file), session) in enumerate(arrivals)
        if session is not None and state == ObjectState.STORED
    }
    steps = list[TrailStep]()
    for number, (row, session) in enumerate(arrivals):
        at, receiver, caller, state, status, reason, file = row
        place = (session.id, file) if session is not None else None
        is_replaced = place is not None and newest.get(place, number) > number
        filed = _filed(state, reason, is_replaced=is_replaced, has_session=place is not None)
        steps.append(
            TrailStep(
                *(datetime.fromisoformat(at), receiver, caller, state, status, reason),
                *(session.id if session else None, file, filed),
                session.place if session else None,
            )
        )
    sessions = {session.id: session for _, session in arrivals if session is not None}
    return ObjectTrail(tuple(steps), tuple(sessions.values()))


def known_trail(connection: sqlite3.Connection, sop_instance_uid: str) -> ObjectTrail:
    """Return what `trail_of` does.

    Raises:
        NotFound: if the index knows no such object (any more).
    """
    found = trail_of(connection, sop_instance_uid)
    if not found.steps:
        remedy = OBJECT_REMEDY
        (before,) = connection.execute("SELECT before FROM thinned").fetchone()
        if before:
            remedy += f"; rows of objects in no session were removed, from before {before[:10]}"
        raise NotFound("there is no such object", remedy)
    return found


def _filed(state: str, reason: str, *, is_replaced: bool, has_session: bool) -> Filed:
    """Return whether a session has an object, by its row."""
    if state not in _KEPT:
        return Filed.DROPPED if has_session else Filed.NOT_KEPT
    if has_session:
        return Filed.REPLACED if is_replaced else Filed.IN_SESSION
    return Filed.REPLACED if reason == REPLACED_IN_ARCHIVE else Filed.REMOVED


def _session(values: tuple[object, ...]) -> Session | None:
    return session_of(values) if values[0] is not None else None
