"""The command line: one line for each row, with its values, and by how much it grows."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.settings import usual_receiving_processes
from tests.bench.cli import _names, _number
from tests.bench.processes import Failed
from tests.bench.report import aligned
from tests.bench.rounds import file_system_of
from tests.bench.scale import beside, configuration, live, objects, sessions
from tests.bench.scale.rows import Row, growth, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

SESSIONS, OBJECTS = (1_000, 10_000, 100_000), (10_000, 100_000)
IDLE = (50_000,)
PROJECTS, RECEIVERS, ASSOCIATIONS = (10, 1_000, 10_000), (1, 50, 500), (1_000,)
ROWS = (
    Row("status", "status change of a session", "ms CPU", "sessions", SESSIONS,
        sessions.status_change, "≤ 0.3"),
    Row("operation", "one operation while all wait", "ms CPU", "sessions", SESSIONS,
        sessions.operation, "flat"),
    Row("build", "one build while all are idle", "ms CPU", "sessions", SESSIONS,
        sessions.build, "≤ 10"),
    Row("beside", "builder's part of the CPU while objects arrive", "%", "sessions", IDLE,
        partial(beside.share, processes=usual_receiving_processes()), "≤ 10"),
    Row("kept", "rate beside the builder, of that alone", "%", "sessions", IDLE,
        partial(beside.kept, processes=usual_receiving_processes()), "≥ 90"),
    Row("beside-one", "builder's part, no receiving processes", "%", "sessions", IDLE,
        partial(beside.share, processes=0), "≤ 10"),
    Row("kept-one", "rate kept, no receiving processes", "%", "sessions", IDLE,
        partial(beside.kept, processes=0), "≥ 90"),
    Row("purge", "purge of one trash entry", "ms CPU", "sessions", SESSIONS,
        sessions.purge, "≤ 0.3"),
    Row("save", "a save", "ms CPU", "projects", PROJECTS, configuration.save, "≤ 60"),
    Row("history", "history of 1,000 revisions", "MB", "projects", PROJECTS,
        configuration.history, "≤ 100"),
    Row("start", "start after a kill to open ports", "s", "objects", OBJECTS,
        objects.start, "≤ 3"),
    Row("check", "check, an object", "ms CPU", "objects", OBJECTS, objects.check, "≤ 0.025"),
    Row("rebuild", "rebuild, an object", "ms CPU", "objects", OBJECTS, objects.rebuild, "≤ 0.4"),
    Row("snapshot", "a console's question, answer", "bytes", "receivers", RECEIVERS,
        live.snapshot_bytes, "≤ 5,000"),
    Row("poll", "a console's question, engine", "ms CPU", "receivers", RECEIVERS,
        live.snapshot_cpu, "≤ 4"),
    Row("memory", "memory that stays after a crowd", "MB", "associations", ASSOCIATIONS,
        live.memory_after, "≤ 25"),
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the rows and print them; the exit code is 1 if one of them could not be measured."""
    arguments = _parser().parse_args(argv)
    # Else an engine would go on, and its data would stay.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    print(_machine(arguments.dir))
    table: list[tuple[str, ...]]
    table, failed = [("what", "unit", "of", "values", "×10 grows", "bar")], 0
    for row in ROWS:
        if arguments.rows and row.name not in arguments.rows:
            continue
        sizes = tuple(arguments.sizes or (row.sizes[:1] if arguments.quick else row.sizes))
        try:
            values = [_measured(row, size, arguments.dir) for size in sizes]
        except (Failed, OSError) as error:
            failed += 1
            print(f"  ✗ {row.title}: {error}", flush=True)
            continue
        table.append(_line(row, sizes, values))
    for line in aligned(table):
        print(line)
    print("×10 grows: by how much a value grows while the size grows tenfold; 1 is flat, 10 linear")
    return int(failed > 0)


def _measured(row: Row, size: int, parent: Path) -> float:
    print(f"{row.name}, {size:,} {row.of}", end=" … ", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="dicomdock-scale-", dir=parent) as folder:
        value = row.measure(Path(folder), size)
    print(f"{shown(value)} {row.unit}", file=sys.stderr, flush=True)
    return value


def _line(row: Row, sizes: Sequence[int], values: Sequence[float]) -> tuple[str, ...]:
    grows = growth(sizes, values)
    return (
        *(row.title, row.unit, " / ".join(f"{size:,}" for size in sizes) + f" {row.of}"),
        " / ".join(map(shown, values)),
        *("–" if grows is None else f"{grows:.1f}", row.bar),
    )


def _machine(folder: Path) -> str:
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return f"{load}, {system}, data on {file_system_of(folder)}"


def _rows(text: str) -> list[str]:
    names, known = _names(text), [row.name for row in ROWS]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return names


def _sizes(text: str) -> list[int]:
    return sorted(map(_number, _names(text)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.scale",
        description="Measure what grows with sessions, objects, projects, receivers, associations.",
    )
    add = parser.add_argument
    add("--rows", type=_rows, help=f"of {', '.join(row.name for row in ROWS)}; default all")
    add("--sizes", type=_sizes, help="for all rows, such as 1000,10000; default those of each row")
    add("--quick", action="store_true", help="the smallest size only, to see that it works")
    where = "where the data go; default /dev/shm, a tmpfs"
    add("--dir", type=Path, default=Path("/dev/shm"), help=where)
    return parser
