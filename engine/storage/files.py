"""Durable changes of a session's files and folders; none overwrites an object by accident.

Every function may be repeated after a crash: steps that are done already are skipped.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from engine.dicom.part10 import PREAMBLE, has_preamble
from engine.storage.folders import FlushedFolders, opened, rename_new
from engine.storage.scans import SCANS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

FILE_MODE = 0o640
PART_SUFFIX = ".part"

_PART_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without waiting: a FIFO may have come in its place.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CATALOG = re.compile(r"scan_.*_catalog\.xml")


def write_atomically(path: Path, content: bytes, *, roots: Collection[Path] = ()) -> None:
    """Give a file new content, flushed; after a crash it has the old or the new content.

    No link is followed below the roots.
    """
    part = f".{path.name}{PART_SUFFIX}"
    with opened(path.parent, roots) as folder_fd:
        fd = os.open(part, _PART_FLAGS, FILE_MODE, dir_fd=folder_fd)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fchmod(fd, FILE_MODE)
            # Contents first, then the name, then the folder: whichever of the three a crash cuts
            # off, the old or the new content is there as a whole.
            os.fsync(fd)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(part, dir_fd=folder_fd)
            raise
        finally:
            os.close(fd)
        os.replace(part, path.name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        os.fsync(folder_fd)


def make_folder(path: Path, *, roots: Collection[Path]) -> None:
    """Create a folder and those above it, up to its root, and flush their names.

    No link is followed below the root.

    Raises:
        OSError: if the storage fails, or something else has the name of a folder.
    """
    with opened(path, roots, FlushedFolders(), make=True):
        pass


def move_file(source: Path, target: Path, *, roots: Collection[Path] = ()) -> None:
    """Give a file another name in one step, in an existing folder of the same file system.

    No link is followed below the roots.

    Raises:
        FileExistsError: if another file has that name.
    """
    try:
        rename_new(source, target, roots=roots)
    except FileExistsError:
        if not same_file(source, target):
            raise
        # A second name of the same file: earlier versions moved in two steps, link and unlink.
        source.unlink()


def replace_file(source: Path, target: Path, *, roots: Collection[Path]) -> None:
    """Move a file over another in one step; no link is followed below the roots.

    Raises:
        FileNotFoundError: if `source` does not exist.
    """
    with opened(source.parent, roots) as old_fd, opened(target.parent, roots) as new_fd:
        os.rename(source.name, target.name, src_dir_fd=old_fd, dst_dir_fd=new_fd)


def is_there(path: Path, *, roots: Collection[Path]) -> bool:
    """Tell whether a name exists, also as a link.

    Raises:
        NotADirectoryError: if a link stands in the way below the roots.
    """
    with suppress(FileNotFoundError), opened(path.parent, roots) as folder_fd:
        os.stat(path.name, dir_fd=folder_fd, follow_symlinks=False)
        return True
    return False


def remove_file(path: Path, *, roots: Collection[Path]) -> None:
    """Remove a file if it is there; no link is followed below the roots."""
    with suppress(FileNotFoundError), opened(path.parent, roots) as folder_fd:
        os.unlink(path.name, dir_fd=folder_fd)


def move_folder(source: Path, target: Path, *, roots: Collection[Path]) -> None:
    """Move a folder with its content, flushed; a repetition after a crash is fine.

    No link is followed below the roots.

    Raises:
        FileExistsError: if both exist.
        FileNotFoundError: if neither does.
    """
    make_folder(target.parent, roots=roots)
    # If only the target is there, a run before a crash has moved it already.
    if source.exists() or not target.exists():
        rename_new(source, target, roots=roots)
    # The new name first: in the other order a crash could leave the folder under no name.
    flush_folder(target.parent)
    with suppress(FileNotFoundError):
        flush_folder(source.parent)


def remove_empty_folders(top: Path, *, itself: bool = False, roots: Collection[Path] = ()) -> None:
    """Remove the empty folders below a folder, and with `itself` also the folder if empty then.

    No link is followed below the roots: nothing is removed in other places.
    """
    with suppress(FileNotFoundError, NotADirectoryError), opened(top, roots) as top_fd:
        for _, folders, _, folder_fd in os.fwalk(".", topdown=False, dir_fd=top_fd):
            for name in folders:
                with suppress(OSError):
                    os.rmdir(name, dir_fd=folder_fd)
    if itself:
        remove_empty_folder(top, roots=roots)


def remove_empty_folder(path: Path, *, roots: Collection[Path] = ()) -> None:
    """Remove a folder if it is empty; no link is followed below the roots."""
    with suppress(OSError), opened(path.parent, roots) as parent_fd:
        os.rmdir(path.name, dir_fd=parent_fd)


def flush_folder(path: Path) -> None:
    """Flush a folder, so that the names in it are on the disk."""
    fd = os.open(path, _FOLDER_FLAGS)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two names are links to one file."""
    with suppress(FileNotFoundError):
        mine, theirs = one.lstat(), other.lstat()
        return (mine.st_dev, mine.st_ino) == (theirs.st_dev, theirs.st_ino)
    return False


