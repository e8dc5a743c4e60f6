"""Makes the control socket under a temporary name, and gives socket paths of any length."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODE = 0o660
"""Owner and group: a process that can connect has full control of the engine."""
BACKLOG = 1024
"""Connections that may wait to be accepted, also during a flood."""
_LONGEST_PATH_BYTES = 107
"""``sun_path`` of Linux, without the NUL."""


def listen_at(path: Path) -> socket.socket:
    """Return a listening UNIX socket; one that an earlier engine left is replaced.

    Raises:
        OSError: if it can't be made.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        fresh.unlink(missing_ok=True)
        with reachable(fresh) as short:
            listening.bind(short)
        fresh.chmod(MODE)
        listening.listen(BACKLOG)
        # Last: no client meets a socket with another mode, or one that does not listen yet.
        fresh.replace(path)
    except BaseException:
        listening.close()
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    return listening


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yield a name of a socket that fits into ``sun_path``, for a path of any length."""
    if len(os.fsencode(path)) <= _LONGEST_PATH_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
