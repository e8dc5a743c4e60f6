"""Keeps objects that were refused for their content, with the reason."""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from engine.errors import StorageUnusable
from engine.host.clock import Clock, SystemClock
from engine.storage.folders import FOLDER_MODE, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.storage.incoming import PartFile

KEPT_MODE = 0o600
"""Mode of kept files: for the owner only, because they are not anonymized."""
RECOUNT_SECONDS = 60.0

_NUMBERED = re.compile(r"([0-9]{1,18})\.(?:dcm|json)")
_RECORD_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Room(Protocol):
    """Limits what the quarantine holds, and numbers it; for all threads."""

    def reserve(self, size_bytes: int) -> int | None:
        """Return the number of an object that is to be kept; None if there is no room for it."""
        ...

    def release(self, size_bytes: int) -> None:
        """Give room back that was not used; the number is not given again."""
        ...


class QuarantineRoom:
    """Satisfies `Room` for all processes that share a folder."""

    def __init__(self, root: Path, max_bytes: int, clock: Clock | None = None) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        with _usable(root):
            root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._used_bytes, highest = _inventory(root)
        self._counted_at = self._clock.monotonic()
        self._numbers = itertools.count(highest + 1)

    def reserve(self, size_bytes: int) -> int | None:
        """Return the number of an object that is to be kept; None if there is no room for it."""
        with self._lock:
            # An admin may have cleared the folder since it was counted.
            if self._used_bytes + size_bytes > self._max_bytes:
                self._count_again()
            if self._used_bytes + size_bytes > self._max_bytes:
                return None
            # Counted before the file is written: threads at the same time can't exceed the limit.
            self._used_bytes += size_bytes
            return next(self._numbers)

    def release(self, size_bytes: int) -> None:
        """Give room back that was not used; the number is not given again."""
        with self._lock:
            self._used_bytes -= size_bytes

    def _count_again(self) -> None:
        """Count the kept files again, at most once in `RECOUNT_SECONDS`."""
        if self._clock.monotonic() - self._counted_at < RECOUNT_SECONDS:
            return
        self._counted_at = self._clock.monotonic()
        with suppress(OSError):
            self._used_bytes, _ = _inventory(self._root)


class Quarantine:
    """Refused objects in one folder per day; for all threads."""

    def __init__(self, root: Path, room: Room, clock: Clock | None = None) -> None:
        """Open a folder that exists."""
        self._room = room
        self._clock = clock or SystemClock()
        with _usable(root):
            self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def keep(self, part: PartFile, reason: Mapping[str, object]) -> bool:
        """Keep a part with the reason; if there is no room, discard it and return False."""
        record = json.dumps(dict(reason), indent=1, default=str).encode("ascii")
        size_bytes = part.size_bytes + len(record)
        with part:
            number = self._room.reserve(size_bytes)
            if number is None:
                return False
            try:
                self._move(part, record, number)
            except OSError:
                self._room.release(size_bytes)
                return False
        return True

    def close(self) -> None:
        """Close the folder."""
        os.close(self._root_fd)

    def _move(self, part: PartFile, record: bytes, number: int) -> None:
        day = f"{self._clock.now().astimezone():%Y%m%d}"
        folder_fd = open_folder(self._root_fd, (day,))
        try:
            name = f"{number:06d}"
            # The reason first: a crash must not leave an object that nobody can explain.
            _write_record(folder_fd, f"{name}.json", record)
            try:
                os.fchmod(part.fd, KEPT_MODE)
                os.link(part.name, f"{name}.dcm", src_dir_fd=part.folder_fd, dst_dir_fd=folder_fd)
            except OSError:
                os.unlink(f"{name}.json", dir_fd=folder_fd)
                raise
        finally:
            os.close(folder_fd)


@contextmanager
def _usable(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnusable(
            f"refused objects can't be kept in {root}: {error}",
            "make it a folder that this user may write to",
        ) from error


def _write_record(folder_fd: int, name: str, record: bytes) -> None:
    fd = os.open(name, _RECORD_FLAGS, KEPT_MODE, dir_fd=folder_fd)
    try:
        rest = memoryview(record)
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        os.unlink(name, dir_fd=folder_fd)
        raise
    finally:
        os.close(fd)


def _inventory(root: Path) -> tuple[int, int]:
    """Return the size of all kept files, and the highest number in use."""
    used_bytes = highest = 0
    for path in root.glob("*/*"):
        with suppress(FileNotFoundError):
            used_bytes += path.lstat().st_size
        numbered = _NUMBERED.fullmatch(path.name)
        highest = max(highest, int(numbered[1]) if numbered else 0)
    return used_bytes, highest
