"""The index looked at while an engine writes to it: neither waits for the other.

SQLite's write-ahead log gives a connection of its own the last committed state at any time.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.sessions.faults import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_SECONDS = 5.0


def open_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that changes nothing, for one thread; the caller closes it.

    Raises:
        sqlite3.Error: if there is no index, or it can't be opened.
    """
    address = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS)


class IndexReader:
    """Reads an existing index; may be used by any thread, one after the other."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        address = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(
            address, uri=True, timeout=WAIT_SECONDS, check_same_thread=False, isolation_level=None
        )

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for questions about one state of the index.

        Raises:
            StorageUnusable: if the index can't be read.
        """
        with in_words(), self._lock:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()
