"""Which tests are run for a mutant: those that run its line, as a run of the suite has shown.

Without such a run they are the tests of the folder that mirrors the mutant's package.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from coverage import CoverageData

from tests.mutants.operators import Kind
from tests.mutants.runs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mutants.operators import Mutant

DATA = "coverage"
TIMES = "times.json"
OF_KIND = {
    Kind.DURABILITY: "test_flush_order.py",
    Kind.LOCK: "test_locks.py",
    Kind.SECURITY: "test_links.py",
}
"""The file of a folder that is about one kind of fault in all modules of the package."""


def make(folder: Path) -> int:
    """Run the suite once and keep what it shows; return pytest's exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.xml"
    command = f"{sys.executable} -m pytest -q -n 2 --dist worksteal --cov=engine --cov=tui"
    command += f" --cov-context=test --cov-report= -o junit_family=xunit1 --junit-xml={report}"
    # What costs nothing does not know which test runs a line.
    environment = os.environ | {"COVERAGE_FILE": str(folder / DATA), "COVERAGE_CORE": "ctrace"}
    ended = subprocess.run(command.split(), cwd=ROOT, env=environment, check=False)
    times: dict[str, float] = {}
    for case in ET.parse(report).iter("testcase"):
        times[f"{case.get('file')}::{case.get('name')}"] = float(case.get("time", 0))
    (folder / TIMES).write_text(json.dumps(times))
    return ended.returncode


class CoverageMap:
    """Chooses tests for a mutant: its own package's first, then the fastest of the others."""

    def __init__(self, folder: Path) -> None:
        self._data = CoverageData(str(folder / DATA))
        self._data.read()
        self._times: dict[str, float] = json.loads((folder / TIMES).read_text())

    def tests_for(self, mutant: Mutant, seconds: float) -> list[str]:
        """Return tests that run the mutant's line, as many as take about that long.

        Of a line that runs while its module is imported: tests that run any line of the module.
        """
        lines = self._data.contexts_by_lineno(str(ROOT / mutant.module))
        contexts = lines.get(mutant.line, [])
        if contexts == [""]:
            contexts = [context for others in lines.values() for context in others]
        tests = {context.split("|")[0] for context in contexts if context}
        return self._within(tests, mutant, seconds)

    def _within(self, tests: set[str], mutant: Mutant, seconds: float) -> list[str]:
        own = f"tests/{mutant.module.rpartition('/')[0]}/"
        stem = f"test_{mutant.module.rpartition('/')[2]}"

        def order(test: str) -> tuple[bool, bool, float]:
            return stem not in test, not test.startswith(own), self._times.get(test, 1.0)

        chosen: list[str] = []
        left = seconds
        for test in sorted(tests, key=order):
            left -= self._times.get(test, 1.0)
            if left < 0 and chosen:
                break
            chosen.append(test)
        return chosen


class MirroredFolder:
    """Chooses tests for a mutant where there is no map: its own, its kind's, then the others."""

    def tests_for(self, mutant: Mutant, _seconds: float) -> list[str]:
        """Return all test files of the folder that mirrors the mutant's package, or one above."""
        module = ROOT / mutant.module
        folder = ROOT / "tests" / module.parent.relative_to(ROOT)
        while not any(folder.glob("test_*.py")):
            folder = folder.parent
        first = [f"test_{module.name}", OF_KIND.get(mutant.kind)]
        found = sorted(
            folder.glob("test_*.py"),
            key=lambda f: (f.name != first[0], f.name not in first, f.name),
        )
        return [str(file.relative_to(ROOT)) for file in found]
