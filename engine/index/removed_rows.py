"""Rows of objects of archived sessions that were removed, and their way back into the index.

`sessions.rows_removed_at` says that a session has no rows of objects. `rows_in_change` has the
sessions whose rows are just being removed or put back: after a crash, those that are left go.
`removed_instances` leads from a SOP instance to its session, in a fraction of a row.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from engine.index.schema import RESTS, RESTS_SINCE
from engine.index.writer import OBJECT_COLUMNS, ObjectRow
from engine.model.session import ObjectState, SessionArea

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence


_HASH_BYTES = 8
"""An INTEGER of SQLite. Two UIDs of one hash cost a look at a session, and no wrong answer."""
AT_REST = (
    f"SELECT id FROM sessions INDEXED BY sessions_at_rest WHERE {RESTS}"
    f" AND {RESTS_SINCE} < ? ORDER BY {RESTS_SINCE} LIMIT 1"
)
# An object of the study may be compared with the rows, or be merged into the session.
_IS_QUIET = (
    "NOT EXISTS (SELECT 1 FROM sessions AS other WHERE other.study_instance_uid ="
    f" sessions.study_instance_uid AND +other.area = '{SessionArea.PREARCHIVE}')"
    " AND NOT EXISTS (SELECT 1 FROM operations"
    " WHERE plan IS NOT NULL AND json_extract(plan, '$.into') = sessions.id)"
)
_MARK_REMOVED = (
    f"UPDATE sessions SET rows_removed_at = ? WHERE id = ? AND {RESTS}"
    f" AND {RESTS_SINCE} < ? AND {_IS_QUIET}"
)
# Never of a session that says that it has its rows.
_DELETE = (
    "DELETE FROM objects WHERE sequence IN (SELECT o.sequence FROM objects AS o"
    " JOIN sessions AS s ON s.id = o.session"
    " WHERE o.session = ? AND s.rows_removed_at IS NOT NULL LIMIT ?)"
)
_PUT_BACK = (
    f"INSERT INTO objects (sequence, {OBJECT_COLUMNS})"
    f" VALUES ({', '.join('?' * (1 + len(ObjectRow._fields)))})"
)


class RowFacts(NamedTuple):
    """What a row is needed for after years: to find its object, and to judge it a duplicate."""

    sop_class_uid: str
    sop_instance_uid: str
    project_script: str


def instance_hash(sop_instance_uid: str) -> int:
    """Return the number that stands for a SOP instance in `removed_instances`."""
    digest = blake2b(sop_instance_uid.encode("utf-8", "replace"), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True)


SESSIONS_OF_HASH = (
    "SELECT session FROM removed_instances AS i JOIN sessions AS s ON s.id = i.session"
    " WHERE i.hash = ? AND s.rows_removed_at IS NOT NULL"
)
"""The sessions without rows that may have an instance."""


def sessions_of_instance(connection: sqlite3.Connection, sop_instance_uid: str) -> tuple[int, ...]:
    """Return the sessions without rows that may have a SOP instance, as it came."""
    rows = connection.execute(SESSIONS_OF_HASH, (instance_hash(sop_instance_uid),))
    return tuple(number for (number,) in rows)


def next_at_rest(connection: sqlite3.Connection, before: str) -> int | None:
    """Return the session with rows in the archive that is at rest for longest, since a time."""
    row = connection.execute(AT_REST, (before,)).fetchone()
    return row[0] if row else None


def facts_of_rows(connection: sqlite3.Connection, session_id: int) -> Mapping[str, RowFacts]:
    """Return what a session's rows say of its stored objects, by file."""
    query = (
        "SELECT file, sop_class_uid, sop_instance_uid, project_script FROM objects"
        " WHERE session = ? AND state = ? ORDER BY sequence"
    )
    rows = connection.execute(query, (session_id, ObjectState.STORED))
    # Of several rows of one file the newest counts.
    return {file: RowFacts(*facts) for file, *facts in rows}


def newest_row_of(connection: sqlite3.Connection, session_id: int) -> int:
    """Return the highest number of a session's rows; 0 if it has none."""
    query = "SELECT COALESCE(MAX(sequence), 0) FROM objects WHERE session = ?"
    return int(connection.execute(query, (session_id,)).fetchone()[0])


def note_instances(
    connection: sqlite3.Connection, session_id: int, sop_instance_uids: Iterable[str]
) -> None:
    """Keep the way from SOP instances to their session.

    They stay when the rows come back: the rows count then, and may be removed once more.
    """
    connection.executemany(
        "INSERT OR IGNORE INTO removed_instances VALUES (?, ?)",
        [(instance_hash(uid), session_id) for uid in sop_instance_uids],
    )


def keep_rows(connection: sqlite3.Connection, session_id: int, at: str) -> None:
    """Let a session have its rows for as long again, as if something had happened to it."""
    connection.execute("UPDATE sessions SET rows_kept_at = ? WHERE id = ?", (at, session_id))


def begin_removal(connection: sqlite3.Connection, session_id: int, before: str, at: str) -> bool:
    """Note that a session's rows go, if it is still at rest since a time; `remove_some` follows."""
    is_at_rest = connection.execute(_MARK_REMOVED, (at, session_id, before)).rowcount == 1
    if is_at_rest:
        _note_change(connection, session_id)
    return is_at_rest


def in_change(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Return the sessions whose rows are being removed or put back."""
    rows = connection.execute("SELECT session FROM rows_in_change ORDER BY session")
    return tuple(number for (number,) in rows)


def remove_some(connection: sqlite3.Connection, session_id: int, most: int) -> int:
    """Remove some rows of a session that says that it has none; return how many.

    These were all if they are fewer than `most`; then the change ends.
    """
    removed = connection.execute(_DELETE, (session_id, most)).rowcount
    if removed < most:
        _end_change(connection, session_id)
    return removed


def begin_return(connection: sqlite3.Connection, session_id: int) -> None:
    """Note that a session's rows are put back: until `end_return` they count for nothing."""
    _note_change(connection, session_id)


def put_back(connection: sqlite3.Connection, rows: Sequence[ObjectRow]) -> None:
    """Insert rows in front of all others. They are not counted in their session: its sums stayed.

    Their numbers are below zero, so that no consumer of `arrivals` takes them for new objects.
    """
    (lowest,) = connection.execute("SELECT MIN(sequence) FROM objects").fetchone()
    first = min(lowest or 0, 0) - len(rows)
    connection.executemany(_PUT_BACK, [(first + place, *row) for place, row in enumerate(rows)])


def end_return(connection: sqlite3.Connection, session_id: int, at: str) -> None:
    """Note that a session has its rows again."""
    connection.execute(
        "UPDATE sessions SET rows_removed_at = NULL, rows_kept_at = ? WHERE id = ?",
        (at, session_id),
    )
    _end_change(connection, session_id)


def _note_change(connection: sqlite3.Connection, session_id: int) -> None:
    connection.execute("INSERT OR IGNORE INTO rows_in_change VALUES (?)", (session_id,))


def _end_change(connection: sqlite3.Connection, session_id: int) -> None:
    connection.execute("DELETE FROM rows_in_change WHERE session = ?", (session_id,))
