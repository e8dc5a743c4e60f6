"""The processes of processors: each instance has its own, so that none waits for another's."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Final, Protocol

from engine.errors import ProcessingFailed
from engine.processing.job import (
    PluginCall,
    ProcessorJob,
    ProcessorResult,
    get_ready,
    run_processor,
)
from engine.workers import pool
from engine.workers.pool import Workers, worker_faults

PROCESSES_PER_INSTANCE: Final = 2
CPU_SECONDS: Final = 20.0
"""The longest that a processor may compute for one object."""
WALL_SECONDS: Final = 30.0
"""The longest that a plugin may take for one object, waiting included.

A script waits for nothing but the machine, so that only the limit of every process holds for it.
"""

_logger = logging.getLogger(__name__)


class RunsProcessors(Protocol):
    """Runs what processors do in processes; for all threads. See `ProcessorWorkers`."""

    def run(self, instance_id: int, job: ProcessorJob, files: tuple[int, int]) -> ProcessorResult:
        """Run a job of an instance, which gets source and target as open files."""
        ...

    def start_ahead(self, instance_id: int, call: PluginCall | None) -> None:
        """Start an instance's first process, if it has none, without waiting for it."""
        ...

    def keep_only(self, instance_ids: set[int]) -> None:
        """End the processes of other instances, once they have done what they are at."""
        ...

    def close(self) -> None:
        """Kill all processes; calls that wait for one end at once."""
        ...


class ProcessorWorkers:
    """Satisfies `RunsProcessors`: the processes of all instances, by id."""

    def __init__(
        self,
        *,
        processes: int = PROCESSES_PER_INSTANCE,
        cpu_seconds: float = CPU_SECONDS,
        wall_seconds: float = WALL_SECONDS,
    ) -> None:
        """No process is started yet; there are at most `processes` for each instance."""
        self._processes = processes
        self._limits = (cpu_seconds, wall_seconds)
        self._lock = threading.Lock()
        self._of: dict[int, Workers[ProcessorJob, ProcessorResult]] = {}
        self._in_use: set[int] | None = None
        """The instances that the configuration has; None as long as all are kept."""
        self._closed = False

    def run(self, instance_id: int, job: ProcessorJob, files: tuple[int, int]) -> ProcessorResult:
        """Run a job in a process of an instance, which gets source and target as open files.

        Raises:
            ProcessingFailed: if it hangs, crashes or breaks.
            OutOfResources: if no process can be started.
        """
        workers = self._workers(instance_id, job.plugin)
        try:
            with worker_faults():
                return workers.run(job, files)
        finally:
            # The instance was removed while this object was on its way: its process ends after it.
            if self._in_use is not None and instance_id not in self._in_use:
                workers.rest()

    def start_ahead(self, instance_id: int, call: PluginCall | None) -> None:
        """Start an instance's first process, if it has none, without waiting for it.

        Args:
            instance_id: the processor's number.
            call: the plugin that it is; None for a script.
        """
        try:
            self._workers(instance_id, call).start_ahead(partial(get_ready, call))
        except OSError as error:
            _logger.warning("no process for a processor can be started yet: %s", error.strerror)

    def keep_only(self, instance_ids: set[int]) -> None:
        """End the processes of other instances, once they have done what they are at."""
        with self._lock:
            # Replaced as a whole: `run` looks at it without the lock.
            self._in_use = set(instance_ids)
            idle = [workers for number, workers in self._of.items() if number not in instance_ids]
        for workers in idle:
            workers.rest()

    def processes(self) -> int:
        """Return how many processes there are now."""
        with self._lock:
            known = tuple(self._of.values())
        return sum(workers.processes for workers in known)

    def close(self) -> None:
        """Kill all processes; calls that wait for one end at once."""
        with self._lock:
            self._closed = True
            known = tuple(self._of.values())
        for workers in known:
            workers.close()

    def _workers(
        self, instance_id: int, plugin: PluginCall | None
    ) -> Workers[ProcessorJob, ProcessorResult]:
        with self._lock:
            # Else a late object would start a process that is never ended.
            if self._closed:
                raise ProcessingFailed("the engine stops")
            found = self._of.get(instance_id)
            if found is None:
                cpu_seconds, wall_seconds = self._limits
                found = self._of[instance_id] = Workers(
                    run_processor,
                    processes=self._processes,
                    cpu_seconds=cpu_seconds,
                    wall_seconds=wall_seconds if plugin else pool.WALL_SECONDS,
                )
            return found
