"""Renaming without overwriting, in one step: whatever has the old name moves, nothing is lost.

A link and an unlink would be two steps: an object that replaced the first one between them would be
unlinked. Linux has one call for it. Some file systems lack that (NFS, some of FUSE): there an empty
file reserves the new name, and a plain rename puts the object in its place.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

_NOREPLACE = 1
_AT_FDCWD = -100
_LACKING = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP))
_RESERVED = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o640


class _Call(Protocol):
    """``renameat2`` of the C library."""

    def __call__(self, old_fd: int, old: bytes, new_fd: int, new: bytes, flags: int, /) -> int: ...


def rename_new(source: Path, target: Path) -> None:
    """Give a file or folder a new name on the same file system; links are moved, not followed.

    Where the file system has no call for it, a name that only an empty file has counts as free.

    Raises:
        FileExistsError: if something has that name.
        OSError: if the storage fails.
    """
    code = _rename_at_once(source, target)
    if code in _LACKING:
        _rename_reserved(source, target)
    elif code:
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def _rename_at_once(source: Path, target: Path) -> int:
    """Return 0, or the number of the error."""
    call = _renameat2()
    if call is None:
        return errno.ENOSYS
    old, new = os.fsencode(source), os.fsencode(target)
    if call(_AT_FDCWD, old, _AT_FDCWD, new, _NOREPLACE) == 0:
        return 0
    return ctypes.get_errno()


@cache
def _renameat2() -> _Call | None:
    """Return the call; None if the C library is too old for it."""
    call: _Call | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return call


def _rename_reserved(source: Path, target: Path) -> None:
    if stat.S_ISDIR(source.lstat().st_mode):
        source.rename(target)  # which replaces no folder that holds anything
        return
    if not _is_reserved(target):
        os.close(os.open(target, _RESERVED, _FILE_MODE))
    try:
        source.rename(target)
    except OSError:
        if _is_reserved(target):
            target.unlink()
        raise


def _is_reserved(path: Path) -> bool:
    """Tell whether a file is empty, as a crash leaves a name that was reserved."""
    with suppress(FileNotFoundError):
        status = path.lstat()
        return stat.S_ISREG(status.st_mode) and status.st_size == 0
    return False
