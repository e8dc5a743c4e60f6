"""What became of something that somebody asks for by UID, accession number or patient ID."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.sessions.index import SESSION_COLUMNS, session_of
from engine.sessions.traces import TRACED

if TYPE_CHECKING:
    from engine.model.session import Session
    from engine.sessions.ledger_reader import Connection
    from engine.sessions.traces import TraceKey

MAX_OBJECTS = 1000


@dataclass(frozen=True, slots=True)
class TracedObject:
    """What became of one received object."""

    at: str
    receiver: str
    calling_ae_title: str
    sop_instance_uid: str
    state: str
    status: int
    reason: str
    session: int | None
    file: str


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is known."""

    sessions: tuple[Session, ...]
    objects: tuple[TracedObject, ...]
    """Those with that SOP Instance UID, oldest first."""


def trace(index: Connection, key: TraceKey | None, text: str) -> Trace:
    """Look something up.

    Args:
        index: where.
        key: of the hashes; None if there is none, as nothing was hashed yet.
        text: SOP Instance UID, Study Instance UID, accession number or patient ID.
    """
    hashes = [key.hash(tag, text) for tag in TRACED] if key is not None else []
    marks = ", ".join("?" * len(hashes))
    sessions = (
        f"SELECT {SESSION_COLUMNS} FROM sessions WHERE study_instance_uid = ?"
        " OR id IN (SELECT session FROM objects WHERE sop_instance_uid = ?)"
        f" OR id IN (SELECT session FROM traces WHERE hash IN ({marks})) ORDER BY id"
    )
    objects = (
        "SELECT at, receiver, calling_ae_title, sop_instance_uid, state, status, reason, session,"
        " file FROM objects WHERE sop_instance_uid = ? ORDER BY sequence LIMIT ?"
    )
    with index.changing() as connection:
        found = connection.execute(sessions, (text, text, *hashes)).fetchall()
        rows = connection.execute(objects, (text, MAX_OBJECTS)).fetchall()
    return Trace(tuple(map(session_of, found)), tuple(TracedObject(*row) for row in rows))
