"""`python -m tests.bench.files`: `anonymize` on many files, in processes, on Dask, beside others.

Each program reads the same files and writes them to a fresh folder. The rounds interleave. CPU is
that of the program; on Dask with the workers, without the scheduler. With `--jobs 2` it lacks that
of the processes of the fork server, which the kernel does not count: read only the rate there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import psutil
from pydicom.uid import UID

from tests.bench.report import aligned
from tests.bench.workloads import WORKLOADS, make_object
from tests.running import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.jobs.file import Task, TaskResult

_SCRIPT = 'version "6.6"\n(0010,0010) := "A"\n(0010,0020) := "B"\n'
_DCMANON = """
import os, sys
from dcmanon import Anonymizer
anonymizer = Anonymizer()
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        with open(os.path.join(sys.argv[2], name), "wb") as file:
            file.write(anonymizer.anonymize(os.path.join(folder, name)))
"""
_PER_FOLDER = 500


class Measured(NamedTuple):
    """One run of one program."""

    seconds: float
    cpu_seconds: float


def make_files(folder: Path, workload: str, count: int) -> int:
    """Make files in folders of 500, and return their size in bytes."""
    ds = make_object(WORKLOADS[workload], 0, 1)
    size_bytes = 0
    for number in range(count):
        below = folder / str(number // _PER_FOLDER)
        below.mkdir(parents=True, exist_ok=True)
        uid = UID(f"{ds.StudyInstanceUID}.{number}")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        ds.save_as(below / f"{number}.dcm", enforce_file_format=True)
        size_bytes += (below / f"{number}.dcm").stat().st_size
    return size_bytes


def programs(folder: Path, others: str, scheduler: str) -> dict[str, list[str]]:
    """Return the command of each program, which gets input and output behind it."""
    (folder / "script.das").write_text(_SCRIPT)
    (folder / "loop.py").write_text(_DCMANON)
    ours = [sys.executable, "-m", "engine", "anonymize", str(folder / "script.das"), "--profile"]
    found = {
        "dicomdock --jobs 1": [*ours, "--jobs", "1"],
        "dicomdock --jobs 2": [*ours, "--jobs", "2"],
    }
    if scheduler:
        found["dicomdock --dask, 2 workers"] = [*ours, "--dask", scheduler]
    if others:
        found["dcmanon, a loop"] = [others, str(folder / "loop.py")]
        found["dicognito"] = [others, "-m", "dicognito", "--quiet", "--assume-burned-in", "never"]
    return found


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Run a scheduler and two workers of one thread each, and yield the scheduler's address."""
    port = str(free_port())
    address = f"tcp://{LOOPBACK}:{port}"
    worker = ["dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    scheduler = ["dask_scheduler", "--host", LOOPBACK, "--port", port, "--no-dashboard"]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "dask.log").open("w"))
        for words in (scheduler, worker, worker):
            command = [sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:]]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.enter_context(process)
            stack.callback(process.kill)
        while (folder / "dask.log").read_text().count("Registered to") < 2:
            time.sleep(0.1)
        yield address


def measured(name: str, command: Sequence[str], given: Path, out: Path) -> Measured:
    """Run a program once, and remove what it has written."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    to = ["-o"] if name != "dcmanon, a loop" else []
    before, began = _cpu_seconds(), time.monotonic()
    subprocess.run([*command, str(given), *to, str(out)], check=True, capture_output=True)
    seconds, cpu = time.monotonic() - began, _cpu_seconds() - before
    made = sum(len(files) for _, _, files in os.walk(out))
    assert made == sum(len(files) for _, _, files in os.walk(given)), (name, made)
    return Measured(seconds, cpu)


def _cpu_seconds() -> float:
    """Return the CPU time of all children that have ended, and of the workers."""
    times = os.times()
    ended = times.children_user + times.children_system
    workers = 0.0
    for child in psutil.Process().children(recursive=True):
        if any("dask_worker" in word for word in child.cmdline()):
            workers += sum(child.cpu_times()[:2])
    return ended + workers


def lines(folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    given = folder / "in"
    size_bytes = make_files(given, arguments.workload, arguments.files)
    runs: dict[str, list[Measured]] = {}
    with ExitStack() as stack:
        scheduler = stack.enter_context(cluster(folder)) if arguments.dask else ""
        for _ in range(arguments.rounds):
            for name, command in programs(folder, arguments.others, scheduler).items():
                runs.setdefault(name, []).append(measured(name, command, given, folder / "out"))
    rows = [["", "files/s", "MB/s", "CPU ms/file", "wall, times --jobs 1", "CPU, times --jobs 1"]]
    first = next(iter(runs.values()))
    for name, found in runs.items():
        seconds = median(one.seconds for one in found)
        cpu = median(one.cpu_seconds for one in found)
        wall_ratio = median(a.seconds / b.seconds for a, b in zip(found, first, strict=True))
        cpu_ratio = median(a.cpu_seconds / b.cpu_seconds for a, b in zip(found, first, strict=True))
        rows.append(
            [name, f"{arguments.files / seconds:,.0f}", f"{size_bytes / 1e6 / seconds:,.0f}",
             f"{cpu * 1e3 / arguments.files:.2f}", f"{wall_ratio:.2f}", f"{cpu_ratio:.2f}"]
        )  # fmt: skip
    each = size_bytes / arguments.files / 1e3
    yield f"{arguments.files:,} files of {each:,.0f} kB, start included"
    yield f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    yield from aligned(rows)


def scheduling(folder: Path, counts: Sequence[int]) -> Iterator[str]:
    """Yield how the coordinator's cost grows: files that need no work, in one process."""
    from engine.jobs.coordinator import run
    from engine.jobs.executors import Processes
    from engine.jobs.file import JobFile
    from engine.state.uid_maps import SqliteUidMaps, open_own_file

    rows = [["files", "CPU µs/file of the coordinator", "peak MB"]]
    for count in counts:
        executor = Processes(Nothing(), 1)
        uids = SqliteUidMaps(folder / f"uids-{count}", open_own_file)
        files = (
            JobFile(f"/data/{n // 500}/{n}.dcm", f"/out/{n}.dcm", 1000, "1") for n in range(count)
        )
        before = time.process_time()
        done = sum(len(some) for some in run(files, executor, uids))
        cpu = time.process_time() - before
        executor.close()
        uids.close()
        assert done == count
        peak = psutil.Process().memory_info().rss / 1e6
        rows.append([f"{count:,}", f"{cpu * 1e6 / count:.1f}", f"{peak:.0f}"])
    yield from aligned(rows)


class Nothing:
    """A job that does nothing."""

    def run(self, task: Task) -> TaskResult:
        """Return each file as done."""
        from engine.jobs.file import FileOutcome, FileResult, TaskResult

        return TaskResult(tuple(FileResult(file, FileOutcome.OK) for file in task.files))


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser("tests.bench.files")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--workload", choices=("ct", "mr", "small"), default="ct")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm/dicomdock-files"))
    parser.add_argument("--others", default="", help="a Python with dcmanon and dicognito")
    parser.add_argument("--dask", action="store_true", help="also on a scheduler and two workers")
    parser.add_argument("--scheduling", action="store_true", help="only the coordinator's cost")
    arguments = parser.parse_args()
    arguments.dir.mkdir(parents=True)
    try:
        if arguments.scheduling:
            report = scheduling(arguments.dir, (1_000, 10_000, 100_000, 1_000_000))
        else:
            report = lines(arguments.dir, arguments)
        sys.stdout.writelines(f"{line}\n" for line in report)
    finally:
        shutil.rmtree(arguments.dir)


if __name__ == "__main__":
    main()
