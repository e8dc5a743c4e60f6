"""What the console costs beside an engine in its own process: busy, idle, and until it is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.processes import Failed
from tests.bench.receivers import Dicomdock
from tests.bench.report import aligned
from tests.bench.runs import Case
from tests.bench.sender import Caller
from tests.bench.tape import CALLED
from tests.bench.watched_console import RECEIVER, Order, Watched
from tests.bench.workloads import WORKLOADS
from tests.running import free_port
from tests.terminals import Terminal, child_of, processor_seconds
from tui.places import HOME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.rounds import Bench

SCREENS = (HOME, "associations", "log", RECEIVER)
ASSOCIATIONS = 4
"""By default."""
CROWD = 100
"""Live associations, the busy ones among them."""
LATE_BAR_MS, LOOK_BAR_MS, IDLE_BAR, PAINT_BAR = 50.0, 20.0, 0.02, 0.6
_PDU_BYTES = 16_382
_LAST_LINE = "Quit"
_STARTS = 5
_IDLE_SECONDS = 60.0
_SETTLED_SECONDS = 5.0
"""After so long all that comes with a start is over."""
_RUN_SECONDS, _STOP_SECONDS = 120.0, 30.0


def measure(
    bench: Bench, workload: str, associations: int = ASSOCIATIONS, *, quick: bool
) -> Iterator[str]:
    """Yield the lines of the report; so many associations send at the same time."""
    yield ""
    yield from _first_paints(bench, 1 if quick else _STARTS)
    yield _idle(bench, 3.0 if quick else _IDLE_SECONDS)
    case = Case(WORKLOADS[workload], associations, _PDU_BYTES, 5.0 if quick else 10.0)
    yield ""
    yield f"{case.workload.title}, {associations} associations at full speed"
    heads = ("screen", "objects/s", "CPU ms/look", "late p50", "p99", "max ms")
    watched = [(s, _watched(bench, case, s, 0)) for s in SCREENS[: 1 if quick else None]]
    watched.append((f"associations, {CROWD} live", _watched(bench, case, "associations", CROWD)))
    yield from aligned([heads, *(_row(title, screen) for title, screen in watched)])
    yield from (f"  ✗ {title}: {w.failure}" for title, w in watched if w.failure)
    yield f"bars: CPU ≤ {LOOK_BAR_MS:g} ms a look, late max < {LATE_BAR_MS:g} ms"


def _row(title: str, watched: Watched) -> tuple[str, ...]:
    late = (watched.late_p50_ms, watched.late_p99_ms, watched.late_max_ms)
    return (
        title,
        f"{watched.objects_per_second:.0f}",
        f"{watched.cpu_ms_per_look:.1f}",
        *(f"{milliseconds:.1f}" for milliseconds in late),
    )


def _watched(bench: Bench, case: Case, screen: str, crowd: int) -> Watched:
    """Watch one screen while objects arrive, and some associations that bring nothing."""
    folder, port = bench.fresh_folder(), free_port()
    folder.mkdir()
    Dicomdock(open_at_once=2 * CROWD).command(folder, port)
    tape, report = bench.tape(case), folder / "report.json"
    # The sender would be another machine.
    blast = ("nice", "-n", "10", *bench.blaster.command(port, case.associations))
    data = str(folder / "data")
    order = Order(data, screen, blast, str(tape.path), str(report))
    file = folder / "order.json"
    file.write_text(json.dumps(asdict(order)))
    arguments = ["-m", "tests.bench.watched_console", str(file)]
    with Terminal(arguments, folder) as terminal:
        _wait_for(terminal, CALLED)
        held = [Caller(port, tape.contexts) for _ in range(max(0, crowd - case.associations))]
        try:
            terminal.wait(_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            _stop(terminal)
            raise Failed(f"the console does not end: {terminal.output[-400:]!r}") from None
        for caller in held:
            caller.drop()
    if not report.exists():
        raise Failed(f"nothing was measured: {terminal.output[-400:]!r}")
    watched = Watched(**json.loads(report.read_text()))
    bench.clear_runs()
    return watched


def _first_paints(bench: Bench, starts: int) -> Iterator[str]:
    """Start it often: until the first whole picture, and until the engine's values are in it.

    An installation has its modules compiled; so they are here, by a start that does not count.
    """
    painted, filled, used = [], [], []
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bench.fresh_folder())}
    with Terminal(*_console(bench), compiled) as terminal:
        _wait_for(terminal, CALLED)
        _stop(terminal)
    for _ in range(starts):
        arguments, folder = _console(bench)
        began = time.perf_counter()
        with Terminal(arguments, folder, compiled) as terminal:
            _wait_for(terminal, _LAST_LINE)
            painted.append(time.perf_counter() - began)
            used.append(processor_seconds(child_of(terminal.process.pid)))
            _wait_for(terminal, CALLED)
            filled.append(time.perf_counter() - began)
            _stop(terminal)
    yield (
        f"first paint after {min(painted):.2f} s at best, median {median(painted):.2f} s, "
        f"{min(used):.2f} s of CPU (bar < {PAINT_BAR:g} s); "
        f"receivers listen and are shown after {min(filled):.2f} s, median {median(filled):.2f} s"
    )


def _idle(bench: Bench, seconds: float) -> str:
    with Terminal(*_console(bench)) as terminal:
        _wait_for(terminal, CALLED)
        terminal.read_until(b"\0", _SETTLED_SECONDS)
        before = processor_seconds(child_of(terminal.process.pid))
        terminal.read_until(b"\0", seconds)
        used = processor_seconds(child_of(terminal.process.pid)) - before
        _stop(terminal)
    return f"idle console and engine: {used / seconds:.1%} of a core (bar < {IDLE_BAR:.0%})"


def _console(bench: Bench) -> tuple[list[str], Path]:
    """Make a new data directory with one receiver; return how `dicomdock` starts, and its home."""
    folder = bench.fresh_folder()
    folder.mkdir()
    Dicomdock().command(folder, free_port())
    return ["-m", "tui", "--data", str(folder / "data")], folder


def _stop(terminal: Terminal) -> None:
    """End console and engine: without its terminal the engine would go on."""
    os.kill(child_of(terminal.process.pid), signal.SIGTERM)
    terminal.wait(_STOP_SECONDS)


def _wait_for(terminal: Terminal, words: str) -> None:
    if not terminal.shows(words, 60):
        raise Failed(f"the console draws no {words!r}")
