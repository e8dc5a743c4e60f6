"""The index of a running engine: sessions, and the final state of every received object.

The files are the truth and the index follows: a session's row is committed before its first file,
object rows come in batches from one writer thread, and `engine.sessions.recovery` adopts what a
crash kept out of the index.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import OutOfResources, SessionError
from engine.host.wakeup import ChangeSignal
from engine.index.database import storage_unusable, translate_sqlite_errors
from engine.index.schema import NEXT_SESSION, open_index
from engine.index.writer import OBJECT_COLUMNS, ObjectRow, RowWriter
from engine.metrics import Today
from engine.model.session import (
    ObjectState,
    ProjectScript,
    Session,
    SessionArea,
    SessionStatus,
    status_on_arrival,
)
from engine.state.database import open_to_read, stamp
from engine.storage.placement import session_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.index.reader import ObservedReceiver
    from engine.index.writer import Backlog


# IS NOT, as the second value may be NULL: with <> no row would match.
_FOLDER_IN_USE = (
    "SELECT 1 FROM sessions WHERE folder = ?1 AND id IS NOT ?2"
    " UNION ALL SELECT 1 FROM operations WHERE plan IS NOT NULL AND session IS NOT ?2"
    " AND json_extract(plan, '$.folder') = ?1 LIMIT 1"
)


def is_folder_in_use(connection: sqlite3.Connection, folder: str, but: int | None = None) -> bool:
    """Tell whether a folder is a session's, or will be once its plan is carried out.

    Args:
        connection: the index.
        folder: relative to its area; no two areas have one of the same name.
        but: a session that does not count.
    """
    return connection.execute(_FOLDER_IN_USE, (folder, but)).fetchone() is not None


_FOLDER_TRIES = 1000
_LEAVING = frozenset(
    (
        *(SessionStatus.QUEUED_MOVING, SessionStatus.MOVING),
        *(SessionStatus.QUEUED_DELETING, SessionStatus.DELETING, SessionStatus.DELETED),
    )
)


def arrives_as(table: str = "") -> str:
    """Return the condition for the sessions that were renamed, and whose objects come by a key.

    Objects that came without a project come to the session's project once they name it: often it
    was made for them since.
    """
    return (
        f"({table}came_label = :label AND ({table}came_project IS :project"
        f" OR ({table}came_project IS NULL AND {table}project IS :project)))"
    )


def named_as(table: str = "") -> str:
    """Return the condition for the sessions of a key, by `SessionKey.values`.

    A session that was renamed has the key under which its objects come, too.
    """
    return (
        f"{table}study_instance_uid = :study AND (({table}label = :label AND {table}project IS"
        f" :project) OR {arrives_as(table)})"
    )


_COPIES = (
    "SELECT s.id, s.area, s.folder, o.file, o.project_script, s.status FROM objects AS o"
    " JOIN sessions AS s ON s.id = o.session"
    f" WHERE o.sop_instance_uid = :instance AND o.state = '{ObjectState.STORED}' AND o.file <> ''"
    # With IS: an unassigned session has no project.
    f" AND {named_as('s.')} GROUP BY s.id, o.file ORDER BY MIN(o.sequence)"
)
_SAME_KEY = f"SELECT 1 FROM sessions WHERE {named_as()} LIMIT 1"
_WITHOUT_ROWS = f"SELECT id FROM sessions WHERE {named_as()} AND rows_removed_at IS NOT NULL"
_RENAMED = (
    "SELECT project, subject, label FROM sessions WHERE study_instance_uid = :study"
    f" AND {arrives_as()}"
    f" AND +area <> '{SessionArea.TRASH}' ORDER BY id DESC LIMIT 1"
)

_logger = logging.getLogger(__name__)
_SESSION_FIELDS = tuple(f.name for f in fields(Session))
SESSION_COLUMNS = ", ".join(_SESSION_FIELDS)


class SessionKey(NamedTuple):
    """The key of a session: objects with the same key join it (XNAT 8.3)."""

    project: str | None
    study_instance_uid: str
    label: str
    area: SessionArea = SessionArea.PREARCHIVE

    def values(self) -> dict[str, object]:
        """Return the values that `named_as` asks for."""
        return {"study": self.study_instance_uid, "label": self.label, "project": self.project}


@dataclass(frozen=True, slots=True)
class SessionOrigin:
    """The values of a session's row that come from its first object."""

    subject: str | None
    auto_archive: bool | None
    receiver: str
    calling_ae_title: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """A session's number, and its folder's parts, relative to its area."""

    id: int
    folder: tuple[str, ...]
    area: SessionArea
    hold: int
    """Number of the hold on the session that the place comes with; the session's own here."""
    is_new: bool = False
    has_history: bool = False
    """Whether the index knows objects of it, or of another session of its key, from before."""


