"""What a change of the configuration costs while there are many projects."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.model.project import Project
from tests.running import configure

if TYPE_CHECKING:
    from pathlib import Path

REVISIONS = 100
"""How many are made to tell the size of the 1,000 that are kept."""
_KEPT = 1000
_ROUNDS = 5
_MOST_SECONDS = 60.0


def save(folder: Path, projects: int) -> float:
    """Return the CPU milliseconds of a save of one project."""
    store = _store(folder, projects)
    _change(store, 0)
    began = time.process_time()
    for number in range(1, _ROUNDS + 1):
        _change(store, number)
    return 1000 * (time.process_time() - began) / _ROUNDS


def history(folder: Path, projects: int) -> float:
    """Return the megabytes of 1,000 revisions, from the growth by 100 of them or as many as fit."""
    store = _store(folder, projects)
    _change(store, 0)
    before, made = _size(folder), 0
    deadline = time.monotonic() + _MOST_SECONDS
    while made < REVISIONS and time.monotonic() < deadline:
        made += 1
        _change(store, made)
    return (_size(folder) - before) / made * _KEPT / 1e6


def _store(folder: Path, projects: int) -> ConfigurationStore:
    data = folder / "data"
    configure(data, projects=(Project.parse({"id": "P0"}),))
    file = data / "config.json"
    document = json.loads(file.read_text())
    ((_, one),) = document["projects"].items()
    # As the store writes them: made here at once, for it takes milliseconds for each.
    document["projects"] = {
        str(number + 1): one | {"id": f"P{number}"} for number in range(projects)
    }
    file.write_text(json.dumps(document, indent=2))
    return ConfigurationStore(file, clock=SystemClock())


def _change(store: ConfigurationStore, number: int) -> None:
    store.save_project(Project.parse({"id": f"NEW{number}"}), "bench")


def _size(folder: Path) -> int:
    kept = (folder / "data" / "config.history").rglob("*")
    return sum(file.stat().st_size for file in kept if file.is_file())
