"""`python -m tests.mutants map|run|list`: makes mutants and prints the score of each module.

The exit code of `run` is 1 if a module is below its bar: 95 % of the logic, all of the rest.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants import coverage_map
from tests.mutants.operators import Kind, Mutant, mutants_of
from tests.mutants.runs import ROOT, Copy, Outcome, Result

LOGIC_BAR = 0.95
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
ALWAYS = {Kind.DURABILITY: ["tests/crash"]}
"""Tests of other processes, which no coverage map knows."""


def main() -> int:
    """Carry out one command."""
    options = _parser().parse_args()
    if options.command == "map":
        return coverage_map.make(options.map)
    mutants = _chosen(options)
    if options.command == "list":
        for mutant in mutants:
            print(f"{mutant.module}:{mutant.line} [{mutant.kind}] {mutant.function}: {mutant.what}")
        return 0
    return _report(_run(mutants, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("command", choices=["map", "run", "list"])
    parser.add_argument("modules", nargs="*", help="such as engine/sessions; default: engine")
    parser.add_argument("--kind", type=Kind, choices=list(Kind), action="append")
    parser.add_argument("--sample", type=int, default=30, help="LOGIC mutants of each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30, help="of tests for each mutant")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--map", type=Path, default=ROOT / ".mutants")
    return parser


def _chosen(options: argparse.Namespace) -> list[Mutant]:
    """Return all mutants that break durability, locks or safety, and a sample of the others."""
    known = tomllib.loads(EQUIVALENT.read_text("utf-8"))["mutants"]
    chosen: list[Mutant] = []
    for file in _files(options.modules or ["engine"]):
        found = mutants_of(str(file.relative_to(ROOT)), file)
        found = [m for m in found if m.key not in known]
        found = [m for m in found if not options.kind or m.kind in options.kind]
        logic = [m for m in found if m.kind is Kind.LOGIC]
        picked = random.Random(options.seed).sample(logic, min(options.sample, len(logic)))
        chosen += [m for m in found if m.kind is not Kind.LOGIC or m in picked]
    return chosen


def _files(modules: list[str]) -> list[Path]:
    files: list[Path] = []
    for module in modules:
        place = ROOT / module
        files += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return files


def _run(mutants: list[Mutant], options: argparse.Namespace) -> list[Result]:
    tests = _choice(options.map)
    copies: SimpleQueue[Copy] = SimpleQueue()

    def try_out(mutant: Mutant) -> Result:
        copy = copies.get()
        try:
            chosen = tests.tests_for(mutant, options.seconds)
            always = [name for name in ALWAYS.get(mutant.kind, []) if (ROOT / name).exists()]
            result = copy.try_out(mutant, chosen + always)
        finally:
            copies.put(copy)
        print(f"{result.outcome}: {mutant.module}:{mutant.line} {mutant.what}")
        print(f"  {result.by}", flush=True)
        return result

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for number in range(options.processes):
            copies.put(Copy(Path(folder) / str(number)))
        with ThreadPoolExecutor(options.processes) as pool:
            return list(pool.map(try_out, mutants))


def _choice(folder: Path) -> coverage_map.CoverageMap | coverage_map.MirroredFolder:
    if folder.exists():
        return coverage_map.CoverageMap(folder)
    print(f"There is no map in {folder}: each mutant is tried with its package's own tests.")
    return coverage_map.MirroredFolder()


def _report(results: list[Result]) -> int:
    """Print a line for each module and the survivors; return the exit code."""
    scores: dict[tuple[str, bool], Counter[Outcome]] = defaultdict(Counter)
    for result in results:
        is_logic = result.mutant.kind is Kind.LOGIC
        scores[result.mutant.module, is_logic][result.outcome] += 1
    is_below = False
    for (module, is_logic), counts in sorted(scores.items()):
        noticed = counts[Outcome.KILLED] + counts[Outcome.TIMED_OUT]
        score = noticed / counts.total()
        below = score < (LOGIC_BAR if is_logic else 1.0)
        is_below |= below
        of = "logic" if is_logic else "durability, locks, security, time zone"
        print(f"{score:6.1%} {noticed:4}/{counts.total():<4} {module} ({of}){' BELOW' * below}")
    for result in results:
        if result.outcome in (Outcome.SURVIVED, Outcome.UNTESTED):
            mutant = result.mutant
            print(f"{result.outcome}: {mutant.module}:{mutant.line} {mutant.what}\n  {mutant.key}")
    return int(is_below)


if __name__ == "__main__":
    sys.exit(main())
