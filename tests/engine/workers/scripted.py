"""Functions for worker processes that go wrong in every way; importable, as processes need it."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from engine.workers.scripts import ScriptJob, ScriptResult, ScriptVerdict, run_script

OUT_OF_SPACE = "no space or no inodes left on the storage"


def leave(mark: str) -> None:
    Path(mark).touch()


def double(number: int) -> int:
    return 2 * number


def pid(_: int) -> int:
    return os.getpid()


def loaded(_: int) -> set[str]:
    """Return the modules that are there."""
    return set(sys.modules)


def spin(_: int) -> int:
    while True:
        pass


def take(size_bytes: int) -> int:
    """Take memory, and return the number of the process."""
    bytearray(size_bytes)
    return os.getpid()


def limits(_: int) -> tuple[int, int, str, int]:
    """Return the limits of memory, the threads for NumPy, and how soon the kernel ends it."""
    ended_first = int(Path("/proc/self/oom_score_adj").read_text())
    threads = os.environ["OPENBLAS_NUM_THREADS"]
    return *resource.getrlimit(resource.RLIMIT_AS), threads, ended_first


def stop(_: int) -> int:
    os.kill(os.getpid(), signal.SIGSTOP)
    return 0


def fail(value: str) -> int:
    raise ValueError(value)


def die(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def die_once(mark: str) -> int:
    """Die, unless a file says that this has happened."""
    path = Path(mark)
    if path.exists():
        return os.getpid()
    path.touch()
    return die(0)


def double_or_spin(number: int) -> int:
    return double(number) if number else spin(number)


def say(word: str) -> str:
    """Print as libraries do, in Python and below it."""
    print(word, flush=True)  # noqa: T201
    os.write(1, word.encode())
    os.write(2, word.encode())
    return word


def spin_after_saying_pid(pipe: str) -> int:
    """Say it through a named pipe: a worker's standard output leads nowhere."""
    Path(pipe).write_text(f"{os.getpid()}\n", "ascii")
    return spin(0)


def die_half_way(job: ScriptJob) -> ScriptResult:
    """Leave half a file, un-anonymized, as a crash in the middle may."""
    content = Path(job.source).read_bytes()
    Path(job.target).write_bytes(content[: len(content) // 2])
    die(0)
    raise AssertionError("still alive")


def die_half_way_once(job: ScriptJob) -> ScriptResult:
    mark = Path(job.uid_maps).with_suffix(".mark")
    if mark.exists():
        return run_script(job)
    mark.touch()
    return die_half_way(job)


def find_no_space(job: ScriptJob) -> ScriptResult:
    del job
    return ScriptResult(ScriptVerdict.NO_RESOURCES, OUT_OF_SPACE)


def leave_nothing(job: ScriptJob) -> ScriptResult:
    """Say that all is well and write nothing."""
    del job
    return ScriptResult(ScriptVerdict.EDITED)
