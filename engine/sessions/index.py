"""The SQLite index: sessions, and one row with the final state of every received object.

The files are the truth and the index follows: a session's row is committed before its first file,
object rows come in batches from one writer thread, and `engine.intake.recovery` adopts what a
crash kept out of the index.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import OutOfResources, StorageUnusable
from engine.metrics import Today
from engine.model.session import ObjectState, Session, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.sessions.observed import ObservedReceiver

BATCH_SECONDS = 0.05
RETRY_SECONDS = 1.0
MAX_WAITING_ROWS = 200_000
SCHEMA_VERSION = 1

_logger = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY,
    project TEXT,
    subject TEXT,
    label TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    folder TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    receiver TEXT NOT NULL,
    calling_ae_title TEXT NOT NULL,
    auto_archive INTEGER,
    first_object_at TEXT NOT NULL,
    last_object_at TEXT NOT NULL,
    objects INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS sessions_by_study ON sessions (study_instance_uid, label, project);
CREATE INDEX IF NOT EXISTS sessions_by_status ON sessions (status);
CREATE TABLE IF NOT EXISTS objects (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    receiver TEXT NOT NULL,
    calling_ae_title TEXT NOT NULL,
    address TEXT NOT NULL,
    association TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    state TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    session INTEGER REFERENCES sessions (id),
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_session ON objects (session);
CREATE INDEX IF NOT EXISTS objects_by_time ON objects (at);
CREATE TABLE IF NOT EXISTS observed (
    receiver TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    since TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS whitelist_uses (
    receiver TEXT NOT NULL,
    line TEXT NOT NULL,
    uses INTEGER NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (receiver, line)
);
CREATE TABLE IF NOT EXISTS engine (clean_stop INTEGER NOT NULL);
"""


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


_OBJECT_COLUMNS = ", ".join(ObjectRow._fields)
_INSERT_OBJECT = (
    f"INSERT INTO objects ({_OBJECT_COLUMNS}) VALUES ({', '.join('?' * len(ObjectRow._fields))})"
)
_FOLDER_TRIES = 1000
_COUNT_USE = (
    "INSERT INTO whitelist_uses VALUES (?, ?, 1, ?) ON CONFLICT (receiver, line)"
    " DO UPDATE SET uses = uses + 1, last_at = excluded.last_at"
)
_SESSION_COLUMNS = ", ".join(f.name for f in fields(Session))


class WhitelistUse(NamedTuple):
    """A whitelist line let a caller in."""

    receiver: str
    line: str
    at: str
    """UTC, ISO 8601."""


class SessionKey(NamedTuple):
    """What makes a session one (XNAT 8.3)."""

    project: str | None
    study_instance_uid: str
    label: str


@dataclass(frozen=True, slots=True)
class SessionOrigin:
    """What the first object of a session contributes to its row."""

    subject: str | None
    auto_archive: bool | None
    receiver: str
    calling_ae_title: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """A session's number and its folder's parts, relative to the prearchive."""

    id: int
    folder: tuple[str, ...]
    is_new: bool = False


