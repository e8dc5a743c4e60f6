"""Work on all cores: in order, a few tasks ahead, and nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from engine.workers.spread import processes_for, spread

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from pathlib import Path
from engine.workers.spread import spread

if __name__ == "__main__":
    list(spread(Path.read_bytes, [Path("held")], processes=2))
"""


def test_little_work_is_done_one_by_one_in_this_process() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return number * 2

    results = spread(work, iter(range(3)), processes=1)
    assert (next(results), begun) == (0, [0])
    assert list(results) == [2, 4]


def test_processes_are_as_many_as_wanted_or_one_for_each_core_if_that_is_worth_it() -> None:
    cores = len(os.sched_getaffinity(0))
    asked = [
        processes_for(jobs, is_worth=is_worth) for jobs in (None, 3) for is_worth in (False, True)
    ]
    assert asked == [1, cores, 3, 3]


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with (
        subprocess.Popen([sys.executable, program], cwd=tmp_path) as process,
        # Opened once the worker opens it to read: it is in the middle of its task then.
        (tmp_path / "held").open("wb"),
    ):
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        _, left = psutil.wait_procs(workers, 20)
    assert workers
    assert not left
