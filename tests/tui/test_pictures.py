"""Pictures are of tests that exist; test processes side by side don't look for others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tui.reaching import picture_name

ROOT = Path(__file__).resolve().parents[2]


def test_every_picture_is_of_a_test() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", "-q"]
    command += ["-p", "no:cacheprovider", "tests/tui"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.partition("::") for line in listed.stdout.splitlines() if "::" in line]
    tests = {f"{Path(file).stem}::{picture_name(name)}" for file, _, name in lines}
    pictures = [path.relative_to(ROOT) for path in (ROOT / "snapshots").glob("**/*.svg")]
    assert pictures
    of_tests = {f"{picture.parent.name}::{picture.stem}" for picture in pictures}
    assert sorted(of_tests - tests) == []
