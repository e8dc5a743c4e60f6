"""Killed and concurrent writers: the old or the new revision, never neither, none lost."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.model.project import Project

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 8
WRITES_BEFORE_A_KILL = 10
WRITERS = 4
WRITES = 20

# Each write is one revision that adds a project and is announced when it is done. The lock has no
# queue: a writer without a pause may keep the others out for longer than they wait. They try again.
WRITER = """
import sys
from pathlib import Path
from engine.host.clock import SystemClock
from engine.config.store import ConfigurationStore
from engine.errors import StorageUnusable
from engine.model.project import Project

def save(project):
    while True:
        try:
            return store.save_project(project, name)[0].revision
        except StorageUnusable as error:
            if "by another process" not in str(error):
                raise

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = ConfigurationStore(path, clock=SystemClock())
for number in range(count):
    print(save(Project(f"{name}-{number}")), flush=True)
"""


def start(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_kill_9_leaves_the_last_announced_revision_or_the_next(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    store = ConfigurationStore(path, clock=SystemClock())
    for kill in range(KILLS):
        with start(path, f"K{kill}", 10_000) as writer:
            assert writer.stdout is not None
            for _ in range(WRITES_BEFORE_A_KILL):
                writer.stdout.readline()
            writer.kill()
            announced = [int(line) for line in writer.stdout if line.endswith("\n")]
        configuration = store.load()
        if announced:
            assert configuration.revision - announced[-1] in {0, 1}
        assert configuration.revision == len(configuration.projects.projects)
        assert configuration.revision >= (kill + 1) * WRITES_BEFORE_A_KILL
    store.save_project(Project("LAST"), "test")
    assert not list(tmp_path.glob(".*")), "what the killed writers left is swept"


def test_concurrent_writers_lose_no_write(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    writers = [start(path, f"W{number}", WRITES) for number in range(WRITERS)]
    outputs = [writer.communicate(timeout=50)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS
    revisions = sorted(int(line) for output in outputs for line in output.split())
    assert revisions == list(range(1, WRITERS * WRITES + 1))
    configuration = ConfigurationStore(path, clock=SystemClock()).load()
    assert len(configuration.projects.projects) == WRITERS * WRITES
