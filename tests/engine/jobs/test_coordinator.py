"""A job over many files: dead processes, questions for UIDs, a full storage, and little memory."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.jobs.coordinator import run
from engine.jobs.executors import Here, Processes
from engine.jobs.file import (
    CHUNK_BYTES,
    CHUNK_FILES,
    FileOutcome,
    FileResult,
    JobFile,
    JobStopped,
    Task,
    TaskResult,
    chunks,
)
from engine.state.uid_maps import SqliteUidMaps, open_own_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.jobs.coordinator import Executor


@dataclass(frozen=True)
class Noting:
    """Notes the files that it is given; some of them end the process."""

    notes: str

    def run(self, task: Task) -> TaskResult:
        done = []
        for file in task.files:
            with Path(self.notes).open("a") as notes:
                notes.write(f"{file.source}\n")
            if file.source == "kills":
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(FileResult(file, FileOutcome.OK))
        return TaskResult(tuple(done))


@dataclass(frozen=True)
class Mapping:
    """Maps the first letter of each file; the second one of ``nested`` by the UID of the first."""

    def run(self, task: Task) -> TaskResult:
        done, waiting = [], []
        wanted: dict[tuple[str, str | None], str] = {}
        for number, file in enumerate(task.files):
            uid = task.uids.get(("map", file.source[0]))
            key = (
                ("map", f"of {uid}") if uid and file.source == "nested" else ("map", file.source[0])
            )
            if key in task.uids:
                done.append(FileResult(file, FileOutcome.OK, task.uids[key]))
            else:
                wanted.setdefault(key, f"{key[1]}, proposed by {number}")
                waiting.append(file)
        return TaskResult(tuple(done), tuple(waiting), wanted)


@dataclass(frozen=True)
class Filling:
    """Writes one file; then the disk is full."""

    def run(self, task: Task) -> TaskResult:
        done = FileResult(task.files[0], FileOutcome.OK)
        return TaskResult((done,), stopped="can't write: No space left on device")


@pytest.fixture
def uids(tmp_path: Path) -> Iterator[SqliteUidMaps]:
    with closing(SqliteUidMaps(tmp_path / "uids", open_own_file)) as maps:
        yield maps


def files(*names: str, size_bytes: int = 0) -> Iterator[JobFile]:
    return (JobFile(name, f"out/{name}", size_bytes) for name in names)


def outcomes(found: Iterator[JobFile], executor: Executor, uids: SqliteUidMaps) -> dict[str, str]:
    with closing(executor):
        results = [result for some in run(found, executor, uids) for result in some]
    assert len({result.file for result in results}) == len(results)
    return {result.file.source: result.reason or str(result.outcome) for result in results}


def test_the_file_that_ends_processes_is_named_and_all_others_are_done(
    tmp_path: Path, uids: SqliteUidMaps
) -> None:
    notes = tmp_path / "notes"
    names = [f"file-{number}" for number in range(CHUNK_FILES + 4)]
    names[2] = "kills"
    found = outcomes(files(*names), Processes(Noting(str(notes)), 2), uids)
    assert found.pop("kills") == "the process that works on it dies"
    assert found == {name: "ok" for name in names if name != "kills"}
    # In its chunk, in its chunk once more, and alone.
    assert notes.read_text().splitlines().count("kills") == 3


def test_a_job_whose_processes_all_die_ends_after_a_few_files(
    tmp_path: Path, uids: SqliteUidMaps
) -> None:
    all_of_them = files(*["kills"] * CHUNK_FILES)
    with closing(Processes(Noting(str(tmp_path / "notes")), 1)) as executor:
        results = run(all_of_them, executor, uids)
        with pytest.raises(JobStopped, match="the processes of 5 files in a row died"):
            list(results)


def test_mapped_uids_are_the_same_in_all_chunks_whoever_asks_first(uids: SqliteUidMaps) -> None:
    uids.uid_for("map", "c", lambda: "known")
    names = [f"a{n}" for n in range(CHUNK_FILES)] + ["b", "c", "nested", "a-last"]
    found = outcomes(files(*names), Here(Mapping()), uids)
    assert {found[name] for name in names if name.startswith("a")} == {"a, proposed by 0"}
    assert (found["b"], found["c"]) == ("b, proposed by 0", "known")
    assert found["nested"].startswith("of n, proposed by 2, proposed by ")
    assert uids.uid_for("map", "b", lambda: "new") == "b, proposed by 0"


def test_a_full_storage_stops_the_job_after_what_is_done(uids: SqliteUidMaps) -> None:
    results = run(files(*"abc"), Here(Filling()), uids)
    assert [result.file.source for result in next(results)] == ["a"]
    with pytest.raises(JobStopped, match="No space left") as caught:
        next(results)
    assert "--resume" in caught.value.remedy


def test_files_are_taken_a_few_chunks_ahead_only(uids: SqliteUidMaps) -> None:
    taken = 0

    def endless() -> Iterator[JobFile]:
        nonlocal taken
        while True:
            taken += 1
            yield JobFile(str(taken), "")

    results = run(endless(), Here(Noting(os.devnull)), uids)
    for _ in range(5):
        next(results)
    assert taken <= 6 * CHUNK_FILES
    assert [len(chunk) for chunk in chunks(files(*"abc", size_bytes=CHUNK_BYTES // 2))] == [2, 1]
