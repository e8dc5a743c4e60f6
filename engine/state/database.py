"""SQLite files: private to their owner, shared by processes, set aside when damaged."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import stat
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Self

from engine.errors import StorageDamaged, StorageUnusable
from engine.host.data_directory import flush

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path


SQLITE_VERSION = sqlite3.sqlite_version_info
LOCK_WAIT_SECONDS = 10.0
"""For another process that is just writing."""
MAKE_ROOM = "make room on the disk, and try again; nothing is lost"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
READ_WAIT_SECONDS = 5.0
"""For what a reader waits for: a file that is just recovered or closed for good."""
_MODE_PAUSE_SECONDS = 0.01
_CHECK = "PRAGMA quick_check(1)"


def open_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection for all threads that changes nothing; the caller closes it.

    Raises:
        sqlite3.Error: if there is no file, or it can't be opened.
    """
    # as_uri quotes ? and #: SQLite would take the rest of such a name for its own parameters.
    address = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(
        address,
        uri=True,
        timeout=READ_WAIT_SECONDS,
        check_same_thread=False,
        isolation_level=None,
    )


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """What one such file is, and how its faults are spoken of."""

    name: str
    """As in "the queue of commands"."""
    schema: str
    """The tables of the first version, each made only if it is not there."""
    version: int
    """Of the schema; files of a later one are not touched."""
    remedy: str
    """What to do if it can't be used."""
    steps: Mapping[int, str] = field(default_factory=dict)
    """What brings a file to a version from the one before; a new file takes all of them."""
    synchronous: str = "FULL"
    """Whether what is written survives a power cut (``FULL``), or may be undone (``NORMAL``)."""

    def open(self, path: Path) -> sqlite3.Connection:
        """Return a connection for all threads; the file is made if it is not there.

        Raises:
            StorageUnusable: if it can't be used, or a later version made it.
        """
        with self.in_words():
            # First: SQLite would make the file readable for others, as far as the umask lets it.
            _create(path)
            connection = sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS, check_same_thread=False)
            try:
                self.prepare(connection, path)
            except BaseException:
                connection.close()
                raise
            return connection

    def prepare(self, connection: sqlite3.Connection, path: Path) -> None:
        """Create the tables, or migrate those of an earlier version, all steps or none.

        What an earlier version made is copied first, as ``<file>.schema-<its version>``.

        Raises:
            StorageUnusable: if a later version made it.
            sqlite3.Error: if it can't be read or written.
            OSError: if the copy can't be written.
        """
        _use_write_ahead_log(connection)
        if self._is_behind(connection, path):
            # What is made here is a promise, also in a file whose rows are none.
            connection.execute("PRAGMA synchronous = FULL")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                self._bring_to_version(connection, path)
                clean_up = self._take_over(connection, path)
            clean_up()
        # Every connection has its own.
        connection.execute(f"PRAGMA synchronous = {self.synchronous}")

    def _is_behind(self, connection: sqlite3.Connection, path: Path) -> bool:
        """Tell whether there is anything to do before the file can be used."""
        del path
        return self._version_of(connection) != self.version

    def _bring_to_version(self, connection: sqlite3.Connection, path: Path) -> None:
        version = self._version_of(connection)
        if version == self.version:  # another process may have been faster
            return
        # The first versions wrote no number into their files.
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            _copy_aside(path, version)
        steps = range(max(version, 1) + 1, self.version + 1)
        for script in (self.schema, *(self.steps[step] for step in steps)):
            for statement in _statements(script):
                connection.execute(statement)
        # Part of the transaction: after a kill, the old number stands beside the old tables.
        connection.execute(f"PRAGMA user_version = {self.version}")

    def _take_over(self, connection: sqlite3.Connection, path: Path) -> Callable[[], None]:
        """Fill the tables from elsewhere; return what is to be done once that is committed."""
        del connection, path
        return lambda: None

    def check(self, connection: sqlite3.Connection) -> None:
        """Read the whole file.

        Raises:
            StorageDamaged: if it is not what was written.
        """
        with self.in_words():
            rows = connection.execute(_CHECK).fetchall()
        _require_sound(self.name, rows, "set the file aside")

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Turn errors of SQLite and of the disk into ours, which name the file."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind = StorageDamaged if is_damage(error) else StorageUnusable
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
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for queries that all see the same state; waits for no writer."""
        with self._file.in_words(), self._lock, self._connection:
            self._connection.execute("BEGIN")
            yield self._connection

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection for one transaction."""
        with self._file.in_words(), self._lock, self._connection:
            # Others write here too: nothing may change between our reading and writing.
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection


