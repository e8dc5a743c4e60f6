"""Storage of the configuration file: JSON that is replaced as a whole, with lock and backups."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tinydb.storages import Storage

from engine.config.history import backups_of, flush_directory, remedy, was_configured
from engine.config.reading import (
    LARGEST_FILE_BYTES,
    Content,
    Unreadable,
    parse_tables,
    read_bytes,
    share,
)
from engine.errors import CorruptConfiguration, Problem, StorageUnusable
from engine.host.lock import open_lock_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.config.reading import Tables

LOCK_SECONDS = 10.0

_PAUSE_SECONDS = 0.02


class AtomicJSONStorage(Storage):
    """TinyDB's storage in one JSON file that a crash, a full disk or a second writer can't tear.

    One object serves one thread; any number of objects and processes may share the file. Hold
    `locked` around reading, changing and writing.
    """

    def __init__(
        self,
        path: str | Path,
        lock_seconds: float = LOCK_SECONDS,
        *,
        in_use: Sequence[Path] = (),
        known: Content | None = None,
    ) -> None:
        """Take the file.

        Args:
            path: the file.
            lock_seconds: how long to wait for another process.
            in_use: files that exist only where an engine has run.
            known: a content of the file; bytes that are still the same are not parsed again.
        """
        self.path = Path(path).absolute()
        self.content = known
        """What was read or written last."""
        self._in_use = in_use
        # A file of its own: a lock on the file itself would stay with the old inode after a rename.
        self._lock_path = self.path.with_name(f"{self.path.name}.lock")
        self._lock_seconds = lock_seconds
        self._locked = False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the file, and remove temporary files that a killed writer left.

        Raises:
            StorageUnusable: if another process holds the lock for longer than the time limit.
        """
        if self._locked:
            # `write` and `set_aside` are called inside `locked` too: they must not wait for it.
            yield
            return
        descriptor = open_lock_file(self._lock_path)
        try:
            self._take(descriptor)
            self._locked = True
            self._sweep()
            yield
        finally:
            self._locked = False
            os.close(descriptor)

    def read(self) -> Tables | None:
        """Return the tables; None only if the file is absent and never existed.

        Raises:
            CorruptConfiguration: if the file is lost or broken, naming the place of the fault and
                what restores it.
        """
        tables = self._tables()
        # A lost file must not become the defaults: a receiver for every caller, and no site script.
        signs = was_configured(self.path, self._in_use) if tables is None else ""
        if signs:
            # Another process may have made the first file, and its history, since we looked.
            tables = self._tables()
        if signs and tables is None:
            raise self._corrupt(f"is missing, but was there once: see {signs}", remedy(self.path))
        return tables

    def _tables(self) -> Tables | None:
        try:
            raw = read_bytes(self.path)
            if raw is None:
                self.content = None
            elif self.content is None:
                self.content = Content(raw, parse_tables(raw))
            elif self.content.raw != raw:
                self.content = Content(raw, share(parse_tables(raw), self.content.tables))
        except Unreadable as fault:
            how = f"correct it, or {remedy(self.path)}"
            raise self._corrupt(fault.message, how, fault.line, fault.column) from fault
        return self.content.tables if self.content is not None else None

    def write(self, data: Tables) -> None:
        """Replace the file's content; the former one becomes the first backup.

        Raises:
            StorageUnusable: if that fails; the file is never half old and half new.
        """
        content = Content.of(data, self.content)
        size = len(content.raw)
        if size > LARGEST_FILE_BYTES:
            raise StorageUnusable(
                f"the configuration would have {size:,} bytes, more than can be read again",
                f"keep it below {LARGEST_FILE_BYTES:,} bytes",
            )
        with self.locked():
            try:
                self._replace(content.raw)
            except OSError as error:
                reason = error.strerror or str(error)
                raise StorageUnusable(
                    f"{self.path} can't be written: {reason}",
                    "check free space and permissions of the data directory",
                ) from error
            self.content = content

    def _take(self, descriptor: int) -> None:
        # flock(2) that waits has no time limit, so that it is tried again and again.
        limit = time.monotonic() + self._lock_seconds
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= limit:
                    raise StorageUnusable(
                        f"{self.path} is being changed by another process, which has held "
                        f"{self._lock_path.name} for more than {self._lock_seconds:g} s",
                        f"try again; this names the process: fuser {self._lock_path}",
                    ) from error
            time.sleep(_PAUSE_SECONDS)

    @property
    def _temporary_prefix(self) -> str:
        return f".{self.path.name}.new-"

    def _sweep(self) -> None:
        for left_over in self.path.parent.glob(f"{self._temporary_prefix}*"):
            with contextlib.suppress(OSError):
                left_over.unlink()

    def _replace(self, content: bytes) -> None:
        directory = self.path.parent
        if self.path.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link")
        descriptor, name = tempfile.mkstemp(prefix=self._temporary_prefix, dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                # Before the rename: after power loss the name must not stand for an empty file.
                os.fsync(descriptor)
            self._rotate()
            os.replace(name, self.path)  # noqa: PTH105 - one rename(2) and nothing else
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
        flush_directory(directory)

    def set_aside(self) -> None:
        """Rename a damaged file to ``<name>.damaged``, which replaces an earlier one.

        Raises:
            StorageUnusable: if that fails.
        """
        aside = self.path.with_name(f"{self.path.name}.damaged")
        with self.locked():
            try:
                self.path.replace(aside)
            except FileNotFoundError:
                return
            except OSError as error:
                why = f"{self.path} can't be renamed: {error.strerror or error}"
                raise StorageUnusable(why, f"move it away, and {aside.name} too") from error

    def _rotate(self) -> None:
        if not self.path.exists():
            return
        backups = backups_of(self.path)
        if backups[0].exists() and backups[0].samefile(self.path):
            return  # an earlier write was stopped between this step and the next
        # A link instead of a rename: the file's own name is never missing.
        newest = self.path.with_name(f"{self._temporary_prefix}backup")
        newest.hardlink_to(self.path)
        newest.chmod(0o600)  # it may hold secrets, also if others could read the file
        for older, newer in zip(reversed(backups), reversed(backups[:-1]), strict=False):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        newest.replace(backups[0])

    def _corrupt(
        self, message: str, remedy: str, line: int | None = None, column: int | None = None
    ) -> CorruptConfiguration:
        return CorruptConfiguration(
            Problem(self.path.name, str(self.path), message, remedy, line, column)
        )
