"""The control socket: made ready under another name, so that nobody ever meets it half made."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODE = 0o660
"""For the owner and its group: who may connect may do everything."""
BACKLOG = 1024
"""Connections that wait to be accepted; a flood must not fill it faster than they are."""
_LONGEST_PATH_BYTES = 107
"""``sun_path`` of Linux, without the NUL."""


def listen_at(path: Path) -> socket.socket:
    """Return a listening UNIX socket; one that an engine before left behind is replaced.

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
        fresh.replace(path)
    except BaseException:
        listening.close()
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    return listening


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Give a name of a socket that is short enough for the kernel, however deep it lies."""
    if len(os.fsencode(path)) <= _LONGEST_PATH_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
