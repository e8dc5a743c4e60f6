"""The recorder of file system calls (`disk_calls.c`): compiled, preloaded, and read back.

A process that is started with `preloaded` records what it and its children change below a folder,
and can let chosen calls fail through `Calls`.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import subprocess
import tempfile
from enum import IntFlag
from functools import cache
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT_VARIABLE, LOG_VARIABLE = "DISK_CALLS_ROOT", "DISK_CALLS_LOG"

_SOURCE = Path(__file__).with_name("disk_calls.c")
_HEAD = Struct("<IcBHHHIQQQQq")


class Kind(IntFlag):
    """Which calls may fail, as in `disk_calls.c`."""

    OPEN = 1
    CREATE = 2
    WRITE = 4
    SYNC = 8
    NAME = 16
    """`mkdir`, `link`, `rename`."""
    REMOVE = 32
    CHANGE = 64
    """`ftruncate`, `fchmod`."""
    READ = 128


class Record(NamedTuple):
    """One call that changed something, or a note."""

    op: str
    """``c`` create, ``d`` make a folder, ``l`` link, ``r`` rename, ``u`` remove, ``w`` write,
    ``t`` cut to a size, ``s`` flushed, ``e`` flush that failed, ``n`` note."""
    inode: int
    folder: int
    other_folder: int
    replaced: int
    offset: int
    name: str
    other_name: str
    data: bytes


@cache
def library() -> Path:
    """Return the recorder, compiled once for this process into a folder of its own."""
    folder = tempfile.mkdtemp(prefix="dicomdock-disk-calls-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = Path(folder, "disk_calls.so")
    options = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run(["cc", *options, "-o", str(target), str(_SOURCE), "-ldl"], check=True)
    return target


def preloaded(root: Path, log: Path) -> dict[str, str]:
    """Return an environment in which a process records what happens below a folder."""
    names = {"LD_PRELOAD": str(library()), ROOT_VARIABLE: str(root), LOG_VARIABLE: str(log)}
    return os.environ | names


class Calls:
    """The recorder of this process, which was started with `preloaded`."""

    def __init__(self) -> None:
        self.root = Path(os.environ[ROOT_VARIABLE])
        self._log = Path(os.environ[LOG_VARIABLE])
        self._read = 0
        self._library = ctypes.CDLL(None)
        self._library.disk_calls_counted.restype = ctypes.c_long
        self._library.disk_calls_failed.restype = ctypes.c_char_p

    def note(self, text: str) -> None:
        """Put a note between the calls."""
        self._library.disk_calls_note(text.encode())

    def record(self, on: bool) -> None:
        """Begin or stop to record the calls of this process."""
        self._library.disk_calls_record(int(on))

    def take(self) -> list[Record]:
        """Return the records since the last time."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            content = log.read()
        self._read += len(content)
        return list(_records(content))

    def fail(self, at: int, error: int, kinds: Kind, *, lasting: bool = False) -> None:
        """Let one call of this process fail: the one of that number among its kinds, from 1 on.

        Args:
            at: which call; 0 for none, they are counted all the same.
            error: the `errno` of the failure.
            kinds: which calls are counted.
            lasting: whether all later calls of these kinds fail too.
        """
        self._library.disk_calls_fail(ctypes.c_long(at), error, int(kinds), int(lasting))

    def heal(self) -> None:
        """Let no more calls fail, or be counted."""
        self._library.disk_calls_heal()

    def counted(self) -> int:
        """Return how many calls there have been between `fail` and `heal`."""
        return int(self._library.disk_calls_counted())

    def failed(self) -> str:
        """Return which call failed; empty if none has."""
        text: bytes = self._library.disk_calls_failed()
        return text.decode("utf-8", "replace")


def _records(content: bytes) -> Iterator[Record]:
    at = 0
    while at < len(content):
        size, op, _, name, other, _, data, inode, folder, second, replaced, offset = (
            _HEAD.unpack_from(content, at)
        )
        names_at = at + _HEAD.size
        data_at = names_at + name + other
        yield Record(
            op.decode(),
            *(inode, folder, second, replaced, offset),
            content[names_at : names_at + name].decode("utf-8", "surrogateescape"),
            content[names_at + name : data_at].decode("utf-8", "surrogateescape"),
            content[data_at : data_at + data],
        )
        at += size
