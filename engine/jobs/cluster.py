"""Runs the tasks of a job on a Dask cluster that is there already (``dicomdock[dask]``).

Dask begins the tasks of a worker that dies anew on others. What that worker has written is found
there, with the same bytes. Everything that decides about the result goes to each worker once.
"""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, Future
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.jobs.file import JobStopped, TaskResult, run_task

if TYPE_CHECKING:
    from engine.jobs.file import Job, Task

_CONNECT_SECONDS = 5
_WITHOUT_WORKERS_SECONDS = 60.0
_AHEAD = 2
"""Tasks for each thread of the workers that are begun: one that runs, and the next one."""


class ClusterUnusable(EngineError):
    """The cluster can't be used."""

    title = "The cluster can't be used"
    exit_code = 8


class Cluster:
    """A Dask cluster; used by one thread."""

    repeats = True

    def __init__(self, job: Job, address: str) -> None:
        """Associate with the scheduler.

        Raises:
            ClusterUnusable: if that fails, there are no workers, or they have another dicomdock.
        """
        try:
            from distributed import Client
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            remedy = "install it with: pip install 'dicomdock[dask]'"
            raise ClusterUnusable(f"Dask is not installed: {error}", remedy) from error
        self.deaths: tuple[type[BaseException], ...] = (KilledWorker,)
        self._address = address
        self._alone_since: float | None = None
        try:
            self._client: Any = Client(address, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError, TypeError) as error:
            remedy = "give the address that `dask scheduler` prints, such as tcp://HOST:8786"
            raise ClusterUnusable(f"no scheduler answers at {address}", remedy) from error
        try:
            self._require_workers()
            # A result of the cluster: a worker that needs it again gets it again.
            self._job = self._client.submit(_given, job, pure=False)
            self._executor = self._client.get_executor(pure=False)
        except BaseException:
            self._client.close()
            raise

    def _require_workers(self) -> None:
        versions, ours = self._client.run(_version, on_error="return"), _version()
        if not versions:
            remedy = f"start some with: dask worker {self._address}"
            raise ClusterUnusable(f"the scheduler at {self._address} has no workers", remedy)
        for worker, theirs in versions.items():
            if theirs != ours:
                words = theirs if isinstance(theirs, str) else "none that can be loaded"
                raise ClusterUnusable(
                    f"the worker {worker} has another dicomdock: {words}",
                    f"install dicomdock {ours} for all workers",
                )

    @property
    def at_once(self) -> int:
        """How many tasks to have begun."""
        threads: int = sum(self._client.nthreads().values())
        return max(1, threads) * _AHEAD

    def submit(self, task: Task) -> Future[TaskResult]:
        """Begin a task."""
        begun: Future[TaskResult] = self._executor.submit(run_task, self._job, task)
        return begun

    def renew(self) -> None:
        """Start nothing: the workers are others' processes."""

    def check(self) -> None:
        """Raise if no task can end any more.

        Raises:
            JobStopped: if the scheduler is gone, or has had no workers for a minute.
        """
        if self._client.status != "running":
            raise self._lost("the scheduler ended the connection")
        if self._client.nthreads():
            self._alone_since = None
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since >= _WITHOUT_WORKERS_SECONDS:
            raise self._lost("there are no workers any more")

    def fault(self, error: Exception) -> Exception:
        """Return why a task ended with an error that is none of its files."""
        if isinstance(error, CancelledError):
            return self._lost("the scheduler has dropped a task")
        return self._lost(f"a task failed with {type(error).__name__}: {str(error)[:200]}")

    def _lost(self, why: str) -> JobStopped:
        return JobStopped(f"{self._address}: {why}", "see its log, then go on with --resume")

    def close(self) -> None:
        """Drop what has not begun, and leave the cluster."""
        self._executor.shutdown(wait=False)
        self._client.close()


def _given(job: Job) -> Job:
    return job


def _version() -> str:
    return version("dicomdock")
