"""Processes that run one function for others: what hangs or crashes there is killed there.

Each call has a process for itself, so that nobody else's work is lost with it. Processes are
started when they are first needed, and end when their parent does, however it ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

J = TypeVar("J")
R = TypeVar("R")

MOST_PROCESSES: Final = 4
CPU_SECONDS: Final = 20.0
WALL_SECONDS: Final = 600.0
"""For a process that stands still; work has a limit of processor time, whatever the disk does."""
_TRIES: Final = 2
_SPAWN = multiprocessing.get_context("spawn")
"""A fork would copy locks that other threads hold."""


class WorkerTimeout(Exception):
    """The function took too long, and its process was killed."""


class WorkerLost(Exception):
    """The process died under the function, again at the second try."""


class WorkersClosed(Exception):
    """No process is started any more."""


class JobFailed(Exception):
    """The function raised an error; only its type is told, for its text may be anything."""


class Workers(Generic[J, R]):
    """A few processes for one function; every method may be called from any thread."""

    def __init__(
        self,
        function: Callable[[J], R],
        *,
        processes: int | None = None,
        cpu_seconds: float = CPU_SECONDS,
        wall_seconds: float = WALL_SECONDS,
    ) -> None:
        """Take an importable function; no process is started yet."""
        most = processes or min(os.cpu_count() or 1, MOST_PROCESSES)
        self._function = function
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        """Guards the lists, and starting and reaping processes, which is not thread-safe."""
        self._idle: list[_Worker[J, R]] = []
        self._busy: set[_Worker[J, R]] = set()
        self._closed = False

    def run(self, job: J) -> R:
        """Call the function in a process, once more if that one dies; wait for one to be free.

        Raises:
            WorkerTimeout: if it took too long.
            WorkerLost: if the process died each time.
            JobFailed: if the function raised an error.
            WorkersClosed: after `close`.
            OSError: if no process can be started.
        """
        with self._places:
            for _ in range(_TRIES):
                try:
                    return self._call(job)
                except (EOFError, ConnectionError):
                    continue
        raise WorkerLost

    @property
    def processes(self) -> int:
        """How many processes there are now."""
        with self._lock:
            return len(self._idle) + len(self._busy)

    def rest(self) -> None:
        """End the processes that do nothing; later calls start new ones."""
        with self._lock:
            for worker in self._idle:
                worker.end()
            self._idle.clear()

    def close(self) -> None:
        """Kill all processes; calls that wait for one end at once."""
        with self._lock:
            self._closed = True
            for worker in self._idle:
                worker.end()
            self._idle.clear()
            for worker in self._busy:
                worker.process.kill()

    def _call(self, job: J) -> R:
        worker = self._take()
        try:
            result = worker.call(job, self._wall_seconds)
        except BaseException as error:
            code = self._end(worker)
            if isinstance(error, (EOFError, ConnectionError)):
                if self._closed:
                    raise WorkersClosed from error
                if code == -signal.SIGPROF:
                    raise WorkerTimeout from error
            raise
        self._give_back(worker)
        if isinstance(result, _Raised):
            raise JobFailed(result.kind)
        return result

    def _take(self) -> _Worker[J, R]:
        with self._lock:
            if self._closed:
                raise WorkersClosed
            worker = self._idle_one() or self._new_one()
            self._busy.add(worker)
            return worker

    def _new_one(self) -> _Worker[J, R]:
        track_resources()
        return _Worker(self._function, self._cpu_seconds)

    def _idle_one(self) -> _Worker[J, R] | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.process.is_alive():
                return worker
            worker.end()
        return None

    def _give_back(self, worker: _Worker[J, R]) -> None:
        with self._lock:
            self._busy.remove(worker)
            if self._closed:
                worker.end()
            else:
                self._idle.append(worker)

    def _end(self, worker: _Worker[J, R]) -> int | None:
        with self._lock:
            self._busy.discard(worker)
            return worker.end()


def track_resources() -> None:
    """Start what `multiprocessing` needs beside processes, whatever stands in for stderr.

    In a console `sys.stderr` is no file and gives -1 as its number, which can't be passed on.
    """
    shown, sys.stderr = sys.stderr, sys.__stderr__
    try:
        resource_tracker.ensure_running()
    finally:
        sys.stderr = shown


class _Raised:
    """Takes the place of a result."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Worker(Generic[J, R]):
    """One process and the pipe to it; used by one thread at a time."""

    def __init__(self, function: Callable[[J], R], cpu_seconds: float) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=_serve, args=(theirs, function, cpu_seconds), name="script", daemon=True
        )
        try:
            self.process.start()
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()

    def call(self, job: J, seconds: float) -> R | _Raised:
        """Return what the function makes of a job; raises EOFError if the process dies."""
        self._pipe.send(job)
        if not self._pipe.poll(seconds):
            raise WorkerTimeout
        result: R | _Raised = self._pipe.recv()
        return result

    def end(self) -> int | None:
        """Kill the process, if it is still there, and return its exit code."""
        self._pipe.close()
        self.process.kill()
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        return code


def _serve(
    pipe: Connection[R | _Raised, J], function: Callable[[J], R], cpu_seconds: float
) -> None:
    """Be such a process: call the function for each job until the parent is gone."""
    _become_quiet()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # nothing in this process can delay it
        result = _called(function, job)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(result)


def _called(function: Callable[[J], R], job: J) -> R | _Raised:
    try:
        return function(job)
    except Exception as error:
        return _Raised(type(error).__name__)


def _become_quiet() -> None:
    """Leave the terminal's signals to the parent; libraries print values, which are no log."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.umask(0o077)
    logging.disable()
    warnings.simplefilter("ignore")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