def object_files(session_folder: Path, unreadable: list[Path]) -> Iterator[Path]:
    """Yield the objects of a session, as `object_names` finds them, with their paths."""
    names: list[str] = []
    yield from (session_folder / name for name in object_names(session_folder, names))
    unreadable += (session_folder / name for name in names)


def object_names(
    session_folder: Path, unreadable: list[str], trusted: Collection[str] = ()
) -> Iterator[str]:
    """Yield the objects of a session: files with a DICOM header in the folder of a resource.

    Names are relative to the session's folder, in the order of scans, resources and names.

    Args:
        session_folder: the path of the session's folder.
        unreadable: files that can't be read are added here; they may be objects.
        trusted: files that count as objects without a look at their content.

    Raises:
        OSError: if a folder can't be listed: objects in it would be lost unnoticed.
    """
    # Text, not `Path`, which would take longer than the system calls.
    top = str(session_folder)
    for scan in _folders(top, SCANS):
        for resource in _folders(top, scan):
            with _scan(top, resource) as entries:
                files = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
            for file in files:
                name = f"{resource}/{file}"
                try:
                    if name in trusted or is_object(f"{top}/{name}"):
                        yield name
                except OSError:
                    unreadable.append(name)


def _folders(top: str, folder: str) -> list[str]:
    with _scan(top, folder) as entries:
        return sorted(f"{folder}/{e.name}" for e in entries if e.is_dir(follow_symlinks=False))


@contextmanager
def _scan(top: str, folder: str) -> Iterator[Iterable[os.DirEntry[str]]]:
    """Yield the entries of a folder; none if the folder does not exist."""
    try:
        entries = os.scandir(f"{top}/{folder}")
    except (FileNotFoundError, NotADirectoryError):
        yield ()
    else:
        with entries:
            yield entries


def holds_files(session_folder: Path) -> bool:
    """Tell whether a session has any file besides catalogs, which can be rebuilt; reads none.

    A file that can't be read now may be an object that was answered with success.
    """
    return any(
        not _CATALOG.fullmatch(path.name) and not path.name.startswith(".")
        for path in session_folder.glob(f"{SCANS}/*/*/*")
    )


def is_object(path: Path | str) -> bool:
    """Tell whether a path is a regular file with a DICOM preamble (PS3.10 7.1).

    Raises:
        OSError: if it can't be read, so that it may be an object.
    """
    try:
        # Not `lstat` before: finding a file by its path takes longer than all the rest.
        fd = os.open(path, _READ_FLAGS)
    except FileNotFoundError:
        return False
    except OSError as error:
        # What O_NOFOLLOW says of a link, and a socket (open(2)).
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            return False
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        return has_preamble(os.read(fd, len(PREAMBLE)))
    finally:
        os.close(fd)


def remove_parts(session_folder: Path, *, roots: Collection[Path]) -> None:
    """Remove half-written catalogs that a crash has left."""
    for part in session_folder.glob(f"{SCANS}/*/*/.*{PART_SUFFIX}"):
        remove_file(part, roots=roots)
