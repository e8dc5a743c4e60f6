"""Writes the rows of objects in batches on one thread, and wakes the threads that wait for them."""

from __future__ import annotations

import logging
import sqlite3
import threading
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from engine.index.database import storage_unusable
from engine.index.senders import SenderNote, add_notes
from engine.model.session import ObjectState, ProjectScript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager


BATCH_SECONDS = 0.05
"""For how long rows are collected for one transaction."""
RETRY_SECONDS = 1.0
MAX_WAITING_ROWS = 200_000
"""Rows kept in memory while the index can't be written. Older ones are counted as lost."""

_logger = logging.getLogger(__name__)


class ObjectRow(NamedTuple):
    """The final state of one received object, as the journal keeps it."""

    at: str
    """UTC, ISO 8601."""
    receiver: str
    calling_ae_title: str
    address: str
    association: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    state: str
    status: int
    """The C-STORE status that was answered."""
    reason: str
    session: int | None
    file: str
    """Relative to the session's folder; empty if nothing was kept there."""
    bytes: int
    project_script: str = ProjectScript.DUE
    """Whether its project's anonymization is due."""


class WhitelistUse(NamedTuple):
    """A whitelist line let a caller in."""

    receiver: str
    line: str
    at: str
    """UTC, ISO 8601."""


Row = ObjectRow | WhitelistUse | SenderNote


class Backlog(NamedTuple):
    """Rows that are not in the index yet."""

    rows: int
    lost: int
    """How many were dropped before they could be written."""
    oldest_at: str | None
    """The time of the oldest of them; UTC, ISO 8601."""


