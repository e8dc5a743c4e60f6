"""Finds sessions of all areas by UID, accession number, patient ID, name or sender."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api.sessions import Found, FoundBy, FoundSession
from engine.index.removed_rows import SESSIONS_OF_HASH, instance_hash
from engine.index.store import SESSION_COLUMNS, session_of
from engine.index.traces import ACCESSION_NUMBER, PATIENT_ID
from engine.index.trails import trail_of

if TYPE_CHECKING:
    import sqlite3

    from engine.index.traces import TraceKey

MOST_FOUND = 200
"""So many sessions are found at most, those by the strictest condition first."""

# Labels have no index, so these read the row of every session: 0.05 s for 100,000 of them (2026).
_BY_NAME = (
    (FoundBy.LABEL, "instr(lower(label), lower(?))"),
    (FoundBy.SUBJECT, "instr(lower(subject), lower(?))"),
    (FoundBy.CALLER, "lower(calling_ae_title) = lower(?)"),
)
_BY_UID = (
    (FoundBy.STUDY, "study_instance_uid = ?"),
    (FoundBy.OBJECT, "id IN (SELECT session FROM objects WHERE sop_instance_uid = ?)"),
)
_BY_REMOVED_ROW = f"id IN ({SESSIONS_OF_HASH})"
_BY_HASH = "id IN (SELECT session FROM traces WHERE hash = ?)"


def find(connection: sqlite3.Connection, key: TraceKey | None, text: str) -> Found:
    """Look something up in all areas.

    Args:
        connection: to the index; all is read in one transaction of the caller.
        key: of the hashes; None if there is none, as nothing was hashed yet.
        text: see `engine.api.sessions.SessionsView.find`.
    """
    # SQLite takes no lone surrogates, which bytes of a command line become that are not UTF-8.
    text = text.strip().encode("utf-8", "replace").decode()
    if not text:
        return Found((), ())
    conditions: list[tuple[FoundBy, str, str | bytes | int]]
    conditions = [(by, sql, text) for by, sql in _BY_UID]
    conditions.append((FoundBy.OBJECT, _BY_REMOVED_ROW, instance_hash(text)))
    if key is not None:
        conditions += (
            (FoundBy.ACCESSION_NUMBER, _BY_HASH, key.hash(ACCESSION_NUMBER, text)),
            (FoundBy.PATIENT_ID, _BY_HASH, key.hash(PATIENT_ID, text)),
        )
    conditions += ((by, sql, text) for by, sql in _BY_NAME)
    sessions: dict[int, FoundSession] = {}
    for by, condition, value in conditions:
        query = (
            f"SELECT {SESSION_COLUMNS} FROM sessions WHERE {condition}"
            " ORDER BY last_object_at DESC LIMIT ?"
        )
        for row in connection.execute(query, (value, MOST_FOUND)):
            session = session_of(row)
            sessions.setdefault(session.id, FoundSession(session, by))
    found = tuple(sessions.values())[:MOST_FOUND]
    return Found(found, trail_of(connection, text).steps)