def _require_sound(name: str, rows: list[tuple[object, ...]], remedy: str) -> None:
    if rows != [("ok",)]:
        raise StorageDamaged(f"{name} is damaged: {rows[0][0]}", remedy)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log, so that readers and a writer never wait for each other."""
    until = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Several processes may make a file at once: SQLite waits for its lock everywhere but
            # here.
            if not _is(error, sqlite3.SQLITE_BUSY) or time.monotonic() >= until:
                raise
            time.sleep(_MODE_PAUSE_SECONDS)
        else:
            return


def _create(path: Path) -> None:
    """Create the file if it does not exist, readable by its owner only.

    Raises:
        OSError: if it can't be made, or is a symbolic link.
    """
    # Made without a descriptor. Closing one would drop all locks that this process has on the file
    # (fcntl(2)), those of SQLite as well: another process that closes the database would be the
    # last user for SQLite, and would delete the log that this process goes on writing.
    try:
        os.mknod(path, stat.S_IFREG | 0o600)
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def _copy_aside(path: Path, version: int) -> None:
    """Copy a file as it was last committed, durably, and remove its copy of another version.

    The caller holds the lock for writing, so that nobody changes the file or copies it as well.
    """
    copy = path.with_name(f"{path.name}.schema-{version}")
    part = path.with_name(f"{path.name}.schema.part")
    part.unlink(missing_ok=True)
    try:
        copy_database(path, part)
        # Before the rename: after power loss the name must not stand for an empty file.
        flush(part)
        part.replace(copy)
        flush(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    for other in path.parent.iterdir():
        if re.fullmatch(rf"{re.escape(path.name)}\.schema-\d+", other.name) and other != copy:
            other.unlink()


def copy_database(path: Path, copy: Path) -> int:
    """Copy a database as it was last committed into a new file; return the version of its schema.

    Writers go on meanwhile, in this process and in others. The copy is not flushed.

    Raises:
        sqlite3.Error: if it can't be read or written.
        OSError: if the copy can't be made.
    """
    _create(copy)
    with closing(open_to_read(path)) as source, closing(sqlite3.connect(copy)) as target:
        # A copy is made anew after a crash: a journal would only be left behind.
        target.execute("PRAGMA journal_mode = OFF")
        # Not a copy of the file: committed rows may still be in the log beside it. In one step:
        # with several, each writer between two of them makes it begin anew.
        source.backup(target)
        return int(target.execute("PRAGMA user_version").fetchone()[0])


def sound_copy(path: Path, copy: Path, name: str, remedy: str) -> int:
    """Copy a database like `copy_database`, and read the whole copy.

    Args:
        path: of the database.
        copy: the new file.
        name: of the database, in words.
        remedy: what to do if it is damaged.

    Raises:
        StorageDamaged: if it is not what was written.
        StorageUnusable: if it can't be read or copied.
    """
    file = PrivateFile(name, "", 0, remedy)
    with file.in_words():
        version = copy_database(path, copy)
        rows = rows_of_copy(copy, _CHECK)
    _require_sound(name, rows, remedy)
    return version


def rows_of_copy(copy: Path, query: str) -> list[tuple[object, ...]]:
    """Return rows of a database that is one file, and that nobody writes.

    Raises:
        sqlite3.Error: if it can't be read.
    """
    # Immutable: nothing is made beside it.
    address = f"{copy.absolute().as_uri()}?immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        return connection.execute(query).fetchall()


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script: `executescript` would end the transaction that is open."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def is_damage(error: Exception) -> bool:
    """Tell whether an error says that a file is not what was written."""
    return _is(error, *_DAMAGE)


def _is(error: Exception, *codes: int) -> bool:
    # Extended codes have the primary one in their last byte.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF in codes


SUFFIXES = ("-wal", "-shm", "")
"""What SQLite appends to the name of a file for those that belong to it."""


def stamp(moment: datetime) -> str:
    """Return a time as both databases keep it: UTC, ISO 8601, comparable as text."""
    # Without timespec isoformat leaves out microseconds of 0, and texts would be sorted wrongly.
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
