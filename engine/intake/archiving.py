"""Project scripts on the way into the archive, run in the processes that serve receipt too."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import ProcessingFailed
from engine.intake.file_meta import body_offset
from engine.sessions.staging import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.intake.script_runner import ScriptRunner
    from engine.model.anonymization import Anonymization
    from engine.model.configuration import Configuration


class ProjectScripts:
    """Is the `engine.sessions.staging.ArchiveScripts` of an engine; for all threads."""

    def __init__(self, runner: ScriptRunner, configuration: Callable[[], Configuration]) -> None:
        self._runner = runner
        self._configuration = configuration
        self._stopping = threading.Event()

    def of(self, project: str) -> Anonymization | None:
        """Return what a project does, None for nothing."""
        return self._configuration().projects.anonymizations.get(project)

    def run(
        self, source: Path, target: Path, step: Anonymization, labels: tuple[str, str, str]
    ) -> bool:
        """Anonymize a file into one that exists; return whether the object is to be kept."""
        if self._stopping.is_set():
            raise Interrupted
        if self._runner.run(source.absolute(), target.absolute(), (step,), labels):
            return False
        with target.open("rb") as file:
            if body_offset(file.fileno()) is None:
                raise ProcessingFailed(f"{step.script_name}: it left no DICOM file")
        return True

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let no more objects be begun meanwhile."""
        self._stopping.set()
        yield
        self._stopping.clear()
