"""Runs external programs: no shell, a bare environment, limits of time and output."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.errors import NotFound, StorageUnusable
from engine.events.delivery import CommandsResumed, ProgramEnded, ProgramFailed
from engine.model.session import SessionArea

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.events.journal import Journal
    from engine.model.session import Session
    from engine.processing.command.processor import Program
    from engine.processing.command.queue import QueuedRun, RunQueue
    from engine.sessions.ledger import SessionRepository
    from engine.storage.areas import Areas


# Nothing of the engine's own: its variables may hold secrets.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
KEPT_BYTES = 4096
"""Kept of the end of the output. The rest is read and dropped, so that the program never blocks."""
GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL."""

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    exit_code: int | None = None
    """Negative for a signal; None if it did not end by itself, or never began."""
    failure: str = ""
    """Why there is no exit code."""
    was_stopped: bool = False
    """Whether it was killed because the engine stops."""
    seconds: float = 0.0
    output: str = ""
    """The end of what it wrote to stdout and stderr; may hold anything."""
    output_bytes: int = 0
    """How much it wrote in all."""

    @property
    def is_good(self) -> bool:
        """Whether it ended with exit code 0."""
        return self.exit_code == 0

    def in_words(self) -> str:
        """Return in words how it ended."""
        if self.failure or self.exit_code is None:
            return self.failure
        if self.exit_code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-self.exit_code).name}"
        return f"exit code {self.exit_code}"


def run_program(argv: Sequence[str], told: bytes, seconds: float, stop_fd: int) -> RunResult:
    """Run a program to its end.

    Args:
        argv: the program and its arguments.
        told: what it gets on standard input; less than a pipe holds, so that writing never blocks.
        seconds: after which it is killed, with everything that it started.
        stop_fd: readable once it is to be killed for another reason.
    """
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,  # a process group of its own, which can be killed as one
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return RunResult(failure=f"can't be run: {reason.lower()}")
    with process:
        try:
            run = _ProgramProcess(process, stop_fd, began + seconds)
        except OSError as error:  # no descriptor is left: it could not be stopped later
            os.killpg(process.pid, signal.SIGKILL)
            return RunResult(failure=f"can't be watched: {(error.strerror or str(error)).lower()}")
        try:
            run.write_input(told)
            why = run.watch()
            if why:
                run.end_group()
        finally:
            run.kill_group()
            code = process.wait()
            run.close()
        took = time.monotonic() - began
        failure = f"killed after its time limit of {seconds:g} s" if why == _LATE else why
        return RunResult(
            None if why else code, failure, why == _STOPS, took, run.output(), run.written
        )


_LATE = "late"
_STOPS = "ended because the engine stops"


class _ProgramProcess:
    def __init__(self, process: subprocess.Popen[bytes], stop_fd: int, until: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._stop_fd = stop_fd
        self._until = until
        self._kept = bytearray()
        self.written = 0
        """How many bytes it wrote."""
        self._pidfd = os.pidfd_open(process.pid)

    def write_input(self, text: bytes) -> None:
        """Write its standard input; the program need not read it."""
        with suppress(BrokenPipeError):
            self._stdin.write(text)
        with suppress(BrokenPipeError):
            self._stdin.close()

    def watch(self) -> str:
        """Read its output until it has ended; return why it must be ended, or an empty text."""
        poll, pidfd, output = select.poll(), self._pidfd, self._stdout.fileno()
        # A child that the program left may hold the pipe open, and a read would wait for it.
        os.set_blocking(output, False)
        for fd in (pidfd, output, self._stop_fd):
            poll.register(fd, select.POLLIN)
        while True:
            left = self._until - time.monotonic()
            if left <= 0:
                return _LATE
            ready = {fd for fd, _ in poll.poll(left * 1000)}
            if output in ready and not self._read():
                poll.unregister(output)
            # Ended: take what is left in the pipe, which its children may keep open for ever.
            if pidfd in ready:
                self._read()
                return ""
            if self._stop_fd in ready:
                return _STOPS

    def end_group(self) -> None:
        """Send SIGTERM to its process group, and wait up to `GRACE_SECONDS` for it."""
        self._signal(signal.SIGTERM)
        poll = select.poll()
        # It is not reaped here: its number must stay its group's until the group is killed.
        poll.register(self._pidfd, select.POLLIN)
        poll.poll(GRACE_SECONDS * 1000)
        self._read()

    def kill_group(self) -> None:
        """Kill whatever is left of its process group; called before it is reaped."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Close its descriptor; it must have ended."""
        os.close(self._pidfd)

    def output(self) -> str:
        """Return the end of what it wrote."""
        return self._kept.decode("utf-8", "replace").strip()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self) -> bool:
        """Read what is in the pipe; return whether more may come."""
        with suppress(BlockingIOError):
            piece = os.read(self._stdout.fileno(), _READ_BYTES)
            self._kept += piece
            self.written += len(piece)
            del self._kept[:-KEPT_BYTES]
            return bool(piece)
        return True


