"""Runs tests against a copy of the checkout that holds one mutant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mutants.operators import Mutant

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("pyproject.toml", "README.md", "docs", "engine", "tui", "tests", "snapshots", ".ci")
SECONDS_MOST = 300
"""A mutant that makes the tests hang is noticed as well."""


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class Result:
    """What one mutant's run showed; `by` is the end of what pytest printed."""

    mutant: Mutant
    outcome: Outcome
    by: str = ""


class Copy:
    """A copy of the checkout in a folder of its own, in which one mutant at a time is made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name)  # byte code too: a mutant's is never written
            elif source.exists():
                shutil.copy2(source, folder / name)

    def try_out(self, mutant: Mutant, tests: list[str]) -> Result:
        """Run tests until one of them fails; they run with the mutant in every process."""
        if not tests:
            return Result(mutant, Outcome.UNTESTED)
        file = self._folder / mutant.module
        text = file.read_text("utf-8")
        file.write_text(text[: mutant.start] + mutant.replacement + text[mutant.end :], "utf-8")
        try:
            return self._run(mutant, tests)
        finally:
            file.write_text(text, "utf-8")

    def _run(self, mutant: Mutant, tests: list[str]) -> Result:
        chosen = self._folder / "tests.txt"
        chosen.write_text("\n".join(tests))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
        try:
            ended = subprocess.run(
                [*command, "-p", "no:randomly", f"@{chosen}"],
                cwd=self._folder,
                env=os.environ | {"PYTHONPATH": str(self._folder), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=SECONDS_MOST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Result(mutant, Outcome.TIMED_OUT)
        said = f"{ended.stderr.strip()}\n{ended.stdout.strip()}"
        last = " / ".join(said.strip().splitlines()[-2:])
        return Result(mutant, outcome_of(ended.returncode, said), last)


def outcome_of(returncode: int, said: str) -> Outcome:
    """Tell what a run of pytest showed; that tests are missing shows nothing of the mutant."""
    if returncode == pytest.ExitCode.OK:
        return Outcome.SURVIVED
    is_missing = "file or directory not found" in said
    if is_missing or returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
        return Outcome.UNTESTED
    return Outcome.KILLED
