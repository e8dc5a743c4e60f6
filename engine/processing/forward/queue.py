"""The durable queue of objects to be forwarded; shared by an engine and commands.

Numbers of rows seen and objects queued are one transaction, and so are answers and what they end.
A power cut may undo the last of them, always whole ones: then rows are followed again, or an object
is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from engine.index.database import PrivateFile, PrivateTables, stamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path


SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS destinations (
    id INTEGER PRIMARY KEY,
    mark INTEGER,
    mark_at TEXT NOT NULL DEFAULT '',
    sent INTEGER NOT NULL DEFAULT 0,
    bytes_sent INTEGER NOT NULL DEFAULT 0,
    last_sent_at TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT '',
    last_error_at TEXT NOT NULL DEFAULT '',
    next_attempt_at TEXT NOT NULL DEFAULT '',
    asked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination INTEGER NOT NULL,
    object INTEGER NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    queued_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at TEXT NOT NULL DEFAULT '',
    failed INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (destination, object)
);
CREATE INDEX IF NOT EXISTS items_due ON items (destination, failed, due_at, id);
"""


class QueuedObject(NamedTuple):
    """One object on its way to one destination."""

    id: int
    destination: int
    """The number of its processor."""
    object: int
    """The number of the object's row in the index."""
    sop_instance_uid: str
    queued_at: str
    """UTC, ISO 8601."""
    attempts: int
    reason: str
    """What went wrong last."""


ITEM_COLUMNS = ", ".join(QueuedObject._fields)


class DestinationRow(NamedTuple):
    """What is known of one destination."""

    id: int
    sent: int
    bytes_sent: int
    last_sent_at: str
    last_error: str
    last_error_at: str
    next_attempt_at: str
    asked: int
    queued: int
    failed: int
    oldest_queued_at: str


