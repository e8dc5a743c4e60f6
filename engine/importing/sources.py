"""What is found in files, folders, archives and media, one after the other.

Nothing is listed ahead: the names of the folders on the way down are in memory, and those of up to
10,000 files. Larger folders than that are not in the order of their names.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from engine.dicom.part10 import has_preamble, head_of, head_without_preamble
from engine.errors import UnreadableObject
from engine.host.terminal import counted
from engine.importing.archives import archive_kind, members_of
from engine.importing.dicomdir import is_dicomdir, locate, references
from engine.importing.found import (
    FileContent,
    FoundObject,
    HeldContent,
    Leftover,
    Name,
    Outcome,
    StreamedContent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.dicom.part10 import ObjectHead
    from engine.importing.archives import ArchiveKind, Member
    from engine.importing.found import Content, Found

_BEGINNING_BYTES = 64 * 1024
"""File meta, and the data set up to the SOP Instance UID, are shorter."""
HELD_BYTES = 4 * 1024 * 1024
"""Members of archives up to this size are in memory, so that several can be sent at once."""
_SORTED_AT_ONCE = 10_000
"""Files of a folder that are sorted by their names, which keeps the objects of a study together."""
# A FIFO or device must not block us before we have seen what it is.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Sources:
    """The named files and folders."""

    paths: tuple[Path, ...]
    """Absolute ones."""
    follow_links: bool = False
    """Whether symbolic links below folders are followed."""

    def find(self) -> Iterator[Found]:
        """Yield what is found; a `FoundObject` must be closed.

        A large member of an archive must be closed before the next one is asked for.
        """
        for path in self._files():
            if isinstance(path, Leftover):
                yield path
            elif is_dicomdir(path.name):
                # The files beside it are found anyway: it only tells which are missing.
                yield from _checked(path)
            else:
                yield from _in_file(path)

    def strangers(self) -> Iterator[Path]:
        """Yield the named files that are neither DICOM nor archives."""
        for path in self.paths:
            if path.is_dir() or is_dicomdir(path.name):
                continue
            one = next(_in_file(path), None)
            if isinstance(one, FoundObject):
                one.close()
            elif one is not None and one.outcome is Outcome.NOT_DICOM and not one.name.member:
                yield path

    def sizes(self) -> Iterator[int]:
        """Yield the size of each file, without opening any; may run while `find` does."""
        for path in self._files():
            if not isinstance(path, Leftover):
                with suppress(OSError):
                    yield path.stat().st_size

    def _files(self) -> Iterator[Path | Leftover]:
        walked = set[tuple[int, int]]()
        for path in self.paths:
            if path.is_dir():
                yield from self._below(path, walked)
            elif is_dicomdir(path.name):
                yield from _on_medium(path)
            else:
                yield path

    def _below(self, top: Path, walked: set[tuple[int, int]]) -> Iterator[Path | Leftover]:
        """Yield the files below a folder, each folder's own ones first."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            folders = list[str]()
            try:
                # Links may lead in a circle.
                if self.follow_links and not _is_new(folder, walked):
                    continue
                for files in self._listed(folder, folders):
                    for name in sorted(files):
                        yield folder / name
            except OSError as error:
                why = f"the folder can't be listed: {_words(error)}"
                yield Leftover(Name(str(folder)), Outcome.UNREADABLE, why)
            waiting += [folder / name for name in sorted(folders, reverse=True)]

    def _listed(self, folder: Path, folders: list[str]) -> Iterator[list[str]]:
        """Yield the names of a folder's files, some at a time, and note those of its folders."""
        files = list[str]()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=self.follow_links):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=self.follow_links):
                    files.append(entry.name)
                if len(files) == _SORTED_AT_ONCE:
                    yield files
                    files = []
        yield files


def _is_new(folder: Path, walked: set[tuple[int, int]]) -> bool:
    """Tell whether a folder is walked for the first time, by its device and inode."""
    status = folder.stat()
    place = status.st_dev, status.st_ino
    is_new = place not in walked
    walked.add(place)
    return is_new


def _on_medium(dicomdir: Path) -> Iterator[Path | Leftover]:
    """Yield the files that a DICOMDIR refers to."""
    try:
        for reference in references(dicomdir):
            yield locate(dicomdir.parent, reference) or _missing(dicomdir, reference)
    except (UnreadableObject, OSError) as error:
        yield _unreadable(Name(str(dicomdir)), error)


