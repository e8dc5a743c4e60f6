"""The engine lock: one engine per data directory; the kernel frees it when its holder ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from engine.errors import AlreadyRunning, StorageUnusable

if TYPE_CHECKING:
    from pathlib import Path

    from engine.host.clock import Clock

# So a lock is tried for 0.1 s, longer than `holder` of another process has it.
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.02
_LONGEST_CONTENT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds the lock, as the lock file names it."""

    pid: int | None = None
    host: str = ""
    since: datetime | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "another process"
        since = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        return f"pid {self.pid} on {self.host}{since}"


class EngineLock:
    """A held lock: taken by `acquire`, freed by `release` or by the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: Path, clock: Clock) -> EngineLock:
        """Take the lock and write its holder into the file.

        Raises:
            AlreadyRunning: if another process holds it; names the process.
            StorageUnusable: if the file can't be opened or written.
        """
        descriptor = open_lock_file(path)
        try:
            _lock(descriptor, path)
            _write_holder(descriptor, path, clock)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @staticmethod
    def holder(path: Path) -> Holder | None:
        """Return the holder of the lock; None if it is free, whatever the file says.

        Raises:
            StorageUnusable: if the file exists but can't be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            # A shared lock for an instant: `acquire` tries again for longer than that.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_holder(descriptor)
        finally:
            os.close(descriptor)
        return None

    def release(self) -> None:
        """Free the lock. The file stays: otherwise a process could lock a deleted one."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                # So that nobody reads the name of an engine that has ended. The file itself stays.
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def open_lock_file(path: Path) -> int:
    """Open a lock file, and create it and its directory if needed; never through a symlink.

    Raises:
        StorageUnusable: if it can't be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def _lock(descriptor: int, path: Path) -> None:
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE_SECONDS)
    raise _already_running(path, _read_holder(descriptor))


def _write_holder(descriptor: int, path: Path, clock: Clock) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": clock.now().isoformat(timespec="seconds"),
    }
    try:
        # Under the lock, so that no other process writes at the same time.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)
    except OSError as error:
        raise _unusable(path, error) from error


def _read_holder(descriptor: int) -> Holder:
    try:
        # The holder may be just writing it: then the file is empty or half written.
        content = json.loads(os.pread(descriptor, _LONGEST_CONTENT_BYTES, 0))
        since = datetime.fromisoformat(content["since"])
        return Holder(int(content["pid"]), str(content["host"]), since)
    except (OSError, ValueError, TypeError, KeyError):
        return Holder()


def _already_running(path: Path, holder: Holder) -> AlreadyRunning:
    if holder.pid is None:
        remedy = f"find it with: fuser {path}"
    elif holder.host == socket.gethostname():
        remedy = f"use that engine, or stop it with: kill {holder.pid}"
    else:
        remedy = f"use that engine, or stop it on {holder.host}"
    return AlreadyRunning(f"{path.parent} is in use by {holder}", remedy)


def _unusable(path: Path, error: OSError) -> StorageUnusable:
    if path.is_symlink():
        return StorageUnusable(f"{path} is a symbolic link", "remove the link")
    reason = error.strerror or str(error)
    remedy = "check the directory and its permissions"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        remedy = "raise the limit of open files (ulimit -n, LimitNOFILE=)"
    return StorageUnusable(f"{path}: {reason}", remedy)