_FILE = PrivateFile(
    "the forwarding queue",
    SCHEMA,
    SCHEMA_VERSION,
    "check the disk, or set the file aside: what waits in it is not sent then",
    synchronous="NORMAL",
)


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of the index that was followed for a destination."""

    sequence: int
    at: str
    """When its object came, by which another index shows that it is another."""


class ForwardingQueue(PrivateTables):
    """The queue; every method may be called from any thread and any process.

    Every method raises `StorageUnusable` if the file can't be used.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(_FILE, path)

    def marks(self) -> dict[int, Position]:
        """Return how far the index was followed, by destination; none for those that are paused."""
        query = "SELECT id, mark, mark_at FROM destinations WHERE mark IS NOT NULL"
        with self._changing() as connection:
            return {row[0]: Position(row[1], row[2]) for row in connection.execute(query)}

    def set_destinations(
        self, known: Iterable[int], following: Iterable[int], mark: Position
    ) -> int:
        """Note which destinations there are, and which of them take new objects.

        Args:
            known: all destinations; what waits for any other is dropped.
            following: those that are enabled; one that was not takes objects from now on.
            mark: where the index is now.

        Returns:
            How many objects were dropped.
        """
        wanted = set(following)
        with self._changing() as connection:
            before = {row[0] for row in connection.execute("SELECT id FROM destinations")}
            gone = [(number,) for number in before - set(known)]
            connection.executemany("DELETE FROM destinations WHERE id = ?", gone)
            dropped = connection.executemany("DELETE FROM items WHERE destination = ?", gone)
            connection.executemany(
                "INSERT INTO destinations (id, mark, mark_at) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET mark = COALESCE(mark, excluded.mark),"
                " mark_at = CASE WHEN mark IS NULL THEN excluded.mark_at ELSE mark_at END",
                [(number, mark.sequence, mark.at) for number in wanted],
            )
            connection.executemany(
                "INSERT INTO destinations (id) VALUES (?) ON CONFLICT (id) DO UPDATE"
                " SET mark = NULL, mark_at = ''",
                [(number,) for number in set(known) - wanted],
            )
        return max(dropped.rowcount, 0)

    def restart(self, mark: Position) -> None:
        """Follow another index from where it is now."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE destinations SET mark = ?, mark_at = ? WHERE mark IS NOT NULL",
                (mark.sequence, mark.at),
            )

    def items(self) -> tuple[QueuedObject, ...]:
        """Return everything that waits or has failed, oldest first."""
        query = f"SELECT {ITEM_COLUMNS} FROM items ORDER BY id"
        with self._changing() as connection:
            return tuple(map(QueuedObject._make, connection.execute(query)))

    def refer(self, objects: Iterable[tuple[int, int]]) -> None:
        """Note which rows of another index some items mean, as pairs of row and item."""
        with self._changing() as connection:
            connection.executemany("UPDATE OR REPLACE items SET object = ? WHERE id = ?", objects)

    def put(
        self,
        objects: Sequence[tuple[int, int, str]],
        mark: Position,
        followed: Iterable[int],
        at: str,
    ) -> None:
        """Queue objects, and note how far the index was followed.

        Args:
            objects: destination, row and SOP instance UID of each.
            mark: the last row that was looked at.
            followed: the destinations for which it was.
            at: the time.
        """
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO items (destination, object, sop_instance_uid, queued_at)"
                " VALUES (?, ?, ?, ?)",
                [(*item, at) for item in objects],
            )
            connection.executemany(
                "UPDATE destinations SET mark = ?, mark_at = ? WHERE id = ? AND mark < ?",
                [(mark.sequence, mark.at, number, mark.sequence) for number in followed],
            )

    def due(
        self, destination: int, now: datetime, limit: int, latest: datetime
    ) -> tuple[QueuedObject, ...]:
        """Return what may be sent now, the longest waiting first.

        Args:
            destination: where to.
            now: the time.
            limit: of how many objects.
            latest: what is due only after that may be sent now: the clock was ahead when it was
                noted.
        """
        query = (
            f"SELECT {ITEM_COLUMNS} FROM items WHERE destination = ? AND failed = 0"
            " AND (due_at <= ? OR due_at > ?) ORDER BY due_at, id LIMIT ?"
        )
        values = (destination, stamp(now), stamp(latest), limit)
        with self._changing() as connection:
            rows = connection.execute(query, values).fetchall()
        return tuple(map(QueuedObject._make, rows))

    def next_due(self, destination: int) -> datetime | None:
        """Return when the next object may be sent; None if none waits."""
        query = "SELECT MIN(due_at) FROM items WHERE destination = ? AND failed = 0"
        with self._changing() as connection:
            (found,) = connection.execute(query, (destination,)).fetchone()
        return datetime.fromisoformat(found) if found else None

    def sent(self, destination: int, items: Sequence[int], size_bytes: int, at: datetime) -> None:
        """Remove what the peer has now, and count it."""
        with self._changing() as connection:
            connection.executemany("DELETE FROM items WHERE id = ?", [(n,) for n in items])
            connection.execute(
                "UPDATE destinations SET sent = sent + ?, bytes_sent = bytes_sent + ?,"
                " last_sent_at = ?, next_attempt_at = '' WHERE id = ?",
                (len(items), size_bytes, stamp(at), destination),
            )

    def postpone(self, item: int, until: datetime, reason: str, *, attempts: int = 1) -> None:
        """Let an object wait, with the reason; an attempt that was none is not counted."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE items SET attempts = attempts + ?, due_at = ?, reason = ? WHERE id = ?",
                (attempts, stamp(until), reason, item),
            )

    def fail(self, item: int, reason: str) -> None:
        """Give an object up until a person decides on it."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE items SET failed = 1, attempts = attempts + 1, reason = ? WHERE id = ?",
                (reason, item),
            )

    def expire(self, destination: int, before: datetime, reason: str, now: datetime) -> int:
        """Give up what was queued before a moment; return how many objects that are.

        What was queued after `now`, by a clock that was ahead, counts as queued now.
        """
        future = (
            "UPDATE items SET queued_at = ?1 WHERE destination = ?2 AND failed = 0"
            " AND queued_at > ?1"
        )
        with self._changing() as connection:
            connection.execute(future, (stamp(now), destination))
            return connection.execute(
                "UPDATE items SET failed = 1, reason = ? || CASE reason WHEN '' THEN ''"
                " ELSE ': ' || reason END WHERE destination = ? AND failed = 0 AND queued_at < ?",
                (reason, destination, stamp(before)),
            ).rowcount

    def note_trouble(
        self, destination: int, error: str, at: datetime, until: datetime | None
    ) -> None:
        """Note what went wrong with a destination, and when it is tried again."""
        values = (error, stamp(at), stamp(until) if until else "", destination)
        with self._changing() as connection:
            connection.execute(
                "UPDATE destinations SET last_error = ?, last_error_at = ?, next_attempt_at = ?"
                " WHERE id = ?",
                values,
            )

    def forget_waits(self) -> None:
        """Let everything be tried at once, as at the start of an engine."""
        with self._changing() as connection:
            connection.execute("UPDATE items SET due_at = '' WHERE failed = 0")
            connection.execute("UPDATE destinations SET next_attempt_at = ''")

    def destinations(self) -> dict[int, DestinationRow]:
        """Return what is known of each destination."""
        query = (
            "SELECT d.id, d.sent, d.bytes_sent, d.last_sent_at, d.last_error, d.last_error_at,"
            " d.next_attempt_at, d.asked, COALESCE(SUM(NOT i.failed), 0), COALESCE(SUM(i.failed),"
            " 0), COALESCE(MIN(CASE WHEN NOT i.failed THEN i.queued_at END), '')"
            " FROM destinations d LEFT JOIN items i ON i.destination = d.id GROUP BY d.id"
        )
        with self._changing() as connection:
            return {row[0]: DestinationRow._make(row) for row in connection.execute(query)}

    def asked(self, destination: int) -> int:
        """Return how often somebody asked for an attempt at once."""
        query = "SELECT asked FROM destinations WHERE id = ?"
        with self._changing() as connection:
            row = connection.execute(query, (destination,)).fetchone()
        return int(row[0]) if row else 0

    def failed(self, destination: int | None, limit: int) -> tuple[QueuedObject, ...]:
        """Return what was given up, the newest first."""
        query = (
            f"SELECT {ITEM_COLUMNS} FROM items WHERE failed = 1"
            " AND (?1 IS NULL OR destination = ?1) ORDER BY id DESC LIMIT ?2"
        )
        with self._changing() as connection:
            return tuple(map(QueuedObject._make, connection.execute(query, (destination, limit))))

    def retry(self, destination: int, items: Sequence[int], at: datetime) -> int:
        """Queue anew what was given up, all or some, and ask for an attempt at once."""
        update = "UPDATE items SET failed = 0, attempts = 0, due_at = '', queued_at = ? WHERE "
        with self._changing() as connection:
            changed = _of_some(connection, update, (stamp(at),), destination, items)
            waiting = "UPDATE items SET due_at = '' WHERE destination = ? AND failed = 0"
            connection.execute(waiting, (destination,))
            connection.execute(
                "UPDATE destinations SET asked = asked + 1, next_attempt_at = '' WHERE id = ?",
                (destination,),
            )
        return changed

    def drop(self, destination: int, items: Sequence[int], *, waiting: bool = False) -> int:
        """Forget what was given up, all or some, or else everything that waits."""
        with self._changing() as connection:
            if waiting:
                delete = "DELETE FROM items WHERE destination = ? AND failed = 0"
                return connection.execute(delete, (destination,)).rowcount
            return _of_some(connection, "DELETE FROM items WHERE ", (), destination, items)


def _of_some(
    connection: sqlite3.Connection,
    statement: str,
    values: tuple[str, ...],
    destination: int,
    items: Sequence[int],
) -> int:
    """Apply a statement to what failed, and of that to some items if any are named."""
    where = "destination = ? AND failed = 1"
    if not items:
        return connection.execute(statement + where, (*values, destination)).rowcount
    each = [(*values, destination, item) for item in items]
    return connection.executemany(f"{statement}{where} AND id = ?", each).rowcount
