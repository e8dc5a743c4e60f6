"""Stored objects and finished sessions in order, for forwarding and commands.

Every stored object gets one row: with its batch, or after a crash when it is adopted from the disk.
One writer numbers the rows as they are committed, and numbers are never used again. A consumer that
keeps the number of its last row misses no object, whenever it is killed.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.index.database import translate_sqlite_errors
from engine.index.removed_rows import sessions_of_instance
from engine.model.session import ObjectState, SessionArea, SessionStatus
from engine.state.database import open_to_read

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


# LEFT JOIN: an object that was not stored has no session, but the reader must pass its row.
_AFTER = (
    "SELECT o.sequence, o.at, o.state, o.receiver, s.project, o.sop_instance_uid"
    " FROM objects o LEFT JOIN sessions s ON s.id = o.session"
    " WHERE o.sequence > ? ORDER BY o.sequence LIMIT ?"
)
_OUTCOMES = (
    "SELECT sequence, address, sop_instance_uid, state, status, reason, session FROM objects"
    " WHERE sequence > ? ORDER BY sequence LIMIT ?"
)
_FILED = (
    "SELECT o.sop_class_uid, o.state, s.area, s.folder, s.status, o.file"
    " FROM objects o LEFT JOIN sessions s ON s.id = o.session"
    " WHERE o.sop_instance_uid = ? ORDER BY o.sequence DESC LIMIT ?"
)
_PLACE = (
    "SELECT s.id, s.area, s.folder, s.status, o.file, o.sop_instance_uid"
    " FROM objects o JOIN sessions s ON s.id = o.session WHERE o.sequence = ?"
)


class Arrived(NamedTuple):
    """The row of one object."""

    sequence: int
    at: str
    state: str
    receiver: str
    project: str | None
    sop_instance_uid: str
    """As it came; an anonymization script may have put another one into the file."""

    @property
    def is_stored(self) -> bool:
        """Whether there is a file of it."""
        return self.state == ObjectState.STORED


class RecordedOutcome(NamedTuple):
    """What became of one object."""

    sequence: int
    address: str
    """Of the peer, with its port: it names the association."""
    sop_instance_uid: str
    """As it came."""
    state: str
    status: int
    """The C-STORE status that the sender got."""
    reason: str
    session: int | None


class ObjectPlace(NamedTuple):
    """Where an object is now."""

    session: int
    area: SessionArea
    folder: PurePosixPath
    """The session's, relative to its area."""
    status: SessionStatus
    file: PurePosixPath
    """Relative to the session's folder."""
    sop_instance_uid: str
    """As it came."""


class FiledRow(NamedTuple):
    """One arrival of a SOP instance, and where its file is."""

    sop_class_uid: str
    state: ObjectState
    area: SessionArea | None
    """None if it has no session any more."""
    folder: str
    """The session's, relative to its area."""
    status: SessionStatus | None
    file: str
    """Relative to the session's folder; empty if there is none."""


