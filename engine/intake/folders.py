"""Folders below a root: made where they are missing, opened step by step, never through a link."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.errors import ProcessingFailed
from engine.settings import Durability

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER_MODE = 0o750
KEPT_OPEN = 8
"""How many folders stay open: an association may mix the series of a study."""

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def require_name(name: str) -> None:
    """Refuse a name that leads elsewhere; that nobody asks for one is `placement`'s promise.

    Raises:
        ProcessingFailed: if it is not the name of one entry of a folder.
    """
    if "/" in name or "\0" in name or name in {"", ".", ".."}:
        raise ProcessingFailed("a folder or file name is unsafe")


def open_folder(root_fd: int, parts: Sequence[str], durability: Durability) -> int:
    """Open a folder below another one step by step, without following links, and make it if needed.

    Returns:
        A descriptor that the caller closes.
    """
    fd = os.dup(root_fd)
    try:
        for part in parts:
            inner = _enter(fd, part, durability)
            os.close(fd)
            fd = inner
    except OSError:
        os.close(fd)
        raise
    return fd


def _enter(folder_fd: int, name: str, durability: Durability) -> int:
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=folder_fd)
    except FileNotFoundError:
        pass
    with suppress(FileExistsError):  # another thread was faster
        os.mkdir(name, FOLDER_MODE, dir_fd=folder_fd)
    fd = os.open(name, _FOLDER_FLAGS, dir_fd=folder_fd)
    try:
        os.fchmod(fd, FOLDER_MODE)  # whatever the umask
        if durability is Durability.FULL:
            os.fsync(folder_fd)
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
    """The folders that one thread files into, kept open until they are elsewhere or closed."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._kept: dict[tuple[str, ...], _OpenFolder] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, parts: tuple[str, ...], durability: Durability) -> int:
        """Return a descriptor of a folder, which stays ours; the folder is made if needed.

        Raises:
            OSError: if it can't be made or opened, or if a link stands in its way.
            ProcessingFailed: if a name is none.
        """
        kept = self._kept.get(parts)
        if kept is not None:
            if self._is_where_it_was(kept):
                return kept.fd
            self._forget(parts)
        for name in parts:
            require_name(name)
        if len(self._kept) == KEPT_OPEN:
            self._forget(next(iter(self._kept)))
        fd = open_folder(self._root_fd, parts, durability)
        try:
            status = os.fstat(fd)
        except OSError:
            os.close(fd)
            raise
        self._kept[parts] = _OpenFolder(fd, "/".join(parts), status.st_dev, status.st_ino)
        return fd

    def close(self) -> None:
        """Close them all."""
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
