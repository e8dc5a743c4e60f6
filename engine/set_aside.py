"""A queue file that is damaged gets another name: no reception depends on what waits in it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from engine.errors import StorageDamaged, StorageUnusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Queue(Protocol):
    """A queue in a file of its own."""

    def check(self) -> None:
        """Read the whole file; raises `StorageDamaged`."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


Q = TypeVar("Q", bound=Queue)
_FILES = ("-wal", "-shm", "")
"""What SQLite appends to the name of a file for those that belong to it."""


def open_or_set_aside(opening: Callable[[Path], Q], path: Path) -> tuple[Q, str]:
    """Return a queue that works, and the new name of the file that did not; empty if it did.

    Only the last damaged file is kept.

    Raises:
        StorageUnusable: if there can't be one, for another reason than damage.
    """
    try:
        return _checked(opening(path)), ""
    except StorageDamaged:
        name = f"{path.name}.damaged"
    try:
        for suffix in _FILES:
            path.with_name(name + suffix).unlink(missing_ok=True)
        for suffix in _FILES:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(path.with_name(name + suffix))
    except OSError as error:
        reason = f"{path.name} is damaged and can't be set aside: {error.strerror}"
        raise StorageUnusable(reason, "check the directory") from error
    return opening(path), name


def _checked(queue: Q) -> Q:
    try:
        queue.check()
    except BaseException:
        queue.close()
        raise
    return queue
