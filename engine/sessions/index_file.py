"""The index as a command uses it: by a connection of its own, beside an engine or without one."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from engine.errors import NotFound, StorageUnusable
from engine.sessions.faults import in_words
from engine.sessions.migrations import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_SECONDS = 10.0
"""How long an engine may keep us from writing."""


class IndexFile:
    """A connection to an existing index; used by one thread, in a `with` block."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise NotFound("there is no session index", "nothing was received here yet")
        with in_words():
            self._connection = sqlite3.connect(path, timeout=WAIT_SECONDS)
            version = self._version()
        if version != SCHEMA_VERSION:
            self._connection.close()
            raise StorageUnusable(
                f"the session index has schema {version}, this version uses {SCHEMA_VERSION}",
                "start the engine of this version once, or use the version that wrote it",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _version(self) -> int:
        """Return the schema's version; a file that is none is closed."""
        try:
            return int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error:
            self._connection.close()
            raise

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction, which nobody else's comes between.

        Raises:
            StorageUnusable: if the index can't be read or written.
        """
        with in_words(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def tell_finished(self) -> None:
        """The engine sees itself what it has to take up."""

    def forget_place(self, session_id: int) -> None:
        """The engine looks a session up itself before it works on it."""
