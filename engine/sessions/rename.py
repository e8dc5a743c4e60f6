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
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.sessions.folders import opened

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_NOREPLACE = 1
_LACKING = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP))
_RESERVED = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o640


class _Call(Protocol):
    """``renameat2`` of the C library."""

    def __call__(self, old_fd: int, old: bytes, new_fd: int, new: bytes, flags: int, /) -> int: ...


def rename_new(source: Path, target: Path, *, roots: Collection[Path] = ()) -> None:
    """Give a file or folder a new name on the same file system; links are moved, not followed.

    Where the file system has no call for it, a name that only an empty file has counts as free.

    Args:
        source: what is moved.
        target: its new name, in a folder that is there.
        roots: folders below which no link is followed, also none that is made at this moment.

    Raises:
        FileExistsError: if something has that name.
        OSError: if the storage fails, or a link stands in the way.
    """
    with opened(source.parent, roots) as old_fd, opened(target.parent, roots) as new_fd:
        old, new = _Name(old_fd, source.name), _Name(new_fd, target.name)
        code = _rename_at_once(old, new)
        if code in _LACKING:
            _rename_reserved(old, new)
        elif code:
            raise OSError(code, os.strerror(code), str(source), None, str(target))


class _Name(NamedTuple):
    """A name in an open folder."""

    fd: int
    name: str

    def status(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)


def _rename_at_once(old: _Name, new: _Name) -> int:
    """Return 0, or the number of the error."""
    call = _renameat2()
    if call is None:
        return errno.ENOSYS
    if call(old.fd, os.fsencode(old.name), new.fd, os.fsencode(new.name), _NOREPLACE) == 0:
        return 0
    return ctypes.get_errno()


@cache
def _renameat2() -> _Call | None:
    """Return the call; None if the C library is too old for it."""
    call: _Call | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return call


def _rename_reserved(old: _Name, new: _Name) -> None:
    if stat.S_ISDIR(old.status().st_mode):
        _rename(old, new)  # which replaces no folder that holds anything
        return
    if not _is_reserved(new):
        os.close(os.open(new.name, _RESERVED, _FILE_MODE, dir_fd=new.fd))
    try:
        _rename(old, new)
    except OSError:
        if _is_reserved(new):
            os.unlink(new.name, dir_fd=new.fd)
        raise


def _rename(old: _Name, new: _Name) -> None:
    os.rename(old.name, new.name, src_dir_fd=old.fd, dst_dir_fd=new.fd)


def _is_reserved(name: _Name) -> bool:
    """Tell whether a file is empty, as a crash leaves a name that was reserved."""
    with suppress(FileNotFoundError):
        status = name.status()
        return stat.S_ISREG(status.st_mode) and status.st_size == 0
    return False
