"""Wakes threads that wait for a change: a signal within a process, a FIFO between processes."""

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
    """Wakes waiting threads, and calls functions, at each change; for all threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._callbacks: tuple[Callable[[], None], ...] = ()

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call a function at each change; it must only wake a thread. The result ends that."""
        with self._changed:
            self._callbacks = (*self._callbacks, callback)
        return lambda: self._remove(callback)

    def notify(self) -> None:
        """Wake all waiting threads; who reads for them must find the change by now."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()
            # Called without the lock: a callback may take locks of its own.
            callbacks = self._callbacks
        for callback in callbacks:
            callback()

    def until(self, deadline: float) -> Iterator[None]:
        """Yield at once, and after each change until `deadline` of the monotonic clock."""
        while True:
            with self._changed:
                # Before the caller looks: a change during its look counts as one more, and is not
                # missed.
                seen = self._count
            # Without the lock: a thread that notifies may hold a lock that the caller needs.
            yield
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
    """A FIFO that one thread waits for, and any thread or process writes to."""

    def __init__(self, path: Path) -> None:
        self._fds = _open(path)
        self._lock = threading.Lock()
        """Guards the descriptors against `close`: the number of a closed one is used again soon."""
        self._is_closed = False
        self._poll = select.poll()
        self._poll.register(self._fds[0], select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Return after a wake-up, or after the time."""
        if self._poll.poll(seconds * 1000):
            # Another process may have read it in between.
            with suppress(BlockingIOError):
                os.read(self._fds[0], _DRAINED_BYTES)

    def notify(self) -> None:
        """Wake the waiting thread, or the next `wait`; does nothing once closed."""
        with self._lock:
            if not self._is_closed:
                _notify(self._fds[1])

    def close(self) -> None:
        """Close the FIFO; its file stays for the next run. No thread may wait any more."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for fd in set(self._fds):
                os.close(fd)


def notify(path: Path) -> bool:
    """Wake the engine from another process; return False if none listens."""
    try:
        # Fails at once if no process has the FIFO open for reading (fifo(7)).
        fd = os.open(path, os.O_WRONLY | _FLAGS)
    except OSError:
        return False
    try:
        _notify(fd)
    finally:
        os.close(fd)
    return True


def _open(path: Path) -> tuple[int, int]:
    """Return the descriptors for reading and for writing."""
    try:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # A plain file in its place would always be ready to read: the thread would spin.
        if not stat.S_ISFIFO(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "something else is there")
        # Opened for writing too: otherwise the last writer that leaves would be an end of file,
        # which `poll` reports again and again.
        fd = os.open(path, os.O_RDWR | _FLAGS)
    except OSError as error:
        if error.errno in _NO_FIFOS:
            return os.pipe2(_FLAGS & ~os.O_NOFOLLOW)
        raise StorageUnusable(
            f"{path}: {error.strerror}", "remove it, and let the engine make it"
        ) from error
    return fd, fd


def _notify(fd: int) -> None:
    # Full of wake-ups: one more is not needed.
    with suppress(BlockingIOError):
        os.write(fd, b"!")
