"""`python -m tests.bench.many`: a million tiny files through `anonymize`, `send` and `import`.

Prints counts and peak memory, which a busy machine does not change. `anonymize` is killed in the
middle, and goes on with `--resume`. The peer of `send` and `import` is an engine of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from engine.model.project import Project
from tests.bench.report import aligned
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.peers.pdus import part_10
from tests.running import LOOPBACK, configure, engine_process, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCRIPT = 'version "6.6"\n(0010,0010) := "A"\n(0010,0020) := "B"\n'
_PER_FOLDER = 1000
_UID = "1.2.826.0.1.3680043.8.498.1"
_SAMPLE_SECONDS = 0.1
_LINE_BYTES = 250
"""Of a line of the report, roughly."""


class Ran(NamedTuple):
    """One run of a command."""

    code: int
    seconds: float
    main_mb: float
    """The most memory that the command's process ever had (VmHWM)."""
    worker_mb: float
    """The same of that of its other processes which had most."""


def make_tiny_files(folder: Path, count: int) -> None:
    """Make files of 1 kB, each with a SOP instance of its own, in folders of 1,000."""
    numbered = f"{_UID}.{{:09}}"
    first = numbered.format(0)
    content = part_10(
        image(SOPClassUID=CT_IMAGE_STORAGE, SOPInstanceUID=first), EXPLICIT_VR_LITTLE_ENDIAN, first
    )
    pieces = content.split(first.encode())
    for number in range(count):
        below = folder / f"{number // _PER_FOLDER:04}"
        if number % _PER_FOLDER == 0:
            below.mkdir(parents=True)
        uid = numbered.format(number).encode()
        (below / f"{number:09}.dcm").write_bytes(uid.join(pieces))


def ran(words: Sequence[object], kill_at: tuple[Path, int] | None = None) -> Ran:
    """Run a command, and watch its memory.

    Args:
        words: the command and its options.
        kill_at: a report, and the size in bytes at which the command is killed.
    """
    command = [sys.executable, "-m", "engine", *map(str, words)]
    began = time.monotonic()
    main = worker = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            main = max(main, _peak_bytes(process.pid))
            for pid in _children_of(process.pid):
                worker = max(worker, _peak_bytes(pid))
            if kill_at and kill_at[0].exists() and kill_at[0].stat().st_size >= kill_at[1]:
                process.kill()
            time.sleep(_SAMPLE_SECONDS)
    return Ran(process.returncode, time.monotonic() - began, main / 1e6, worker / 1e6)


def _children_of(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def _peak_bytes(pid: int) -> int:
    """Return the peak of a process; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def outcomes_in(report: Path) -> dict[str, int]:
    """Return how many lines of a report have which outcome; "again" counts repeated files."""
    counts: dict[str, int] = {}
    seen = set[int]()
    with report.open() as file:
        next(file)
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:  # cut by the kill
                continue
            counts[record["outcome"]] = counts.get(record["outcome"], 0) + 1
            key = hash(record["source"])
            counts["again"] = counts.get("again", 0) + (key in seen)
            seen.add(key)
    return counts


def _files_below(folder: Path) -> int:
    # Not `os.walk`: a list of a million names would be made for nothing.
    return sum(1 for below in folder.iterdir() for _ in below.iterdir())


def anonymized(folder: Path, count: int) -> Iterator[list[str]]:
    """Yield the row of a whole run."""
    words, report, out = _anonymizing(folder, count)
    whole = ran(words)
    assert (whole.code, outcomes_in(report)) == (0, {"ok": count, "again": 0})
    assert _files_below(out) == count
    yield _row("anonymize --jobs 2", count, whole)
    shutil.rmtree(folder)


def resumed(folder: Path, count: int) -> Iterator[list[str]]:
    """Yield the rows of a run that is killed in the middle, and of the one that goes on."""
    words, report, out = _anonymizing(folder, count)
    killed = ran(words, (report, count // 2 * _LINE_BYTES))
    done = outcomes_in(report)["ok"]
    assert killed.code < 0
    assert 0 < done < count
    yield _row("killed in the middle", done, killed)
    rest = ran([*words, "--resume"])
    assert (rest.code, outcomes_in(report)) == (0, {"ok": count, "again": 0})
    assert _files_below(out) == count
    yield _row("gone on with --resume", count - done, rest)
    shutil.rmtree(folder)


def _anonymizing(folder: Path, count: int) -> tuple[list[object], Path, Path]:
    """Make files; return the command that anonymizes them, its report and its output."""
    make_tiny_files(folder / "in", count)
    script, report, out = folder / "script.das", folder / "report", folder / "out"
    script.write_text(_SCRIPT)
    words: list[object] = ["anonymize", script, folder / "in", "-o", out]
    return [*words, "--jobs", "2", "--report", report], report, out


def sent(folder: Path, counts: Sequence[int]) -> Iterator[list[str]]:
    """Yield rows of `import` and `send` to an engine, for some numbers of files."""
    data, port = folder / "data", free_port()
    configure(data, make_receiver("XNAT", port), projects=(Project("BENCH"),))
    with engine_process(data, 1, "--durability", "none"):
        for count in counts:
            given = folder / f"in-{count}"
            make_tiny_files(given, count)
            for name, words in {
                "import": ["--data", data, "import", given, "--receiver", "XNAT"],
                "send --jobs 4": ["send", given, f"XNAT@{LOOPBACK}:{port}", "--jobs", "4"],
            }.items():
                report = folder / f"{name.split()[0]}-{count}"
                one = ran([*words, "--report", report])
                found = outcomes_in(report)
                assert (one.code, sum(found.values()), found["again"]) == (0, count, 0), found
                yield _row(name, count, one)
            shutil.rmtree(given)


def _row(name: str, count: int, one: Ran) -> list[str]:
    worker = f"{one.worker_mb:.0f}" if one.worker_mb else "–"
    return [name, f"{count:,}", f"{one.main_mb:.0f}", worker, f"{one.seconds:.0f}"]


def lines(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    rows = [["", "files", "peak MB", "of a worker", "seconds"]]
    if arguments.send:
        rows += sent(arguments.dir, arguments.send)
    else:
        if arguments.files:
            rows += anonymized(arguments.dir / "whole", arguments.files)
        rows += resumed(arguments.dir / "killed", arguments.killed)
    yield from aligned(rows)


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser("tests.bench.many")
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--killed", type=int, default=300_000, help="files of the killed run")
    parser.add_argument("--send", type=int, nargs="+", metavar="N", default=[],
                        help="`import` and `send` so many files, not `anonymize`")  # fmt: skip
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm/dicomdock-many"))
    arguments = parser.parse_args()
    arguments.dir.mkdir(parents=True)
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines(arguments))
    finally:
        shutil.rmtree(arguments.dir)


if __name__ == "__main__":
    main()
