"""The map of the packages is drawn from the code as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DRAW = Path(__file__).parents[2] / "docs" / "developers" / "draw_map.py"


def test_the_map_shows_the_packages_and_imports_of_today() -> None:
    check = subprocess.run(
        [sys.executable, str(DRAW), "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr
