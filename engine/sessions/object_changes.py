"""Changes the rows of objects in the transaction that moves their files.

Each function may be repeated after a crash: the second call changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.index.writer import (
    OBJECT_COLUMNS,
    REPLACED_IN_ARCHIVE,
    ObjectRow,
    insert_objects,
)
from engine.model.session import ObjectState, ProjectScript
from engine.sessions.folders.staging import REJECTED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from engine.index.operations import Plan
    from engine.model.session import Session
    from engine.sessions.folders.building import Moved

ALREADY_HERE = "already here"
SKIPPED = "skipped: the archived session has this SOP instance with other content"


def insert_missing_rows(connection: sqlite3.Connection, rows: Iterable[ObjectRow]) -> None:
    """Give objects that have none their rows.

    If an object has arrived again as a duplicate, that row becomes its own: the object is counted
    once. The row gets a new number, so that forwarding does not miss it.
    """
    insert_objects(connection, [_promote_duplicate(connection, row) or row for row in rows])


def _promote_duplicate(connection: sqlite3.Connection, row: ObjectRow) -> ObjectRow | None:
    """Remove the newest duplicate's row of a file and return it as that of a stored object."""
    found = connection.execute(
        f"SELECT sequence, {OBJECT_COLUMNS} FROM objects WHERE session = ? AND file = ?"
        " AND state = ? ORDER BY sequence DESC LIMIT 1",
        (row.session, row.file, ObjectState.DUPLICATE),
    ).fetchone()
    if found is None:
        return None
    sequence, *values = found
    connection.execute("DELETE FROM objects WHERE sequence = ?", (sequence,))
    return ObjectRow(*values)._replace(state=ObjectState.STORED, reason=row.reason)


def note_duplicate(connection: sqlite3.Connection, session_id: int, file: str, of: str) -> None:
    """Note that an object is the same as one that the session had before, whose file stays."""
    connection.execute(
        "UPDATE objects SET state = ?, reason = ?, file = ?"
        " WHERE session = ? AND file = ? AND state = ?",
        (ObjectState.DUPLICATE, ALREADY_HERE, of, session_id, file, ObjectState.STORED),
    )


def rename(
    connection: sqlite3.Connection,
    session_id: int,
    moved: Iterable[Moved],
    up_to: int | None = None,
) -> None:
    """Note that objects of a session have other file names; of those up to a row, if given."""
    connection.executemany(
        "UPDATE objects SET file = ? WHERE session = ? AND file = ?"
        " AND sequence <= COALESCE(?, sequence)",
        [(m.after, session_id, m.before, up_to) for m in moved],
    )


def rename_session(connection: sqlite3.Connection, session: Session, plan: Plan) -> None:
    """Give a session the project and labels of a plan; later objects of its study find it."""
    subject, label = session.subject, session.label
    if plan.label:
        subject, label = plan.subject, plan.label
    names = (plan.project, label)
    if names == (session.project, session.label) and subject == session.subject:
        return
    connection.execute(
        "UPDATE sessions SET came_project = project, came_label = label"
        " WHERE id = ? AND came_label IS NULL",
        (session.id,),
    )
    connection.execute(
        "UPDATE sessions SET project = ?, subject = ?, label = ? WHERE id = ?",
        (plan.project, subject, label, session.id),
    )
    connection.execute(
        "UPDATE sessions SET came_project = NULL, came_label = NULL"
        " WHERE id = ? AND came_project IS project AND came_label = label",
        (session.id,),
    )


def note_anonymization(
    connection: sqlite3.Connection, session_id: int, plan: Plan, lost: Collection[str]
) -> None:
    """Note what became of objects by their project's script; not of those that are `lost`."""
    done = [(ProjectScript.DONE, session_id, f) for f in plan.edited if f not in lost]
    gone = [(ObjectState.FILTERED, REJECTED, session_id, file) for file in plan.rejected]
    connection.executemany(
        "UPDATE objects SET project_script = ? WHERE session = ? AND file = ?", done
    )
    connection.executemany(
        "UPDATE objects SET state = ?, reason = ?, file = '' WHERE session = ? AND file = ?", gone
    )


def move_rows_to_merged(connection: sqlite3.Connection, session_id: int, plan: Plan) -> None:
    """Give the rows of a session's objects to the one that it is merged into."""
    # Given away before a crash: a repeat would take the merged objects for replaced ones.
    if not has_rows(connection, session_id):
        return
    # The replaced rows first: objects of the merge may get their file names.
    connection.executemany(
        "UPDATE objects SET session = NULL, file = '', reason = ? WHERE session = ? AND file = ?",
        [(REPLACED_IN_ARCHIVE, plan.into, file) for file in plan.replaced],
    )
    connection.executemany(
        "UPDATE objects SET session = ?, file = ? WHERE session = ? AND file = ?",
        [(plan.into, after, session_id, before) for before, after in plan.files.items()],
    )
    for file, of in plan.skipped.items():
        if of:
            note_duplicate(connection, session_id, file, of)
    connection.executemany(
        "UPDATE objects SET state = ?, reason = ?, file = '' WHERE session = ? AND file = ?",
        [
            (ObjectState.FILTERED, SKIPPED, session_id, f)
            for f, of in plan.skipped.items()
            if not of
        ],
    )
    connection.execute("UPDATE objects SET session = ? WHERE session = ?", (plan.into, session_id))
    connection.execute(
        # An object of the other session may have the same hash.
        "UPDATE OR IGNORE traces SET session = ? WHERE session = ?",
        (plan.into, session_id),
    )


def has_rows(connection: sqlite3.Connection, session_id: int) -> bool:
    """Tell whether a session's objects are still its own, and not merged into another."""
    query = "SELECT 1 FROM objects WHERE session = ? LIMIT 1"
    return connection.execute(query, (session_id,)).fetchone() is not None
