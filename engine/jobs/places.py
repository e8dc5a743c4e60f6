"""Where a job reads and writes: paths of this host, and URLs of fsspec.

A file appears under its name whole or not at all, and never in the place of another. If another
host or an interrupted run has written the same bytes there, the file is done.
"""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_FILE_MODE = 0o640
_PIECE_BYTES = 1024 * 1024
# How open(2) refuses unnamed files: a file system without them, such as NFS, or an old kernel.
_NO_UNNAMED_FILES = frozenset((errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL))
FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
"""The errors of a storage without room."""


class NoFileSystem(EngineError):
    """A URL can't be used."""

    title = "The URL can't be used"
    exit_code = 2


def is_url(name: str) -> bool:
    """Tell whether a name is a URL, and no path."""
    scheme, colon, _ = name.partition("://")
    return bool(colon) and scheme.isalnum()


def joined(folder: str, below: str) -> str:
    """Return the name of something below a folder."""
    return f"{folder.rstrip('/')}/{below}" if is_url(folder) else str(Path(folder, below))


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        NoFileSystem: if fsspec, or what it needs for this URL, is not installed.
    """
    try:
        from fsspec.core import url_to_fs

        # Without a cache: it would keep the listing of every folder.
        system, path = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        remedy = "install it with: pip install 'dicomdock[dask]'"
        raise NoFileSystem(f"{url}: {error}", remedy) from error
    return system, str(path).rstrip("/")


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Raise what the libraries of a store raise as `OSError`."""
    try:
        yield
    except (OSError, EngineError):
        raise
    except Exception as error:
        raise OSError(f"{url}: {type(error).__name__}: {str(error)[:200]}") from error


@contextmanager
def readable(source: str) -> Iterator[Path]:
    """Yield a path with the content of a file; that of a URL is copied to this host meanwhile."""
    if not is_url(source):
        yield Path(source)
        return
    system, path = file_system(source)
    with tempfile.TemporaryFile(prefix="dicomdock-") as copy:
        local = f"/proc/self/fd/{copy.fileno()}"
        with store_errors(source):
            system.get_file(path, local)
        yield Path(local)


class Writer:
    """Writes the files of one task; `close` makes their names durable."""

    def __init__(self) -> None:
        self._folders: dict[str, int] = {}

    @contextmanager
    def writing(self, target: str) -> Iterator[NewFile]:
        """Yield a file to write; it is dropped unless it is published."""
        new = NewUpload(target) if is_url(target) else NewLocalFile(target, self._folder(target))
        with closing(new):
            yield new

    def _folder(self, target: str) -> int:
        folder = str(Path(target).parent)
        if folder not in self._folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._folders[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._folders[folder]

    def close(self) -> None:
        """Flush the folders.

        Raises:
            OSError: if that fails.
        """
        try:
            for folder in self._folders.values():
                os.fsync(folder)
        finally:
            for folder in self._folders.values():
                os.close(folder)
            self._folders.clear()


class NewLocalFile:
    """A file of this host, without a name until it is published."""

    def __init__(self, target: str, folder: int) -> None:
        self._target, self._folder = target, folder
        self._hidden = ""
        """The temporary name, where a file can't be without one."""
        self.fd = self._opened()

    def _opened(self) -> int:
        try:
            flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
            return os.open(".", flags, _FILE_MODE, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in _NO_UNNAMED_FILES:
                raise
        self._hidden = f".dicomdock-{secrets.token_hex(8)}"
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        return os.open(self._hidden, flags, _FILE_MODE, dir_fd=self._folder)

    def publish(self) -> bool:
        """Flush the file and give it its name; return false if another file has that.

        Raises:
            OSError: if that fails.
        """
        os.fdatasync(self.fd)
        name = Path(self._target).name
        source = self._hidden or f"/proc/self/fd/{self.fd}"
        # `follow_symlinks`: to the file that the name in /proc stands for.
        places: dict[str, Any] = {"src_dir_fd": self._folder, "dst_dir_fd": self._folder}
        try:
            os.link(source, name, **places, follow_symlinks=True)
        except FileExistsError:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            try:
                there = os.open(name, flags, dir_fd=self._folder)
            except OSError:
                return False
            with os.fdopen(there, "rb") as file:
                return _is_same(self.fd, file)
        return True

    def is_file(self, path: Path) -> bool:
        """Tell whether a path leads to the target."""
        with suppress(OSError):
            return path.samefile(self._target)
        return False

    def close(self) -> None:
        """Drop what has no name."""
        if self._hidden:
            with suppress(OSError):
                os.unlink(self._hidden, dir_fd=self._folder)
        os.close(self.fd)


class NewUpload:
    """An object of a store, which appears when all of it is there."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._system, self._path = file_system(target)
        self._file = tempfile.TemporaryFile(prefix="dicomdock-")  # noqa: SIM115
        self.fd = self._file.fileno()

    def publish(self) -> bool:
        """Upload the object; return false if another one has its name."""
        with store_errors(self._target), tempfile.TemporaryFile(prefix="dicomdock-") as there:
            # One request says both whether it is there and what it is.
            with suppress(FileNotFoundError):
                self._system.get_file(self._path, f"/proc/self/fd/{there.fileno()}")
                return _is_same(self.fd, there)
            self._system.put_file(f"/proc/self/fd/{self.fd}", self._path)
        return True

    def is_file(self, _path: Path) -> bool:
        """No path of this host leads here."""
        return False

    def close(self) -> None:
        """Drop the copy on this host."""
        self._file.close()


NewFile = NewLocalFile | NewUpload


def _is_same(fd: int, other: BinaryIO) -> bool:
    """Tell whether a file has the same content as another one."""
    at = 0
    while True:
        theirs = other.read(_PIECE_BYTES)
        ours = os.pread(fd, len(theirs) or 1, at)
        if ours != theirs:
            return False
        if not theirs:
            return True
        at += len(theirs)
