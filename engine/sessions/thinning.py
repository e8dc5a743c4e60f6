"""Removes old rows of objects: of those that no session has, and of sessions long in the archive.

The first are of deleted sessions, and of refused objects. The second go only if the files of their
session give them back (`rereading`): duplicates, merges and checks need them, seldom after years.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import EngineError
from engine.events.sessions import RowsThinned
from engine.index import removed_rows
from engine.sessions.rereading import ROWS_AT_ONCE, facts_of, remove_left, rows_of_files
from engine.state.database import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.index.writer import ObjectRow
    from engine.model.session import Session
    from engine.sessions.context import SessionContext
    from engine.sessions.trash import ExpiryClock


PAUSE_SECONDS = 3600.0
MOST_TRANSACTIONS = 100
"""For one look: other work on sessions waits meanwhile."""
MOST_OBJECTS = 2_000
"""Of archived sessions, whose files are read in one look: 0.3 s. The last session is completed."""
_WAIT_SECONDS = 1.0
# By a partial index of these rows: all others are never looked at.
_DELETE = (
    "DELETE FROM objects WHERE sequence IN (SELECT sequence FROM objects"
    " INDEXED BY objects_without_session WHERE session IS NULL AND at < ? ORDER BY at LIMIT ?)"
)


class _Stopped(Exception):
    """The engine stops: the session keeps its rows for now."""


class _Removed(NamedTuple):
    """What one look has removed, and whether there is more to do."""

    rows: int = 0
    sessions: int = 0
    is_more: bool = False


class Thinning:
    """Looks once an hour for rows that are old enough; used by the thread of the sessions."""

    def __init__(
        self,
        session_context: SessionContext,
        expiry: ExpiryClock,
        breathe: Callable[[], object] = lambda: None,
    ) -> None:
        """Take the parts; `breathe` is called between two files, to pause while objects arrive."""
        self._context = session_context
        self._expiry = expiry
        self._breathe = breathe
        self._thin_at = -math.inf

    def run(self, days: float, stopping: Callable[[], bool]) -> bool:
        """Remove what is older than some days, if the last look was a while ago; 0 keeps all.

        Returns:
            Whether there is more to do at once.
        """
        clock = self._context.clock
        if not days or clock.monotonic() < self._thin_at:
            return False
        before = stamp(self._expiry.now() - timedelta(days=days))
        lone = self._thin_lone_rows(before, stopping)
        archived = self._thin_sessions(before, stopping)
        is_more = lone.is_more or archived.is_more
        # After a stop, or with rows left, the next look goes on.
        if not is_more:
            self._thin_at = clock.monotonic() + PAUSE_SECONDS
        if lone.rows or archived.sessions:
            self._context.journal.record(
                RowsThinned(
                    rows=lone.rows,
                    before=before[:10],
                    archived_rows=archived.rows,
                    archived_sessions=archived.sessions,
                )
            )
        return is_more

    def _thin_lone_rows(self, before: str, stopping: Callable[[], bool]) -> _Removed:
        removed = 0
        for _ in range(MOST_TRANSACTIONS):
            # Between two transactions arriving objects get their rows.
            self._context.index.flush(_WAIT_SECONDS)
            if stopping():
                break
            count = self._remove_lone(before)
            removed += count
            if count < ROWS_AT_ONCE:
                return _Removed(removed)
        return _Removed(removed, is_more=True)

    def _remove_lone(self, before: str) -> int:
        with self._context.index.changing() as connection:
            count = connection.execute(_DELETE, (before, ROWS_AT_ONCE)).rowcount
            if count:
                # Kept, so that a question about such an object can be answered.
                connection.execute("UPDATE thinned SET before = MAX(before, ?)", (before,))
        return count

    def _thin_sessions(self, before: str, stopping: Callable[[], bool]) -> _Removed:
        self._complete()
        rows = sessions = looked_at = 0
        while looked_at < MOST_OBJECTS:
            if stopping():
                break
            session = self._next_at_rest(before)
            if session is None:
                return _Removed(rows, sessions)
            try:
                removed = self._thin(session, before, stopping)
            except _Stopped:
                break
            rows, sessions = rows + removed, sessions + bool(removed)
            looked_at += 1 + session.objects
        return _Removed(rows, sessions, is_more=True)

    def _complete(self) -> None:
        """Remove what a change of rows has left that a crash has interrupted."""
        with self._context.index.rows_lock:
            with self._context.index.reading() as connection:
                left = removed_rows.in_change(connection)
            for session_id in left:
                remove_left(self._context, session_id)

    def _next_at_rest(self, before: str) -> Session | None:
        with self._context.index.reading() as connection:
            number = removed_rows.next_at_rest(connection, before)
        return None if number is None else self._context.ledger.session(number)

    def _thin(self, session: Session, before: str, stopping: Callable[[], bool]) -> int:
        """Remove the rows of a session if its files give them back; return how many went.

        Else it keeps them for as long again: it need not be looked at once an hour.
        """
        index, at = self._context.index, stamp(self._context.clock.now())
        # Without the lock: nobody changes rows that are there, of a session that is at rest.
        found = self._given_back(session, stopping)
        for begin in range(0, len(found), ROWS_AT_ONCE):
            uids = [row.sop_instance_uid for row in found[begin : begin + ROWS_AT_ONCE]]
            with index.changing() as connection:
                removed_rows.note_instances(connection, session.id, uids)
        with index.rows_lock:
            with index.changing() as connection:
                if not found or not removed_rows.begin_removal(connection, session.id, before, at):
                    removed_rows.keep_rows(connection, session.id, at)
                    return 0
            return remove_left(self._context, session.id)

    def _given_back(self, session: Session, stopping: Callable[[], bool]) -> list[ObjectRow]:
        """Return the rows that a session's files give; none if its rows are still needed.

        They are if a script gave objects other UIDs: only they know under which the objects came.
        And they are while a destination has not seen them: it would take no object for new.

        Raises:
            _Stopped: if the engine stops.
        """
        with self._context.index.reading() as connection:
            known = removed_rows.facts_of_rows(connection, session.id)
            newest = removed_rows.newest_row_of(connection, session.id)
        found: list[ObjectRow] = []
        try:
            followed = self._context.index.followed_to()
            if followed is not None and followed < newest:
                return []
            for row in rows_of_files(self._context, session):
                if stopping():
                    raise _Stopped
                self._breathe()
                if known.get(row.file) != facts_of(row):
                    return []
                found.append(row)
        except (EngineError, OSError):
            return []
        return found if len(found) == len(known) == session.objects else []
