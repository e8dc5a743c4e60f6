"""Limits on open connections of one listening socket, counted from accept.

A connection is silent until its first request is admitted. When there are too many silent ones,
the oldest of the busiest origin is closed, so that one host can't keep the others out.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open at once."""

    silent: int = 64
    silent_per_origin: int = 32
    admitted: int = 128
    admitted_per_origin: int = 32

    @classmethod
    def within(cls, descriptors: int) -> Self:
        """Return limits that leave most of a process's descriptors to other parts."""
        share = max(2, descriptors // 32)
        return cls(min(64, share), min(32, share // 2), min(128, 2 * share), min(32, share))


class ConnectionTable:
    """Counts connections; any thread may use it."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._silent: dict[TableEntry, None] = {}
        """Oldest first."""
        self._admitted: set[TableEntry] = set()

    def enter(self, origin: str, close: Callable[[], object]) -> TableEntry:
        """Count a new connection; a silent one is closed if there are too many.

        Args:
            origin: who shares a limit: see `engine.model.addresses.origin_of`, or a process.
            close: closes the connection; called by any thread, and returns at once.
        """
        entered = TableEntry(self, origin, close)
        with self._lock:
            displaced = self._displaced_by(origin)
            if displaced is not None:
                del self._silent[displaced]
            self._silent[entered] = None
        if displaced is not None:
            displaced.close()
        return entered

    def admit(self, entry: TableEntry) -> bool:
        """Return whether a connection may go on; from then on it is not silent."""
        limits = self._limits
        with self._lock:
            if entry in self._admitted:
                return True
            here = sum(other.origin == entry.origin for other in self._admitted)
            is_full = len(self._admitted) >= limits.admitted or here >= limits.admitted_per_origin
            if entry not in self._silent or is_full:
                return False
            del self._silent[entry]
            self._admitted.add(entry)
        return True

    def leave(self, entry: TableEntry) -> None:
        """Stop counting a connection."""
        with self._lock:
            self._silent.pop(entry, None)
            self._admitted.discard(entry)

    def _displaced_by(self, origin: str) -> TableEntry | None:
        """Return the silent connection that must go before one of an origin is counted."""
        counts = Counter(entry.origin for entry in self._silent)
        if counts[origin] >= self._limits.silent_per_origin:
            busiest = origin
        elif len(self._silent) >= self._limits.silent:
            busiest = counts.most_common(1)[0][0]
        else:
            return None
        return next(entry for entry in self._silent if entry.origin == busiest)


@dataclass(frozen=True, slots=True, eq=False)
class TableEntry:
    """One open connection."""

    table: ConnectionTable
    origin: str
    close: Callable[[], object]

    def admit(self) -> bool:
        """Return whether the connection may go on; see `ConnectionTable.admit`."""
        return self.table.admit(self)

    def leave(self) -> None:
        """Stop counting the connection."""
        self.table.leave(self)
