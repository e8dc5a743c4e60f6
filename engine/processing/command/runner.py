"""The threads of one program: each takes a run from the queue, runs it, and tells how it ended."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import NotFound, StorageUnusable
from engine.events.delivery import CommandsResumed, ProgramEnded, ProgramFailed
from engine.model.session import SessionArea
from engine.processing.command.run import RunResult, description, run_program

if TYPE_CHECKING:
    from engine.events.journal import Journal
    from engine.processing.command.output import Outputs
    from engine.processing.command.processor import Program
    from engine.processing.command.queue import QueuedRun, RunQueue
    from engine.sessions.ledger import SessionRepository
    from engine.storage.areas import Areas

RETRY_SECONDS = 10.0

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class RunnerContext:
    """What all runners work with."""

    queue: RunQueue
    ledger: SessionRepository
    areas: Areas
    journal: Journal
    outputs: Outputs
    stop_fd: int
    """Readable once the engine stops."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Guards `running`."""
    running: set[int] = field(default_factory=set)
    """The runs that are under way."""


class Runner:
    """Runs one program; every method may be called from any thread."""

    def __init__(self, program: Program, bench: RunnerContext) -> None:
        self.program = program
        self._bench = bench
        self._wake = threading.Condition()
        self._notified = program.at_once
        self._stopping = False
        self._halted = ""
        """Why nothing runs, as it was told last; guarded by the lock of the bench."""
        self._threads = [
            threading.Thread(target=self._work, name=f"command-{program.id}-{number}")
            for number in range(program.at_once)
        ]
        for thread in self._threads:
            thread.start()

    def notify(self) -> None:
        """Let the threads look for runs."""
        with self._wake:
            self._notified = len(self._threads)
            self._wake.notify_all()

    def request_stop(self) -> None:
        """Begin no further run; one that is under way ends as it ends."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def join(self) -> None:
        """Wait until every run has ended."""
        for thread in self._threads:
            thread.join()

    @property
    def has_ended(self) -> bool:
        """Whether every run has ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        seconds: float | None = None
        while self._wait(seconds):
            seconds = None
            try:
                while not self._stopping and self._run_next():
                    pass
                self._note("")
            except StorageUnusable as error:
                self._note(error.detail)
                seconds = RETRY_SECONDS
            except Exception as error:
                # One session that nobody foresaw must not end the runs for all others.
                _logger.exception("running a program failed; trying again")
                self._note(f"internal error ({type(error).__name__})")
                seconds = RETRY_SECONDS

    def _note(self, reason: str) -> None:
        """Tell once why nothing runs, and once that it does again."""
        with self._bench.lock:
            before, self._halted = self._halted, reason
        if reason and reason != before:
            self._report_failure(None, reason)
        elif before and not reason:
            self._bench.journal.record(CommandsResumed(processor=self.program.label))

    def _wait(self, seconds: float | None) -> bool:
        """Wait until it rings or the time is over; return whether to go on."""
        with self._wake:
            self._wake.wait_for(lambda: self._notified > 0 or self._stopping, seconds)
            self._notified = max(0, self._notified - 1)
            return not self._stopping

    def _run_next(self) -> bool:
        """Run the program for the next session, if there is one."""
        bench = self._bench
        with bench.lock:
            run = bench.queue.begin(self.program.id, bench.running)
            if run is None:
                return False
            bench.running.add(run.id)
        try:
            ran = self._run(run)
            if ran.was_stopped:
                return False
            bench.queue.end(run.id)
            self._report(run, ran)
        finally:
            with bench.lock:
                bench.running.discard(run.id)
        return True

    def _run(self, run: QueuedRun) -> RunResult:
        try:
            session = self._bench.ledger.session(run.session)
        except NotFound:
            return RunResult(
                failure="its session was merged into another or removed before it could run"
            )
        if run.study not in {"", session.study_instance_uid}:
            return RunResult(
                failure="the session index was replaced, and its number is another's now"
            )
        if session.area is SessionArea.TRASH:
            return RunResult(failure="its session was deleted before it could run")
        told = description(self.program, run, session, self._bench.areas.folder(session))
        return run_program(self.program.argv, told, self.program.seconds, self._bench.stop_fd)

    def _report(self, run: QueuedRun, ran: RunResult) -> None:
        if ran.is_good:
            self._bench.journal.record(
                ProgramEnded(
                    processor=self.program.label,
                    session=run.session,
                    seconds=round(ran.seconds, 3),
                )
            )
        else:
            self._report_failure(
                run.session,
                ran.in_words(),
                output_bytes=ran.output_bytes,
                output_file=self._bench.outputs.keep(run, ran.output),
            )

    def _report_failure(
        self, session: int | None, reason: str, *, output_bytes: int = 0, output_file: str = ""
    ) -> None:
        self._bench.journal.record(
            ProgramFailed(
                processor=self.program.label,
                session=session,
                reason=reason,
                output_bytes=output_bytes,
                output_file=output_file,
            )
        )
