"""After a crash: adopts files without a row, session by session, while objects arrive.

The files are the truth. An object whose sender was told "success" is on disk under its final name;
at worst its row is missing. Nothing here touches an object.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.api import RecoveryStatus
from engine.errors import EngineError, NotFound, OutOfResources
from engine.events import ObjectsAdopted
from engine.model.session import SessionStatus
from engine.sessions import reconcile
from engine.sessions.context import describe_error
from engine.storage.files import holds_files, object_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from engine.index.store import SessionKey
    from engine.model.session import Session
    from engine.sessions.context import SessionContext


FOUND_AFTER_CRASH = "found on disk after a crash"
_BUILD_CUT_SHORT = (SessionStatus.BUILDING, SessionStatus.RECEIVING_INTERRUPT)
_MAY_LACK_ROWS = (
    SessionStatus.RECEIVING,
    SessionStatus.QUEUED_BUILDING,
    SessionStatus.QUEUED_DELETING,
    SessionStatus.DELETING,
)
"""The states of a session while an object arrives, and those that a request makes of it then."""

_logger = logging.getLogger(__name__)


class Recovery:
    """The sessions that an earlier run left open, until each has all its rows; for all threads.

    The thread of the sessions recovers one after the other. An object waits for the sessions that
    it may join or have a copy in, and for no others.
    """

    def __init__(self, session_context: SessionContext) -> None:
        self._context = session_context
        self._changed = threading.Condition()
        """Guards what is below; told when a session is no longer worked on."""
        self._pending: dict[int, tuple[tuple[str | None, str, str], ...]] = {}
        """Project, study and label of each session that is still to be recovered.

        A renamed session has two: its objects come under its old names.
        """
        self._worked_on: set[int] = set()
        self._reported: set[int] = set()
        """Sessions whose failure is in the log."""
        self._sessions = self._objects = self._with_objects = 0
        self.is_going_on = False
        """Whether sessions are still to be recovered. Read without the lock, for each object."""

    def begin(self, *, clean: bool) -> None:
        """Note the sessions that the earlier run left open, before any object arrives.

        Args:
            clean: whether that run stopped in good order, so that every file has its row.
        """
        statuses = _BUILD_CUT_SHORT if clean else (*_BUILD_CUT_SHORT, *_MAY_LACK_ROWS)
        sessions = self._context.ledger.in_status(*statuses)
        names = {s.id: [(s.project, s.label)] for s in sessions}
        for number, project, label in self._context.ledger.former_names(*statuses):
            names[number].append((project, label))
        with self._changed:
            self._pending = {
                s.id: tuple((p, s.study_instance_uid, label) for p, label in names[s.id])
                for s in sessions
            }
            self._sessions = len(sessions)
            self.is_going_on = bool(sessions)
        self._end_if_done()

    def status(self) -> RecoveryStatus | None:
        """Return how far the recovery is; None if it is over."""
        with self._changed:
            left = len(self._pending)
            return RecoveryStatus(self._sessions - left, self._sessions) if left else None

    def pending(self) -> frozenset[int]:
        """Return the sessions that must not be worked on yet."""
        with self._changed:
            return frozenset(self._pending)

    def run(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Recover all sessions, one after the other; what fails is tried again by the next call.

        Args:
            stopping: asked between two sessions; the rest is left for the next run if it says so.

        Raises:
            sqlite3.Error: if the index can't be read or written.
        """
        with self._changed:
            pending = tuple(self._pending)
        for session_id in pending:
            if stopping():
                return
            self.recover(session_id)

    def recover(self, session_id: int) -> None:
        """Recover a session if that is still to be done; a failure is logged once."""
        try:
            with self._alone(session_id) as is_pending:
                if is_pending:
                    self._recover(session_id)
        except sqlite3.Error:
            raise  # the index fails for all sessions, not for this one
        except Exception as error:
            # The other sessions must not wait for one that can't be read.
            if session_id not in self._reported:
                self._reported.add(session_id)
                is_foreseen = isinstance(error, EngineError | OSError)
                _logger.warning(
                    *("session %d can't be recovered: %s", session_id, _why(error)),
                    exc_info=not is_foreseen,
                )

    def await_sessions(self, key: SessionKey) -> None:
        """Recover the sessions of a key at once: an object needs them. Returns at once if none is.

        Raises:
            OutOfResources: if one can't be recovered: without its rows, a copy would not be found.
        """
        if not self.is_going_on:
            return
        with self._changed:
            same = [number for number, its_keys in self._pending.items() if key[:3] in its_keys]
        for session_id in same:
            try:
                with self._alone(session_id) as is_pending:
                    if is_pending:
                        self._recover(session_id)
            except (EngineError, OSError, sqlite3.Error) as error:
                raise OutOfResources(f"its session can't be recovered: {_why(error)}") from error

    @contextmanager
    def _alone(self, session_id: int) -> Iterator[bool]:
        """Work on a session that no other thread recovers; yield whether that is to be done."""
        with self._changed:
            self._changed.wait_for(lambda: session_id not in self._worked_on)
            is_pending = session_id in self._pending
            self._worked_on.add(session_id)
        is_done = False
        try:
            yield is_pending
            is_done = True
        finally:
            with self._changed:
                self._worked_on.discard(session_id)
                if is_done:
                    self._pending.pop(session_id, None)
                self._changed.notify_all()
        self._end_if_done()

    def _recover(self, session_id: int) -> None:
        """Give every stored object of a session its row."""
        context = self._context
        try:
            session = context.ledger.session(session_id)
        except NotFound:
            return
        if session.rows_removed_at is not None:
            return  # no object joins such a session, so none lacks its row
        # Files with a row are not opened: there may be a million of them.
        found = reconcile.differences_of(context, session, by_name=True)
        if found:
            reconcile.adopt(context, session, FOUND_AFTER_CRASH, found)
        if session.status in _BUILD_CUT_SHORT:
            context.ledger.change(session_id, SessionStatus.RECEIVING)
        elif not found.unknown and _is_empty(context, session):
            context.index.forget_empty(session_id)
        with self._changed:
            self._objects += len(found.unknown)
            self._with_objects += bool(found.unknown)

    def _end_if_done(self) -> None:
        with self._changed:
            if self._pending:
                return
            was_going_on, self.is_going_on = self.is_going_on, False
            objects, self._objects = self._objects, 0
        self._context.index.note_recovered()
        if was_going_on and objects:
            self._context.journal.record(
                ObjectsAdopted(objects=objects, sessions=self._with_objects)
            )


