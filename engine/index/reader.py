"""Connections that read the index while an engine writes to it.

SQLite's write-ahead log gives a connection of its own the last committed state at any time.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Self

from engine.errors import NotFound, StorageUnusable
from engine.index.database import translate_sqlite_errors
from engine.index.schema import SCHEMA_VERSION
from engine.model.session import SessionStatus
from engine.state.database import LOCK_WAIT_SECONDS, open_to_read, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class IndexReader:
    """Reads an existing index; may be used by any thread, one after the other."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = open_to_read(path)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for queries that all see the same state of the index.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with translate_sqlite_errors(), self._lock:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


class IndexFile:
    """A connection to an existing index; used by one thread, in a `with` block."""

    def __init__(self, path: Path) -> None:
        # To connect would make an empty file.
        if not path.exists():
            raise NotFound("there is no session index", "nothing was received here yet")
        with translate_sqlite_errors():
            self._connection = sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS)
            version = self._version()
        # Not migrated here: only an engine brings the index to its version.
        if version != SCHEMA_VERSION:
            self._connection.close()
            raise StorageUnusable(
                f"the session index has schema {version}, this version uses {SCHEMA_VERSION}",
                "start the engine of this version once, or use the version that wrote it",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _version(self) -> int:
        """Return the schema's version; a file that is none is closed."""
        try:
            return int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        # At once: Python 3.13 warns of a connection that is collected while open.
        except sqlite3.Error:
            self._connection.close()
            raise

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for one transaction; others can't write meanwhile.

        Raises:
            StorageUnusable: if the index can't be read or written.
        """
        with translate_sqlite_errors(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for queries that see one state; others may write meanwhile.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with translate_sqlite_errors(), self._connection:
            self._connection.execute("BEGIN")
            yield self._connection

    def notify_finished(self) -> None:
        """Do nothing: the engine reads the notes by itself."""

    def forget_place(self, session_id: int) -> None:
        """Do nothing: the engine looks a session up before it works on it."""


@dataclass(frozen=True, slots=True)
class ObservedReceiver:
    """The state of one receiver, as the running engine last wrote it."""

    receiver: str
    state: str
    reason: str
    since: datetime


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open an index of a possibly running engine for reading; None if there is none."""
    if not path.exists():
        yield None
        return
    connection = open_to_read(path)
    try:
        yield connection
    finally:
        connection.close()


def read_observed(path: Path) -> tuple[ObservedReceiver, ...]:
    """Return the states of the receivers, as the running engine last wrote them."""
    with _reading(path) as connection:
        if connection is None:
            return ()
        rows = connection.execute("SELECT receiver, state, reason, since FROM observed").fetchall()
    return tuple(ObservedReceiver(r, s, why, datetime.fromisoformat(at)) for r, s, why, at in rows)


def read_counts(path: Path, midnight: datetime) -> tuple[int, int]:
    """Return the objects kept since local `midnight` and the sessions being received."""
    with _reading(path) as connection:
        if connection is None:
            return 0, 0
        objects: int = connection.execute(
            "SELECT COUNT(*) FROM objects WHERE at >= ? AND state IN ('stored', 'duplicate')",
            (stamp(midnight),),
        ).fetchone()[0]
        sessions: int = connection.execute(
            "SELECT COUNT(*) FROM sessions WHERE status = ?", (SessionStatus.RECEIVING,)
        ).fetchone()[0]
    return objects, sessions


def read_whitelist_uses(path: Path, receiver: str) -> dict[str, int] | None:
    """Return how often each whitelist line of a receiver let a caller in; None if never counted."""
    with _reading(path) as connection:
        if connection is None:
            return None
        rows = connection.execute(
            "SELECT line, uses FROM whitelist_uses WHERE receiver = ?", (receiver,)
        ).fetchall()
    return dict(rows)


def read_sessions_by_project(path: Path) -> dict[str, int]:
    """Return how many sessions of each project there are."""
    with _reading(path) as connection:
        return {} if connection is None else sessions_by_project(connection)


def sessions_by_project(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many sessions of each project there are, in all areas.

    The index `sessions_by_place` covers the query: no row of the table is read.
    """
    query = "SELECT project, COUNT(*) FROM sessions WHERE project NOT NULL GROUP BY project"
    return dict(connection.execute(query).fetchall())


_REFERENCES = (("objects", "session"), ("finished", "session"), ("operations", "session"),
               ("traces", "session"))  # fmt: skip
_HIGHEST = """
    SELECT MAX(
        (SELECT COALESCE(MAX(highest), 0) FROM session_numbers),
        (SELECT COALESCE(MAX(id), 0) FROM sessions),
        (SELECT COALESCE(MAX(session), 0) FROM finished)
    )
"""


@dataclass(frozen=True, slots=True)
class SessionNumbers:
    """The numbers that an index has given."""

    highest: int = 0
    by_place: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The numbers of its sessions, by area and folder."""


def read_session_numbers(index_file: Path) -> SessionNumbers:
    """Return the numbers that an index has given, as far as it can be read."""
    # Damage may be why the index is made anew.
    with suppress(sqlite3.Error), closing(open_to_read(index_file)) as connection:
        (highest,) = connection.execute(_HIGHEST).fetchone()
        rows = connection.execute("SELECT id, area, folder FROM sessions").fetchall()
        return SessionNumbers(highest, {(area, folder): number for number, area, folder in rows})
    return SessionNumbers()


def restore_session_numbers(index_file: Path, given: SessionNumbers, first_unknown: int) -> None:
    """Give the sessions of a new index their old numbers, and unused numbers to the others.

    Args:
        index_file: the new index, which no other process uses.
        given: what the old index gave, or else the highest number that any queue names.
        first_unknown: the lowest number of a session whose own number is not known.
    """
    with closing(sqlite3.connect(index_file, timeout=LOCK_WAIT_SECONDS)) as connection, connection:
        rows = connection.execute("SELECT id, area, folder FROM sessions ORDER BY id").fetchall()
        kept = {number: given.by_place.get((area, folder)) for number, area, folder in rows}
        taken = {number for number in kept.values() if number}
        # What its document says, unless another session is known to have that number.
        for number, known in kept.items():
            if known is None and number < first_unknown and number not in taken:
                kept[number] = number
                taken.add(number)
        unused = count(max(given.highest, *taken, 0) + 1)
        chosen = {number: known or next(unused) for number, known in kept.items()}
        connection.execute("CREATE TEMP TABLE chosen (before INTEGER PRIMARY KEY, after INTEGER)")
        connection.executemany("INSERT INTO chosen VALUES (?, ?)", chosen.items())
        for table, column in _REFERENCES:
            _renumber(connection, table, column)
        # Last: the other tables refer to its numbers.
        _renumber(connection, "sessions", "id")
        connection.execute("UPDATE session_numbers SET highest = ?", (next(unused) - 1,))


def keep_numbers_free(index_file: Path, highest: int) -> None:
    """Let an index, which no other process uses, give only numbers above one to new sessions.

    Raises:
        StorageUnusable: if it can't be changed.
    """
    with (
        translate_sqlite_errors(),
        closing(sqlite3.connect(index_file)) as connection,
        connection,
    ):
        connection.execute("UPDATE session_numbers SET highest = MAX(highest, ?)", (highest,))


def _renumber(connection: sqlite3.Connection, table: str, column: str) -> None:
    """Replace numbers by the chosen ones.

    In two steps, by way of negative numbers: a chosen number may still be that of another row.
    """
    chosen = f"(SELECT -after FROM chosen WHERE before = {column})"
    connection.execute(
        f"UPDATE {table} SET {column} = {chosen} WHERE {column} IN (SELECT before FROM chosen)"
    )
    connection.execute(f"UPDATE {table} SET {column} = -{column} WHERE {column} < 0")
