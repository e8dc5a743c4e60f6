"""Creates, opens and renames folders below a root step by step, never through a link."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from engine.errors import ProcessingFailed
from engine.settings import Durability

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path


FOLDER_MODE = 0o750
KEPT_OPEN = 8
"""How many folders stay open, because an association may mix the series of a study."""

_KNOWN_FOLDERS = 10_000
"""With more known folders all are forgotten, which costs one more flush for each."""
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def require_name(name: str) -> None:
    """Refuse a name that leads elsewhere. `placement` makes none, so this is a second check.

    Raises:
        ProcessingFailed: if it is not the name of an entry of a folder.
    """
    if "/" in name or "\0" in name or name in {"", ".", ".."}:
        raise ProcessingFailed("a folder or file name is unsafe")


class FlushedFolders:
    """The folders below a root whose names are known to be on the disk; for all threads.

    That a folder exists does not prove it: the thread that made it may be still flushing, may have
    failed, or may have been killed before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inodes: dict[tuple[str, ...], object] = {}
        """Device and inode of each folder; a unique mark for one that is being made."""

    def seen(self, path: tuple[str, ...]) -> object:
        """Return the present entry of a path, to pass to `flush`."""
        return self._inodes.get(path)

    def begin_to_make(self, path: tuple[str, ...]) -> object:
        """Forget a path before a folder is made there: it may get the inode of a removed one."""
        mark = object()
        with self._lock:
            self._inodes[path] = mark
        return mark

    def flush(self, path: tuple[str, ...], fd: int, parent_fd: int, seen: object) -> None:
        """Flush the name of an open folder, unless it is known to be on the disk.

        Args:
            path: the path of the folder, relative to the root.
            fd: the folder.
            parent_fd: the folder above it.
            seen: the entry of the path from before the folder was opened.

        Raises:
            OSError: if it can't be flushed; the name does not count as flushed then.
        """
        status = os.fstat(fd)
        inode = status.st_dev, status.st_ino
        # The inode as well as the path: a folder that was removed and made again has the same path,
        # and its name may not be on the disk.
        if seen == inode:
            return
        # The name of a folder is an entry of the one above, so that one is flushed. Outside the
        # lock: a flush may take milliseconds, and threads of other folders need not wait for it.
        os.fsync(parent_fd)
        with self._lock:
            if self._inodes.get(path) is not seen:
                # Removed and made again by another thread meanwhile.
                return
            if len(self._inodes) >= _KNOWN_FOLDERS:
                self._inodes.clear()
            self._inodes[path] = inode


def open_folder(
    root_fd: int,
    parts: tuple[str, ...],
    flushed: FlushedFolders | None = None,
    *,
    make: bool = True,
) -> int:
    """Open a folder below another one step by step, without following links.

    Args:
        root_fd: the other folder.
        parts: the names of the path.
        flushed: the known folders, if the names must be on the disk; None if not.
        make: whether missing folders are created.

    Returns:
        A descriptor that the caller closes.
    """
    # One `open` for each name: O_NOFOLLOW protects only the last name of a path (open(2)).
    fds = [os.dup(root_fd)]
    seen = []
    try:
        for depth in range(1, len(parts) + 1):
            seen.append(flushed.seen(parts[:depth]) if flushed else None)
            try:
                fds.append(os.open(parts[depth - 1], _FOLDER_FLAGS, dir_fd=fds[-1]))
            except FileNotFoundError:
                if not make:
                    raise
                if flushed:
                    seen[-1] = flushed.begin_to_make(parts[:depth])
                fds.append(_make(fds[-1], parts[depth - 1]))
        # All folders are made before the first flush: a file system with a journal commits all of
        # them with it. Five new folders take 14 ms so, and 32 ms if each is flushed at once (2026,
        # ext4 on a busy disk).
        if flushed:
            for depth, entry in enumerate(seen, 1):
                flushed.flush(parts[:depth], fds[depth], fds[depth - 1], entry)
        return fds.pop()
    finally:
        for fd in fds:
            os.close(fd)


