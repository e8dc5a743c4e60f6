"""Which tests run which line, and how long each of them takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from coverage import CoverageData

from tests.mutants.runs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mutants.operators import Mutant

DATA = "coverage"
TIMES = "times.json"


def make(folder: Path) -> int:
    """Run the suite once and keep what it shows; return pytest's exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.xml"
    command = f"{sys.executable} -m pytest -q -n 2 --dist worksteal --cov=engine --cov=tui"
    command += f" --cov-context=test --cov-report= -o junit_family=xunit1 --junit-xml={report}"
    environment = os.environ | {"COVERAGE_FILE": str(folder / DATA)}
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
        """Return tests that run the mutant's line, as many as take about that long."""
        lines = self._data.contexts_by_lineno(str(ROOT / mutant.module))
        tests = {c.split("|")[0] for c in lines.get(mutant.line, []) if c}
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
