"""What a script costs: a file edited by 200 statements, beside pydicom reading and writing it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from engine.anonymize import Script, edit_file
from tests.bench import editing
from tests.bench.report import aligned
from tests.bench.workloads import WORKLOADS, make_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STATEMENTS = 200
RATIO_BAR = 2.0
"""Editing may take that many times as long as reading a header and writing it again."""
_GROUPS = (0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0040)
_HASHED = 24
_TIMES = 10
"""How often a round measures each."""
_LAST = ("(0008,1030) := project", "(0010,0010) := subject", "(0010,0020) := session",
         '(0012,0062) := "YES"')  # fmt: skip
_VARIABLES = {"project": "BENCH", "subject": "S-0001", "session": "E-0001"}


@dataclass(frozen=True, slots=True)
class Cost:
    """The seconds for one object: the best of all, since everything else is other work's."""

    pydicom_seconds: float
    editing_seconds: float
    copying_seconds: float
    """What the kernel needs for the bytes of the file alone."""

    @property
    def ratio(self) -> float:
        """How many times as long as pydicom's header read and write, apart from the copying."""
        return (self.editing_seconds - self.copying_seconds) / self.pydicom_seconds


def bench_script() -> Script:
    """Return a script like those of sites: hashed UIDs, many deletions, some labels."""
    numbers = (group << 16 | element for group in _GROUPS for element in range(0x10, 0x3000))
    known = [tag for tag in numbers if dictionary_has_tag(tag)]
    uids = [tag for tag in known if dictionary_VR(tag) == "UI"][:_HASHED]
    others = [tag for tag in known if dictionary_VR(tag) not in ("UI", "SQ")]
    lines = [f"{_path(tag)} := hashUID[{_path(tag)}] // UID" for tag in uids]
    lines += [f"- {_path(tag)} // gone" for tag in others[: STATEMENTS - len(lines) - len(_LAST)]]
    return Script.parse("\n".join(['version "6.1"', *lines, *_LAST, ""]), "bench")


def _path(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def measure(folder: Path, rounds: int, *, quick: bool) -> Iterator[str]:
    """Yield the lines of the report."""
    script = bench_script()
    rounds = rounds or (3 if quick else 10)
    rows = [["", "pydicom µs", "edited µs", "of it copying", "ratio without copying"]]
    names = ("ct", "mr", "small") if quick else ("ct", "mr", "small", "j2k")
    for name in names:
        cost = cost_of(name, script, folder, rounds)
        times = (cost.pydicom_seconds, cost.editing_seconds, cost.copying_seconds)
        mark = "" if cost.ratio <= RATIO_BAR else " ✗"
        texts = (f"{seconds * 1e6:.0f}" for seconds in times)
        rows.append([WORKLOADS[name].title, *texts, f"{cost.ratio:.2f}{mark}"])
    yield ""
    yield f"{STATEMENTS} statements, file to file; pydicom reads and writes the header alone"
    yield from aligned(rows)
    yield from editing.measure(folder, rounds, names=names)


def cost_of(name: str, script: Script, folder: Path, rounds: int) -> Cost:
    """Measure one workload's first object, in turns; each writes a file anew."""
    source, target = folder / "source.dcm", folder / "target.dcm"
    make_object(WORKLOADS[name], 0, 1).save_as(source, enforce_file_format=True)
    size = source.stat().st_size

    def read_and_write() -> None:
        with source.open("rb") as file:
            dcmread(file, stop_before_pixels=True).save_as(target)

    def edit() -> None:
        edit_file(source, target, [script], _VARIABLES)

    def copy() -> None:
        with source.open("rb") as file, target.open("xb") as other:
            done = 0
            while done < size:
                done += os.copy_file_range(file.fileno(), other.fileno(), size - done)

    ways = (read_and_write, edit, copy)
    turns = [[_seconds(way, target) for way in ways] for _ in range(rounds * _TIMES)]
    source.unlink()
    return Cost(*(min(seconds) for seconds in zip(*turns, strict=True)))


def _seconds(work: Callable[[], None], target: Path) -> float:
    """Return the time of one; freeing what it wrote does not count."""
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    target.unlink()
    return seconds
