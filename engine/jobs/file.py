"""The values of a job: a file, what became of it, and a part of the work."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.anonymize.run import UidKey

CHUNK_FILES = 32
"""Files that go to a process together: handing them over costs as much as one more file."""
CHUNK_BYTES = 64 * 1024 * 1024
"""A chunk ends with the file that reaches this size."""


class JobStopped(EngineError):
    """A job can't go on; what is done stays."""

    title = "The job stopped"


class FileOutcome(StrEnum):
    """What became of one file."""

    OK = "ok"
    REJECTED = "rejected"
    """A script drops it on purpose."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobFile:
    """One file to work on."""

    source: str
    """A path, or a URL of fsspec."""
    target: str
    size_bytes: int = 0
    version: str = ""
    """Changes when the file does: its time of change, or its ETag."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file."""

    file: JobFile
    outcome: FileOutcome
    reason: str = ""
    remedy: str = ""
    details: tuple[Any, ...] = ()
    """What the job says besides, such as the differences that a script made."""


@dataclass(frozen=True, slots=True)
class Task:
    """Some files, and the mapped UIDs that were asked for at their last try."""

    files: tuple[JobFile, ...]
    uids: Mapping[UidKey, str] = field(default_factory=dict)
    tries: int = 0
    """How often a process ended in the middle of it."""
    rounds: int = 0
    """How often it came back with a question for UIDs."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of the files of a task."""

    results: tuple[FileResult, ...]
    waiting: tuple[JobFile, ...] = ()
    """Files that need mapped UIDs that the task has not."""
    wanted: Mapping[UidKey, str] = field(default_factory=dict)
    """These UIDs, as they would be if nobody has mapped the values before."""
    stopped: str = ""
    """Why nothing more can be written; then files are missing in `results`."""


class Job(Protocol):
    """What is done with files; it is pickled, and run in any process on any host."""

    def run(self, task: Task) -> TaskResult:
        """Work on the files of a task; a file that fails is a result."""
        ...


def run_task(job: Job, task: Task) -> TaskResult:
    """Run a job on a task: a function, as executors need one."""
    return job.run(task)


def chunks(files: Iterable[JobFile]) -> Iterator[tuple[JobFile, ...]]:
    """Yield files in chunks, reading ahead no more than one chunk."""
    some: list[JobFile] = []
    size_bytes = 0
    for file in files:
        some.append(file)
        size_bytes += file.size_bytes
        if len(some) >= CHUNK_FILES or size_bytes >= CHUNK_BYTES:
            yield tuple(some)
            some, size_bytes = [], 0
    if some:
        yield tuple(some)
