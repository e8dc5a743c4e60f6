"""What the two threads of an association wait at: until there is work, never for a moment more."""

from __future__ import annotations

import queue
import threading
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


class Gate(threading.Event):
    """What the association's own thread waits at, once per turn, until there is work for it."""

    def __init__(self, idle_seconds: Callable[[], float]) -> None:
        super().__init__()
        self._work = threading.Event()
        self._idle_seconds = idle_seconds
        super().set()

    def work(self) -> None:
        """Let the thread make one turn."""
        self._work.set()

    def set(self) -> None:
        """Open the gate, and let the thread look."""
        super().set()
        self._work.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the gate is open and there is work, or the idle time may be over."""
        opened = super().wait(timeout)
        self._work.wait(max(0.05, self._idle_seconds()))
        self._work.clear()
        return opened
