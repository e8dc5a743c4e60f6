"""Reads certificate files, each at once and whole, and describes their errors."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import InvalidReceiver, Problem
from engine.model.tls import TLS_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.tls import TlsSettings

_MAX_FILE_BYTES = 1024 * 1024
_SHOWN_CHARACTERS = 80

Stamp = tuple[tuple[int, ...] | None, ...]
"""Changes as soon as one of the files is written or replaced."""


def stamp_of(tls: TlsSettings) -> Stamp:
    """Return the stamp of the TLS files, to notice changes without reading them."""
    return tuple(_stamp(getattr(tls, name.removeprefix("tls_"))) for name in TLS_FILES)


def content(field: str, path: str) -> bytes:
    """Return the bytes of a plain file of at most 1 MiB.

    Raises:
        InvalidReceiver: naming the file and what is wrong with it.
    """
    try:
        # Without blocking: opening a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # Of the open file: the name may lead to another one by now.
            fault = _fault(os.fstat(descriptor))
            if fault:
                raise invalid(field, path, fault, "name a PEM file")
            return os.read(descriptor, _MAX_FILE_BYTES)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise invalid(field, path, "does not exist", "create it or name another file") from error
    except PermissionError as error:
        remedy = "let the user that runs dicomdock read it"
        raise invalid(field, path, "may not be read by this user", remedy) from error
    except (OSError, ValueError) as error:
        message = f"can't be read ({getattr(error, 'strerror', None) or error})"
        raise invalid(field, path, message, "name another file") from error


@contextmanager
def in_memory(held: bytes) -> Iterator[str]:
    """Give bytes a file name until the block ends: Python's ssl reads keys from files only.

    So the key that is used is the one that was checked, and none is written to a disk.
    """
    descriptor = os.memfd_create("tls")
    try:
        os.write(descriptor, held)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def invalid(field: str, path: str, message: str, remedy: str) -> InvalidReceiver:
    """Return the error for a file of a TLS field."""
    return InvalidReceiver(Problem(field, cut(path), message, remedy))


def cut(path: str) -> str:
    """Return a path for messages: of a long one only the end."""
    return path if len(path) <= _SHOWN_CHARACTERS else "…" + path[1 - _SHOWN_CHARACTERS :]


def _fault(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    return "is larger than 1 MiB" if status.st_size > _MAX_FILE_BYTES else ""


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - Path("") would be the current directory
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode
