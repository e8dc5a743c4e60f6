"""The configuration file: JSON that is replaced as a whole or not at all, with backups."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import stat
import tempfile
import time
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tinydb.storages import Storage

from engine.errors import CorruptConfiguration, Problem, StorageUnusable
from engine.lock import open_lock_file

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKUPS_KEPT = 5
LOCK_SECONDS = 10.0
LARGEST_FILE_BYTES = 16 * 1024 * 1024

_PAUSE_SECONDS = 0.02

Tables = dict[str, dict[str, Any]]


class AtomicJSONStorage(Storage):
    """TinyDB's storage in one JSON file that a crash, a full disk or a second writer can't tear.

    One object serves one thread; any number of objects and processes may share the file. Hold
    `locked` around reading, changing and writing.
    """

    def __init__(self, path: str | Path, lock_seconds: float = LOCK_SECONDS) -> None:
        self.path = Path(path).absolute()
        self._lock_path = self.path.with_name(f"{self.path.name}.lock")
        self._lock_seconds = lock_seconds
        self._locked = False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers away, and sweep what a killed one left behind.

        Raises:
            StorageUnusable: if another process holds the lock for longer than the time limit.
        """
        if self._locked:
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
        """Return the tables; None if the file is absent, and only then.

        Raises:
            CorruptConfiguration: naming the place of the fault and the newest readable backup.
        """
        try:
            content = _content(self.path)
            return None if content is None else _tables(content)
        except _Unreadable as fault:
            problem = Problem(
                str(self.path), fault.excerpt, fault.message, self._remedy(), fault.line
            )
            raise CorruptConfiguration(problem) from fault

    def write(self, data: Tables) -> None:
        """Replace the file's content; the former one becomes the first backup.

        Raises:
            StorageUnusable: if that fails; the file is never half old and half new.
        """
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        # A lone surrogate becomes \udXXX, which is JSON's own way to write it.
        content = text.encode("utf-8", "backslashreplace")
        if len(content) > LARGEST_FILE_BYTES:
            raise StorageUnusable(
                f"the configuration would have {len(content):,} bytes, more than can be read again",
                f"keep it below {LARGEST_FILE_BYTES:,} bytes",
            )
        with self.locked():
            try:
                self._replace(content)
            except OSError as error:
                reason = error.strerror or str(error)
                raise StorageUnusable(
                    f"{self.path} can't be written: {reason}",
                    "check free space and permissions of the data directory",
                ) from error

    def _take(self, descriptor: int) -> None:
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
    def _left_over_prefix(self) -> str:
        return f".{self.path.name}.new-"

    def _sweep(self) -> None:
        for left_over in self.path.parent.glob(f"{self._left_over_prefix}*"):
            with contextlib.suppress(OSError):
                left_over.unlink()

    def _replace(self, content: bytes) -> None:
        directory = self.path.parent
        if self.path.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link")
        descriptor, name = tempfile.mkstemp(prefix=self._left_over_prefix, dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            self._rotate()
            os.replace(name, self.path)  # noqa: PTH105 - one rename(2) and nothing else
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
        _flush_directory(directory)

    def _rotate(self) -> None:
        if not self.path.exists():
            return
        backups = self._backups()
        if backups[0].exists() and backups[0].samefile(self.path):
            return  # an earlier write was stopped between this step and the next
        # A link instead of a rename: the file's own name is never missing.
        newest = self.path.with_name(f"{self._left_over_prefix}backup")
        newest.hardlink_to(self.path)
        newest.chmod(0o600)
        for older, newer in zip(reversed(backups), reversed(backups[:-1]), strict=False):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        newest.replace(backups[0])

    def _backups(self) -> list[Path]:
        """Return the names of all backups, newest first."""
        name = self.path.name
        return [self.path.with_name(f"{name}.bak.{i}") for i in range(1, BACKUPS_KEPT + 1)]

    def _remedy(self) -> str:
        for backup in self._backups():
            with contextlib.suppress(_Unreadable):
                content = _content(backup)
                if content is not None and _tables(content) is not None:
                    command = shlex.join(["cp", str(backup), str(self.path)])
                    return f"mend it, or restore the newest readable backup: {command}"
        return "mend it; there is no readable backup"


class _Unreadable(Exception):
    """Why a file is not a configuration, and where."""

    def __init__(self, message: str, excerpt: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.excerpt = excerpt
        self.line = line


def _content(path: Path) -> bytes | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _Unreadable("is not a regular file")
            if status.st_size > LARGEST_FILE_BYTES:
                raise _Unreadable(f"is larger than {LARGEST_FILE_BYTES:,} bytes")
            return file.read(LARGEST_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        linked = error.errno == errno.ELOOP
        reason = "it is a symbolic link" if linked else error.strerror or str(error)
        raise _Unreadable(f"can't be opened: {reason}") from error


def _tables(content: bytes) -> Tables:
    if not content.strip():
        raise _Unreadable(f"is empty ({len(content)} bytes), which no configuration is")
    try:
        text = content.decode("utf-8-sig")
        tables = json.loads(text, object_pairs_hook=_members, parse_constant=_not_a_number)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(f"is not UTF-8 text (byte {error.start})", line=line) from error
    except JSONDecodeError as error:
        excerpt = error.doc.splitlines()[error.lineno - 1 : error.lineno]
        message = f"{error.msg} at column {error.colno}"
        raise _Unreadable(message, "".join(excerpt).strip()[:60], error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"is not acceptable JSON: {error}") from error
    if not isinstance(tables, dict):
        raise _Unreadable("is not a JSON object of tables", text.strip()[:60])
    return tables


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise _Unreadable("contains this name twice in one place", name[:60])
        members[name] = value
    return members


def _not_a_number(text: str) -> NoReturn:
    raise _Unreadable("contains a number that JSON does not know", text)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
