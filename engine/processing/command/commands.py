"""The external programs of one engine: finished sessions become runs, and runners run them."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from engine.errors import NotFound, StorageUnusable
from engine.events.delivery import CommandsResumed, ProgramFailed, RunsDropped
from engine.index.arrivals import FinishedSessions
from engine.model.processing import is_test_object
from engine.processing.command.processor import CLASS_ID, Command, Program, program_of
from engine.processing.command.queue import RunQueue
from engine.processing.command.runner import Outputs, Runner, RunnerContext
from engine.processing.installed import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.events.journal import Journal
    from engine.index.arrivals import Finished
    from engine.index.store import SessionIndex
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor
    from engine.model.session import Session
    from engine.sessions.ledger import SessionRepository
    from engine.settings import EngineSettings
    from engine.storage.areas import Areas

RETRY_SECONDS = 10.0

_logger = logging.getLogger(__name__)


def runs_for_session(processor: Processor, session: Session, configuration: Configuration) -> bool:
    """Tell whether a program is to run for a session (XNAT 10.2).

    As for all processors, the receiver must have custom processing on; a session's receiver is
    that of its first object. No program runs for the session of a self-test.
    """
    receiver = next((r for r in configuration.receivers if r.label == session.receiver), None)
    return (
        processor.enabled
        and receiver is not None
        and receiver.custom_processing
        and processor.admits_receiver(session.receiver)
        and processor.admits_project(session.project, configuration.projects)
        and not is_test_object(session.study_instance_uid)
    )


class Programs:
    """Follows finished sessions and runs programs; `notify` may be called by any thread."""

    def __init__(
        self,
        settings: EngineSettings,
        index: SessionIndex,
        ledger: SessionRepository,
        areas: Areas,
        journal: Journal,
        configuration: Callable[[], Configuration],
    ) -> None:
        """Open the queue.

        Raises:
            StorageUnusable: if it can't be used.
        """
        self._configuration = configuration
        self._ledger = ledger
        self._journal = journal
        self._finished = FinishedSessions(index.changing)
        self._runners: dict[int, Runner] = {}
        self._leaving: list[Runner] = []
        self._taken_up = 0
        """The last finished session that has its runs."""
        self._halted = ""
        """The reason, as reported last, why no session is followed; empty if they are."""
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="commands")
        # What is open is closed again if a later step fails.
        with ExitStack() as resources:
            self._queue = RunQueue(settings.state_file)
            resources.callback(self._queue.close)
            # A pipe, as `poll` waits for it together with program and output.
            stop_fd, self._stop_writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            resources.callback(os.close, stop_fd)
            resources.callback(os.close, self._stop_writing)
            # `add` returns the function that ends the calls.
            resources.callback(index.sessions_finished.add(self.notify))
            self._open = resources.pop_all()
        outputs = Outputs(settings.command_output_dir)
        self._bench = RunnerContext(self._queue, ledger, areas, journal, outputs, stop_fd)

    def start(self) -> None:
        """Begin to follow and to run."""
        self.notify()
        self._thread.start()

    def notify(self) -> None:
        """Look for finished sessions, and at the configuration."""
        self._news.set()

    def stop(self) -> None:
        """End what runs, which runs again at the next start."""
        self._stopping.set()
        self.notify()
        if self._thread.is_alive():
            self._thread.join()
        runners = [*self._runners.values(), *self._leaving]
        for runner in runners:
            # All are asked before any is waited for.
            runner.request_stop()
        os.write(self._stop_writing, b"!")
        for runner in runners:
            runner.join()

    def close(self) -> None:
        """Close the queue."""
        self._open.close()

    def _follow(self) -> None:
        seconds: float | None = None
        while not self._stopping.is_set():
            self._news.wait(seconds)
            self._news.clear()
            seconds = None
            if self._stopping.is_set():
                return
            try:
                self._serve()
                self._go_on()
            except (StorageUnusable, OSError) as error:
                seconds = self._halt(str(error))
            except Exception as error:
                _logger.exception("following finished sessions failed; trying again")
                seconds = self._halt(f"internal error ({type(error).__name__})")

    def _halt(self, reason: str) -> float:
        """Return how long to wait after a failure, and report its reason once."""
        if reason != self._halted:
            self._halted = reason
            self._journal.record(ProgramFailed(processor="commands", session=None, reason=reason))
        return RETRY_SECONDS

    def _go_on(self) -> None:
        if self._halted:
            self._halted = ""
            self._journal.record(CommandsResumed(processor="commands"))

    def _serve(self) -> None:
        configuration = self._configuration()
        processors = [p for p in configuration.processors if p.processor_class == CLASS_ID]
        dropped = self._queue.keep_only([processor.id for processor in processors])
        if dropped:
            self._journal.record(RunsDropped(runs=dropped))
        enabled = [processor for processor in processors if processor.enabled]
        programs = {p.id: program_of(p, settings_of(Command.info, p)) for p in enabled}
        self._bring_to(programs)
        try:
            self._take_up(enabled, programs, configuration)
        finally:
            for runner in self._runners.values():
                runner.notify()

    def _take_up(
        self,
        processors: list[Processor],
        programs: dict[int, Program],
        configuration: Configuration,
    ) -> None:
        """Make runs for finished sessions, then remove their notes from the index.

        If the notes can't be removed, the runs must not be made again: the first may have ended.
        """
        finished = self._finished.all()
        if not finished:
            return
        self._queue.put(
            (processor.id, found, session.study_instance_uid)
            for found, session in self._sessions(finished)
            for processor in processors
            if programs[processor.id].status == found.status
            and runs_for_session(processor, session, configuration)
        )
        self._taken_up = finished[-1].sequence
        self._finished.remove(self._taken_up)

    def _sessions(self, finished: tuple[Finished, ...]) -> Iterator[tuple[Finished, Session]]:
        for found in finished:
            # Their notes could not be removed the last time; their runs are queued already.
            if found.sequence <= self._taken_up:
                continue
            try:
                yield found, self._ledger.session(found.session)
            except NotFound:  # merged already; the other session has a note of its own
                continue

    def _bring_to(self, programs: dict[int, Program]) -> None:
        """Start the runners that are configured; others end after their present run."""
        kept = {
            number: runner
            for number, runner in self._runners.items()
            if programs.get(number) == runner.program
        }
        left = [runner for number, runner in self._runners.items() if number not in kept]
        for runner in left:
            runner.request_stop()
        self._leaving = [r for r in (*self._leaving, *left) if not r.has_ended]
        for number, program in programs.items():
            if number not in kept:
                kept[number] = Runner(program, self._bench)
        self._runners = kept
