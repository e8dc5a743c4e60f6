"""The command line of the benchmark: tables on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import anonymizing, console, idle, routing
from tests.bench.receivers import FLUSHING_ONLY, compared, receiving_processes
from tests.bench.report import compared_runs, table
from tests.bench.rounds import Bench, file_system_of, installed, is_tmpfs
from tests.bench.runs import Case
from tests.bench.sender import Blaster
from tests.bench.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.bench.report import Comparison
    from tests.bench.runs import Run, Spoilt

DEFAULT_PDU_BYTES = 16_382
"""16 KiB less two: pynetdicom's own maximum, so that all receivers get the very same bytes."""
SCRIPTED_WORKLOADS = ("ct", "mr")
"""Those that are sent to the receiver with a script as well, unless receivers are named."""
SINGLE = "single"
CONSOLE = "console"
_MOST_PROCESSES = 64
_SINGLE_SCALE = 0.1
_QUICK_SCALE = 0.2
_OVERHEAD = """\
Where the engine's time goes: let py-spy start it and the benchmark's own sender load it.

    pip install py-spy
    python -m tests.bench --workloads mr --associations 4 --scale 5 --rounds 1 \\
        --receivers dicomdock --dir DIR --keep     # leaves the sender and its tape in DIR
    python -m engine --data DATA site set --bind-address 127.0.0.1
    python -m engine --data DATA projects add BENCH
    python -m engine --data DATA receivers add --ae-title BENCH --port 11112
    py-spy record --rate 500 --threads --output engine.svg -- \\
        python -m engine --data DATA engine --durability none &
    DIR/dicomdock-bench-*/blaster 11112 4 < DIR/dicomdock-bench-*/mr-5000-16382.tape

--gil shows who holds the interpreter, --native what happens inside C. Stop the engine with SIGTERM.
DATA must be new each time: what comes again is a duplicate, and takes another path."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    cases: tuple[Case, ...]
    receivers: tuple[str, ...]
    """Empty for all that the durability gives a meaning."""
    rounds: int
    durability: str
    processes: int | None
    """How many processes of dicomdock receive; None for the engine's default."""

    def has(self, receiver: str) -> bool:
        """Tell whether a receiver takes part."""
        if self.receivers:
            return receiver in self.receivers
        return receiver not in FLUSHING_ONLY or self.durability == "full"

    def sends(self, case: Case, receiver: str) -> bool:
        """Tell whether a receiver that takes part is sent the objects of a case."""
        is_scripted = case.workload.name in SCRIPTED_WORKLOADS and not case.single
        return bool(self.receivers) or receiver != "dicomdock-script" or is_scripted


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 1 if --check is given and a bar is missed."""
    arguments = _parser().parse_args(argv)
    if arguments.overhead:
        print(_OVERHEAD)
        return 0
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda number, _frame: sys.exit(128 + number))
    with _folder(arguments.dir, keep=arguments.keep) as folder:
        bench = Bench(folder, Blaster(folder), _say)
        machine = _machine(folder, arguments.processes)
        _print_circumstances(folder, machine, arguments.durability)
        if arguments.part == CONSOLE:
            workload = (arguments.workloads or ["mr"])[0]
            associations = (arguments.associations or [console.ASSOCIATIONS])[0]
            _print_lines(console.measure(bench, workload, associations, quick=arguments.quick))
            return 0
        if arguments.idle:
            _print_lines(idle.measure(bench, quick=arguments.quick))
            return 0
        if arguments.routing:
            _print_lines(routing.measure(bench, arguments.rounds, quick=arguments.quick))
            return 0
        if arguments.anonymize:
            _print_lines(anonymizing.measure(folder, arguments.rounds, quick=arguments.quick))
            return 0
        missed = _compare(bench, _plan(arguments), _Record(arguments.json, machine))
    return 1 if missed and arguments.check else 0


def _print_circumstances(folder: Path, machine: str, durability: str) -> None:
    print(machine)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 2:
        print(f"  ! the machine is busy with other work (load {load:.1f}): expect wrong ratios")
    if durability != "none" and is_tmpfs(folder):
        print("  ! nothing is flushed on a tmpfs: choose a disk with --dir")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _compare(bench: Bench, plan: Plan, record: _Record) -> int:
    """Run all cases, print each as soon as it is done, and return how many bars were missed."""
    kinds = [kind for kind in compared(plan.durability, plan.processes) if plan.has(kind.name)]
    titles = {kind.name: kind.title for kind in kinds}
    there, versions = installed(kinds)
    for title, version in versions.items():
        print(f"  {title}: {version}")
    comparisons = []
    for case in plan.cases:
        _say(f"== {case.workload.title}, {case.associations}")
        runs = bench.compare(
            case, [kind for kind in there if plan.sends(case, kind.name)], plan.rounds
        )
        comparison = compared_runs(case, runs, plan.durability)
        print(f"\n{table(comparison, titles, plan.durability)}", flush=True)
        comparisons.append(comparison)
        record.add(plan, versions, case, runs)
    absent = [kind.title for kind in kinds if kind not in there]
    return _print_verdict(comparisons, absent)


def _print_verdict(comparisons: Sequence[Comparison], absent: Sequence[str]) -> int:
    missed = sum(len(comparison.missed) for comparison in comparisons)
    print(f"\n{missed or 'no'} bar{'s' * (missed != 1)} missed in {len(comparisons)} comparisons")
    if absent:
        print(f"absent, so their bars were not looked at: {', '.join(absent)}")
    return missed


class _Record:
    """Every run, in a file for other programs; rewritten after each case."""

    def __init__(self, file: Path | None, machine: str) -> None:
        self._file = file
        self._machine = machine
        self._runs: list[dict[str, object]] = []

    def add(
        self, plan: Plan, versions: dict[str, str], case: Case, runs: Sequence[Run | Spoilt]
    ) -> None:
        """Add the runs of a case."""
        sent = {
            "workload": case.workload.name,
            "associations": case.associations,
            "pdu_bytes": case.pdu_bytes,
            "single": case.single,
            "objects": case.objects,
        }
        self._runs += [sent | asdict(run) for run in runs]
        content = {
            "machine": self._machine,
            "receivers": versions,
            "rounds": plan.rounds,
            "durability": plan.durability,
            "receiving_processes": receiving_processes(plan.processes),
            "runs": self._runs,
        }
        if self._file:
            self._file.write_text(json.dumps(content, indent=1) + "\n")


def _plan(arguments: argparse.Namespace) -> Plan:
    quick = arguments.quick
    workloads = arguments.workloads or (["ct", "small"] if quick else [*WORKLOADS, SINGLE])
    associations = arguments.associations or ([1, 4] if quick else [1, 4, 16])
    scale = arguments.scale * (_QUICK_SCALE if quick else 1.0)
    cases = tuple(
        _case(name, number, arguments.pdu, scale)
        for name in workloads
        for number in associations
        if number <= 4 or name not in {"large", SINGLE}
    )
    rounds = arguments.rounds or (1 if quick else 5)
    receivers = tuple(arguments.receivers or ())
    return Plan(cases, receivers, rounds, arguments.durability, arguments.processes)


def _case(name: str, associations: int, pdu_bytes: int, scale: float) -> Case:
    if name == SINGLE:
        case = Case(WORKLOADS["small"], associations, pdu_bytes, scale * _SINGLE_SCALE)
        return replace(case, single=True)
    return Case(WORKLOADS[name], associations, pdu_bytes, scale)


def _machine(folder: Path, processes: int | None) -> str:
    return (
        f"{os.cpu_count()} cores for sender and receiver together, {platform.system()} "
        f"{platform.release()}, {platform.python_implementation()} {platform.python_version()}, "
        f"dicomdock with {receiving_processes(processes)} receiving processes, storage on "
        f"{file_system_of(folder)}, TCP_NODELAY=1 for DCMTK and Orthanc"
    )


@contextmanager
def _folder(parent: Path | None, *, keep: bool) -> Iterator[Path]:
    """Give a folder for tapes and received objects."""
    where = parent or Path("/dev/shm")
    if keep:
        yield Path(tempfile.mkdtemp(prefix="dicomdock-bench-", dir=where))
        return
    with tempfile.TemporaryDirectory(prefix="dicomdock-bench-", dir=where) as made:
        yield Path(made)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _workloads(text: str) -> list[str]:
    return _known(_names(text), [*WORKLOADS, SINGLE])


def _receivers(text: str) -> list[str]:
    known = [kind.name for kind in compared("none")]
    return _known(_names(text), known)


def _known(names: list[str], known: Sequence[str]) -> list[str]:
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return names


def _numbers(text: str) -> list[int]:
    return [_number(number) for number in _names(text)]


def _processes(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:9]) > _MOST_PROCESSES:
        words = f"{text!r} is no number of receiving processes: 0 to {_MOST_PROCESSES}"
        raise argparse.ArgumentTypeError(words)
    return int(text)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1_048_576:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Compare dicomdock with other DICOM receivers, side by side on this machine.",
    )
    add = parser.add_argument
    console_words = "what the console costs: busy, idle, and until it is there"
    add("part", nargs="?", choices=[CONSOLE], help=console_words)
    add("--workloads", type=_workloads, help=f"of {', '.join([*WORKLOADS, SINGLE])}; default all")
    many = f"how many side by side; default 1,4,16, and of the console {console.ASSOCIATIONS}"
    add("--associations", type=_numbers, help=many)
    add("--rounds", type=_number, default=0, help="default 5")
    add(
        "--receivers",
        type=_receivers,
        help=f"only these, by name; default all, {' and '.join(FLUSHING_ONLY)} only with"
        " --durability full",
    )
    add("--durability", choices=["none", "file", "full"], default="none")
    shared = f"how many processes of dicomdock receive; default {receiving_processes(None)}"
    add("--processes", type=_processes, metavar="N", help=shared)
    add("--scale", type=float, default=1.0, help="send that many times as many objects")
    pdu = f"longest PDU that the sender sends; default {DEFAULT_PDU_BYTES}"
    add("--pdu", type=_number, default=DEFAULT_PDU_BYTES, help=pdu)
    add("--dir", type=Path, help="where tapes and objects go; default /dev/shm, a tmpfs")
    add("--keep", action="store_true", help="leave them there")
    add("--json", type=Path, metavar="FILE", help="write every run")
    add("--check", action="store_true", help="exit with 1 if a bar is missed")
    add("--quick", action="store_true", help="one round of little, to see that it works")
    mode = parser.add_mutually_exclusive_group()
    idle_words = "what ports and associations cost on which nothing happens"
    mode.add_argument("--idle", action="store_true", help=idle_words)
    mode.add_argument("--routing", action="store_true", help="what 20 routing rules cost")
    script_words = "what a script of 200 statements costs"
    mode.add_argument("--anonymize", action="store_true", help=script_words)
    mode.add_argument("--overhead", action="store_true", help="how to profile the engine")
    return parser
