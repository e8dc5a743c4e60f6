"""Reads the event log that an engine writes: what is there, and what is added while we look.

The log belongs to the engine: it is only read here, and a line that is none is passed over.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, BinaryIO

from engine.events.journal import FILES_KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

LONGEST_LINE = 1 << 20
"""Longer ones are passed over; the engine writes none."""

Record = dict[str, object]


class EventLog:
    """The log from its oldest line to its newest, across rotation; use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        """Look at a log that need not be there yet; older parts are beside it."""
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def all(self) -> Iterator[Record]:
        """Yield what is there, oldest first; `added` goes on from its end."""
        self._file = _opened(self._path)
        seen = {_identity(self._file)} if self._file else set()
        older = []
        for number in range(1, FILES_KEPT + 1):
            file = _opened(self._path.with_name(f"{self._path.name}.{number}"))
            if file is None:
                continue
            if _identity(file) in seen:  # it was renamed while we looked
                file.close()
                continue
            seen.add(_identity(file))
            older.append(file)
        for file in reversed(older):
            with file:
                yield from _records(file.read().splitlines())
        yield from self.added()

    def added(self) -> Iterator[Record]:
        """Yield what was added since the last look."""
        if self._file is None:
            self._file = _opened(self._path)
        if self._file is None:
            return
        yield from self._whole_lines(self._file)
        newer = _opened(self._path)
        if newer is None:
            return
        if _identity(newer) == _identity(self._file):
            newer.close()
            return
        # Rotated: what was written to the old file before that is read, the new one begins.
        yield from self._whole_lines(self._file)
        self._file.close()
        self._file, self._rest = newer, b""
        yield from self._whole_lines(newer)

    def _whole_lines(self, file: BinaryIO) -> Iterator[Record]:
        lines = (self._rest + file.read()).split(b"\n")
        self._rest = lines.pop()[: LONGEST_LINE + 1]
        yield from _records(lines)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        return None


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _records(lines: list[bytes]) -> Iterator[Record]:
    for line in lines:
        if len(line) > LONGEST_LINE:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record
