"""Wakes who waits for a change: a signal among threads, and a FIFO for other processes too."""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DRAINED_BYTES = 4096
_NO_FIFOS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS))
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


class ChangeSignal:
    """Says *that* something changed: to those who wait for it, and to functions; for any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._callbacks: tuple[Callable[[], None], ...] = ()

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call a function, which only wakes somebody, at each change; return what ends that."""
        with self._changed:
            self._callbacks = (*self._callbacks, callback)
        return lambda: self._remove(callback)

    def notify(self) -> None:
        """Wake all on the calling thread; what was changed may still have to be committed."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()
            callbacks = self._callbacks
        for callback in callbacks:
            callback()

    def until(self, deadline: float) -> Iterator[None]:
        """Yield at once, and after each change until a moment of the monotonic clock."""
        while True:
            with self._changed:
                seen = self._count
            yield  # without the lock, for who changes something holds others
            if not self._wait(seen, deadline):
                return

    def _wait(self, seen: int, deadline: float) -> bool:
        with self._changed:
            left = deadline - monotonic()
            return left > 0 and self._changed.wait_for(lambda: self._count != seen, left)

    def _remove(self, callback: Callable[[], None]) -> None:
        with self._changed:
            self._callbacks = tuple(c for c in self._callbacks if c != callback)


class WakeupPipe:
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

    def notify(self) -> None:
        """Wake the thread that waits, or the next one that would; once closed, nobody."""
        with self._lock:
            if not self._is_closed:
                _notify(self._fds[1])

    def close(self) -> None:
        """Forget the FIFO, which stays for the next run; nobody may wait any more."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for fd in set(self._fds):
                os.close(fd)


def notify(path: Path) -> bool:
    """Ring from another process; return whether anybody listens."""
    try:
        fd = os.open(path, os.O_WRONLY | _FLAGS)
    except OSError:
        return False
    try:
        _notify(fd)
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


def _notify(fd: int) -> None:
    with suppress(BlockingIOError):  # so many have rung that it is full of it
        os.write(fd, b"!")