class Arrivals:
    """Reads the index by its own connection, so that the writer never waits; for any thread."""

    def __init__(
        self, index_file: Path, require_rows: Callable[[int], object] | None = None
    ) -> None:
        """Open the index, which must exist.

        Args:
            index_file: its path.
            require_rows: puts the rows of a session back if they were removed; raises
                `SessionError` if it can't. None if nobody asks for an object of long ago.

        Raises:
            StorageUnusable: if it can't be opened.
        """
        self._require_rows = require_rows
        self._lock = threading.Lock()
        with translate_sqlite_errors():
            self._connection = open_to_read(index_file)

    def after(self, sequence: int, limit: int) -> tuple[Arrived, ...]:
        """Return the rows behind one, oldest first.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with translate_sqlite_errors(), self._lock:
            return tuple(map(Arrived._make, self._connection.execute(_AFTER, (sequence, limit))))

    def outcomes_after(self, sequence: int, limit: int) -> tuple[RecordedOutcome, ...]:
        """Return what became of the objects behind a row, oldest first.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with translate_sqlite_errors(), self._lock:
            rows = self._connection.execute(_OUTCOMES, (sequence, limit))
            return tuple(map(RecordedOutcome._make, rows))

    def newest(self) -> int:
        """Return the highest number that a row has or had.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        # SQLite keeps the highest number of an AUTOINCREMENT table here, also when its row is gone.
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'objects'"
        with translate_sqlite_errors(), self._lock:
            row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def time_of(self, sequence: int) -> str:
        """Return when the object of a row came; empty if there is no such row (any more).

        Raises:
            StorageUnusable: if the index can't be read.
        """
        query = "SELECT at FROM objects WHERE sequence = ?"
        with translate_sqlite_errors(), self._lock:
            row = self._connection.execute(query, (sequence,)).fetchone()
        return str(row[0]) if row else ""

    def place(self, sequence: int) -> ObjectPlace | None:
        """Return where an object is; None if it is nowhere, or its row is gone.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with translate_sqlite_errors(), self._lock:
            row = self._connection.execute(_PLACE, (sequence,)).fetchone()
        # An empty file: the object was not stored, or its file is gone.
        if row is None or not row[4]:
            return None
        session, area, folder, status, file, uid = row
        return ObjectPlace(
            session,
            SessionArea(area),
            PurePosixPath(folder),
            SessionStatus(status),
            PurePosixPath(file),
            uid,
        )

    def latest_of(self, sop_instance_uid: str) -> int | None:
        """Return the newest row of a stored SOP instance.

        Raises:
            SessionError: if its row was removed, and its session can't be read.
            StorageUnusable: if the index can't be read.
        """
        query = "SELECT MAX(sequence) FROM objects WHERE sop_instance_uid = ? AND state = ?"
        ((newest,),) = self._of_instance(query, sop_instance_uid, ObjectState.STORED)
        return None if newest is None else int(newest)

    def filed(self, sop_instance_uid: str, limit: int = 100) -> tuple[FiledRow, ...]:
        """Return the arrivals of a SOP instance, by its UID as it came, newest first.

        Raises:
            SessionError: if its row was removed, and its session can't be read.
            StorageUnusable: if the index can't be read.
        """
        rows = self._of_instance(_FILED, sop_instance_uid, limit)
        return tuple(
            FiledRow(
                *(sop_class, ObjectState(state), SessionArea(area) if area else None),
                *(folder or "", SessionStatus(status) if status else None, file),
            )
            for sop_class, state, area, folder, status, file in rows
        )

    def _of_instance(
        self, query: str, sop_instance_uid: str, value: object
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query for a SOP instance, once no session lacks its row."""
        while True:
            # Of one moment: rows may be removed between a look for such sessions and the query.
            with translate_sqlite_errors(), self._lock, self._connection:
                self._connection.execute("BEGIN")
                without = sessions_of_instance(self._connection, sop_instance_uid)
                rows = self._connection.execute(query, (sop_instance_uid, value)).fetchall()
            if not without or self._require_rows is None:
                return rows
            for session_id in without:
                self._require_rows(session_id)

    def first_of(self, sop_instance_uid: str, after: int) -> tuple[int, str, str] | None:
        """Return row, state and reason of the first object of a UID behind a row.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        query = (
            "SELECT sequence, state, reason FROM objects"
            " WHERE sequence > ? AND sop_instance_uid = ? ORDER BY sequence LIMIT 1"
        )
        with translate_sqlite_errors(), self._lock:
            row = self._connection.execute(query, (after, sop_instance_uid)).fetchone()
        return (int(row[0]), str(row[1]), str(row[2])) if row else None

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


FINISHED = frozenset((SessionStatus.READY, SessionStatus.ARCHIVED))


class Finished(NamedTuple):
    """One session that was finished once; it may be so again when more objects have come."""

    sequence: int
    session: int
    status: SessionStatus
    at: str
    """UTC, ISO 8601."""


def note_finished(
    connection: sqlite3.Connection, session_id: int, status: SessionStatus, at: str
) -> None:
    """Note that a session is finished, if that is what its new status says."""
    if status in FINISHED:
        connection.execute(
            "INSERT INTO finished (session, status, at) VALUES (?, ?, ?)", (session_id, status, at)
        )


class FinishedSessions:
    """Reads and removes the notes; may be used by any thread.

    Every method raises `StorageUnusable` if the index can't be used.
    """

    def __init__(self, changing: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        """Take what gives the index for one transaction."""
        self._index = changing

    def all(self) -> tuple[Finished, ...]:
        """Return all notes, oldest first."""
        query = "SELECT sequence, session, status, at FROM finished ORDER BY sequence"
        with self._changing() as connection:
            rows = connection.execute(query).fetchall()
        return tuple(Finished(n, session, SessionStatus(s), at) for n, session, s, at in rows)

    def remove(self, up_to: int) -> None:
        """Remove the notes up to a number: they were acted on."""
        with self._changing() as connection:
            connection.execute("DELETE FROM finished WHERE sequence <= ?", (up_to,))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with translate_sqlite_errors(), self._index() as connection:
            yield connection
