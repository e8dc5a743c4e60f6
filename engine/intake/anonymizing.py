"""The site script on receipt: a part becomes an anonymized part, or the object is not stored.

Nothing else is ever done with an object that should have been anonymized (fails closed).
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from engine.errors import OutOfResources, ProcessingFailed
from engine.events import AnonymizationFailed
from engine.intake.file_meta import body_offset
from engine.intake.script_job import ScriptJob, ScriptResult, Verdict, run_script
from engine.intake.worker_processes import (
    JobFailed,
    WorkerLost,
    Workers,
    WorkersClosed,
    WorkerTimeout,
)
from engine.intake.write import out_of_resources
from engine.journal import is_told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.intake.incoming import Source
    from engine.intake.write import IncomingArea, Part
    from engine.journal import Journal
    from engine.model.site_script import SiteScript

    ScriptWorkers = Workers[ScriptJob, ScriptResult]

DROPPED: Final = "rejected by the site script"
_KNOWN_FAILURES: Final = 1_000
"""A script has few lines, and each few ways to fail."""


class Anonymizer:
    """Applies the site script to received objects; for all threads."""

    def __init__(
        self,
        incoming: IncomingArea,
        uid_maps_file: Path,
        journal: Journal,
        workers: ScriptWorkers | None = None,
    ) -> None:
        self._incoming = incoming
        self._uid_maps_file = uid_maps_file.absolute()
        self._journal = journal
        self._workers: ScriptWorkers = workers or Workers(run_script)
        self._lock = threading.Lock()
        self._failures: Counter[tuple[int, str]] = Counter()
        """By the script's revision and the cause, which names the line."""

    def edit(
        self, part: Part, script: SiteScript, labels: tuple[str, str, str], source: Source
    ) -> Part | None:
        """Return an anonymized copy of a part, None if the script drops the object.

        Raises:
            ProcessingFailed: if that can't be done; somebody is told.
            OutOfResources: if the storage fails.
        """
        try:
            return self._edit(part, script, labels)
        except ProcessingFailed as error:
            self._tell(error, script, source)
            raise

    def close(self) -> None:
        """End all processes."""
        self._workers.close()

    def _edit(self, part: Part, script: SiteScript, labels: tuple[str, str, str]) -> Part | None:
        edited = self._incoming.create_part()
        try:
            if self._run(part, edited, script, labels) is Verdict.REJECTED:
                edited.discard()
                return None
            _require_file(edited)
        except BaseException:
            edited.discard()
            raise
        return edited

    def _run(
        self, part: Part, edited: Part, script: SiteScript, labels: tuple[str, str, str]
    ) -> Verdict:
        job = ScriptJob(
            str(self._incoming.path_of(part)),
            str(self._incoming.path_of(edited)),
            script,
            labels,
            str(self._uid_maps_file),
        )
        with _in_words():
            result = self._workers.run(job)
        _require_done(result)
        return result.verdict

    def _tell(self, error: ProcessingFailed, script: SiteScript, source: Source) -> None:
        """Tell of a failure at the first time, the 10th, the 100th and so on."""
        with self._lock:
            if len(self._failures) >= _KNOWN_FAILURES:
                self._failures.clear()
            self._failures[script.revision, error.detail] += 1
            times = self._failures[script.revision, error.detail]
        if is_told(times):
            self._journal.record(
                AnonymizationFailed(
                    receiver=source.receiver_label,
                    calling_ae_title=source.calling_ae_title,
                    association=source.association,
                    revision=script.revision,
                    why=error.detail,
                    times=times,
                )
            )


def _require_done(result: ScriptResult) -> None:
    if result.verdict is Verdict.NO_RESOURCES:
        raise OutOfResources(result.why)
    if result.verdict is Verdict.FAILED:
        where = f"site script line {result.line}" if result.line else "site script"
        raise ProcessingFailed(f"{where}: {result.why}")


def _require_file(part: Part) -> None:
    """Check that what a worker wrote is a file of ours."""
    try:
        offset = body_offset(part.fd)
    except OSError as error:
        raise out_of_resources(error) from error
    if offset is None:
        raise ProcessingFailed("site script: it left no DICOM file")


@contextmanager
def _in_words() -> Iterator[None]:
    """Say what a worker's end means to the object."""
    try:
        yield
    except WorkerTimeout as error:
        raise ProcessingFailed("site script: it took too long and was killed") from error
    except WorkerLost as error:
        raise ProcessingFailed("site script: its process died twice") from error
    except WorkersClosed as error:
        raise ProcessingFailed("site script: the engine stops") from error
    except JobFailed as error:
        raise ProcessingFailed(f"site script: internal error ({error})") from error
    except OSError as error:
        raise out_of_resources(error) from error
