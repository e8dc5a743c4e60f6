"""A process of its own with the recorder in it, on storage in memory where there is some."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.crash.calls import preloaded

TREE = Path(__file__).resolve().parents[2]
IN_MEMORY = Path("/dev/shm")


def in_laboratory(kind: str, name: str, wanted: int, seed: int) -> None:
    """Try states or faults, print how many those were, and fail if any promise was not kept."""
    place = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="dicomdock-crash-", dir=place) as top:
        root = Path(top, "root")
        root.mkdir()
        command = [sys.executable, "-m", "tests.crash", kind, name, str(wanted), str(seed)]
        done = subprocess.run(
            command,
            cwd=TREE,
            env=preloaded(root, Path(top, "log")),
            capture_output=True,
            text=True,
            check=False,
        )
    sys.stdout.write(done.stdout)  # `-s` shows how much was tried
    assert done.returncode == 0, done.stdout + done.stderr
    tried = re.search(r": (\d+) .* of (\d+)", done.stdout)
    assert tried, done.stdout
    assert int(tried[1]) >= min(wanted, int(tried[2])) > 0
