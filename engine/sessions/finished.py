"""Sessions that became ready or archived, noted with the change itself until somebody took it up.

The note is in the same transaction as the status, so that a crash can't come between them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from engine.model.session import SessionStatus
from engine.sessions.faults import in_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

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
        """Remove what was taken up."""
        with self._changing() as connection:
            connection.execute("DELETE FROM finished WHERE sequence <= ?", (up_to,))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with in_words(), self._index() as connection:
            yield connection
