"""Splits a study with PET and MR in two: the PET scans get a session of their own (XNAT 9.5).

The other scans stay, with their label and folder, so that late objects still find them; late PET
objects are separated from them again when the session is built the next time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.index.schema import NEXT_SESSION
from engine.model.session import SessionArea, SessionStatus
from engine.storage.scans import MR, PET, PET_MR

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from engine.index.operations import Plan
    from engine.model.session import Session
    from engine.storage.scans import Scan

_TAKEN_OVER = (
    "project, subject, study_instance_uid, receiver, calling_ae_title, auto_archive,"
    " first_object_at, last_object_at"
)


def pet_label(label: str) -> str:
    """Return the label of the session that gets the PET scans."""
    return f"{label}_PET"


def pet_scans(scans: Sequence[Scan]) -> tuple[Scan, ...]:
    """Return the scans that leave; none if the session has no MR scan besides."""
    if not any(scan.modality in {MR, PET_MR} for scan in scans):
        return ()
    return tuple(scan for scan in scans if scan.modality == PET)


def open_second(connection: sqlite3.Connection, session: Session, plan: Plan) -> Plan:
    """Make the row of the session that gets some scans; return the plan that names it."""
    is_removal = plan.area is SessionArea.TRASH
    label = session.label if is_removal else pet_label(session.label)
    part_of = session.id if is_removal else None
    cursor = connection.execute(
        f"INSERT INTO sessions (id, label, folder, area, part_of, status, {_TAKEN_OVER})"
        f" SELECT {NEXT_SESSION}, ?, ?, ?, ?, ?, {_TAKEN_OVER} FROM sessions WHERE id = ?",
        (label, plan.folder, plan.area, part_of, SessionStatus.SEPARATING, session.id),
    )
    return replace(plan, into=cursor.lastrowid)


def close_second(connection: sqlite3.Connection, session_id: int) -> None:
    """Remove the row that `open_second` made for a session, if its separation is given up."""
    connection.execute(
        "DELETE FROM sessions WHERE id = (SELECT json_extract(plan, '$.into') FROM operations"
        " WHERE session = ? AND json_extract(plan, '$.leaves_rest'))",
        (session_id,),
    )


def note_separation(connection: sqlite3.Connection, session_id: int, plan: Plan) -> None:
    """Give the rows of the objects that leave to their new session; again has no effect."""
    connection.executemany(
        "UPDATE objects SET session = ?, file = ? WHERE session = ? AND file = ?",
        [(plan.into, after, session_id, before) for before, after in plan.files.items()],
    )
    connection.execute(
        "INSERT OR IGNORE INTO traces SELECT hash, ? FROM traces WHERE session = ?",
        (plan.into, session_id),
    )
