"""An index that SQLite can't use, said in words for whoever asked."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator


def unusable(error: sqlite3.Error) -> StorageUnusable:
    """Return the error of ours that one of SQLite means; neither holds values of any row."""
    return StorageUnusable(
        f"the session index can't be used: {error}",
        "look for room on the disk, and try again; the received files are not affected",
    )


@contextmanager
def in_words() -> Iterator[None]:
    """Raise `StorageUnusable` for what SQLite raises; also a decorator."""
    try:
        yield
    except sqlite3.Error as error:
        raise unusable(error) from error
