"""Stored objects in the order of their rows, for whatever acts after storing.

Every stored object gets one row: with its batch, or after a crash when it is adopted from the disk.
Rows are numbered as they are committed, by one writer, and numbers are never used again. So whoever
keeps the number of the last row it has dealt with misses no object, whenever it is killed.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from engine.model.session import ObjectState, SessionArea, SessionStatus
from engine.sessions.faults import in_words

if TYPE_CHECKING:
    from pathlib import Path

_AFTER = (
    "SELECT o.sequence, o.at, o.state, o.receiver, s.project, o.sop_instance_uid"
    " FROM objects o LEFT JOIN sessions s ON s.id = o.session"
    " WHERE o.sequence > ? ORDER BY o.sequence LIMIT ?"
)
_PLACE = (
    "SELECT s.id, s.area, s.folder, s.status, o.file, o.sop_instance_uid"
    " FROM objects o JOIN sessions s ON s.id = o.session WHERE o.sequence = ?"
)


class Arrived(NamedTuple):
    """What the row of one object says."""

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


class Arrivals:
    """Reads the index beside its writer, which it never holds up; used by any thread."""

    def __init__(self, index_file: Path) -> None:
        """Open the index, which must exist.

        Raises:
            StorageUnusable: if it can't be opened.
        """
        self._lock = threading.Lock()
        with in_words():
            uri = f"{index_file.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(
                uri, timeout=10, check_same_thread=False, uri=True, isolation_level=None
            )

    def after(self, sequence: int, limit: int) -> tuple[Arrived, ...]:
        """Return the rows behind one, oldest first.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with in_words(), self._lock:
            return tuple(map(Arrived._make, self._connection.execute(_AFTER, (sequence, limit))))

    def newest(self) -> int:
        """Return the highest number that a row has or had.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'objects'"
        with in_words(), self._lock:
            row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def time_of(self, sequence: int) -> str:
        """Return when the object of a row came; empty if there is no such row (any more).

        Raises:
            StorageUnusable: if the index can't be read.
        """
        query = "SELECT at FROM objects WHERE sequence = ?"
        with in_words(), self._lock:
            row = self._connection.execute(query, (sequence,)).fetchone()
        return str(row[0]) if row else ""

    def place(self, sequence: int) -> ObjectPlace | None:
        """Return where an object is; None if it is nowhere, or its row is gone.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with in_words(), self._lock:
            row = self._connection.execute(_PLACE, (sequence,)).fetchone()
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
            StorageUnusable: if the index can't be read.
        """
        query = "SELECT MAX(sequence) FROM objects WHERE sop_instance_uid = ? AND state = ?"
        values = (sop_instance_uid, ObjectState.STORED)
        with in_words(), self._lock:
            row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None

    def first_of(self, sop_instance_uid: str, after: int) -> tuple[int, str, str] | None:
        """Return row, state and reason of the first object of a UID behind a row.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        query = (
            "SELECT sequence, state, reason FROM objects"
            " WHERE sequence > ? AND sop_instance_uid = ? ORDER BY sequence LIMIT 1"
        )
        with in_words(), self._lock:
            row = self._connection.execute(query, (after, sop_instance_uid)).fetchone()
        return (int(row[0]), str(row[1]), str(row[2])) if row else None

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
