"""What a lost or broken configuration can be restored from: kept revisions and backups."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge
from os.path import exists
from typing import TYPE_CHECKING

from engine.config.history import history_of
from engine.config.reading import Unreadable, read_tables
from engine.config.scripts import require_scripts_in_force
from engine.errors import ConfigurationError
from engine.model.configuration import parse_configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.config.reading import Tables
    from engine.model.configuration import Configuration

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
    """Name what shows that a missing configuration file was there once; empty if nothing does.

    Args:
        path: the configuration file.
        in_use: further files that exist only where an engine has run.
    """
    backups = [backup for backup in backups_of(path) if backup.exists()][:1]
    history = history_of(path)
    kept = [history.folder] if history.numbers() else []
    return ", ".join(sign.name for sign in (*backups, *kept, *filter(exists, in_use)))


def remedy(path: Path) -> str:
    """Say how to restore a configuration file."""
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
