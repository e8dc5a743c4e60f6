"""Waiting for a change of some session, without looking again and again."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Changes:
    """Counts changes, for those who wait for one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def note(self) -> None:
        """Wake all who wait; what was changed may still have to be committed."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def until(self, deadline: float) -> Iterator[None]:
        """Yield at once, and after each change until a moment of the monotonic clock."""
        while True:
            with self._changed:
                seen = self._count
            yield  # without the lock, for who changes something holds others
            if not self._wait(seen, deadline):
                return

    def _wait(self, seen: int, deadline: float) -> bool:
        with self._changed:
            left = deadline - monotonic()
            return left > 0 and self._changed.wait_for(lambda: self._count != seen, left)
