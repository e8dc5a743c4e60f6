"""The commands of README, tutorials and how-tos work as printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.conftest import in_own_network

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
def test_every_command_of_the_pages_works_as_printed() -> None:
    command = in_own_network((sys.executable, "-m", "tests.docs.run_blocks"))
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
