"""Reads the event log and the audit log, across their rotation, from the end or as they grow."""

from __future__ import annotations

import json
import os
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from engine.events.journal import FILES_KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Self


LONGEST_LINE = 1 << 20
"""In bytes. Longer lines are skipped; the engine writes none."""

_BLOCK_BYTES = 64 * 1024

Record = dict[str, object]


class EventLog:
    """Reads the event log across rotation; use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        """Read the log at `path`, which need not exist yet, and its older parts beside it."""
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def newest(self, limit: int, wanted: Callable[[Record], bool] = lambda _: True) -> list[Record]:
        """Return the last wanted lines so far, oldest first; `added` continues from their end.

        It reads from the end, and no further than to the last line that it returns.
        """
        older = self._open()
        try:
            found = list(islice(filter(wanted, self._backwards(older)), limit))
        finally:
            for file in older:
                file.close()
        found.reverse()
        return found

    def _backwards(self, older: list[BinaryIO]) -> Iterator[Record]:
        if self._file is not None:
            end = os.fstat(self._file.fileno()).st_size
            lines = _lines_backwards(self._file, end)
            # The last line may be half written: its rest comes with `added`.
            self._rest = next(lines)
            try:
                yield from _records(lines)
            finally:
                self._file.seek(end)
        for file in older:
            yield from _records(_lines_backwards(file, os.fstat(file.fileno()).st_size))

    def _open(self) -> list[BinaryIO]:
        """Open the newest file, and return the older ones, the newest of them first."""
        # The newest file first: if it is rotated meanwhile, it is found twice and not missed.
        self._file = _opened(self._path)
        seen = {_identity(self._file)} if self._file else set()
        older = []
        for number in range(1, FILES_KEPT + 1):
            file = _opened(self._path.with_name(f"{self._path.name}.{number}"))
            if file is None:
                continue
            # Renamed by a rotation while this loop runs.
            if _identity(file) in seen:
                file.close()
                continue
            seen.add(_identity(file))
            older.append(file)
        return older

    def added(self) -> Iterator[Record]:
        """Yield the lines added since the last call."""
        if self._file is None:
            self._file = _opened(self._path)
        if self._file is None:
            return
        yield from self._whole_lines(self._file)
        # A rotation is noticed by the file behind the name being another one.
        newer = _opened(self._path)
        if newer is None:
            return
        if _identity(newer) == _identity(self._file):
            newer.close()
            return
        # Rotated. Lines may have been added to the old file after it was read above; only then
        # comes the new one.
        yield from self._whole_lines(self._file)
        self._file.close()
        self._file, self._rest = newer, b""
        yield from self._whole_lines(newer)

    def _whole_lines(self, file: BinaryIO) -> Iterator[Record]:
        lines = (self._rest + file.read()).split(b"\n")
        # The last line may be half written: its rest comes with the next call. One byte beyond the
        # limit is kept, so that `_records` still sees that the line is too long.
        self._rest = lines.pop()[: LONGEST_LINE + 1]
        yield from _records(lines)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        return None


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yield the lines of a file up to a place, the last first; that one is often empty."""
    rest = b""
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        first, *lines = (file.read(end - start) + rest).split(b"\n")
        yield from reversed(lines)
        # One byte beyond the limit is kept, so that `_records` sees that the line is too long.
        rest, end = first[: LONGEST_LINE + 1], start
    yield rest


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _records(lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        if len(line) > LONGEST_LINE:
            continue
        try:
            record = json.loads(line)
        # A line cut by a crash, or damaged: the others still count.
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record
