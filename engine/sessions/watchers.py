"""Who wants to be woken when there is something new in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Watchers:
    """Functions that only wake somebody; told by whichever thread has written."""

    def __init__(self) -> None:
        self._watchers: tuple[Callable[[], None], ...] = ()

    def add(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call a function whenever there is something new; return what ends that."""
        self._watchers = (*self._watchers, watcher)
        return lambda: self._remove(watcher)

    def tell(self) -> None:
        """Let all know that there is something new."""
        for watcher in self._watchers:
            watcher()

    def _remove(self, watcher: Callable[[], None]) -> None:
        self._watchers = tuple(w for w in self._watchers if w != watcher)
