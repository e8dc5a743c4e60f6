"""The doorbell of the session timer: whoever has queued a request rings, in any process.

It is a FIFO in the data directory that carries nothing but the news that there is something to do;
what there is, is in the index. Where a file system has no FIFOs, only the engine itself can ring,
and what commands ask for is found when the timer looks anyway.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable

if TYPE_CHECKING:
    from pathlib import Path

_DRAINED_BYTES = 4096
_NO_FIFOS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS))
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


class Bell:
    """Waited for by one thread, rung by any."""

    def __init__(self, path: Path) -> None:
        self._fds = _open(path)
        self._lock = threading.Lock()
        """Guards the descriptor for ringing: closed ones belong to somebody else soon."""
        self._is_closed = False
        self._poll = select.poll()
        self._poll.register(self._fds[0], select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Return when it rings or the time is over."""
        if self._poll.poll(seconds * 1000):
            with suppress(BlockingIOError):  # another process has heard it
                os.read(self._fds[0], _DRAINED_BYTES)

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that would; once closed, nobody."""
        with self._lock:
            if not self._is_closed:
                _ring(self._fds[1])

    def close(self) -> None:
        """Forget the FIFO, which stays for the next run; nobody may wait any more."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for fd in set(self._fds):
                os.close(fd)


def ring(path: Path) -> bool:
    """Ring from another process; return whether anybody listens."""
    try:
        fd = os.open(path, os.O_WRONLY | _FLAGS)
    except OSError:
        return False
    try:
        _ring(fd)
    finally:
        os.close(fd)
    return True


def _open(path: Path) -> tuple[int, int]:
    """Return where to listen and where to ring."""
    try:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        if not stat.S_ISFIFO(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "something else is there")
        # Opened for writing too, so that there is no end of file when a ringer leaves.
        fd = os.open(path, os.O_RDWR | _FLAGS)
    except OSError as error:
        if error.errno in _NO_FIFOS:
            return os.pipe2(_FLAGS & ~os.O_NOFOLLOW)
        raise StorageUnusable(
            f"{path}: {error.strerror}", "remove it, and let the engine make it"
        ) from error
    return fd, fd


def _ring(fd: int) -> None:
    with suppress(BlockingIOError):  # so many have rung that it is full of it
        os.write(fd, b"!")
