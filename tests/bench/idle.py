"""What dicomdock costs while nothing arrives: ports, and associations that only stay open."""

from __future__ import annotations

import resource
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.pdus import Refused
from tests.bench.processes import Failed, process
from tests.bench.receivers import Dicomdock, running
from tests.bench.runs import Case
from tests.bench.sender import LOOPBACK, Caller
from tests.bench.usage import settled_usage_of, usage_of
from tests.bench.workloads import WORKLOADS
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.pdus import Context
    from tests.bench.rounds import Bench

PORTS = 50
IDLE_ASSOCIATIONS = 16
MANY_ASSOCIATIONS = 500
_OPEN_AT_ONCE = 1000
_OPEN_SECONDS = 20.0
_WATCHED_SECONDS = 10.0
_PDU_BYTES = 16_382


def measure(bench: Bench, *, quick: bool) -> Iterator[str]:
    """Yield the lines of the report."""
    _allow_many_descriptors()
    case = Case(WORKLOADS["ct"], 1, _PDU_BYTES, 0.2 if quick else 1.0)
    seconds, rounds = (2.0, 1) if quick else (_WATCHED_SECONDS, 3)
    yield ""
    yield _ports(bench, rounds)
    yield _few(bench, bench.tape(case).contexts[0], seconds)
    try:
        yield from _many(bench, case, seconds, rounds)
    except (Failed, Refused, OSError) as error:
        yield f"✗ {MANY_ASSOCIATIONS} idle associations: {error}"


def _ports(bench: Bench, rounds: int) -> str:
    """Compare engines with one port and with 50 more."""
    starts = [(_start(bench, 1), _start(bench, 1 + PORTS)) for _ in range(rounds)]
    milliseconds = median(1000 * (many[0] - one[0]) / PORTS for one, many in starts)
    megabytes = median((many[1] - one[1]) / PORTS for one, many in starts)
    one, memory = median(s[0][0] for s in starts), median(s[0][1] for s in starts)
    return (
        f"one port: listens after {one:.2f} s with {memory:.0f} MB; "
        f"each further port: {milliseconds:.1f} ms and {megabytes:.2f} MB (bars ≤ 5 ms, ≤ 0.2 MB)"
    )


def _start(bench: Bench, ports: int) -> tuple[float, float]:
    """Return the seconds until all ports listen, and the megabytes in use then."""
    kind, folder, port = Dicomdock(ports=ports), bench.fresh_folder(), free_range(ports)
    folder.mkdir()
    command = kind.command(folder, port)
    began = time.perf_counter()
    with process(command, folder, {}) as started:
        kind.wait_until_listening(started, port)
        seconds = time.perf_counter() - began
        return seconds, settled_usage_of(started.pid).memory_mb


def _few(bench: Bench, context: Context, seconds: float) -> str:
    port = free_range(PORTS)
    with (
        running(Dicomdock(ports=PORTS), bench.fresh_folder(), port) as pid,
        _open_associations(port, context, IDLE_ASSOCIATIONS),
    ):
        busy = _busy(pid, seconds)
    return f"{PORTS} ports and {IDLE_ASSOCIATIONS} idle associations: {busy:.1%} of a core (≤ 1 %)"


def _many(bench: Bench, case: Case, seconds: float, rounds: int) -> Iterator[str]:
    """Send beside 500 idle associations and without them, each time to a fresh engine."""
    rates: list[tuple[float, float]] = []
    busy = []
    for number in range(rounds):
        alone, _ = _rate(bench, case, 0, 0.0)
        beside, used = _rate(bench, case, MANY_ASSOCIATIONS, 0.0 if number else seconds)
        rates.append((alone, beside))
        busy += [used] if not number else []
    kept = median(beside / alone for alone, beside in rates)
    yield f"{MANY_ASSOCIATIONS} idle associations: {busy[0]:.1%} of a core (bar < 10 %)"
    yield (
        f"a sender beside them: {median(r[1] for r in rates):.0f} objects/s, "
        f"{kept:.0%} of the {median(r[0] for r in rates):.0f} without them (bar ≥ 70 %)"
    )


def _rate(bench: Bench, case: Case, idle: int, seconds: float) -> tuple[float, float]:
    """Return the objects per second beside idle associations, and what those cost alone."""
    port, tape = free_port(), bench.tape(case)
    kind = Dicomdock(open_at_once=_OPEN_AT_ONCE)
    with (
        running(kind, bench.fresh_folder(), port) as pid,
        _open_associations(port, tape.contexts[0], idle),
    ):
        busy = _busy(pid, seconds) if seconds else 0.0
        blast = bench.blaster.play(tape, port, case.associations)
    if blast.failure:
        raise Failed(f"the sender beside them: {blast.failure}")
    return blast.objects / blast.seconds, busy


@contextmanager
def _open_associations(port: int, context: Context, count: int) -> Iterator[None]:
    deadline = time.monotonic() + _OPEN_SECONDS
    with ExitStack() as held:
        for number in range(count):
            if time.monotonic() > deadline:
                raise Failed(f"only {number} were open after {_OPEN_SECONDS:.0f} s")
            held.enter_context(Caller(port, [context]))
        yield


def _busy(pid: int, seconds: float) -> float:
    """Return which part of a core a process tree uses while it is left alone."""
    before = settled_usage_of(pid).cpu_seconds
    began = time.perf_counter()
    threading.Event().wait(seconds)
    return (usage_of(pid).cpu_seconds - before) / (time.perf_counter() - began)


def free_range(count: int) -> int:
    """Return the first of that many consecutive free ports."""
    for _ in range(100):
        first = free_port()
        if all(map(_is_free, range(first, first + count))):
            return first
    raise Failed(f"there are no {count} consecutive free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as candidate, suppress(OSError):
        candidate.bind((LOOPBACK, port))
        return True
    return False


def _allow_many_descriptors() -> None:
    wanted = 4 * MANY_ASSOCIATIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
