"""Anonymization in worker processes: one object, from file to file, or why that can't be done.

Used for objects as they arrive (`engine.intake.anonymizing`) and for whole sessions on their way
into the archive (`engine.intake.archiving`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.errors import OutOfResources, ProcessingFailed
from engine.intake.script_job import ScriptJob, ScriptResult, Verdict, run_script
from engine.intake.worker_faults import worker_faults
from engine.intake.worker_processes import Workers
from engine.intake.worker_start import Start, load_ahead

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.anonymization import Anonymization

    ScriptWorkers = Workers[ScriptJob, ScriptResult]

_logger = logging.getLogger(__name__)


class ScriptRunner:
    """Runs what sites and projects do to their objects; for all threads."""

    def __init__(self, uid_maps_file: Path, workers: ScriptWorkers | None = None) -> None:
        self._uid_maps_file = uid_maps_file.absolute()
        self._workers: ScriptWorkers = workers or Workers(run_script, start=Start.FORKED)

    def run(
        self,
        source: Path,
        target: Path,
        steps: tuple[Anonymization, ...],
        labels: tuple[str, str, str],
    ) -> str:
        """Anonymize a file into another, and return what dropped it: empty, or a script's name.

        Args:
            source: a DICOM file.
            target: a file that exists and may be overwritten; of no use if this raises.
            steps: what is done.
            labels: project, subject and session, which scripts are given.

        Raises:
            ProcessingFailed: if that can't be done.
            OutOfResources: if the storage fails.
        """
        job = ScriptJob(str(source), str(target), steps, labels, str(self._uid_maps_file))
        with worker_faults(steps[0].script_name):
            result = self._workers.run(job)
        if result.verdict is Verdict.NO_RESOURCES:
            raise OutOfResources(result.why)
        if result.verdict is Verdict.FAILED:
            raise ProcessingFailed(f"{result.where or steps[0].script_name}: {result.why}")
        return result.where

    def start_ahead(self) -> None:
        """Load what scripts need, so that the first object need not wait; nobody waits for it."""
        try:
            load_ahead()
        except OSError as error:
            _logger.warning("no process for scripts can be started yet: %s", error.strerror)

    @property
    def processes(self) -> int:
        """How many processes there are now."""
        return self._workers.processes

    def close(self) -> None:
        """End all processes."""
        self._workers.close()
