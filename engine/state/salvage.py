"""Reads what can be read of a damaged SQLite file, and puts a new file in its place."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from engine.host.data_directory import flush
from engine.state.database import SUFFIXES, is_damage, open_to_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class TableReader:
    """Reads the tables of a file that may be damaged, or no database at all; used by one thread.

    Methods raise `sqlite3.Error` for what is no damage: then nothing may be concluded.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_to_read(path)
        # Rows of ours are UTF-8. What damage made of them must not end the reading.
        self._connection.text_factory = lambda raw: raw.decode(errors="replace")
        self.is_damaged = False
        """Whether it was found damaged so far."""
        self.read = 0
        """How many rows were read."""

    def check(self) -> None:
        """Read the whole file for damage."""
        try:
            (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            return self._note(error)
        self.is_damaged |= found != "ok"
        return None

    def rows(self, table: str) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of a table by the names of columns; none if there is no such table.

        Behind a damaged page it goes on from the other end; what is between two of them is lost.
        """
        try:
            info = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        except sqlite3.Error as error:
            return self._note(error)
        names = [column[1] for column in info]
        keys = [column[1] for column in sorted(info, key=lambda c: int(c[5])) if column[5]]
        for order in ("ASC", "DESC") if names else ():
            by = ", ".join(f"{key} {order}" for key in keys)
            try:
                for row in self._connection.execute(f"SELECT * FROM {table} ORDER BY {by}"):
                    self.read += 1
                    yield dict(zip(names, row, strict=True))
            except sqlite3.Error as error:
                self._note(error)
            else:
                break
        return None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _note(self, error: sqlite3.Error) -> None:
        if not is_damage(error):
            raise error
        self.is_damaged = True


def carry_over(damaged: Path, target: sqlite3.Connection) -> None:
    """Put what can be read of a damaged file into one with the same tables, and note the damage."""
    tables = [
        name
        for (name,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    ]
    with closing(TableReader(damaged)) as source:
        for table in tables:
            columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
            marks = ", ".join("?" * len(columns))
            # A row that damage has robbed of a value breaks a rule of the table, and is left out.
            target.executemany(
                f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})",
                (tuple(map(row.get, columns)) for row in source.rows(table)),
            )
        note_damage(target, damaged, source.read)


def note_damage(target: sqlite3.Connection, path: Path, rows: int) -> None:
    """Note that a file is damaged, for the event that reports it."""
    target.execute("INSERT OR REPLACE INTO damages VALUES (?, ?)", (_aside(path).name, rows))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name for a new file, which replaces the damaged one at the end.

    Raises:
        OSError: if that can't be done.
    """
    part = _part(path)
    for suffix in SUFFIXES:
        part.with_name(part.name + suffix).unlink(missing_ok=True)
    yield part
    # Durable before the damaged file loses its name: from then on a restart takes the new one.
    flush(part)
    flush(path.parent)
    set_aside(path)
    complete_replacement(path)


def complete_replacement(path: Path) -> None:
    """Complete a replacement that a kill or power cut interrupted.

    Raises:
        OSError: if that can't be done.
    """
    part = _part(path)
    if path.exists() or not part.exists():
        return
    # A log that was left would be taken for that of the new file.
    set_aside(path)
    with suppress(FileNotFoundError):  # another process was faster
        part.rename(path)
    flush(path.parent)


def set_aside(path: Path) -> None:
    """Rename a damaged file, with SQLite's files beside it, to ``<file>.damaged``.

    Only the last one is kept.

    Raises:
        OSError: if that can't be done.
    """
    aside = _aside(path)
    if path.exists():
        for suffix in SUFFIXES:
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)
    # The file itself first: without its log it might pass for a good one at the next start.
    for suffix in reversed(SUFFIXES):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    flush(path.parent)


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
