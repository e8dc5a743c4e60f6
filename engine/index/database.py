"""What SQLite says of the index, as errors of ours."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator


def storage_unusable(error: sqlite3.Error) -> StorageUnusable:
    """Return an error of SQLite as ours; neither text holds values of any row."""
    return StorageUnusable(
        f"the session index can't be used: {error}",
        "check the free space, and try again; the received files are not affected",
    )


@contextmanager
def translate_sqlite_errors() -> Iterator[None]:
    """Raise `StorageUnusable` for what SQLite raises; also a decorator."""
    try:
        yield
    except sqlite3.Error as error:
        raise storage_unusable(error) from error
