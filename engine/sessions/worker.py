"""The thread that works on sessions: it sleeps until one is due or a command wakes it.

Everything here happens one session after the other: on the thread of `engine.sessions.worker` while
an engine runs, or on that of a command if none does. Objects may arrive at any time; what they
join or interrupt is decided by `SessionIndex.session_for`.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from engine.errors import EngineError, NotFound, SessionError, TransitionNotAllowed
from engine.events import ObjectsAdopted
from engine.index.database import translate_sqlite_errors
from engine.index.operations import AUTO_ARCHIVE, OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.receiver import DirectMerge
from engine.model.session import SessionStatus
from engine.sessions.builder import Builder
from engine.sessions.context import describe_error, effective_code
from engine.sessions.folders.staging import Interrupted
from engine.sessions.idle import IdleSessions
from engine.sessions.planner import Planner
from engine.sessions.reconcile import repair
from engine.sessions.recovery import Recovery, adopt_left
from engine.sessions.rereading import require_rows
from engine.sessions.runner import OperationRunner
from engine.sessions.thinning import Thinning
from engine.sessions.trash import ExpiryClock, Trash

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from engine.host.clock import Clock
    from engine.host.wakeup import WakeupPipe
    from engine.index.operations import Operation
    from engine.model.session import Session
    from engine.sessions.context import SessionContext, SessionPolicy
    from engine.storage.scans import ReadStored, StoredObject


RETRY_SECONDS = 5.0
"""Pause before work that failed is tried again."""

Step = Callable[[], bool]
"""Does one piece of work; returns False if there is none."""

_logger = logging.getLogger(__name__)


# 6 % of a core. Measured with 2 receiving processes and 50,000 sessions to build: 7 % of the
# engine's CPU; with three quarters of this pause up to 14 %.
PAUSE = 16.0
"""The pause after work, in processor times of the work, while objects arrive without a break."""
PAUSE_WHEN_LATE = 1.0
LATE_SECONDS = 3600.0
"""After so long without an end, the work gets half of the time: else it might never end."""
BUSY_RATE = 100.0
"""Objects per second from which on they count as arriving without a break."""
RATE_SECONDS = 0.2
"""The rate is that of so long at least: rows of receiving processes come in batches of 50 ms."""
LEAST_SECONDS = 0.001
LONGEST_SECONDS = 0.25
"""Longest pause: a request that comes meanwhile waits for its end."""


class Pace:
    """Slows the work on sessions down while objects arrive; used by the thread that works.

    Beside work without pauses, reception had half of its speed: in one process, in which one Python
    thread runs at a time, and also with receiving processes, on cores that are all busy.
    """

    def __init__(
        self,
        clock: Clock,
        arrived: Callable[[], int],
        wait: Callable[[float], object] = time.sleep,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        """Take what is measured.

        Args:
            clock: the time.
            arrived: returns how many objects arrived so far.
            wait: returns after some seconds, or when the engine stops.
            worked: returns the processor time of the calling thread, in seconds.
        """
        self._clock = clock
        self._arrived = arrived
        self._wait = wait
        self._worked = worked
        self.begin()

    def begin(self) -> None:
        """Note that work begins after there was none."""
        self._began_at = self._clock.monotonic()
        self._older = self._newer = (self._began_at, self._arrived())
        self._worked_before = self._worked()

    def paced(self, read: ReadStored) -> ReadStored:
        """Return a function that reads objects and pauses between them."""

        def read_and_breathe(folder: Path, file: str) -> StoredObject:
            self.breathe()
            return read(folder, file)

        return read_and_breathe

    def breathe(self) -> None:
        """Pause in proportion to the work since the last call, if objects arrived since."""
        worked = self._worked() - self._worked_before
        if worked < LEAST_SECONDS:
            return
        now, arrived = self._clock.monotonic(), self._arrived()
        if now - self._newer[0] >= RATE_SECONDS:
            self._older, self._newer = self._newer, (now, arrived)
        since, before = self._older
        rate = (arrived - before) / max(now - since, LEAST_SECONDS)
        is_late = now - self._began_at > LATE_SECONDS
        pause = worked * (PAUSE_WHEN_LATE if is_late else PAUSE) * min(1.0, rate / BUSY_RATE)
        if pause > 0:
            self._wait(min(pause, LONGEST_SECONDS))
        self._worked_before = self._worked()


class Lifecycle:
    """Builds, archives, moves, deletes and purges what is due; used by one thread at a time."""

    def __init__(
        self,
        session_context: SessionContext,
        policy: Callable[[], SessionPolicy],
        expiry: ExpiryClock | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Take the parts.

        Args:
            session_context: what the work needs.
            policy: returns the settings in force.
            expiry: the time by which the trash expires, if others use it too.
            pace: slows the work down while objects arrive; None if none arrives.
        """
        if pace is not None:
            session_context = replace(session_context, read=pace.paced(session_context.read))
        self._pace = pace
        self._context = session_context
        self._policy = policy
        self._idle = IdleSessions(session_context.clock, session_context.ledger)
        expiry = expiry or ExpiryClock(session_context.clock, session_context.journal)
        self._trash = Trash(
            session_context.areas,
            session_context.ledger,
            session_context.journal,
            session_context.clock,
            expiry,
        )
        self._thinning = Thinning(session_context, expiry, self._breathe)
        planner = Planner(session_context)
        self._operator = OperationRunner(session_context, planner)
        self._builder = Builder(session_context, planner, self._operator, self._archived_by_itself)
        self._left_idle: Iterator[int] | None = None
        """Silent sessions that the last run had no time for."""
        self.recovery = Recovery(session_context)
        self._left: SimpleQueue[tuple[Sequence[int], Collection[int]]] = SimpleQueue()
        """Sessions that a receiving process held when it ended, and inodes of its objects."""
        self._wanted: SimpleQueue[int] = SimpleQueue()
        """Sessions whose rows were removed, and which objects come for."""

    def begin(self, *, clean: bool) -> None:
        """Complete the plans that an earlier run began, before any object arrives.

        The sessions that it left open are recovered later: by `run_due`, or for an object.

        Args:
            clean: whether that run stopped in good order, so that every file has its row.
        """
        self.recovery.begin(clean=clean)
        # A plan moves objects, which must have their rows. Before objects arrive: a copy that is
        # being moved would not be found.
        for operation in self._context.ledger.begun():
            self.recovery.recover(operation.session)
            if operation.plan is not None and operation.plan.into is not None:
                self.recovery.recover(operation.plan.into)
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

    def read_again_soon(self, session_ids: Sequence[int]) -> None:
        """Let the next look read the rows of some sessions again; returns at once."""
        for session_id in session_ids:
            self._wanted.put(session_id)

    def _read_wanted(self, stopping: Callable[[], bool]) -> None:
        while not (stopping() or self._wanted.empty()):
            self._run_asked(stopping)
            session_id = self._wanted.get()
            try:
                require_rows(self._context, session_id)
            except SessionError as error:
                # A merge into it says so, too.
                _logger.warning("%s", error.detail)

    def requeue_builds(self) -> None:
        """Return sessions whose build was cut short to RECEIVING, so that they are built again."""
        ledger = self._context.ledger
        interrupted = ledger.in_status(SessionStatus.BUILDING, SessionStatus.RECEIVING_INTERRUPT)
        pending = self._not_recovered()
        for session in (session for session in interrupted if session.id not in pending):
            with self._only(session.id):
                if session.rows_removed_at is None:
                    repair(self._context, session)
                ledger.change(session.id, SessionStatus.RECEIVING)

    def run_due(self, stopping: Callable[[], bool] = lambda: False) -> float:
        """Do what is due and return after how many seconds to look again.

        Requests of people are looked for between any two steps of other work. The rest is left for
        the next run after `RETRY_SECONDS`, so that work that failed is retried then.

        Args:
            stopping: asked before each step; the rest is left for the next run if it says so.
        """
        if self._pace is not None and self._left_idle is None:
            self._pace.begin()
        self._adopt_left()
        # Each time, not only at the start: an operation that failed for want of room is retried
        # here.
        self.recover(stopping)
        policy, clock = self._policy(), self._context.clock
        until = clock.monotonic() + RETRY_SECONDS
        # The next run goes on where this one stops: sessions that can't be built just now don't
        # hold up those behind them.
        idle, self._left_idle = self._left_idle or self._idle.due(policy.idle_seconds), None
        self._read_wanted(stopping)
        self._run_asked(stopping)
        for _ in self._background(idle, policy.trash_days, stopping):
            self._breathe()
            self._run_asked(stopping)
            if clock.monotonic() >= until:
                self._left_idle = idle
                return 0
        if stopping():
            self._trash.report()
            return 0
        is_more = self._thinning.run(policy.index_days, stopping)
        pause = self._pause(policy.idle_seconds)
        return min(pause, RETRY_SECONDS) if is_more else pause

    def run_requests(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Carry out all queued requests, and those that they queue in turn."""
        for _ in _by_turns((*self._asked, self._run_automatic), stopping):
            pass

    @property
    def _asked(self) -> tuple[Step, Step]:
        """The steps that people wait for: their requests, and builds that they or a move want."""
        return partial(self._run_request, automatic=False), self._run_build

    def _run_asked(self, stopping: Callable[[], bool]) -> None:
        for _ in _by_turns(self._asked, stopping):
            self._breathe()

    def _breathe(self) -> None:
        if self._pace is not None:
            self._pace.breathe()

    def _background(
        self, idle: Iterator[int], trash_days: float, stopping: Callable[[], bool]
    ) -> Iterator[None]:
        """Do what nobody waits for; yield after each step."""
        steps = (
            partial(self._build_idle, idle),
            self._run_automatic,
            partial(self._trash.purge_next, trash_days),
        )
        yield from _by_turns(steps, stopping)

    def _build_idle(self, idle: Iterator[int]) -> bool:
        session_id = next(idle, None)
        if session_id is None:
            return False
        # Its folder and rows are still changed by a recovery or merge that is not complete.
        later = self._not_recovered()
        if session_id not in later and not self._context.ledger.is_merged_into(session_id):
            self._build(session_id)
        return True

    def _run_build(self) -> bool:
        session_id = self._context.ledger.next_build(but_not=self._not_recovered())
        if session_id is not None:
            self._build(session_id)
        return session_id is not None

    def _run_automatic(self) -> bool:
        return self._run_request(automatic=True)

    def _run_request(self, *, automatic: bool) -> bool:
        # Read anew each time: a build may queue the archive, a separation two more builds.
        later = self._not_recovered()
        operation = self._context.ledger.next_request(automatic=automatic, but_not=later)
        if operation is not None:
            self._perform(operation)
        return operation is not None

    def _not_recovered(self) -> frozenset[int]:
        return self.recovery.pending() if self.recovery.is_going_on else frozenset()

    def _resume(self) -> None:
        pending = self._not_recovered()
        for operation in self._context.ledger.begun():
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
        """Return the request for the archive, if receiver, header or project want it (XNAT 9.5)."""
        if session.project is None:
            return None
        policy = self._policy()
        merge = policy.direct_merge(session.receiver)
        # XNAT 9.7: a receiver that archives directly says what becomes of what comes later. A
        # header that asks for a person wins.
        archived = self._context.ledger.archived_as(session.project, session.label)
        if merge is not None and archived is not None and session.auto_archive is not False:
            appends = merge is DirectMerge.APPEND
            kind = OperationKind.ARCHIVE
            return Request(kind, AUTO_ARCHIVE, merge=True, overwrite=not appends, skip=appends)
        code = effective_code(session.auto_archive, policy.archive_code(session.project))
        if code is AutoArchive.MANUAL:
            return None
        overwrite = code is AutoArchive.OVERWRITE
        return Request(OperationKind.ARCHIVE, AUTO_ARCHIVE, merge=True, overwrite=overwrite)

    def _pause(self, idle_seconds: float) -> float:
        """Return the seconds until the next look."""
        if self.recovery.is_going_on or self._context.ledger.has_begun():
            return RETRY_SECONDS
        left = self._idle.seconds_left(idle_seconds)
        return left if left > 0 else RETRY_SECONDS


def _by_turns(steps: Sequence[Step], stopping: Callable[[], bool]) -> Iterator[None]:
    """Take steps of several kinds in turn until nothing is left to do; yield after each."""
    is_left = True
    while is_left:
        is_left = False
        for step in steps:
            if stopping():
                return
            if step():
                is_left = True
                yield


def _describe_defect(error: Exception) -> str:
    if isinstance(error, EngineError | OSError):
        return describe_error(error)
    return f"internal error: {type(error).__name__}; it is in the engine's log"


class SessionWorker:
    """Runs a lifecycle until it is stopped."""

    def __init__(
        self, lifecycle: Lifecycle, wakeup_pipe: WakeupPipe, stopping: threading.Event
    ) -> None:
        """Take the lifecycle, what wakes the thread, and what `stop` is to set."""
        self._lifecycle = lifecycle
        self._wakeup_pipe = wakeup_pipe
        self._stopping = stopping
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
