"""Runs one external program: no shell, a bare environment, limits of time and output."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.model.session import Session
    from engine.processing.command.processor import Program
    from engine.processing.command.queue import QueuedRun


ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
KEPT_BYTES = 4096
"""Of the end of what it writes; the rest is read and forgotten."""
GRACE_SECONDS = 2.0
"""Between being asked to end and being killed."""

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
        """Whether it did what it was asked for."""
        return self.exit_code == 0

    def in_words(self) -> str:
        """Say how it ended."""
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
        told: what it finds on standard input; less than a pipe holds.
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
        except OSError as error:  # no descriptor is left: nobody could end it later
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
        """Read what it writes until it has ended; say why it must be ended, if so."""
        poll, pidfd, output = select.poll(), self._pidfd, self._stdout.fileno()
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
            if pidfd in ready:
                self._read()
                return ""
            if self._stop_fd in ready:
                return _STOPS

    def end_group(self) -> None:
        """Ask it and all that it started to end, and wait a little for it."""
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
        """Let go of it; it must have ended."""
        os.close(self._pidfd)

    def output(self) -> str:
        """Return the end of what it wrote."""
        return self._kept.decode("utf-8", "replace").strip()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self) -> bool:
        """Take what there is to read, and return whether more may come."""
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
