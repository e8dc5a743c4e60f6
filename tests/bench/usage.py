"""What a receiver uses: CPU time and peak memory of its process and all that it started."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLE_SECONDS = 0.25
_QUIET_SECONDS = 0.3
_QUIET_TRIES = 30
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far, and megabytes now."""

    cpu_seconds: float
    memory_mb: float


def usage_of(pid: int) -> Usage:
    """Measure a process tree; children that ended and were waited for count with their CPU time."""
    cpu_seconds = memory = 0.0
    for member in _tree(pid):
        with contextlib.suppress(psutil.Error, OSError):
            times = psutil.Process(member).cpu_times()
            cpu_seconds += times.user + times.system + times.children_user + times.children_system
            memory += _proportional_bytes(member)
    return Usage(cpu_seconds, memory / _MEGABYTE)


def settled_usage_of(pid: int) -> Usage:
    """Measure a process tree once it uses no more CPU: queued work is a part of the work."""
    before = usage_of(pid)
    for _ in range(_QUIET_TRIES):
        threading.Event().wait(_QUIET_SECONDS)
        after = usage_of(pid)
        if after.cpu_seconds == before.cpu_seconds:
            break
        before = after
    return before


class PeakWatch:
    """Looks now and then how much memory a process tree has had at most, children included."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-watch")
        self.peak_mb = 0.0

    def __enter__(self) -> PeakWatch:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, usage_of(self._pid).memory_mb)
            if self._done.wait(_SAMPLE_SECONDS):
                break
        self.peak_mb = max(self.peak_mb, usage_of(self._pid).memory_mb)


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants; psutil would look at every process of the machine."""
    yield pid
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _tree(int(child))


def _proportional_bytes(pid: int) -> int:
    """Return the memory of a process; of what several share, each has its part (PSS, proc(5))."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, size = line.partition(":")
        if name == "Pss":
            return int(size.split()[0]) * 1024
    return 0
