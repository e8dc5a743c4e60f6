"""Earlier revisions of the configuration: who changed what, when, and the tables themselves."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.config.reading import Unreadable, read_tables
from engine.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.config.reading import Tables

REVISIONS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class PastRevision:
    """One revision as it was when it was in force."""

    number: int
    tables: Tables


class History:
    """A folder with one file per revision; a revision is written once and never changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, number: int, tables: Tables) -> None:
        """Write a revision so that it survives power loss, and drop the oldest beyond the limit.

        A revision that is kept already stays as it is, unless its file is damaged.
        """
        self._make_folder()
        if not self._is_readable(number):
            self._write(number, tables)
        for old in self.numbers()[REVISIONS_KEPT:]:
            self.file(old).unlink(missing_ok=True)

    def numbers(self) -> list[int]:
        """Return the revisions that are kept, newest first; the file of one may be damaged."""
        names = (path.stem for path in self.folder.glob("*.json"))
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def revisions(self, older_than: int | None = None) -> Iterator[PastRevision]:
        """Yield the revisions that are kept and readable, newest first."""
        for number in self.numbers():
            if older_than is not None and number >= older_than:
                continue
            with contextlib.suppress(NotFound):
                yield self.revision(number)

    def revision(self, number: int) -> PastRevision:
        """Return one revision.

        Raises:
            NotFound: if it is not kept, or its file can't be read.
        """
        try:
            tables = read_tables(self.file(number))
        except Unreadable as error:
            why = f"the file of revision {number} is damaged: {self.file(number)} {error.message}"
            raise NotFound(why, f"choose another revision; {self._span()}") from error
        if tables is None:
            raise NotFound(f"revision {number} is not kept", self._span())
        return PastRevision(number, tables)

    def file(self, number: int) -> Path:
        """Return the file of a revision, kept or not."""
        return self.folder / f"{number:08d}.json"

    def _span(self) -> str:
        kept = self.numbers()
        return f"kept revisions: {kept[-1]} to {kept[0]}" if kept else "no revision is kept"

    def _make_folder(self) -> None:
        if self.folder.is_symlink():
            raise OSError(errno.ELOOP, "config.history is a symbolic link")
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(mode=0o750)
            flush_directory(self.folder.parent)

    def _is_readable(self, number: int) -> bool:
        try:
            return read_tables(self.file(number)) is not None
        except Unreadable:
            return False

    def _write(self, number: int, tables: Tables) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                json.dump(tables, file, indent=1)
                file.flush()
                os.fsync(descriptor)
            os.replace(name, self.file(number))  # noqa: PTH105 - one rename(2) and nothing else
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108
            raise
        flush_directory(self.folder)


def history_of(path: Path) -> History:
    """Return the history of a configuration file, which is in a folder beside it."""
    return History(path.with_name(f"{path.stem}.history"))


def flush_directory(directory: Path) -> None:
    """Make what was renamed in a directory survive power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
