"""What many objects cost when the engine starts after a kill, and when index and disk are compared.

Sessions have 100 objects each, all with their files, so a million of objects takes 5 GB of a tmpfs.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.bench.processes import ROOT, Failed, process
from tests.bench.scale.docks import Dock
from tests.running import free_port, make_receiver

if TYPE_CHECKING:
    from pathlib import Path

OBJECTS_OF_A_SESSION = 100
_MOST_SECONDS = 1800.0


def start(folder: Path, objects: int) -> float:
    """Return the seconds from the start of an engine whose last one was killed to its open port."""
    dock = _dock(folder, objects)
    dock.execute("INSERT INTO engine VALUES (?)", [(0,)])
    command = [sys.executable, "-m", "engine", "--data", str(dock.settings.data_dir), "engine"]
    began = time.perf_counter()
    with process([*command, "--durability", "none"], folder, {}) as started:
        started.wait_for_lines("listening", 1)
        return time.perf_counter() - began


def check(folder: Path, objects: int) -> float:
    """Return the CPU milliseconds of `check` for each object."""
    return _command(_dock(folder, objects), objects, "check")


def rebuild(folder: Path, objects: int) -> float:
    """Return the CPU milliseconds of `check --rebuild-index` for each object."""
    return _command(_dock(folder, objects), objects, "check", "--rebuild-index")


def _dock(folder: Path, objects: int) -> Dock:
    dock = Dock(folder, make_receiver("BENCH", free_port()))
    dock.fill(max(1, objects // OBJECTS_OF_A_SESSION), min(objects, OBJECTS_OF_A_SESSION))
    return dock


def _command(dock: Dock, objects: int, *words: str) -> float:
    """Run a command without an engine; return the CPU of it and its children for each object."""
    before = _spent()
    command = [sys.executable, "-m", "engine", "--data", str(dock.settings.data_dir), *words]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False
    )
    if ran.returncode not in {0, 1}:
        raise Failed(f"{' '.join(words)} exits with {ran.returncode}: {ran.stderr[-300:]}")
    return 1000 * (_spent() - before) / objects


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