def _why(error: Exception) -> str:
    if isinstance(error, EngineError | OSError):
        return describe_error(error)
    return type(error).__name__


def adopt_left(session_context: SessionContext, session_id: int, inodes: Collection[int]) -> int:
    """Give objects of a session that lack a row one, and return how many that were.

    Args:
        session_context: the index and the trees.
        session_id: the session; objects may arrive meanwhile.
        inodes: of the objects that may lack a row: those that an ended process had published.
    """
    session = session_context.ledger.session(session_id)
    if session.rows_removed_at is not None:
        return 0  # no object joins it
    folder = session_context.areas.folder(session)
    # Listed before the rows are read: what is moved meanwhile is moved together with its row.
    found = [path for path in object_files(folder, []) if path.stat().st_ino in inodes]
    session_context.index.flush()
    known = session_context.ledger.stored_files(session_id)
    names = [path.relative_to(folder).as_posix() for path in found]
    unknown = [name for name in names if name not in known]
    reconcile.insert_missing_rows(session_context, session, unknown, FOUND_AFTER_CRASH)
    return len(unknown)


def _is_empty(session_context: SessionContext, session: Session) -> bool:
    return (
        session.status is SessionStatus.RECEIVING
        and not session_context.ledger.stored_rows(session.id)
        and not holds_files(session_context.areas.folder(session))
    )
