"""The UIDs that scripts put in the place of others, in SQLite: a restart must not break studies.

Satisfies `engine.anonymize.UidMaps` without knowing it. Every process opens its own.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import OutOfResources, StorageUnusable
from engine.state.database import LOCK_WAIT_SECONDS
from engine.state.schema import STATE, UID_MAPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.anonymize.run import UidKey

_FIND = "SELECT uid FROM uid_maps WHERE scope = ? AND value = ? AND is_null = ?"


class SqliteUidMaps:
    """Remembers UIDs by scope and value; every method may be called from any thread."""

    def __init__(
        self, path: Path, opening: Callable[[Path], sqlite3.Connection] = STATE.open
    ) -> None:
        """Open the table, or make it.

        Args:
            path: the state database, or another file.
            opening: opens it, such as `open_own_file`.

        Raises:
            StorageUnusable: if the file is none of SQLite's or can't be written.
        """
        self._connection = opening(path)
        self._lock = threading.Lock()

    def uid_for(self, scope: str, value: str | None, make: Callable[[], str]) -> str:
        """Return the UID of a value; `make` gives it at first sight, whoever sees it first wins.

        Raises:
            OutOfResources: if the table can't be read or written.
        """
        return self._settled({(scope, value): make})[scope, value]

    def settle(self, wanted: Mapping[UidKey, str]) -> dict[UidKey, str]:
        """Return the UIDs of many values, in one transaction; new values get the proposed ones.

        Raises:
            OutOfResources: if the table can't be read or written.
        """
        return self._settled({key: partial(str, uid) for key, uid in wanted.items()})

    def _settled(self, wanted: Mapping[UidKey, Callable[[], str]]) -> dict[UidKey, str]:
        try:
            with self._lock, self._connection:
                return {key: self._uid(*key, make) for key, make in wanted.items()}
        except sqlite3.Error as error:
            raise OutOfResources(f"the table of UIDs: {error}") from error

    def _uid(self, scope: str, value: str | None, make: Callable[[], str]) -> str:
        # DicomEdit's mapUID gives null and the empty text a UID each (dicomedit 9.3).
        key = (scope, value or "", value is None)
        row = self._connection.execute(_FIND, key).fetchone()
        if row is None:
            # OR IGNORE, then read again: another process may have been faster.
            insert = "INSERT OR IGNORE INTO uid_maps VALUES (?, ?, ?, ?)"
            self._connection.execute(insert, (*key, make()))
            row = self._connection.execute(_FIND, key).fetchone()
        uid: str = row[0]
        return uid

    def close(self) -> None:
        """Close the table."""
        with self._lock:
            self._connection.close()


def open_own_file(path: Path) -> sqlite3.Connection:
    """Open or make a file with such a table only, for somebody who keeps UIDs of their own.

    Raises:
        StorageUnusable: if the file is none of SQLite's or can't be written.
    """
    try:
        connection = sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS, check_same_thread=False)
        try:
            # Several processes may make the file at once: this lock waits for the others, while
            # SQLite does not wait to change the mode, which any of them may do later.
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(UID_MAPS)
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error:
            connection.close()
            raise
    except sqlite3.Error as error:
        detail = f"{path} can't keep UIDs: {error}"
        raise StorageUnusable(detail, "name a file that can be written") from error
    return connection
