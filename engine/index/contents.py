"""The scans and objects of a session, by its rows: states, senders, warnings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pydicom.uid import UID

from engine.api.sessions import (
    ScanObject,
    ScanObjectPage,
    SessionSource,
    SessionWarning,
    StateAmount,
)
from engine.errors import NotFound
from engine.index.store import SESSION_COLUMNS, session_of
from engine.model.session import ObjectState, SessionArea
from engine.storage.scans import natural_order

if TYPE_CHECKING:
    import sqlite3

    from engine.api.objects import ObjectReference
    from engine.model.session import Session


LONGEST_PAGE = 1_000
_MOST_SOURCES = 50
_MOST_WARNINGS = 50

_SCAN = "substr(file, 7, instr(substr(file, 7), '/') - 1)"
"""The folder of an object's scan: files are ``SCANS/<scan>/<resource>/<name>``."""
_STORED = f"session = ? AND state = '{ObjectState.STORED}' AND file <> ''"


class ScanRow(NamedTuple):
    """The objects of one scan, as the index has them."""

    id: str
    objects: int
    bytes: int
    first_file: str


OBJECT_REMEDY = "list objects with: objects recent, or: sessions objects SESSION SCAN"


def session_row(connection: sqlite3.Connection, session_id: int) -> Session:
    """Return a session.

    Raises:
        NotFound: if there is none of that number.
    """
    sql = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?"
    row = connection.execute(sql, (session_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no session {session_id}", "list them with: sessions list")
    return session_of(row)


def scan_rows(connection: sqlite3.Connection, session_id: int) -> tuple[ScanRow, ...]:
    """Return the scans of a session in the natural order of their ids."""
    # A replaced object has several rows, of which the newest one counts.
    # With one MAX or MIN, SQLite takes the other columns from that very row.
    files = f"SELECT file, bytes, MAX(sequence) AS newest FROM objects WHERE {_STORED}"
    sql = (
        f"SELECT {_SCAN}, COUNT(*), SUM(bytes), file, MIN(newest) FROM ({files} GROUP BY file)"
        " GROUP BY 1"
    )
    rows = (ScanRow(*row[:4]) for row in connection.execute(sql, (session_id,)))
    return tuple(sorted(rows, key=lambda row: natural_order(row.id)))


def state_amounts(connection: sqlite3.Connection, session_id: int) -> tuple[StateAmount, ...]:
    """Return what became of the objects of a session."""
    sql = (
        "SELECT state, COUNT(*), SUM(bytes) FROM objects WHERE session = ?"
        " GROUP BY state ORDER BY state"
    )
    return tuple(StateAmount(*row) for row in connection.execute(sql, (session_id,)))


def sources(connection: sqlite3.Connection, session_id: int) -> tuple[SessionSource, ...]:
    """Return who sent the objects of a session, the most recent first."""
    # The address of an object has a port, which differs from association to association.
    sql = (
        "SELECT receiver, calling_ae_title, trim(rtrim(rtrim(address, '0123456789'), ':'), '[]'),"
        " COUNT(*), MIN(at), MAX(at) FROM objects WHERE session = ?"
        " GROUP BY 1, 2, 3 ORDER BY 6 DESC LIMIT ?"
    )
    return tuple(
        SessionSource(*row[:4], *map(datetime.fromisoformat, row[4:]))
        for row in connection.execute(sql, (session_id, _MOST_SOURCES))
    )


def warnings(connection: sqlite3.Connection, session_id: int) -> tuple[SessionWarning, ...]:
    """Return the warnings about stored objects of a session, the most frequent first."""
    sql = (
        "SELECT reason, COUNT(*) FROM objects WHERE session = ? AND state = ? AND reason <> ''"
        " GROUP BY reason ORDER BY 2 DESC, 1 LIMIT ?"
    )
    values = (session_id, ObjectState.STORED, _MOST_WARNINGS)
    return tuple(SessionWarning(*row) for row in connection.execute(sql, values))


def scan_objects(
    connection: sqlite3.Connection, session_id: int, scan_id: str, offset: int, limit: int
) -> ScanObjectPage:
    """Return some objects of a scan, in the order of their arrival."""
    latest = f"SELECT MAX(sequence) FROM objects WHERE {_STORED} AND {_SCAN} = ? GROUP BY file"
    count = f"SELECT COUNT(*) FROM ({latest})"
    sql = (
        "SELECT file, at, sop_class_uid, sop_instance_uid, bytes, reason FROM objects"
        f" WHERE sequence IN ({latest}) ORDER BY sequence LIMIT ? OFFSET ?"
    )
    offset, limit = max(0, offset), min(max(0, limit), LONGEST_PAGE)
    total = connection.execute(count, (session_id, scan_id)).fetchone()[0]
    rows = connection.execute(sql, (session_id, scan_id, limit, offset))
    objects = tuple(
        ScanObject(file, datetime.fromisoformat(at), sop_class_name(uid), *rest)
        for file, at, uid, *rest in rows
    )
    return ScanObjectPage(objects, offset, total)


def sop_class_name(uid: str) -> str:
    """Return a SOP class by name, or its UID where it has none."""
    # pydicom returns the UID itself if it has no name.
    return UID(uid).name


MOST_RECENT = 500
_LOOKED_THROUGH = 20_000
"""How many rows are looked through for those of one sender."""
_SESSIONS_LOOKED_THROUGH = 2_000
"""How many of the newest sessions are looked through for those of one receiver."""


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
        # The newest rows only: without a receiver or sender among them, the whole table would be
        # read.
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


class SessionFile(NamedTuple):
    """One stored object of a session."""

    session: Session
    at: datetime
    calling_ae_title: str
    file: str
    """Below the session's folder."""


def files_of_newest(
    connection: sqlite3.Connection, receiver: str, limit: int
) -> tuple[SessionFile, ...]:
    """Return the first stored file of each of the newest sessions, of one receiver if named."""
    sql = (
        # Without a bound, a receiver without sessions would read all of them.
        f"SELECT {SESSION_COLUMNS} FROM (SELECT * FROM sessions ORDER BY last_object_at DESC"
        " LIMIT ?) WHERE area <> ? AND (? = '' OR receiver = ?) LIMIT ?"
    )
    values = (_SESSIONS_LOOKED_THROUGH, SessionArea.TRASH, receiver, receiver, limit)
    sessions = map(session_of, connection.execute(sql, values).fetchall())
    found = []
    for session in sessions:
        # The first by name, not by time: that is the first entry of the index.
        one = (
            f"SELECT at, calling_ae_title, file FROM objects WHERE {_STORED} ORDER BY file LIMIT 1"
        )
        for at, caller, file in connection.execute(one, (session.id,)):
            found.append(SessionFile(session, datetime.fromisoformat(at), caller, file))
    return tuple(found)


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
        raise NotFound("there is no such object", OBJECT_REMEDY)
    return str(row[0])
