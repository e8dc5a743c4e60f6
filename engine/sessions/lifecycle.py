"""What becomes of sessions by themselves and on request: built, archived, moved, deleted.

Everything here happens one session after the other: on the thread of `engine.sessions.timer` while
an engine runs, or on that of a command if none does. Objects may arrive at any time; what they
join or interrupt is decided by `SessionIndex.session_for`.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import EngineError, NotFound, TransitionNotAllowed
from engine.expiry import ExpiryClock
from engine.model.auto_archive import AutoArchive
from engine.model.session import SessionStatus
from engine.sessions.archive import Planner
from engine.sessions.builder import Builder
from engine.sessions.operations import OperationKind, Request
from engine.sessions.operator import Operator
from engine.sessions.policy import effective_code
from engine.sessions.reconcile import repair
from engine.sessions.silence import Silence
from engine.sessions.staging import Interrupted
from engine.sessions.trash import Trash
from engine.sessions.workplace import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from engine.model.session import Session
    from engine.sessions.operations import Operation
    from engine.sessions.policy import SessionPolicy
    from engine.sessions.workplace import Workplace

AUTO_ARCHIVE = "auto-archive"
RETRY_SECONDS = 5.0
"""How soon is tried again what could not be done."""

_logger = logging.getLogger(__name__)


class Lifecycle:
    """Does whatever is due; used by one thread at a time."""

    def __init__(
        self,
        workplace: Workplace,
        policy: Callable[[], SessionPolicy],
        expiry: ExpiryClock | None = None,
    ) -> None:
        """Take the parts, and the time by which the trash expires, if others use it too."""
        self._at = workplace
        self._policy = policy
        self._silence = Silence(workplace.clock)
        self._trash = Trash(
            *(workplace.areas, workplace.ledger, workplace.journal, workplace.clock),
            expiry or ExpiryClock(workplace.clock, workplace.journal),
        )
        planner = Planner(
            *(workplace.areas, workplace.ledger, workplace.read, workplace.clock),
            *(workplace.archive_folder, workplace.pet_mr),
        )
        self._operator = Operator(workplace, planner)
        self._builder = Builder(workplace, planner, self._operator, self._archived_by_itself)

    def recover(self) -> None:
        """Take up what an earlier run did not complete: it was killed, or the index failed it."""
        self.take_back_builds()
        self._resume()

    def take_back_builds(self) -> None:
        """Let sessions that were just being built be received again."""
        ledger = self._at.ledger
        interrupted = ledger.in_status(SessionStatus.BUILDING, SessionStatus.RECEIVING_INTERRUPT)
        for session in interrupted:
            with self._only(session.id):
                repair(self._at, session)
                ledger.change(session.id, SessionStatus.RECEIVING)

    def run_due(self, stopping: Callable[[], bool] = lambda: False) -> float:
        """Do everything that is due and return after how many seconds to look again.

        Args:
            stopping: asked between two sessions; the rest is left for the next run if it says so.
        """
        self.recover()
        policy, later = self._policy(), _targets(self._operations())
        for session_id, seconds in self._silence.seconds(self._at.ledger.receiving()).items():
            if seconds < policy.idle_seconds:
                break
            if stopping():
                return 0
            if session_id not in later:
                self._build(session_id)
        self.run_requests(stopping)
        self._trash.purge(policy.trash_days)
        return self._pause(policy.idle_seconds)

    def run_requests(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Carry out everything that somebody has asked for, and what follows from it."""
        while not stopping():
            operations = self._operations()
            later = _targets(operations)
            queued = self._at.ledger.in_status(SessionStatus.QUEUED_BUILDING)
            builds = [session.id for session in queued if session.id not in later]
            requests = [op for op in operations if op.plan is None and op.session not in later]
            if builds:
                self._build(builds[0])
            elif requests:
                self._perform(requests[0])
            else:
                return

    def _operations(self) -> tuple[Operation, ...]:
        return self._at.ledger.operations()

    def _resume(self) -> None:
        for operation in self._operations():
            if operation.plan is not None:
                self._perform(operation)

    def _perform(self, operation: Operation) -> None:
        begun = operation.plan is not None
        with self._only(operation.session, begun=begun):
            try:
                self._operator.perform(operation)
            except (TransitionNotAllowed, NotFound):
                if not begun:  # the session has changed, so that the request makes no sense
                    self._at.ledger.drop_request(operation.session)

    def _build(self, session_id: int) -> None:
        with self._only(session_id):
            self._builder.build(session_id)

    @contextmanager
    def _only(self, session_id: int, *, begun: bool = False) -> Iterator[None]:
        """Keep what goes wrong with one session from the others; what was begun is kept."""
        try:
            yield
        except (TransitionNotAllowed, NotFound):
            pass  # it has changed since it was looked at, or is gone
        except Interrupted:
            pass  # the engine stops; what was asked for is still noted
        except sqlite3.Error:
            raise  # that is about all of them
        except Exception as error:
            _logger.exception("session %d can't be worked on", session_id)
            if not begun:
                self._at.ledger.refuse(session_id, SessionStatus.ERROR, _in_words(error))

    def _archived_by_itself(self, session: Session) -> Request | None:
        """Return the request for the archive, if header or project want it (XNAT 9.5)."""
        if session.project is None:
            return None
        code = effective_code(session.auto_archive, self._policy().archive_code(session.project))
        if code is AutoArchive.MANUAL:
            return None
        overwrite = code is AutoArchive.OVERWRITE
        return Request(OperationKind.ARCHIVE, AUTO_ARCHIVE, merge=True, overwrite=overwrite)

    def _pause(self, idle_seconds: float) -> float:
        """A session that is new by then can't be due before the idle time is over."""
        if any(operation.plan for operation in self._operations()):
            return RETRY_SECONDS
        silences = self._silence.seconds(self._at.ledger.receiving()).values()
        left = idle_seconds - next(iter(silences), 0.0)
        return left if left > 0 else RETRY_SECONDS


def _targets(operations: Iterable[Operation]) -> frozenset[int | None]:
    """Return the sessions that a merge is not complete with: until then they must stay."""
    return frozenset(operation.plan.into for operation in operations if operation.plan)


def _in_words(error: Exception) -> str:
    if isinstance(error, EngineError | OSError):
        return in_words(error)
    return f"internal error: {type(error).__name__}; it is in the engine's log"
