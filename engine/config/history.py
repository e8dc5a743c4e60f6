"""Earlier revisions of the configuration, and the files that restore a lost or broken one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge
from os.path import exists
from typing import TYPE_CHECKING

from engine.config.reading import Unreadable, read_tables, require_scripts_in_force
from engine.errors import ConfigurationError, NotFound
from engine.model.configuration import parse_configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.config.reading import Tables
    from engine.model.configuration import Configuration


REVISIONS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class PastRevision:
    """The tables of one revision, as they were in force."""

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
        """Return the path of a revision's file, which need not exist."""
        return self.folder / f"{number:08d}.json"

    def _span(self) -> str:
        kept = self.numbers()
        return f"kept revisions: {kept[-1]} to {kept[0]}" if kept else "no revision is kept"

    def _make_folder(self) -> None:
        # A command of root would write where the link leads.
        if self.folder.is_symlink():
            raise OSError(errno.ELOOP, "config.history is a symbolic link")
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(mode=0o750)
            # The folder's own name must survive power loss, or its files do not.
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
                # Before the rename: after power loss the name must not stand for an empty file.
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
    """Make new and renamed names in a directory survive power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


BACKUPS_KEPT = 5


@dataclass(frozen=True, slots=True)
class RecoveryCandidate:
    """An acceptable earlier configuration, and the file that holds it."""

    configuration: Configuration
    tables: Tables
    file: Path

    @property
    def words(self) -> str:
        """Name revision, time and file."""
        at = self.configuration.changed_at
        when = f" of {at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""
        name = f"{self.file.parent.name}/{self.file.name}"
        return f"revision {self.configuration.revision}{when} ({name})"


def backups_of(path: Path) -> list[Path]:
    """Return the names that the backups of a configuration file have, newest first."""
    return [path.with_name(f"{path.name}.bak.{i}") for i in range(1, BACKUPS_KEPT + 1)]


def recoverable(path: Path) -> Iterator[RecoveryCandidate]:
    """Yield what a configuration file can be restored from, newest revision first.

    Files that can't be read, and configurations that are not acceptable, are left out; so is a
    backup of a revision that the history has.
    """
    history = history_of(path)
    kept = _acceptable((past.tables, history.file(past.number)) for past in history.revisions())
    backups = sorted(_acceptable(_backups(path)), key=_age)
    seen = set()
    # merge is lazy: the newest candidate is found without a look at all revisions.
    for found in merge(kept, backups, key=_age):
        if found.configuration not in seen:
            seen.add(found.configuration)
            yield found


def newest_number(path: Path) -> int:
    """Return the highest revision that the history or a backup names, also in a damaged file."""
    backups = [found.configuration.revision for found in _acceptable(_backups(path))]
    return max([0, *history_of(path).numbers(), *backups])


def backup_of_revision(path: Path, number: int) -> Tables | None:
    """Return the tables of a revision if a backup has them."""
    found = (b.tables for b in _acceptable(_backups(path)) if b.configuration.revision == number)
    return next(found, None)


def was_configured(path: Path, in_use: Iterable[Path]) -> str:
    """Return the signs that a missing configuration file existed once; empty if there are none.

    Args:
        path: the configuration file.
        in_use: further files that exist only where an engine has run.
    """
    backups = [backup for backup in backups_of(path) if backup.exists()][:1]
    history = history_of(path)
    kept = [history.folder] if history.numbers() else []
    return ", ".join(sign.name for sign in (*backups, *kept, *filter(exists, in_use)))


def remedy(path: Path) -> str:
    """Return a sentence on how to restore a configuration file."""
    command = shlex.join(["dicomdock", "--data", str(path.parent), "config", "recover"])
    newest = next(recoverable(path), None)
    if newest is None:
        return (
            "no revision and no backup is readable: restore the file from a backup of your own, "
            f"or begin with the defaults: {command} --defaults"
        )
    return f"restore {newest.words} with: {command}"


def _age(found: RecoveryCandidate) -> int:
    return -found.configuration.revision


def _backups(path: Path) -> Iterator[tuple[Tables, Path]]:
    for backup in backups_of(path):
        with suppress(Unreadable):
            tables = read_tables(backup)
            if tables is not None:
                yield tables, backup


def _acceptable(files: Iterable[tuple[Tables, Path]]) -> Iterator[RecoveryCandidate]:
    for tables, file in files:
        with suppress(ConfigurationError):
            configuration = parse_configuration(tables)
            require_scripts_in_force(configuration)
            yield RecoveryCandidate(configuration, tables, file)