@contextmanager
def opened(
    folder: Path,
    roots: Iterable[Path],
    flushed: FlushedFolders | None = None,
    *,
    make: bool = False,
) -> Iterator[int]:
    """Open a folder for the block, without following links below its root.

    Args:
        folder: the path of the folder.
        roots: folders that may be reached through links; below them, none is followed.
        flushed: the known folders, if the names must be on the disk; None if not.
        make: whether missing folders, and the root, are created.
    """
    root = next((root for root in roots if folder.is_relative_to(root)), folder)
    if make:
        root.mkdir(FOLDER_MODE, parents=True, exist_ok=True)  # somebody may have removed it
    root_fd = os.open(root, _FOLDER_FLAGS & ~os.O_NOFOLLOW)
    try:
        fd = open_folder(root_fd, folder.relative_to(root).parts, flushed, make=make)
    finally:
        os.close(root_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _make(parent_fd: int, name: str) -> int:
    with suppress(FileExistsError):  # another thread was faster
        os.mkdir(name, FOLDER_MODE, dir_fd=parent_fd)
    fd = os.open(name, _FOLDER_FLAGS, dir_fd=parent_fd)
    try:
        os.fchmod(fd, FOLDER_MODE)  # whatever the umask
    except OSError:
        os.close(fd)
        raise
    return fd


@dataclass(frozen=True, slots=True)
class _OpenFolder:
    fd: int
    path: str
    device: int
    inode: int


class OpenFolders:
    """The folders that one association stores into, kept open while they stay in place."""

    def __init__(self, root_fd: int, flushed: FlushedFolders | None = None) -> None:
        """Use a root, and the known flushed folders of all threads."""
        self._root_fd = root_fd
        self._flushed = flushed or FlushedFolders()
        self._kept: dict[tuple[str, ...], _OpenFolder] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, parts: tuple[str, ...], durability: Durability, *, make: bool = True) -> int:
        """Return a descriptor of a folder; it stays open here, so do not close it.

        Args:
            parts: the names of the path.
            durability: if `FULL`, the names are flushed.
            make: whether missing folders are created.

        Raises:
            OSError: if a folder can't be created or opened, or if a link is in its place.
            ProcessingFailed: if a name is unsafe.
        """
        kept = self._kept.get(parts)
        if kept is not None:
            # One `stat` for each object: the session may have been moved since, and a file put into
            # the open folder would move with it.
            if self._is_where_it_was(kept):
                return kept.fd
            self._forget(parts)
        for name in parts:
            require_name(name)
        # The folder that was opened first is closed.
        if len(self._kept) == KEPT_OPEN:
            self._forget(next(iter(self._kept)))
        flushed = self._flushed if durability is Durability.FULL else None
        fd = open_folder(self._root_fd, parts, flushed, make=make)
        try:
            status = os.fstat(fd)
        except OSError:
            os.close(fd)
            raise
        self._kept[parts] = _OpenFolder(fd, "/".join(parts), status.st_dev, status.st_ino)
        return fd

    def close(self) -> None:
        """Close all folders."""
        for parts in tuple(self._kept):
            self._forget(parts)

    def _is_where_it_was(self, kept: _OpenFolder) -> bool:
        """Tell whether the path still leads to the folder: it may have been moved or removed."""
        try:
            status = os.stat(kept.path, dir_fd=self._root_fd, follow_symlinks=False)
        except OSError:
            return False
        return status.st_ino == kept.inode and status.st_dev == kept.device

    def _forget(self, parts: tuple[str, ...]) -> None:
        os.close(self._kept.pop(parts).fd)


_NOREPLACE = 1
# A kernel without the call, and a file system without the flag (renameat2(2)).
_LACKING = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP))
_RESERVED = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o640


class _Call(Protocol):
    """``renameat2`` of the C library."""

    def __call__(self, old_fd: int, old: bytes, new_fd: int, new: bytes, flags: int, /) -> int: ...


def rename_new(source: Path, target: Path, *, roots: Collection[Path] = ()) -> None:
    """Rename a file or folder without overwriting; links are renamed, not followed.

    On a file system without ``RENAME_NOREPLACE``, the name of an empty file counts as free.

    Args:
        source: the file or folder.
        target: its new path, in an existing folder of the same file system.
        roots: folders below which no link is followed, also none that is made meanwhile.

    Raises:
        FileExistsError: if the name is taken.
        OSError: if the storage fails, or a link is in the way.
    """
    with opened(source.parent, roots) as old_fd, opened(target.parent, roots) as new_fd:
        old, new = _Name(old_fd, source.name), _Name(new_fd, target.name)
        # rename(2) would replace an empty folder, or a file. Only renameat2 with RENAME_NOREPLACE
        # refuses, in one step.
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
    """Rename with ``RENAME_NOREPLACE``; return 0 or the error number."""
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
        # rename(2) replaces a folder only if it is empty.
        _rename(old, new)
        return
    if not _is_reserved(new):
        # The name is reserved by an empty file, which fails if anything has it; then the rename
        # replaces only that file.
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
    """Tell whether a name is an empty file, as a crash leaves a reserved name."""
    with suppress(FileNotFoundError):
        status = name.status()
        return stat.S_ISREG(status.st_mode) and status.st_size == 0
    return False
