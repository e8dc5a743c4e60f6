"""Session numbers that mean the same session in an index that is made anew.

Queues, logs and people name sessions by number, so a new index may not give one to another session.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from engine.sessions.reader import open_to_read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_REFERENCES = (("objects", "session"), ("finished", "session"), ("operations", "session"),
               ("traces", "session"))  # fmt: skip
_HIGHEST = """
    SELECT MAX(
        (SELECT COALESCE(MAX(highest), 0) FROM session_numbers),
        (SELECT COALESCE(MAX(id), 0) FROM sessions),
        (SELECT COALESCE(MAX(session), 0) FROM finished)
    )
"""


@dataclass(frozen=True, slots=True)
class GivenNumbers:
    """The numbers that an index has given."""

    highest: int = 0
    by_place: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The numbers of its sessions, by area and folder."""


def given_numbers(index_file: Path) -> GivenNumbers:
    """Return the numbers that an index has given, as far as it can be read."""
    with suppress(sqlite3.Error), closing(open_to_read(index_file)) as connection:
        (highest,) = connection.execute(_HIGHEST).fetchone()
        rows = connection.execute("SELECT id, area, folder FROM sessions").fetchall()
        return GivenNumbers(highest, {(area, folder): number for number, area, folder in rows})
    return GivenNumbers()


def keep_numbers(index_file: Path, given: GivenNumbers) -> None:
    """Give the sessions of a new index their old numbers, and others such that none ever had.

    Args:
        index_file: the new index, which nobody else uses.
        given: what the old one gave, or else the highest number that anybody is known to remember.
    """
    with closing(sqlite3.connect(index_file, timeout=10)) as connection, connection:
        rows = connection.execute("SELECT id, area, folder FROM sessions ORDER BY id").fetchall()
        unused = count(given.highest + 1)
        chosen = {
            number: given.by_place.get((area, folder)) or next(unused)
            for number, area, folder in rows
        }
        connection.execute("CREATE TEMP TABLE chosen (before INTEGER PRIMARY KEY, after INTEGER)")
        connection.executemany("INSERT INTO chosen VALUES (?, ?)", chosen.items())
        for table, column in _REFERENCES:
            _renumber(connection, table, column)
        _renumber(connection, "sessions", "id")
        connection.execute(
            "UPDATE session_numbers SET highest = MAX(highest, ?)", (next(unused) - 1,)
        )


def _renumber(connection: sqlite3.Connection, table: str, column: str) -> None:
    """Put the chosen numbers in the place of others, by way of negative ones: each is used once."""
    chosen = f"(SELECT -after FROM chosen WHERE before = {column})"
    connection.execute(
        f"UPDATE {table} SET {column} = {chosen} WHERE {column} IN (SELECT before FROM chosen)"
    )
    connection.execute(f"UPDATE {table} SET {column} = -{column} WHERE {column} < 0")