class SessionIndex:
    """The one door to the index; every method may be called from any thread."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._connection = _open(path, durable)
        self._lock = threading.RLock()
        """Guards the connection and the places."""
        self._places: dict[SessionKey, SessionPlace] = {}
        self._receiving = self._count_receiving()
        self._waiting: list[ObjectRow | WhitelistUse] = []
        self._wake = threading.Condition()
        self._closing = False
        self._writing = False
        self._lost_rows = 0
        self._writer = threading.Thread(target=self._write_batches, name="index-writer")
        self._writer.start()

    def place_of(self, key: SessionKey) -> SessionPlace | None:
        """Return where a session's files go, None if this engine has not met it yet."""
        with self._lock:
            return self._places.get(key)

    def session_for(
        self,
        key: SessionKey,
        origin: SessionOrigin,
        make_folder: Callable[[datetime], tuple[str, ...]],
    ) -> SessionPlace:
        """Find or create the row of a session; when this returns, the row is committed.

        Args:
            key: project, study and label that make the session one.
            origin: what a new row is filled with.
            make_folder: names the folder of a new session, relative to the prearchive.

        Raises:
            OutOfResources: if the row can't be written.
        """
        with self._lock:
            place = self._places.get(key)
            if place is not None:
                return place
            try:
                place = self._find(key) or self._create(key, origin, make_folder)
            except sqlite3.Error as error:
                raise OutOfResources(f"session index: {error}") from error
            self._places[key] = SessionPlace(place.id, place.folder)
            return place

    def record(self, row: ObjectRow | WhitelistUse) -> None:
        """Queue the final state of one object, or a use; it is written within the batch time."""
        with self._wake:
            self._waiting.append(row)
            if len(self._waiting) == 1:  # the writer sleeps until there is a first one
                self._wake.notify_all()

    def flush(self) -> None:
        """Return when everything queued so far is written."""
        with self._wake:
            while (self._waiting or self._writing) and self._writer.is_alive():
                self._wake.wait(timeout=1.0)

    def sessions(self, status: SessionStatus | None = None) -> tuple[Session, ...]:
        """Return the sessions in a status (or all), the most recently changed first."""
        where, values = ("WHERE status = ?", (str(status),)) if status else ("", ())
        query = f"SELECT {_SESSION_COLUMNS} FROM sessions {where} ORDER BY last_object_at DESC"
        with self._lock:
            rows = self._connection.execute(query, values).fetchall()
        return tuple(_session(row) for row in rows)

    def objects(self, limit: int = 1000) -> tuple[ObjectRow, ...]:
        """Return the newest object rows, newest first."""
        query = f"SELECT {_OBJECT_COLUMNS} FROM objects ORDER BY sequence DESC LIMIT ?"
        with self._lock:
            rows = self._connection.execute(query, (limit,)).fetchall()
        return tuple(ObjectRow(*row) for row in rows)

    def stored_files(self, session_id: int) -> frozenset[str]:
        """Return the files of a session that the index knows, relative to its folder."""
        query = "SELECT file FROM objects WHERE session = ? AND state = ?"
        with self._lock:
            rows = self._connection.execute(query, (session_id, ObjectState.STORED)).fetchall()
        return frozenset(row[0] for row in rows)

    def receiving(self) -> int:
        """Return how many sessions are being received."""
        return self._receiving

    def forget_empty(self, session_id: int) -> None:
        """Remove the row of a session whose first file never came to be."""
        with self._lock, self._connection:
            self._connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
            self._places = {k: p for k, p in self._places.items() if p.id != session_id}
        self._receiving = self._count_receiving()

    def today(self, midnight: datetime) -> Mapping[str, Today]:
        """Return what each receiver got since local `midnight`, for counters that go on."""
        query = (
            "SELECT receiver, SUM(state IN ('stored', 'duplicate')),"
            " SUM(CASE WHEN state IN ('stored', 'duplicate') THEN bytes ELSE 0 END),"
            " SUM(state NOT IN ('stored', 'duplicate', 'filtered')), MAX(at)"
            " FROM objects WHERE at >= ? GROUP BY receiver"
        )
        with self._lock:
            rows = self._connection.execute(query, (stamp(midnight),)).fetchall()
        day = midnight.date()
        return {
            receiver: Today(day, objects, size, failed, datetime.fromisoformat(last))
            for receiver, objects, size, failed, last in rows
        }

    def observe(self, observed: tuple[ObservedReceiver, ...]) -> None:
        """Replace what is said of the receivers, for `dicomdock status`."""
        rows = [(o.receiver, o.state, o.reason, stamp(o.since)) for o in observed]
        with self._lock, self._connection:
            self._connection.execute("DELETE FROM observed")
            self._connection.executemany("INSERT INTO observed VALUES (?, ?, ?, ?)", rows)

    def begin_run(self) -> bool:
        """Note that an engine runs; return whether the one before it stopped in good order."""
        with self._lock, self._connection:
            row = self._connection.execute("SELECT clean_stop FROM engine").fetchone()
            self._connection.execute("DELETE FROM engine")
            self._connection.execute("INSERT INTO engine VALUES (0)")
        return row is None or bool(row[0])

    def close(self) -> None:
        """Write what is queued, note the clean stop and close."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._writer.join()
        with self._lock:
            with self._connection:
                self._connection.execute("UPDATE engine SET clean_stop = ?", (not self._lost_rows,))
            self._connection.close()

    def _find(self, key: SessionKey) -> SessionPlace | None:
        row = self._connection.execute(
            "SELECT id, folder FROM sessions WHERE study_instance_uid = ? AND label = ?"
            " AND project IS ? AND status = ?",
            (key.study_instance_uid, key.label, key.project, SessionStatus.RECEIVING),
        ).fetchone()
        return SessionPlace(row[0], tuple(row[1].split("/"))) if row else None

    def _create(
        self,
        key: SessionKey,
        origin: SessionOrigin,
        make_folder: Callable[[datetime], tuple[str, ...]],
    ) -> SessionPlace:
        folder, at = self._free_folder(make_folder, origin.at), stamp(origin.at)
        with self._connection:
            cursor = self._connection.execute(
                "INSERT INTO sessions (project, subject, label, study_instance_uid, folder, status,"
                " receiver, calling_ae_title, auto_archive, first_object_at, last_object_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.project,
                    origin.subject,
                    key.label,
                    key.study_instance_uid,
                    "/".join(folder),
                    SessionStatus.RECEIVING,
                    origin.receiver,
                    origin.calling_ae_title,
                    origin.auto_archive,
                    at,
                    at,
                ),
            )
        self._receiving += 1
        assert cursor.lastrowid is not None
        return SessionPlace(cursor.lastrowid, folder, is_new=True)

    def _free_folder(
        self, make_folder: Callable[[datetime], tuple[str, ...]], at: datetime
    ) -> tuple[str, ...]:
        """Name a folder that no session has, not even one that has nothing on disk yet."""
        known = "SELECT 1 FROM sessions WHERE folder = ?"
        for milliseconds in range(_FOLDER_TRIES):
            folder = make_folder(at + timedelta(milliseconds=milliseconds))
            if self._connection.execute(known, ("/".join(folder),)).fetchone() is None:
                return folder
        raise OutOfResources("no free session folder name")

    def _count_receiving(self) -> int:
        query = "SELECT COUNT(*) FROM sessions WHERE status = ?"
        with self._lock:
            count: int = self._connection.execute(query, (SessionStatus.RECEIVING,)).fetchone()[0]
        return count

    def _write_batches(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(batch)
            except sqlite3.Error as error:
                self._put_back(batch, error)
            finally:
                with self._wake:
                    self._writing = False
                    self._wake.notify_all()

    def _next_batch(self) -> list[ObjectRow | WhitelistUse]:
        """Wait for rows, give others the batch time to join them, and take all; [] at the end."""
        with self._wake:
            while not self._waiting and not self._closing:
                self._wake.wait()
            if not self._closing:
                self._wake.wait_for(lambda: self._closing, timeout=BATCH_SECONDS)
            batch, self._waiting = self._waiting, []
            self._writing = bool(batch)
            return batch

    def _write(self, rows: list[ObjectRow | WhitelistUse]) -> None:
        batch = [row for row in rows if isinstance(row, ObjectRow)]
        uses = [row for row in rows if isinstance(row, WhitelistUse)]
        with self._lock, self._connection:
            self._connection.executemany(_COUNT_USE, uses)
            self._connection.executemany(_INSERT_OBJECT, batch)
            self._connection.executemany(
                "UPDATE sessions SET objects = objects + ?, bytes = bytes + ?,"
                " last_object_at = MAX(last_object_at, ?) WHERE id = ?",
                _session_changes(batch),
            )

    def _put_back(self, batch: list[ObjectRow | WhitelistUse], error: sqlite3.Error) -> None:
        """Keep rows that could not be written for the next try; files on disk are not affected."""
        _logger.warning("the session index can't be written, %d rows wait: %s", len(batch), error)
        with self._wake:
            rows = batch + self._waiting
            self._lost_rows += max(0, len(rows) - MAX_WAITING_ROWS)
            self._waiting = rows[-MAX_WAITING_ROWS:]
            if self._closing:
                self._lost_rows += len(self._waiting)
                self._waiting = []
            else:
                self._wake.wait_for(lambda: self._closing, timeout=RETRY_SECONDS)


def _open(path: Path, durable: bool) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
        try:
            path.chmod(0o600)
            _prepare(connection, durable)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise StorageUnusable(
            f"the session index {path.name} can't be opened: {error}",
            "check the disk; the received files are not affected",
        ) from error
    return connection


def _prepare(connection: sqlite3.Connection, durable: bool) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StorageUnusable(
            f"the session index has schema {version}, this version reads {SCHEMA_VERSION}",
            "run the newer dicomdock",
        )
    connection.executescript(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _session_changes(batch: list[ObjectRow]) -> list[tuple[int, int, str, int]]:
    changes: dict[int, tuple[int, int, str]] = {}
    for row in batch:
        if row.session is None:
            continue
        stored = row.state == ObjectState.STORED
        objects, size, _ = changes.get(row.session, (0, 0, ""))
        changes[row.session] = (objects + stored, size + row.bytes * stored, row.at)
    return [(objects, size, at, session) for session, (objects, size, at) in changes.items()]


def _session(row: tuple[object, ...]) -> Session:
    values = dict(zip((f.name for f in fields(Session)), row, strict=True))
    values["status"] = SessionStatus(str(values["status"]))
    for name in ("first_object_at", "last_object_at"):
        values[name] = datetime.fromisoformat(str(values[name]))
    return Session(**values)  # type: ignore[arg-type]


def stamp(moment: datetime) -> str:
    """Return a time as the index keeps it: UTC, ISO 8601, comparable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
