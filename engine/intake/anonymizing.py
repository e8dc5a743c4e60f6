"""Anonymization on receipt: a part becomes an anonymized part, or the object is not stored.

Nothing else is ever done with an object that should have been anonymized (fails closed).
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from engine.errors import ProcessingFailed
from engine.events import AnonymizationFailed
from engine.intake.dropped import Dropped
from engine.intake.file_meta import body_offset
from engine.intake.write import out_of_resources
from engine.journal import is_told

if TYPE_CHECKING:
    from engine.intake.incoming import Source
    from engine.intake.script_runner import ScriptRunner
    from engine.intake.write import IncomingArea, Part
    from engine.journal import Journal
    from engine.model.anonymization import Anonymization

    Steps = tuple[Anonymization, ...]

_KNOWN_FAILURES: Final = 1_000
"""A script has few lines, and each few ways to fail."""


class Anonymizer:
    """Anonymizes received objects; for all threads."""

    def __init__(self, incoming: IncomingArea, runner: ScriptRunner, journal: Journal) -> None:
        self._incoming = incoming
        self._runner = runner
        self._journal = journal
        self._lock = threading.Lock()
        self._failures: Counter[tuple[int, str]] = Counter()
        """By the script's revision and the cause, which names the line."""

    def edit(self, part: Part, steps: Steps, labels: tuple[str, str, str], source: Source) -> Part:
        """Return an anonymized copy of a part.

        Raises:
            Dropped: if a script rejects the object.
            ProcessingFailed: if that can't be done; somebody is told.
            OutOfResources: if the storage fails.
        """
        try:
            return self._edit(part, steps, labels)
        except ProcessingFailed as error:
            self._tell(error, steps, source)
            raise

    def _edit(self, part: Part, steps: Steps, labels: tuple[str, str, str]) -> Part:
        edited = self._incoming.create_part()
        try:
            paths = self._incoming.path_of(part), self._incoming.path_of(edited)
            dropped_by = self._runner.run(*paths, steps, labels)
            if dropped_by:
                raise Dropped.by_script(dropped_by)  # noqa: TRY301
            _require_file(edited, steps)
        except BaseException:
            edited.discard()
            raise
        return edited

    def _tell(self, error: ProcessingFailed, steps: Steps, source: Source) -> None:
        """Tell of a failure at the first time, the 10th, the 100th and so on."""
        revision = max(step.revision for step in steps)
        with self._lock:
            if len(self._failures) >= _KNOWN_FAILURES:
                self._failures.clear()
            self._failures[revision, error.detail] += 1
            times = self._failures[revision, error.detail]
        if is_told(times):
            self._journal.record(
                AnonymizationFailed(
                    receiver=source.receiver_label,
                    calling_ae_title=source.calling_ae_title,
                    association=source.association,
                    revision=revision,
                    why=error.detail,
                    times=times,
                )
            )


def _require_file(part: Part, steps: Steps) -> None:
    """Check that what a worker wrote is a file of ours."""
    try:
        offset = body_offset(part.fd)
    except OSError as error:
        raise out_of_resources(error) from error
    if offset is None:
        raise ProcessingFailed(f"{steps[0].script_name}: it left no DICOM file")
