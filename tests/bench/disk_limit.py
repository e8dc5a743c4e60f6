"""What the disk allows: objects of the same size written, flushed and named, and nothing else.

No network, no DICOM: a bare loop of write, fdatasync, rename and fsync of the folder on as many
threads as a run has associations. A receiver has the network and its own work on top of that.
"""

from __future__ import annotations

import os
import random
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.bench.runs import Run
from tests.bench.sender import Blast, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.processes import Process
    from tests.bench.runs import Case

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True)
class DiskLimit:
    """Takes the place of a receiver in a comparison, with a loop in this process."""

    name: str = "disk-limit"
    title: str = "disk limit"

    def version(self) -> str:
        """Return what it does."""
        return "a bare loop: write, fdatasync, rename, fsync of the folder"

    def command(self, folder: Path, port: int) -> Sequence[str]:
        """It is none that could be started; `measured` does it all."""
        raise NotImplementedError

    def wait_until_listening(self, started: Process, port: int) -> None:
        """It never listens."""
        raise NotImplementedError

    def stored(self, folder: Path) -> int:
        """Count the files under their final names."""
        return sum(1 for _ in folder.glob("*.dcm"))

    def measured(self, folder: Path, number: int, case: Case, data_set_bytes: int) -> Run:
        """Write as many bytes in as many files as a run has, and return how long that took.

        Args:
            folder: where to, yet to be made.
            number: of the round.
            case: how many objects, and on how many threads.
            data_set_bytes: of all objects together; each gets an equal share.
        """
        folder.mkdir(parents=True)
        content = random.Random(20_26).randbytes(data_set_bytes // case.objects)
        numbers, lock = count(), threading.Lock()
        times: list[float] = []

        def write() -> None:
            mine: list[float] = []
            while (next_one := next(numbers)) < case.objects:
                began = time.perf_counter()
                _write_durably(folder_fd, next_one, content)
                mine.append(time.perf_counter() - began)
            with lock:
                times.extend(mine)

        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            used, began = _cpu_seconds(), time.perf_counter()
            with ThreadPoolExecutor(case.associations) as pool:
                for done in [pool.submit(write) for _ in range(case.associations)]:
                    done.result()
            seconds = time.perf_counter() - began
        finally:
            os.close(folder_fd)
        times.sort()
        p50, p99 = (1000 * quantile(times, part) for part in (0.50, 0.99))
        written = len(content) * case.objects
        blast = Blast(case.objects, written, seconds, p50, p99, 0.0, 0.0, "")
        return Run(self.name, number, blast, _cpu_seconds() - used, 0.0, self.stored(folder))


def _write_durably(folder_fd: int, number: int, content: bytes) -> None:
    part, final = f"{number}.part", f"{number}.dcm"
    fd = os.open(part, _FLAGS, 0o640, dir_fd=folder_fd)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fdatasync(fd)
        os.rename(part, final, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        os.fsync(folder_fd)
    finally:
        os.close(fd)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
