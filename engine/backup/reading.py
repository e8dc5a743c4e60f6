"""Reads a backup that may be damaged, or made by somebody else; writes nothing.

A file is read as a whole before anything is taken from it.
"""

from __future__ import annotations

import hashlib
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from engine.backup.form import (
    CHUNK_BYTES,
    DATA,
    HEAD,
    MANIFEST,
    BackupRefused,
    Head,
    Member,
    Tail,
    require_name,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_LINE_BYTES = 1 << 16
_LARGEST_HEAD_BYTES = 1 << 16
_DAMAGED = "use another backup"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was read as a whole, and is what was written."""

    head: Head
    tail: Tail
    members: tuple[Member, ...]
    """In the order of the file."""

    @property
    def kept(self) -> tuple[Member, ...]:
        """The files that a restore writes."""
        return tuple(member for member in self.members if not member.left_out)

    @property
    def bytes(self) -> int:
        """The size of all files that a restore writes."""
        return sum(member.size for member in self.kept)


class _Bounded:
    """A file of which nobody reads much at once: the headers of a tar file say how much to read."""

    def __init__(self, file: IO[bytes], done: Callable[[int], object]) -> None:
        self._file = file
        self._done = done

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= CHUNK_BYTES:
            raise tarfile.ReadError("a header is too large")
        content = self._file.read(size)
        self._done(self._file.tell())
        return content

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupRefused(
            f"the file can't be read: {error.strerror or error}", "check the file and its disk"
        ) from error
    except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError) as error:
        raise BackupRefused(f"the file is no sound tar file: {error}", _DAMAGED) from error


def files_of(
    file: IO[bytes], done: Callable[[int], object] = lambda _bytes: None
) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield name, modification time in seconds, and content of each file in a tar file.

    Args:
        file: may be sought in.
        done: called with the number of bytes that are read.

    Raises:
        BackupRefused: if it is damaged, or has anything but plain files.
    """
    with _in_words():
        file.seek(0)
        opened = tarfile.open(fileobj=_Bounded(file, done), mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
    with opened as tar:
        while True:
            with _in_words():
                info = tar.next()
                # Else it keeps them all: there may be a million.
                tar.members = []
            if info is None:
                return
            if info.type != tarfile.REGTYPE or info.issparse() or info.size < 0:
                raise BackupRefused(
                    f"it has something that is no plain file: {shown(info.name)}", _DAMAGED
                )
            content = tar.extractfile(info)
            assert content is not None
            moment = info.mtime if 0 <= info.mtime < 1 << 40 else 0
            yield info.name, int(moment * 1e9), content


def chunks_of(content: IO[bytes]) -> Iterator[bytes]:
    """Yield a file in chunks.

    Raises:
        BackupRefused: if it ends too early.
    """
    while True:
        with _in_words():
            chunk = content.read(CHUNK_BYTES // 2)
        if not chunk:
            return
        yield chunk


def read_backup(file: IO[bytes], done: Callable[[int], object] = lambda _bytes: None) -> Backup:
    """Read a backup as a whole, and return what is in it.

    Args:
        file: may be sought in.
        done: called with the number of bytes that are read.

    Raises:
        BackupRefused: if it is damaged or incomplete, or has what no backup has.
    """
    head: Head | None = None
    found: list[Member] = []
    for name, _, content in files_of(file, done):
        if head is None:
            if name != HEAD:
                raise BackupRefused(
                    f"it begins with {shown(name)} instead of {HEAD}",
                    "name a file that backup has written",
                )
            with _in_words():
                head = Head.parse(content.read(_LARGEST_HEAD_BYTES))
        elif name == MANIFEST:
            members, tail = _compared(content, found)
            _require_end(file)
            return Backup(head, tail, members)
        elif not name.startswith(DATA):
            raise BackupRefused(f"it has a file that no backup has: {shown(name)}", _DAMAGED)
        else:
            found.append(_hashed(name.removeprefix(DATA), content))
    raise BackupRefused(
        "it is incomplete: its end is missing", "use another backup; this one was cut short"
    )


def _hashed(name: str, content: IO[bytes]) -> Member:
    require_name(name)
    digest, size = hashlib.sha256(), 0
    for chunk in chunks_of(content):
        digest.update(chunk)
        size += len(chunk)
    return Member(name, size, digest.hexdigest())


def _compared(content: IO[bytes], found: list[Member]) -> tuple[tuple[Member, ...], Tail]:
    """Return the files as the manifest has them, which must be those that were found."""
    members = []
    for number, one in enumerate(found, start=1):
        member = Member.parse(_line(content))
        if (member.name, member.size, member.sha256) != (one.name, one.size, one.sha256):
            raise BackupRefused(
                f"file {number}, {shown(one.name)}, is not what was written", _DAMAGED
            )
        members.append(member)
    tail = Tail.parse(_line(content))
    if tail.files != len(members) or _line(content):
        raise BackupRefused(f"{MANIFEST} names other files than there are", _DAMAGED)
    _require_places(members)
    return tuple(members), tail


def _line(content: IO[bytes]) -> bytes:
    with _in_words():
        return content.readline(_LONGEST_LINE_BYTES)


def _require_places(members: list[Member]) -> None:
    """Check that each file that is restored has a place of its own."""
    names: set[str] = set()
    folders: set[str] = set()
    for member in members:
        if member.left_out:
            continue
        if member.name in names:
            raise BackupRefused(f"it has {shown(member.name)} twice", _DAMAGED)
        names.add(member.name)
        folder = member.name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for name in names & folders:
        raise BackupRefused(f"{shown(name)} is a file and a folder", _DAMAGED)


def _require_end(file: IO[bytes]) -> None:
    """Check that only zeros follow: what is behind the end would not be looked at."""
    with _in_words():
        position, left = file.tell(), 0
        end = file.seek(0, 2)
        if end - position > 4 * tarfile.RECORDSIZE:
            raise BackupRefused("something follows its end", _DAMAGED)
        file.seek(position)
        while chunk := file.read(CHUNK_BYTES):
            left += len(chunk.strip(b"\0"))
    if left:
        raise BackupRefused("something follows its end", _DAMAGED)