VERSION = 1
"""Grows when a member changes its meaning; new members may come at any time."""


def description(program: Program, run: QueuedRun, session: Session, folder: Path) -> bytes:
    """Return the JSON text that a program finds on its standard input.

    Args:
        program: which program.
        run: why it runs; more than one `begun` says that it may have run before.
        session: as it is now.
        folder: where its files are now.
    """
    record = {
        "version": VERSION,
        "processor": program.label,
        "event": str(run.status).lower(),
        "finished_at": run.finished_at,
        "repeated": run.begun > 0,
        "session": {
            "id": session.id,
            "project": session.project,
            "subject": session.subject,
            "label": session.label,
            "study_instance_uid": session.study_instance_uid,
            "status": str(session.status),
            "area": str(session.area),
            "path": str(folder.absolute()),
            "modality": session.modality,
            "objects": session.objects,
            "bytes": session.bytes,
            "receiver": session.receiver,
            "calling_ae_title": session.calling_ae_title,
            "first_object_at": session.first_object_at.isoformat(),
            "last_object_at": session.last_object_at.isoformat(),
        },
    }
    return json.dumps(record).encode("ascii") + b"\n"


RETRY_SECONDS = 10.0

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class RunnerContext:
    """The parts that all runners share."""

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
        """The reason, as reported last, why nothing runs; guarded by the lock of the bench."""
        self._threads = [
            threading.Thread(target=self._work, name=f"command-{program.id}-{number}")
            for number in range(program.at_once)
        ]
        for thread in self._threads:
            thread.start()

    def notify(self) -> None:
        """Wake the threads, so that they look for runs."""
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
                # An unforeseen fault of one session must not end the thread.
                _logger.exception("running a program failed; trying again")
                self._note(f"internal error ({type(error).__name__})")
                seconds = RETRY_SECONDS

    def _note(self, reason: str) -> None:
        """Report once why nothing runs, and once that runs go on."""
        with self._bench.lock:
            before, self._halted = self._halted, reason
        if reason and reason != before:
            self._report_failure(None, reason)
        elif before and not reason:
            self._bench.journal.record(CommandsResumed(processor=self.program.label))

    def _wait(self, seconds: float | None) -> bool:
        """Wait for `notify` or the end of the time; return whether to go on."""
        with self._wake:
            self._wake.wait_for(lambda: self._notified > 0 or self._stopping, seconds)
            self._notified = max(0, self._notified - 1)
            return not self._stopping

    def _run_next(self) -> bool:
        """Run the program for the next session, if there is one."""
        bench = self._bench
        with bench.lock:
            # Under one lock with the set: two threads must not begin the same run.
            run = bench.queue.begin(self.program.id, bench.running)
            if run is None:
                return False
            bench.running.add(run.id)
        try:
            ran = self._run(run)
            # It stays in the queue, and runs again at the next start.
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


KEPT_FILES: Final = 100
"""The newest; there is one for each failed run that wrote anything."""

_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Outputs:
    """A folder with the ends of outputs, readable by the engine's user only; for all threads."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made when it is needed."""
        self._folder = folder
        self._lock = threading.Lock()

    def keep(self, run: QueuedRun, output: str) -> str:
        """Keep what a run wrote; return the file's place in the data directory, empty without one.

        If the storage fails, only the output is lost: the failed run itself is still reported.
        """
        if not output:
            return ""
        name = f"{run.processor:06d}-{run.id:012d}-{run.begun}.txt"
        try:
            with self._lock:
                self._write(name, _harmless(output))
        except OSError as error:
            _logger.warning("the output of a program is not kept: %s", error.strerror)
            return ""
        return f"{self._folder.parent.name}/{self._folder.name}/{name}"

    def _write(self, name: str, text: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / name
        path.unlink(missing_ok=True)
        fd = os.open(path, _NEW_FLAGS, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        self._forget_old()

    def _forget_old(self) -> None:
        files = [(path.stat().st_mtime_ns, path) for path in self._folder.glob("*.txt")]
        for _, path in sorted(files)[:-KEPT_FILES]:
            with suppress(OSError):
                path.unlink()


def _harmless(output: str) -> str:
    """Return an output without control characters, which could steer a terminal."""
    lines = ("".join(c if c.isprintable() else "�" for c in ln) for ln in output.splitlines())
    return "\n".join(lines) + "\n"
