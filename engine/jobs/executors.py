"""Runs the tasks of a job on this machine: in this process, or in one process for each core."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from engine.jobs.file import run_task
from engine.workers.spread import begin_worker
from engine.workers.start import load_ahead

if TYPE_CHECKING:
    from engine.jobs.file import Job, Task, TaskResult

_AHEAD: Final = 2
"""Tasks for each process that are begun: one that runs, and the next one."""


class Here:
    """This process: for few files, as processes take a second to start."""

    deaths: tuple[type[BaseException], ...] = ()
    repeats = False
    at_once = 1

    def __init__(self, job: Job) -> None:
        self._job = job

    def submit(self, task: Task) -> Future[TaskResult]:
        """Do a task at once."""
        future: Future[TaskResult] = Future()
        future.set_result(run_task(self._job, task))
        return future

    def renew(self) -> None:
        """There is nothing to renew."""

    def check(self) -> None:
        """It can always go on."""

    def fault(self, error: Exception) -> Exception:
        """Return the error: it is a fault of the program."""
        return error

    def close(self) -> None:
        """There is nothing to close."""


class Processes:
    """Processes of this machine, which end with this one, also if it is killed."""

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)
    repeats = False

    def __init__(self, job: Job, processes: int) -> None:
        self._job, self._processes = job, processes
        self._pool = self._started()

    @property
    def at_once(self) -> int:
        """How many tasks to have begun."""
        return self._processes * _AHEAD

    def _started(self) -> ProcessPoolExecutor:
        # Forked from a server that has loaded pydicom and the parser, which takes a second.
        with suppress(OSError):
            load_ahead()
        context = multiprocessing.get_context("forkserver")
        return ProcessPoolExecutor(self._processes, context, initializer=_begin)

    def submit(self, task: Task) -> Future[TaskResult]:
        """Begin a task."""
        return self._pool.submit(run_task, self._job, task)

    def renew(self) -> None:
        """Start new processes: a pool ends with the first process that dies."""
        self._pool.shutdown(cancel_futures=True)
        self._pool = self._started()

    def check(self) -> None:
        """A dead process is seen as an error of its task."""

    def fault(self, error: Exception) -> Exception:
        """Return the error: it is a fault of the program."""
        return error

    def close(self) -> None:
        """Wait for what has begun."""
        self._pool.shutdown(cancel_futures=True)


def _begin() -> None:
    begin_worker()
    # As the command has it: files that one process makes have the modes of those of another.
    os.umask(0o027)
