"""Removes old rows of objects that no session has: of deleted sessions, and of refused objects.

The row of an object whose file is in a session stays as long as the file: duplicates, merges and
checks need it, and it takes a fraction of a percent of the file.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.events.sessions import RowsThinned
from engine.state.database import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.sessions.context import SessionContext
    from engine.sessions.trash import ExpiryClock


PAUSE_SECONDS = 3600.0
ROWS_AT_ONCE = 1_000
"""Rows of one transaction, which takes some milliseconds."""
MOST_TRANSACTIONS = 100
"""For one look: other work on sessions waits meanwhile."""
_WAIT_SECONDS = 1.0
# By a partial index of these rows: all others are never looked at.
_DELETE = (
    "DELETE FROM objects WHERE sequence IN (SELECT sequence FROM objects"
    " INDEXED BY objects_without_session WHERE session IS NULL AND at < ? ORDER BY at LIMIT ?)"
)


class Thinning:
    """Looks once an hour for rows that are old enough; used by the thread of the sessions."""

    def __init__(self, session_context: SessionContext, expiry: ExpiryClock) -> None:
        self._context = session_context
        self._expiry = expiry
        self._thin_at = -math.inf

    def run(self, days: float, stopping: Callable[[], bool]) -> None:
        """Remove what is older than some days, if the last look was a while ago; 0 keeps all."""
        clock = self._context.clock
        if not days or clock.monotonic() < self._thin_at:
            return
        before = stamp(self._expiry.now() - timedelta(days=days))
        removed, more = 0, True
        for _ in range(MOST_TRANSACTIONS):
            # Between two transactions arriving objects get their rows.
            self._context.index.flush(_WAIT_SECONDS)
            if stopping():
                break
            count = self._remove(before)
            removed += count
            more = count == ROWS_AT_ONCE
            if not more:
                break
        # After a stop, or with rows left, the next look goes on.
        if not more:
            self._thin_at = clock.monotonic() + PAUSE_SECONDS
        if removed:
            self._context.journal.record(RowsThinned(rows=removed, before=before[:10]))

    def _remove(self, before: str) -> int:
        with self._context.index.changing() as connection:
            count = connection.execute(_DELETE, (before, ROWS_AT_ONCE)).rowcount
            if count:
                # Kept, so that a question about such an object can be answered.
                connection.execute("UPDATE thinned SET before = MAX(before, ?)", (before,))
        return count
