"""Locks that another thread holds, to show that a call waits for them before it does anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Waits(Exception):
    """Where a thread would begin to wait."""


class TakenLock:
    """Raises `Waits` where a thread would wait, in a test of one thread."""

    def __init__(self, entries: int) -> None:
        """Take how often it may be entered before somebody else has taken it."""
        self._entries = entries

    def __enter__(self) -> None:
        if not self._entries:
            raise Waits
        self._entries -= 1

    def __exit__(self, *_: object) -> None:
        return None


class ReleasedLock:
    """Writes down what other threads see when a lock is theirs again."""

    def __init__(self, lock: AbstractContextManager[object], look: Callable[[], object]) -> None:
        """Take the lock, which may be entered again by its owner, and what they see."""
        self._lock = lock
        self._look = look
        self._depth = 0
        self.seen: list[object] = []

    def __enter__(self) -> None:
        self._lock.__enter__()
        self._depth += 1

    def __exit__(self, *failure: Any) -> None:
        self._depth -= 1
        if not self._depth:
            self.seen.append(self._look())
        self._lock.__exit__(*failure)


def require_wait(
    owner: object, call: Callable[[], object], lock: str = "_lock", *, entries: int = 0
) -> None:
    """Fail unless a call waits for a lock that somebody else holds.

    Args:
        owner: what has the lock.
        call: what must not go on.
        lock: the name of the attribute.
        entries: how often the call gets the lock before somebody else has it. Where a call enters
            it several times, this shows that it enters it each time.
    """
    real = getattr(owner, lock)
    setattr(owner, lock, TakenLock(entries))
    try:
        with pytest.raises(Waits):
            call()
    finally:
        setattr(owner, lock, real)