REPLACES = "replaces other content of the same SOP instance"
"""Part of the reason in the row of an object that took the file of another one."""
REPLACED_IN_ARCHIVE = "replaced in the archive"
"""The reason in the row of an object whose place in the archive another one got by a merge."""
_ABOUT_A_ROW = (
    *(sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
    *(OverflowError, TypeError, ValueError),
)
"""Errors about the values of a row; all others are about the file."""
OBJECT_COLUMNS = ", ".join(ObjectRow._fields)
_ROWS_AT_ONCE = (256, 32, 4, 1)
_VALUES = f"({', '.join('?' * len(ObjectRow._fields))})"
_INSERT_OBJECTS = {
    count: f"INSERT INTO objects ({OBJECT_COLUMNS}) VALUES {', '.join([_VALUES] * count)}"
    for count in _ROWS_AT_ONCE
}
_COUNT_USE = (
    "INSERT INTO whitelist_uses VALUES (?, ?, 1, ?) ON CONFLICT (receiver, line)"
    " DO UPDATE SET uses = uses + 1, last_at = excluded.last_at"
)


class RowWriter:
    """Takes rows from any thread and writes them within the batch time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock: AbstractContextManager[object],
        written: Callable[[], None],
    ) -> None:
        """Begin to write through a connection that a lock guards.

        Args:
            connection: the index.
            lock: guards the connection.
            written: called whenever rows of objects are committed.
        """
        self._connection = connection
        self._written = written
        self._lock = lock
        self._waiting: list[Row] = []
        self._wake = threading.Condition()
        self._closing = False
        self._writing: Sequence[Row] = ()
        self.queued = 0
        """How many rows were ever queued."""
        self.lost_rows = 0
        """How many rows were dropped before they could be written."""
        self._thread = threading.Thread(target=self._write_batches, name="index-writer")
        self._thread.start()

    def record(self, row: Row) -> None:
        """Queue the final state of one object, or a use; it is written within the batch time."""
        with self._wake:
            self._waiting.append(row)
            self.queued += 1
            if len(self._waiting) == 1:  # the writer sleeps until there is a first one
                self._wake.notify_all()

    def backlog(self) -> Backlog:
        """Return how much is not written yet."""
        with self._wake:
            rows = self._pending()
            oldest = next(iter(self._writing or self._waiting), None)
            return Backlog(rows, self.lost_rows, oldest.at if oldest else None)

    def is_alive(self) -> bool:
        """Tell whether the writer thread runs."""
        return self._thread.is_alive()

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until everything queued so far is written; return False after `seconds`."""
        with self._wake:
            # Not until nothing waits: while objects arrive, something always does.
            queued = self.queued
            return self._wait_until(lambda: self.queued - self._pending() >= queued, seconds)

    def flush_session(self, session_id: int, seconds: float) -> bool:
        """Wait until no row of a session waits; return False after `seconds`."""

        def is_written() -> bool:
            return not any(
                isinstance(row, ObjectRow) and row.session == session_id
                for row in chain(self._writing, self._waiting)
            )

        with self._wake:
            return self._wait_until(is_written, seconds)

    def _wait_until(self, is_written: Callable[[], bool], seconds: float | None) -> bool:
        # A thread that has ended would never wake us.
        self._wake.wait_for(lambda: is_written() or not self._thread.is_alive(), seconds)
        return is_written()

    def _pending(self) -> int:
        return len(self._writing) + len(self._waiting)

    def close(self) -> None:
        """Write what is queued and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()

    def _write_batches(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(batch)
            except _ABOUT_A_ROW:
                # One bad value must cost neither the other rows nor this thread.
                self._write_one_by_one(batch)
            except sqlite3.Error as error:
                self._put_back(batch, error)
            finally:
                with self._wake:
                    self._writing = ()
                    self._wake.notify_all()

    def _next_batch(self) -> list[Row]:
        """Wait for rows, give others the batch time to join them, and take all; [] at the end."""
        with self._wake:
            while not self._waiting and not self._closing:
                self._wake.wait()
            # At the end there is no reason to wait for further rows.
            if not self._closing:
                # A row costs 4 µs in a batch, and 30 to 80 µs with a commit of its own.
                self._wake.wait_for(lambda: self._closing, timeout=BATCH_SECONDS)
            batch, self._waiting = self._waiting, []
            self._writing = batch
            return batch

    def _write(self, rows: list[Row]) -> None:
        batch = [row for row in rows if isinstance(row, ObjectRow)]
        uses = [row for row in rows if isinstance(row, WhitelistUse)]
        notes = [row for row in rows if isinstance(row, SenderNote)]
        with self._lock, self._connection:
            # All rows of a batch in one transaction: one flush of the log for many objects.
            self._connection.executemany(_COUNT_USE, uses)
            add_notes(self._connection, notes)
            insert_objects(self._connection, batch)
        if batch:
            self._written()

    def _write_one_by_one(self, batch: Sequence[Row]) -> None:
        """Write what SQLite takes, as plain text; the rest is lost, for `check --adopt` to find."""
        for number, row in enumerate(batch):
            try:
                self._write([_plain(row)])
            except _ABOUT_A_ROW:
                _logger.exception("a row of the session index can't be written, it is left out")
                with self._wake:
                    self.lost_rows += 1
            except sqlite3.Error as error:
                return self._put_back(list(batch[number:]), error)
        return None

    def _put_back(self, batch: list[Row], error: sqlite3.Error) -> None:
        """Keep rows that could not be written for the next try; files on disk are not affected."""
        _logger.warning("%s; rows wait (%d)", storage_unusable(error), len(batch))
        with self._wake:
            # The order of arrival is kept; if there is no room, the oldest rows go.
            rows = batch + self._waiting
            self.lost_rows += max(0, len(rows) - MAX_WAITING_ROWS)
            self._waiting = rows[-MAX_WAITING_ROWS:]
            if self._closing:
                # No later try comes. After lost rows the next start looks for files without one.
                self.lost_rows += len(self._waiting)
                self._waiting = []
            else:
                self._wake.wait_for(lambda: self._closing, timeout=RETRY_SECONDS)


def insert_objects(connection: sqlite3.Connection, rows: Sequence[ObjectRow]) -> None:
    """Insert rows of objects and count them in their sessions, inside a transaction."""
    for statement, values in _insertions(rows):
        connection.execute(statement, values)
    connection.executemany(
        "UPDATE sessions SET objects = objects + ?, bytes = bytes + ?,"
        " last_object_at = ? WHERE id = ?",
        _session_changes(rows),
    )
    # The object that was replaced is counted already.
    for session in {row.session for row in rows if REPLACES in row.reason and row.session}:
        recount(connection, session)


def recount(connection: sqlite3.Connection, session_id: int) -> None:
    """Count a session's objects by their rows; of several rows of one file the newest counts."""
    connection.execute(
        "UPDATE sessions SET (objects, bytes) = (SELECT COUNT(*), COALESCE(SUM(bytes), 0)"
        " FROM objects WHERE sequence IN (SELECT MAX(sequence) FROM objects"
        " WHERE session = ?1 AND state = ?2 GROUP BY file))"
        # Without rows, the sums are all that is left.
        " WHERE id = ?1 AND rows_removed_at IS NULL",
        (session_id, ObjectState.STORED),
    )


def _plain(row: Row) -> Row:
    """Return a row with text that SQLite takes: texts of plugins may hold lone surrogates."""
    values = (v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in row)
    return type(row)(*values)  # type: ignore[arg-type]


def _insertions(rows: Sequence[ObjectRow]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield statements that insert many rows each; between two of them other threads may run."""
    begin = 0
    for count in _ROWS_AT_ONCE:
        while len(rows) - begin >= count:
            end = begin + count
            yield _INSERT_OBJECTS[count], tuple(chain.from_iterable(rows[begin:end]))
            begin = end


def _session_changes(batch: Sequence[ObjectRow]) -> list[tuple[int, int, str, int]]:
    changes: dict[int, tuple[int, int, str]] = {}
    for row in batch:
        if row.session is None:
            continue
        stored = row.state == ObjectState.STORED
        objects, size, _ = changes.get(row.session, (0, 0, ""))
        # Also of an object that was not stored: the session is not idle.
        changes[row.session] = (objects + stored, size + row.bytes * stored, row.at)
    return [(objects, size, at, session) for session, (objects, size, at) in changes.items()]
