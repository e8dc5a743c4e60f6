"""Processes that change the configuration at once: no revision is lost, each is in the history."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.host.owner import user_name
from engine.model.configuration_diff import Change

if TYPE_CHECKING:
    from pathlib import Path

WRITERS = 4
CHANGES = 30

# One process of the command line that gives the same kinds of commands a hundred times.
WRITER = """
import os, sys
from engine.cli import main

data, writer, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["SUDO_USER"] = writer
codes = {main(["--data", data, "projects", "add", f"{writer}-{n}"]) for n in range(count)}
sys.exit(codes != {0})
"""


def test_concurrent_commands_lose_no_revision_and_the_history_has_each(tmp_path: Path) -> None:
    names = [f"W{number}" for number in range(WRITERS)]
    commands = [[sys.executable, "-c", WRITER, str(tmp_path), name, str(CHANGES)] for name in names]
    writers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [writer.wait(timeout=55) for writer in writers] == [0] * WRITERS
    store = ConfigurationStore(tmp_path / "config.json", clock=SystemClock())
    revisions = list(store.revisions())
    numbers = [revision.configuration.revision for revision in revisions]
    assert numbers == list(range(WRITERS * CHANGES, 0, -1))
    added = {revision.made[0].subject: revision.configuration.changed_by for revision in revisions}
    login = user_name(os.getuid())
    assert added == {
        f"project {name}-{n}": f"{login}, says: {name}" for name in names for n in range(CHANGES)
    }
    assert all(len(r.made) == 1 and r.made[0].change is Change.ADDED for r in revisions)
    assert len(store.load().projects.projects) == WRITERS * CHANGES