class Copy(NamedTuple):
    """Where a stored SOP instance is."""

    session: int
    area: SessionArea
    folder: str
    """The session's, relative to its area."""
    file: str
    """Relative to the session's folder."""
    project_script: ProjectScript
    """Whether its project's script has changed it since it came."""


class SessionIndex:
    """The index of a running engine; every method may be called from any thread."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._connection = open_index(path, durable)
        self._reading = open_to_read(path)
        # Reentrant: a change of a session forgets its place inside its transaction. Taken before
        # `_places_lock` where both are; a holder of that one never waits for this one.
        self._lock = threading.RLock()
        """Guards the connection."""
        self._reading_lock = threading.Lock()
        """Guards the connection that reads: who counts or lists holds up nobody who writes."""
        self._places_lock = threading.Lock()
        """Guards the places. Apart, so that an object of a known session waits for no batch."""
        self._places: dict[SessionKey, SessionPlace] = {}
        self._keys: dict[int, set[SessionKey]] = {}
        """The keys of each session in `_places`: a renamed one may have two."""
        self.session_writers = SessionWriters()
        """Taken by `place_of` and `session_for`; given back once the object's row is queued."""
        self.rows_lock = threading.Lock()
        """Held while rows of sessions are removed or read again: `engine.sessions.rereading`."""
        self.unreadable_rows: dict[int, tuple[float, SessionError]] = {}
        """Why sessions can't be read again, and until when that is not tried; under `rows_lock`."""
        self.rows_wanted: Callable[[Sequence[int]], object] = lambda _: None
        """Called with sessions without rows whose key a new session has; returns at once."""
        self.followed_to: Callable[[], int | None] = lambda: None
        """Returns up to which row all that follows new objects has read; None if nothing does."""
        self.forgotten: Callable[[int], object] = lambda _: None
        """Called with each session whose place is forgotten; returns at once."""
        self._receiving = 0
        """The last count; for `receiving` only."""
        self._run_is_confirmed = False
        """Whether this run has started, so that its end may count as a clean stop."""
        self._is_recovered = True
        """Whether every object of earlier runs has its row; without that no stop is clean."""
        self.objects_written, self.sessions_finished = ChangeSignal(), ChangeSignal()
        self._writer = RowWriter(self._connection, self._lock, self.objects_written.notify)
        self.record = self._writer.record
        """Queues the row of one object, or a use; it is written within the batch time."""

    def place_of(self, key: SessionKey) -> SessionPlace | None:
        """Return where a session's files go and hold it; None if this engine has not met it yet."""
        with self._places_lock:
            # Found and counted in one step: a build that forgets the place waits for this object,
            # or the object finds that the place is forgotten.
            place = self._places.get(key)
            if place is not None:
                self.session_writers.acquire(place.id)
            return place

    def is_open(self, key: SessionKey) -> bool:
        """Tell whether there is a session that an object of this key would join."""
        with self._places_lock:
            if key in self._places:
                return True
        with self._lock:
            return any(joins is not None for *_, joins in self._candidates(key))

    def session_for(
        self,
        key: SessionKey,
        origin: SessionOrigin,
        make_folder: Callable[[datetime], tuple[str, ...]],
    ) -> SessionPlace:
        """Find or create the row of a session and hold it; the row is committed then.

        Args:
            key: project, study and label that make the session one.
            origin: what a new row is filled with.
            make_folder: names the folder of a new session, relative to its area.

        Raises:
            OutOfResources: if the row can't be written.
        """
        with self._lock:
            place = self.place_of(key)
            if place is not None:  # another thread was faster
                return place
            try:
                place = self._find(key, origin.at) or self._create(key, origin, make_folder)
            except sqlite3.Error as error:
                raise OutOfResources(f"session index: {error}") from error
            with self._places_lock:
                # The next object finds the session and not a new one.
                self._places[key] = replace(place, is_new=False)
                self._keys.setdefault(place.id, set()).add(key)
                self.session_writers.acquire(place.id)
            return place

    def copies(self, key: SessionKey, sop_instance_uid: str) -> tuple[Copy, ...]:
        """Return where a SOP instance, as it came, is in all sessions of a key, oldest first.

        Sessions that are to be moved elsewhere or deleted don't count.

        Raises:
            OutOfResources: if the index can't be read.
        """
        try:
            with self._lock:
                rows = self._connection.execute(
                    _COPIES, {**key.values(), "instance": sop_instance_uid}
                ).fetchall()
        except sqlite3.Error as error:
            raise OutOfResources(f"session index: {error}") from error
        return tuple(
            Copy(session, SessionArea(area), folder, file, ProjectScript(script))
            for session, area, folder, file, script, status in rows
            if SessionStatus(status) not in _LEAVING
        )

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for one transaction, to the other modules of this package."""
        with self._lock, self._connection:
            # Commands write to the index too: nothing may change between our reading and writing.
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for queries that see one committed state; waits for no writer."""
        with self._reading_lock, self._reading:
            self._reading.execute("BEGIN")
            yield self._reading

    def notify_finished(self) -> None:
        """Wake the threads that act on finished sessions."""
        self.sessions_finished.notify()

    def forget_place(self, session_id: int) -> None:
        """Look a session up anew when its next object arrives: its status has changed."""
        self._forget(session_id)
        self.forgotten(session_id)

    def knows_place(self, session_id: int) -> bool:
        """Tell whether further objects may join a session without being looked up anew."""
        with self._places_lock:
            return session_id in self._keys

    def _forget(self, session_id: int) -> None:
        with self._places_lock:
            for key in self._keys.pop(session_id, ()):
                del self._places[key]

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until everything queued so far is written; return False after `seconds`."""
        return self._writer.flush(seconds)

    def flush_session(self, session_id: int, seconds: float) -> bool:
        """Wait until no row of a session's objects waits; return False after `seconds`."""
        return self._writer.flush_session(session_id, seconds)

    def sessions(self, status: SessionStatus | None = None) -> tuple[Session, ...]:
        """Return the sessions in a status (or all), the most recently changed first."""
        where, values = ("WHERE status = ?", (str(status),)) if status else ("", ())
        query = f"SELECT {SESSION_COLUMNS} FROM sessions {where} ORDER BY last_object_at DESC"
        with self.reading() as connection:
            rows = connection.execute(query, values).fetchall()
        return tuple(session_of(row) for row in rows)

    def objects(self, limit: int = 1000) -> tuple[ObjectRow, ...]:
        """Return the newest object rows, newest first."""
        query = f"SELECT {OBJECT_COLUMNS} FROM objects ORDER BY sequence DESC LIMIT ?"
        with self.reading() as connection:
            rows = connection.execute(query, (limit,)).fetchall()
        return tuple(ObjectRow(*row) for row in rows)

    def stored_files(self, session_id: int) -> frozenset[str]:
        """Return the files of a session that the index knows, relative to its folder."""
        query = "SELECT file FROM objects WHERE session = ? AND state = ?"
        with self.reading() as connection:
            rows = connection.execute(query, (session_id, ObjectState.STORED)).fetchall()
        return frozenset(row[0] for row in rows)

    def receiving(self) -> int:
        """Return how many sessions are being received."""
        query = "SELECT COUNT(*) FROM sessions WHERE status = ?"
        # Also while the disk fails, and after `close`: consoles show the engine then, too.
        with suppress(sqlite3.Error), self.reading() as connection:
            self._receiving = connection.execute(query, (SessionStatus.RECEIVING,)).fetchone()[0]
        return self._receiving

    def forget_empty(self, session_id: int) -> None:
        """Remove the row of a session whose first file was never stored."""
        with self._lock, self._connection:
            self._connection.execute(
                # The status: a request that came meanwhile is to find its session.
                "DELETE FROM sessions WHERE id = ? AND status = ?",
                (session_id, SessionStatus.RECEIVING),
            )
            self._forget(session_id)

    def today(self, midnight: datetime) -> Mapping[str, Today]:
        """Return what each receiver got since local `midnight`, for counters that go on."""
        query = (
            "SELECT receiver, SUM(state IN ('stored', 'duplicate')),"
            " SUM(CASE WHEN state IN ('stored', 'duplicate') THEN bytes ELSE 0 END),"
            " SUM(state NOT IN ('stored', 'duplicate', 'filtered')), MAX(at)"
            " FROM objects WHERE at >= ? GROUP BY receiver"
        )
        with self.reading() as connection:
            rows = connection.execute(query, (stamp(midnight),)).fetchall()
        day = midnight.date()
        return {
            receiver: Today(day, objects, size, failed, datetime.fromisoformat(last))
            for receiver, objects, size, failed, last in rows
        }

    def known_callers(self) -> tuple[tuple[str, str], ...]:
        """Return calling AE titles and addresses that had an association, the last ones last."""
        query = (
            "SELECT calling_ae_title, address FROM senders WHERE associations > 0"
            " ORDER BY last_seen"
        )
        with self.reading() as connection:
            return tuple(connection.execute(query).fetchall())

    def counts_by_status(self) -> tuple[tuple[str, int], ...]:
        """Return how many sessions are in each status."""
        query = "SELECT status, COUNT(*) FROM sessions GROUP BY status"
        with self.reading() as connection:
            return tuple(connection.execute(query).fetchall())

    def backlog(self) -> Backlog:
        """Return how many object rows are not written yet."""
        return self._writer.backlog()

    def recorded(self) -> int:
        """Return how many rows were queued since the start."""
        return self._writer.queued

    def is_alive(self) -> bool:
        """Tell whether the writer of rows runs."""
        return self._writer.is_alive()

    @translate_sqlite_errors()
    def observe(self, observed: tuple[ObservedReceiver, ...]) -> None:
        """Replace the states of the receivers that `dicomdock status` shows."""
        rows = [(o.receiver, o.state, o.reason, stamp(o.since)) for o in observed]
        with self._lock, self._connection:
            self._connection.execute("DELETE FROM observed")
            self._connection.executemany("INSERT INTO observed VALUES (?, ?, ?, ?)", rows)

    @translate_sqlite_errors()
    def begin_run(self) -> bool:
        """Note that a run begins; return whether the one before it ended with a clean stop.

        Until `confirm_run` and `close`, the index says that this run crashed.
        """
        with self._lock:
            with self._connection:
                row = self._connection.execute("SELECT clean_stop FROM engine").fetchone()
                self._connection.execute("DELETE FROM engine")
                self._connection.execute("INSERT INTO engine VALUES (0)")
            # Without FULL durability a power cut could undo this row: the index would show
            # the clean stop of the run before.
            self._connection.execute("PRAGMA wal_checkpoint")
        self._is_recovered = row is None or bool(row[0])
        return self._is_recovered

    def note_recovered(self) -> None:
        """Note that every object of earlier runs has its row."""
        self._is_recovered = True

    def confirm_run(self) -> None:
        """Allow `close` to note a clean stop: the start succeeded."""
        self._run_is_confirmed = True

    def close(self) -> None:
        """Write queued rows, note the clean stop of a confirmed run, and close."""
        # First: rows that are still queued would be missing after a clean stop.
        self._writer.close()
        with self._lock, self._reading_lock, closing(self._connection), closing(self._reading):
            if not (self._run_is_confirmed and self._is_recovered) or self._writer.lost_rows:
                return
            try:
                self._note_clean_stop()
            except sqlite3.Error as error:
                _logger.warning(
                    "%s; the next start looks for missing rows", storage_unusable(error)
                )

    def _note_clean_stop(self) -> None:
        with self._connection:
            self._connection.execute("UPDATE engine SET clean_stop = 1")

    def _candidates(self, key: SessionKey) -> list[tuple[int, str, str, SessionStatus | None]]:
        """Return number, folder and status of a key's sessions, newest first.

        The last value is the status after an object has joined; None if none may join.
        """
        rows = self._connection.execute(
            f"SELECT id, folder, status FROM sessions WHERE {named_as()}"
            # None joins a session without rows, also if an action on it has failed.
            " AND +area = :area AND rows_removed_at IS NULL ORDER BY id DESC",
            {**key.values(), "area": key.area},
        ).fetchall()
        return [(*row, status_on_arrival(SessionStatus(row[2]))) for row in rows]

    def _find(self, key: SessionKey, at: datetime) -> SessionPlace | None:
        for session_id, folder, status, becomes in self._candidates(key):
            if becomes is not None:
                self._join(session_id, status, becomes, at)
                parts = tuple(folder.split("/"))
                return SessionPlace(session_id, parts, key.area, session_id, has_history=True)
        return None

    def _join(self, session_id: int, status: str, becomes: SessionStatus, at: datetime) -> None:
        """Bring a session back to receiving, for an object has arrived (XNAT 8.3)."""
        # The usual case while objects arrive, and no write at all.
        if becomes == status:
            return
        with self._connection:
            self._connection.execute(
                # The reason of a conflict or error is over: the session is built again. The time is
                # set before the object has its row: else the session would be due at once.
                "UPDATE sessions SET status = ?, reason = '', last_object_at = ? WHERE id = ?",
                (becomes, stamp(at), session_id),
            )

    def _create(
        self,
        key: SessionKey,
        origin: SessionOrigin,
        make_folder: Callable[[datetime], tuple[str, ...]],
    ) -> SessionPlace:
        # Asked before the row is inserted, which has this key itself. Any area: an archived session
        # may have the same objects.
        has_history = self._connection.execute(_SAME_KEY, key.values()).fetchone() is not None
        if has_history:
            # They are read again behind: until then, no object that came before is a duplicate,
            # and the merge finds those that are.
            found = self._connection.execute(_WITHOUT_ROWS, key.values()).fetchall()
            if found:
                self.rows_wanted([number for (number,) in found])
        named = self._renamed(key) if key.area is SessionArea.PREARCHIVE else None
        project, subject, label = named or (key.project, origin.subject, key.label)
        came_as = (key.project, key.label) if named else (None, None)

        def make_named_folder(at: datetime) -> tuple[str, ...]:
            folder = make_folder(at)
            return session_folder(project, folder[-2], label) if named else folder

        folder, at = self._free_folder(make_named_folder, origin.at), stamp(origin.at)
        with self._connection:
            cursor = self._connection.execute(
                "INSERT INTO sessions (id, project, subject, label, study_instance_uid, folder,"
                " status, receiver, calling_ae_title, auto_archive, first_object_at,"
                " last_object_at, area, came_project, came_label)"
                f" VALUES ({NEXT_SESSION}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    project,
                    subject,
                    label,
                    key.study_instance_uid,
                    "/".join(folder),
                    SessionStatus.RECEIVING,
                    origin.receiver,
                    origin.calling_ae_title,
                    origin.auto_archive,
                    at,
                    at,
                    key.area,
                    *came_as,
                ),
            )
        number = cursor.lastrowid
        assert number is not None
        return SessionPlace(number, folder, key.area, number, is_new=True, has_history=has_history)

    def is_renamed(self, key: SessionKey) -> bool:
        """Tell whether objects of this key belong to a session that has other names now."""
        with self._lock:
            return self._renamed(key) is not None

    def _renamed(self, key: SessionKey) -> tuple[str | None, str | None, str] | None:
        """Return project, subject and label of a key's study if it was given others."""
        found: tuple[str | None, str | None, str] | None = self._connection.execute(
            _RENAMED, key.values()
        ).fetchone()
        return found

    def _free_folder(
        self, make_folder: Callable[[datetime], tuple[str, ...]], at: datetime
    ) -> tuple[str, ...]:
        """Name a folder that no session has, not even one that has nothing on disk yet."""
        # XNAT 9.1: the folder has its time to the millisecond. If it is taken, the next one is
        # tried.
        for milliseconds in range(_FOLDER_TRIES):
            folder = make_folder(at + timedelta(milliseconds=milliseconds))
            if not is_folder_in_use(self._connection, "/".join(folder)):
                return folder
        raise OutOfResources("no free session folder name")