def _checked(dicomdir: Path) -> Iterator[Leftover]:
    """Yield what a DICOMDIR refers to and is not there, and the DICOMDIR itself."""
    size, missing = 0, 0
    try:
        size = dicomdir.stat().st_size
        for reference in references(dicomdir):
            if locate(dicomdir.parent, reference) is None:
                missing += 1
                yield _missing(dicomdir, reference)
    except (UnreadableObject, OSError) as error:
        yield _unreadable(Name(str(dicomdir), size_bytes=size), error, size)
        return
    why = "the directory of a medium"
    if missing:
        why = f"{why}; {counted(missing, 'file')} missing"
    yield Leftover(Name(str(dicomdir), size_bytes=size), Outcome.NOT_DICOM, why, size)


def _missing(dicomdir: Path, reference: tuple[str, ...]) -> Leftover:
    name = Name(str(dicomdir.parent.joinpath(*reference)))
    return Leftover(name, Outcome.MISSING, "the DICOMDIR refers to it")


def _in_file(path: Path) -> Iterator[Found]:
    try:
        fd, size = _opened(path)
    # A name with a null character is a `ValueError`.
    except (UnreadableObject, OSError, ValueError) as error:
        yield _unreadable(Name(str(path)), error)
        return
    content, name = FileContent(fd, size), Name(str(path), size_bytes=size)
    try:
        beginning = os.pread(fd, _BEGINNING_BYTES, 0)
    except OSError as error:
        content.close()
        yield _unreadable(name, error, size)
        return
    kind = None if has_preamble(beginning) else archive_kind(beginning)
    if kind is None:
        yield _object(name, beginning, content, size)
    else:
        content.close()
        yield from _in_archive(path, kind, size)


def _opened(path: Path) -> tuple[int, int]:
    """Return the descriptor and the size of a file."""
    fd = os.open(path, _FLAGS)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise UnreadableObject("is no file")
    return fd, status.st_size


def _in_archive(path: Path, kind: ArchiveKind, size_bytes: int) -> Iterator[Found]:
    done_bytes = 0
    try:
        for member in members_of(path, kind):
            yield _in_member(path, member)
            done_bytes += member.read_bytes
    except (UnreadableObject, OSError) as error:
        yield _unreadable(Name(str(path)), error, max(0, size_bytes - done_bytes))


def _in_member(path: Path, member: Member) -> Found:
    name = Name(str(path), member.name, member.size_bytes)
    if member.fault:
        return Leftover(name, Outcome.UNREADABLE, member.fault, member.read_bytes)
    try:
        file = member.open()
    except (UnreadableObject, OSError) as error:
        return _unreadable(name, error, member.read_bytes)
    try:
        found = _examined(name, member, file)
    except (UnreadableObject, OSError) as error:
        found = _unreadable(name, error, member.read_bytes)
    if isinstance(found, Leftover):
        file.close()
    return found


def _examined(name: Name, member: Member, file: BinaryIO) -> Found:
    beginning = file.read(_BEGINNING_BYTES)
    if archive_kind(beginning) and not has_preamble(beginning):
        why = "an archive in an archive: extract it first"
        return Leftover(name, Outcome.UNREADABLE, why, member.read_bytes)
    if is_dicomdir(member.name.rsplit("/", 1)[-1]):
        why = "the directory of a medium"
        return Leftover(name, Outcome.NOT_DICOM, why, member.read_bytes)
    content: Content = StreamedContent(beginning, file, member.size_bytes)
    if member.size_bytes <= HELD_BYTES and _head(beginning, member.size_bytes):
        content = _held(content)
    return _object(name, beginning, content, member.read_bytes)


def _held(content: Content) -> HeldContent:
    held = HeldContent(b"".join(content.pieces(0)))
    content.close()
    return held


def _object(name: Name, beginning: bytes, content: Content, read_bytes: int) -> Found:
    try:
        head = _head(beginning, name.size_bytes)
    except UnreadableObject as error:
        content.close()
        return _unreadable(name, error, read_bytes)
    if head is None:
        content.close()
        why = "empty" if not name.size_bytes else ""
        return Leftover(name, Outcome.NOT_DICOM, why, read_bytes)
    return FoundObject(name, head, content, read_bytes)


def _head(beginning: bytes, size_bytes: int) -> ObjectHead | None:
    """Return the head of an object; None if it is some other file.

    Raises:
        UnreadableObject: if it begins as a DICOM file, but is broken.
    """
    if has_preamble(beginning):
        return head_of(beginning, size_bytes)
    return head_without_preamble(beginning, size_bytes)


def _unreadable(name: Name, error: Exception, read_bytes: int = 0) -> Leftover:
    why = error.detail if isinstance(error, UnreadableObject) else _words(error)
    return Leftover(name, Outcome.UNREADABLE, why, read_bytes)


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
