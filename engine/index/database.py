"""SQLite files: private to their owner, shared by processes, set aside when damaged."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from engine.errors import StorageDamaged, StorageUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path


LOCK_WAIT_SECONDS = 10.0
"""Longest wait for another process that is writing."""
MAKE_ROOM = "make room on the disk, and try again; nothing is lost"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """Name, tables and versions of one SQLite file, and the words for its errors."""

    name: str
    """As in "the queue of commands"."""
    schema: str
    """The tables of the first version, each made only if it is not there."""
    version: int
    """Of the schema; files of a later one are not touched."""
    remedy: str
    """The remedy if it can't be used."""
    steps: Mapping[int, str] = field(default_factory=dict)
    """The migration to each version from the one before; a new file takes all of them."""
    synchronous: str = "FULL"
    """``FULL``: a commit survives a power cut. ``NORMAL``: the last commits may be lost."""

    def open(self, path: Path) -> sqlite3.Connection:
        """Return a connection for all threads; the file is made if it is not there.

        Raises:
            StorageUnusable: if it can't be used, or a later version made it.
        """
        with self.in_words():
            _create(path)
            # Used by several threads, one at a time: the owner has a lock for it.
            connection = sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS, check_same_thread=False)
            try:
                self.prepare(connection, path)
            except BaseException:
                connection.close()
                raise
            return connection

    def prepare(self, connection: sqlite3.Connection, path: Path) -> None:
        """Make the tables, or bring those of an earlier version to this one, all steps or none.

        What an earlier version made is copied first, as ``<file>.schema-<its version>``.

        Raises:
            StorageUnusable: if a later version made it.
            sqlite3.Error: if it can't be read or written.
            OSError: if the copy can't be written.
        """
        # WAL: commands read the last committed state while an engine writes.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        if self._version_of(connection) == self.version:
            return
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            version = self._version_of(connection)  # another process may have been faster
            if version == self.version:
                return
            # The first versions wrote no number into their files.
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                _copy_aside(path, version)
            steps = range(max(version, 1) + 1, self.version + 1)
            for script in (self.schema, *(self.steps[step] for step in steps)):
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self.version}")

    def check(self, connection: sqlite3.Connection) -> None:
        """Read the whole file.

        Raises:
            StorageDamaged: if it is not what was written.
        """
        with self.in_words():
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StorageDamaged(f"{self.name} is damaged: {found}", "set the file aside")

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Raise errors of SQLite and of the file system as ours, with the name of the file."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind = StorageDamaged if _is(error, *_DAMAGE) else StorageUnusable
            remedy = MAKE_ROOM if _is(error, sqlite3.SQLITE_FULL) else self.remedy
            raise kind(f"{self.name} can't be used: {error}", remedy) from error

    def _version_of(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > self.version:
            raise StorageUnusable(
                f"{self.name} has schema {version}, this version uses {self.version}",
                "run the newer dicomdock",
            )
        return version


class PrivateTables:
    """The open tables of such a file; every method may be called from any thread and any process.

    Methods raise `StorageUnusable` if the file can't be used.
    """

    def __init__(self, file: PrivateFile, path: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        """Guards the connection."""
        self._connection = file.open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Read the whole file.

        Raises:
            StorageDamaged: if it is not what was written.
        """
        with self._lock:
            self._file.check(self._connection)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction."""
        with self._file.in_words(), self._lock, self._connection:
            # Others write here too: nothing may change between our reading and writing.
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection


def _create(path: Path) -> None:
    """Make the file if it is not there, closed to others."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def _copy_aside(path: Path, version: int) -> None:
    """Copy a file as it was last committed, durably, and remove its copy of another version.

    The caller holds the lock for writing, so that nobody changes the file or copies it as well.
    """
    copy = path.with_name(f"{path.name}.schema-{version}")
    part = path.with_name(f"{path.name}.schema.part")
    part.unlink(missing_ok=True)
    try:
        _create(part)
        address = f"{path.absolute().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_SECONDS)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            # A part is made anew after a crash: a journal would only be left behind.
            target.execute("PRAGMA journal_mode = OFF")
            source.backup(target)
        _flush(part)
        part.replace(copy)
        _flush(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    for other in path.parent.iterdir():
        if re.fullmatch(rf"{re.escape(path.name)}\.schema-\d+", other.name) and other != copy:
            other.unlink()


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script: `executescript` would end the transaction that is open."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _is(error: Exception, *codes: int) -> bool:
    # Extended codes have the primary one in their last byte.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF in codes


class Queue(Protocol):
    """A queue in a file of its own."""

    def check(self) -> None:
        """Read the whole file; raises `StorageDamaged`."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


Q = TypeVar("Q", bound=Queue)
_FILES = ("-wal", "-shm", "")
"""Suffixes of the files that make up a database.

The database last: SQLite would take a log that stays behind for that of the new file.
"""


def open_or_recreate(opening: Callable[[Path], Q], path: Path) -> tuple[Q, str]:
    """Return a queue that works, and the new name of the file that did not; empty if it did.

    Only the last damaged file is kept.

    Raises:
        StorageUnusable: if there can't be one, for another reason than damage.
    """
    try:
        return _checked(opening(path)), ""
    except StorageDamaged:
        name = f"{path.name}.damaged"
    try:
        for suffix in _FILES:
            path.with_name(name + suffix).unlink(missing_ok=True)
        for suffix in _FILES:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(path.with_name(name + suffix))
    except OSError as error:
        reason = f"{path.name} is damaged and can't be set aside: {error.strerror}"
        raise StorageUnusable(reason, "check the directory") from error
    return opening(path), name


def _checked(queue: Q) -> Q:
    try:
        queue.check()
    except BaseException:
        queue.close()
        raise
    return queue


def storage_unusable(error: sqlite3.Error) -> StorageUnusable:
    """Return an error of SQLite as ours; neither text holds values of any row."""
    return StorageUnusable(
        f"the session index can't be used: {error}",
        "look for room on the disk, and try again; the received files are not affected",
    )


@contextmanager
def translate_sqlite_errors() -> Iterator[None]:
    """Raise `StorageUnusable` for what SQLite raises; also a decorator."""
    try:
        yield
    except sqlite3.Error as error:
        raise storage_unusable(error) from error


def stamp(moment: datetime) -> str:
    """Return a time as the index keeps it: UTC, ISO 8601, comparable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
