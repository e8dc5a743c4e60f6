"""What is to run, in a file of its own: noted before the index forgets it, removed when it ran."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import StorageUnusable
from engine.index.database import PrivateFile, PrivateTables
from engine.model.session import SessionStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from engine.index.arrivals import Finished

SCHEMA_VERSION = 2
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
# The index forgets what is noted here: it must survive a power cut.
_FILE = PrivateFile(
    "the queue of commands",
    _SCHEMA,
    SCHEMA_VERSION,
    "check the disk, or set the file aside: what waits in it does not run then",
    steps={2: "ALTER TABLE runs ADD COLUMN study TEXT NOT NULL DEFAULT ''"},
)
_COLUMNS = "id, processor, finished_at, session, status, begun, study"


class QueuedRun(NamedTuple):
    """One run of one program that is due."""

    id: int
    processor: int
    finished_at: str
    """UTC, ISO 8601."""
    session: int
    status: SessionStatus
    begun: int
    """How often it was begun; more than 0 after the engine ended in the middle of it."""
    study: str = ""
    """The Study Instance UID of its session; empty if an earlier version noted it."""


class RunQueue(PrivateTables):
    """The queue; every method may be called from any thread, and raises `StorageUnusable`."""

    def __init__(self, path: Path) -> None:
        super().__init__(_FILE, path)

    def put(self, runs: Iterable[tuple[int, Finished, str]]) -> None:
        """Note which programs are to run for which finished sessions; again has no effect.

        Args:
            runs: processor, what was finished, and the Study Instance UID of its session.
        """
        values = [(number, f.sequence, f.at, f.session, f.status, uid) for number, f, uid in runs]
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO runs"
                " (processor, finished, finished_at, session, status, study)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                values,
            )

    def begin(self, processor: int, running: Collection[int]) -> QueuedRun | None:
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
        return _run_of(row)

    def waiting(self) -> tuple[QueuedRun, ...]:
        """Return everything that is to run or runs, the oldest first."""
        with self._changing() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY id").fetchall()
        return tuple(map(_run_of, rows))

    def drop(self, processor: int, runs: Collection[int] = ()) -> int:
        """Forget what a program has to run, all or some; return how many runs that are."""
        delete = "DELETE FROM runs WHERE processor = ?"
        with self._changing() as connection:
            if not runs:
                return connection.execute(delete, (processor,)).rowcount
            each = [(processor, run) for run in runs]
            return connection.executemany(f"{delete} AND id = ?", each).rowcount

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


def _run_of(row: tuple[Any, ...]) -> QueuedRun:
    number, owner, at, session, status, begun, study = row
    return QueuedRun(number, owner, at, session, SessionStatus(status), begun, study)


def highest_session(path: Path) -> int:
    """Return the highest session number that waits in a queue; 0 if there is none to be read."""
    if not path.exists():
        return 0
    with suppress(StorageUnusable), _FILE.in_words(), closing(_FILE.open(path)) as connection:
        (highest,) = connection.execute("SELECT COALESCE(MAX(session), 0) FROM runs").fetchone()
        return int(highest)
    return 0
