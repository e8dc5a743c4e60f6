"""What is to run, in a file of its own: noted before the index forgets it, removed when it ran."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Self

from engine.errors import StorageDamaged, StorageUnusable
from engine.lock import keep_owner
from engine.model.session import SessionStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.sessions.finished import Finished

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    processor INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    finished_at TEXT NOT NULL,
    session INTEGER NOT NULL,
    status TEXT NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    UNIQUE (processor, finished, finished_at)
);
"""
_COLUMNS = "id, processor, finished_at, session, status, begun"


class Run(NamedTuple):
    """One run of one program that is due."""

    id: int
    processor: int
    finished_at: str
    """UTC, ISO 8601."""
    session: int
    status: SessionStatus
    begun: int
    """How often it was begun; more than 0 after the engine ended in the middle of it."""


class RunQueue:
    """The queue; every method may be called from any thread, and raises `StorageUnusable`."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        """Guards the connection."""
        with _in_words():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                keep_owner(descriptor, path.parent)
            finally:
                os.close(descriptor)
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, runs: Iterable[tuple[int, Finished]]) -> None:
        """Note which programs are to run for which finished sessions; again has no effect."""
        values = [(processor, f.sequence, f.at, f.session, f.status) for processor, f in runs]
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO runs (processor, finished, finished_at, session, status)"
                " VALUES (?, ?, ?, ?, ?)",
                values,
            )

    def begin(self, processor: int, running: Collection[int]) -> Run | None:
        """Return the next run of a program, noted as begun; None if there is no other.

        Args:
            processor: whose run.
            running: the runs that are under way.
        """
        marks = ", ".join("?" * len(running))
        query = (
            f"SELECT {_COLUMNS} FROM runs WHERE processor = ? AND id NOT IN ({marks})"
            " ORDER BY id LIMIT 1"
        )
        with self._changing() as connection:
            row = connection.execute(query, (processor, *running)).fetchone()
            if row is None:
                return None
            connection.execute("UPDATE runs SET begun = begun + 1 WHERE id = ?", (row[0],))
        number, owner, at, session, status, begun = row
        return Run(number, owner, at, session, SessionStatus(status), begun)

    def end(self, run: int) -> None:
        """Forget a run that has ended."""
        with self._changing() as connection:
            connection.execute("DELETE FROM runs WHERE id = ?", (run,))

    def keep_only(self, processors: Sequence[int]) -> int:
        """Forget the runs of processors that are gone; return how many those were."""
        marks = ", ".join("?" * len(processors))
        with self._changing() as connection:
            delete = f"DELETE FROM runs WHERE processor NOT IN ({marks})"
            return connection.execute(delete, tuple(processors)).rowcount

    def check(self) -> None:
        """Read the whole file.

        Raises:
            StorageDamaged: if it is not what was written.
        """
        with _in_words(), self._lock:
            (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StorageDamaged(f"the queue of commands is damaged: {found}", "set the file aside")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with _in_words(), self._lock, self._connection:
            yield self._connection

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        # The index forgets what is noted here: it must survive a power cut.
        self._connection.execute("PRAGMA synchronous = FULL")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StorageUnusable(
                f"the queue of commands has schema {version}, this version uses {SCHEMA_VERSION}",
                "run the newer dicomdock",
            )
        self._connection.executescript(_SCHEMA)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        kind = StorageDamaged if _is_damage(error) else StorageUnusable
        raise kind(
            f"the queue of commands can't be used: {error}",
            "check the disk, or set the file aside: what waits in it does not run then",
        ) from error


def _is_damage(error: Exception) -> bool:
    # Extended codes have the primary one in their last byte.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
