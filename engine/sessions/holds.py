"""Who is writing into a session right now, so that no folder is moved away under a writer."""

from __future__ import annotations

import threading


class Holds:
    """Counts the objects that are on their way into each session; used by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._counts: dict[int, int] = {}

    def take(self, session_id: int) -> None:
        """An object is on its way into a session."""
        with self._lock:
            self._counts[session_id] = self._counts.get(session_id, 0) + 1

    def give_back(self, session_id: int) -> None:
        """The object is there, with its row, or has failed."""
        with self._lock:
            left = self._counts.pop(session_id) - 1
            if left:
                self._counts[session_id] = left
            else:
                self._changed.notify_all()

    def wait_until_free(self, session_id: int, seconds: float) -> bool:
        """Return whether nothing is on its way into a session, waiting for it that long."""
        with self._changed:
            return self._changed.wait_for(lambda: session_id not in self._counts, seconds)
