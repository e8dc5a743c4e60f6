"""The thread that works on sessions: it sleeps until one is due or a command wakes it.

Everything here happens one session after the other: on the thread of `engine.sessions.worker` while
an engine runs, or on that of a command if none does. Objects may arrive at any time; what they
join or interrupt is decided by `SessionIndex.session_for`.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from contextlib import contextmanager
from datetime import datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import EngineError, NotFound, TransitionNotAllowed
from engine.events import ObjectsAdopted
from engine.index.database import translate_sqlite_errors
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.session import SessionStatus
from engine.sessions.builder import Builder
from engine.sessions.context import describe_error, effective_code
from engine.sessions.folders.staging import Interrupted
from engine.sessions.planner import Planner
from engine.sessions.reconcile import repair
from engine.sessions.recovery import Recovery, adopt_left
from engine.sessions.runner import OperationRunner
from engine.sessions.thinning import Thinning
from engine.sessions.trash import ExpiryClock, Trash

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from engine.host.clock import Clock
    from engine.host.wakeup import WakeupPipe
    from engine.index.operations import Operation
    from engine.model.session import Session
    from engine.sessions.context import SessionContext, SessionPolicy


class _LastObject(NamedTuple):
    stamp: str
    """When the last object came, as the index has it."""
    at: float
    """The same, by the monotonic clock."""


class IdleTimes:
    """Measures how long each session got no object, on the monotonic clock; for one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[int, _LastObject] = {}
        self._looked_at = -math.inf

    def seconds(self, receiving: Iterable[tuple[int, str]]) -> Mapping[int, float]:
        """Return for how long sessions have been silent, the longest first.

        Args:
            receiving: all sessions that are being received, with the time of their last object.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        since_last_look = monotonic - self._looked_at
        heard = {}
        for session, stamp in receiving:
            known = self._heard.get(session)
            if known is None or known.stamp != stamp:
                age = (now - datetime.fromisoformat(stamp)).total_seconds()
                # The wall clock may have stepped. A time in the future counts as now; a time that
                # is new at this look counts as no older than the last look.
                known = _LastObject(stamp, monotonic - min(max(age, 0.0), since_last_look))
            heard[session] = known
        self._heard, self._looked_at = heard, monotonic
        silent = {session: monotonic - known.at for session, known in heard.items()}
        return dict(sorted(silent.items(), key=lambda item: -item[1]))


AUTO_ARCHIVE = "auto-archive"
RETRY_SECONDS = 5.0
"""Pause before work that failed is tried again."""

_logger = logging.getLogger(__name__)


class Lifecycle:
    """Builds, archives, moves, deletes and purges what is due; used by one thread at a time."""

    def __init__(
        self,
        session_context: SessionContext,
        policy: Callable[[], SessionPolicy],
        expiry: ExpiryClock | None = None,
    ) -> None:
        """Take the parts, and the time by which the trash expires, if others use it too."""
        self._context = session_context
        self._policy = policy
        self._silence = IdleTimes(session_context.clock)
        expiry = expiry or ExpiryClock(session_context.clock, session_context.journal)
        self._trash = Trash(
            session_context.areas,
            session_context.ledger,
            session_context.journal,
            session_context.clock,
            expiry,
        )
        self._thinning = Thinning(session_context, expiry)
        planner = Planner(session_context)
        self._operator = OperationRunner(session_context, planner)
        self._builder = Builder(session_context, planner, self._operator, self._archived_by_itself)
        self.recovery = Recovery(session_context)
        self._left: SimpleQueue[tuple[Sequence[int], Collection[int]]] = SimpleQueue()
        """Sessions that a receiving process held when it ended, and inodes of its objects."""

    def begin(self, *, clean: bool) -> None:
        """Complete the plans that an earlier run began, before any object arrives.

        The sessions that it left open are recovered later: by `run_due`, or for an object.

        Args:
            clean: whether that run stopped in good order, so that every file has its row.
        """
        self.recovery.begin(clean=clean)
        # A plan moves objects, which must have their rows. Before objects arrive: a copy that is
        # being moved would not be found.
        for operation in self._operations():
            if operation.plan is not None:
                self.recovery.recover(operation.session)
                self.recovery.recover(operation.plan.into or operation.session)
        self._resume()

    def recover(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Complete what an earlier run began: it was killed, or the index could not be written."""
        self.recovery.run(stopping)
        self.requeue_builds()
        self._resume()

    def adopt_soon(self, session_ids: Sequence[int], inodes: Collection[int]) -> None:
        """Let the next look give some objects of some sessions a row if they lack one."""
        self._left.put((session_ids, inodes))

    def _adopt_left(self) -> None:
        while not self._left.empty():
            adopted = {}
            session_ids, inodes = self._left.get()
            for session_id in session_ids:
                with self._only(session_id):
                    adopted[session_id] = adopt_left(self._context, session_id, inodes)
            objects = sum(adopted.values())
            if objects:
                sessions = sum(bool(found) for found in adopted.values())
                self._context.journal.record(ObjectsAdopted(objects=objects, sessions=sessions))

    def requeue_builds(self) -> None:
        """Return sessions whose build was cut short to RECEIVING, so that they are built again."""
        ledger = self._context.ledger
        interrupted = ledger.in_status(SessionStatus.BUILDING, SessionStatus.RECEIVING_INTERRUPT)
        pending = self.recovery.pending()
        for session in (session for session in interrupted if session.id not in pending):
            with self._only(session.id):
                repair(self._context, session)
                ledger.change(session.id, SessionStatus.RECEIVING)

    def run_due(self, stopping: Callable[[], bool] = lambda: False) -> float:
        """Do everything that is due and return after how many seconds to look again.

        Args:
            stopping: asked between two sessions; the rest is left for the next run if it says so.
        """
        self._adopt_left()
        # Each time, not only at the start: an operation that failed for want of room is retried
        # here.
        self.recover(stopping)
        policy, later = self._policy(), self._later(self._operations())
        for session_id, seconds in self._silence.seconds(self._context.ledger.receiving()).items():
            # Sorted: all that follow got an object even later.
            if seconds < policy.idle_seconds:
                break
            if stopping():
                return 0
            # Its folder and rows are still changed by a merge or recovery that is not complete.
            if session_id not in later:
                self._build(session_id)
        self.run_requests(stopping)
        self._trash.purge(policy.trash_days)
        self._thinning.run(policy.index_days, stopping)
        return self._pause(policy.idle_seconds)

    def run_requests(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Carry out all queued requests, and those that they queue in turn."""
        while not stopping():
            operations = self._operations()
            later = self._later(operations)
            # Read anew in each round: a build may queue the archive, a separation two more builds.
            queued = self._context.ledger.in_status(SessionStatus.QUEUED_BUILDING)
            builds = [session.id for session in queued if session.id not in later]
            requests = [op for op in operations if op.plan is None and op.session not in later]
            if builds:
                self._build(builds[0])
            elif requests:
                self._perform(requests[0])
            else:
                return

    def _operations(self) -> tuple[Operation, ...]:
        return self._context.ledger.operations()

    def _later(self, operations: Iterable[Operation]) -> frozenset[int | None]:
        """Return the sessions that must not be worked on yet."""
        targets = _targets(operations)
        return targets | self.recovery.pending() if self.recovery.is_going_on else targets

    def _resume(self) -> None:
        pending = self.recovery.pending()
        for operation in self._operations():
            plan = operation.plan
            if plan is not None and pending.isdisjoint({operation.session, plan.into}):
                self._perform(operation)

    def _perform(self, operation: Operation) -> None:
        begun = operation.plan is not None
        with self._only(operation.session, begun=begun):
            try:
                self._operator.perform(operation)
            except (TransitionNotAllowed, NotFound):
                if not begun:  # the session has changed: the request is no longer possible
                    self._context.ledger.drop_request(operation.session)

    def _build(self, session_id: int) -> None:
        with self._only(session_id):
            self._builder.build(session_id)

    @contextmanager
    def _only(self, session_id: int, *, begun: bool = False) -> Iterator[None]:
        """Contain the failure of one session. A plan that was begun stays, to be retried."""
        try:
            yield
        except (TransitionNotAllowed, NotFound):
            pass  # the session has changed meanwhile, or is gone
        except Interrupted:
            pass  # the engine stops; the request stays in the index
        except sqlite3.Error:
            raise  # the index fails for all sessions, not for this one
        except Exception as error:
            _logger.exception("session %d can't be worked on", session_id)
            # A plan that was begun may have moved files: only completing it gives a whole session.
            if not begun:
                self._context.ledger.refuse(
                    session_id, SessionStatus.ERROR, _describe_defect(error)
                )

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
        """Return the seconds until the next look.

        A session that begins meanwhile can't be due before the idle time is over.
        """
        if self.recovery.is_going_on or any(operation.plan for operation in self._operations()):
            return RETRY_SECONDS
        silences = self._silence.seconds(self._context.ledger.receiving()).values()
        left = idle_seconds - next(iter(silences), 0.0)
        return left if left > 0 else RETRY_SECONDS


def _targets(operations: Iterable[Operation]) -> frozenset[int | None]:
    """Return the sessions that a merge is not complete with: until then they must stay."""
    return frozenset(operation.plan.into for operation in operations if operation.plan)


def _describe_defect(error: Exception) -> str:
    if isinstance(error, EngineError | OSError):
        return describe_error(error)
    return f"internal error: {type(error).__name__}; it is in the engine's log"


class SessionWorker:
    """Runs a lifecycle until it is stopped."""

    def __init__(self, lifecycle: Lifecycle, wakeup_pipe: WakeupPipe) -> None:
        self._lifecycle = lifecycle
        self._wakeup_pipe = wakeup_pipe
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="session-timer")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread after the session that it is working on."""
        self._stopping.set()
        self._wakeup_pipe.notify()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                seconds = self._look()
            except (EngineError, OSError) as error:
                _logger.warning("the work on sessions failed, trying again: %s", error)
                seconds = RETRY_SECONDS
            except Exception:
                # An unforeseen fault must not end the thread: all sessions depend on it.
                _logger.exception("the work on sessions failed; trying again")
                seconds = RETRY_SECONDS
            if not self._stopping.is_set():
                self._wakeup_pipe.wait(seconds)

    @translate_sqlite_errors()
    def _look(self) -> float:
        return self._lifecycle.run_due(self._stopping.is_set)
