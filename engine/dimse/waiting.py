"""A queue that tells of what is put into it, so that nobody has to look every moment."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class NotifyingQueue(queue.Queue[Any]):
    """A queue that calls back after every put."""

    def __init__(self, notify: Callable[[], None]) -> None:
        super().__init__()
        self._notify = notify

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Append an item and tell so."""
        super().put(item, block, timeout)
        self._notify()
