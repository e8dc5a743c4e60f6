"""The rows of single objects: the newest ones, one of a session, and all of one SOP instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.errors import NotFound
from engine.view.objects import TrailStep

if TYPE_CHECKING:
    import sqlite3

    from engine.view.objects import ObjectReference

MOST_RECENT = 500
_LOOKED_THROUGH = 20_000
"""How many rows are looked through for those of one sender."""
_MOST_STEPS = 1_000


@dataclass(frozen=True, slots=True)
class RecentRow:
    """One row with what its session says."""

    at: datetime
    receiver: str
    calling_ae_title: str
    sop_class_uid: str
    sop_instance_uid: str
    bytes: int
    state: str
    status: int
    reason: str
    session: int | None
    file: str
    project: str | None
    label: str | None
    modality: str | None


def newest(
    connection: sqlite3.Connection, receiver: str, calling_ae_title: str, limit: int
) -> tuple[RecentRow, ...]:
    """Return the objects that arrived last, of one receiver and sender if they are named."""
    sql = (
        "SELECT o.at, o.receiver, o.calling_ae_title, o.sop_class_uid, o.sop_instance_uid,"
        " o.bytes, o.state, o.status, o.reason, o.session, o.file, s.project, s.label, s.modality"
        " FROM objects AS o LEFT JOIN sessions AS s ON s.id = o.session"
        " WHERE o.sequence > (SELECT COALESCE(MAX(sequence), 0) - ? FROM objects)"
        " AND (? = '' OR o.receiver = ?) AND (? = '' OR o.calling_ae_title = ?)"
        " ORDER BY o.sequence DESC LIMIT ?"
    )
    who = (receiver, receiver, calling_ae_title, calling_ae_title)
    values = (_LOOKED_THROUGH, *who, min(max(0, limit), MOST_RECENT))
    return tuple(
        RecentRow(datetime.fromisoformat(at), *rest)
        for at, *rest in connection.execute(sql, values)
    )


def instance_of(connection: sqlite3.Connection, reference: ObjectReference) -> str:
    """Return the SOP instance of a stored object, as it arrived.

    Raises:
        NotFound: if the index knows no such object.
    """
    sql = (
        "SELECT sop_instance_uid FROM objects WHERE session = ? AND file = ?"
        " AND state = 'stored' ORDER BY sequence DESC LIMIT 1"
    )
    values = (reference.session, reference.file)
    row = connection.execute(sql, values).fetchone() if reference.file else None
    if row is None:
        raise NotFound("there is no such object", "look at the list again")
    return str(row[0])


def steps(connection: sqlite3.Connection, sop_instance_uid: str) -> tuple[TrailStep, ...]:
    """Return what became of a SOP instance each time that it arrived, oldest first."""
    sql = (
        "SELECT at, receiver, calling_ae_title, state, status, reason, session, file"
        " FROM objects WHERE sop_instance_uid = ? ORDER BY sequence LIMIT ?"
    )
    rows = connection.execute(sql, (sop_instance_uid, _MOST_STEPS))
    return tuple(TrailStep(datetime.fromisoformat(at), *rest) for at, *rest in rows)