def session_of(row: tuple[object, ...]) -> Session:
    """Return the session that a row of `SESSION_COLUMNS` describes."""
    values = dict(zip(_SESSION_FIELDS, row, strict=True))
    values["status"] = SessionStatus(str(values["status"]))
    values["area"] = SessionArea(str(values["area"]))
    if values["auto_archive"] is not None:
        values["auto_archive"] = bool(values["auto_archive"])
    for name in ("first_object_at", "last_object_at", "changed_at", "rows_removed_at"):
        values[name] = datetime.fromisoformat(str(values[name])) if values[name] else None
    return Session(**values)  # type: ignore[arg-type]


class SessionWriters:
    """Counts the objects that are on their way into each session; used by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._counts: dict[int, int] = {}

    def acquire(self, session_id: int) -> None:
        """Count an object that is on its way into a session."""
        with self._lock:
            self._counts[session_id] = self._counts.get(session_id, 0) + 1

    def release(self, session_id: int) -> None:
        """Remove an object from the count: it is stored and its row is queued, or it failed."""
        with self._lock:
            left = self._counts.pop(session_id) - 1
            if left:
                self._counts[session_id] = left
            else:
                self._changed.notify_all()

    def wait_until_free(self, session_id: int, seconds: float) -> bool:
        """Wait until no object is on its way into a session; return False after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: session_id not in self._counts, seconds)
