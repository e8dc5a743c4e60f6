"""What Command processors have to run, shown and dropped by commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.index.arrivals import Finished
from engine.model.session import SessionStatus
from engine.processing.command.queue import RunQueue

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run


@pytest.fixture
def runs(run: Run, data: Path) -> None:
    """Two programs: the first has two sessions to run for, the other one."""
    for label in ("notify", "copy"):
        words = ("--label", label, "--class", "command", "--set", "program=/bin/true")
        assert run("processors", "add", *words).code == 0
    with RunQueue(data / "state.sqlite") as queue:
        for processor, session in ((1, 7), (1, 8), (2, 7)):
            finished = Finished(session, session, SessionStatus.READY, "2026-01-01T00:00:00+00:00")
            queue.put([(processor, finished, "1.2.3")])
        assert queue.begin(1, ()) is not None


@pytest.mark.usefixtures("runs")
def test_what_is_to_run_is_listed(run: Run) -> None:
    found = run("commands", "list", "--json").data["runs"]
    assert [(r["processor"], r["session"], r["begun"]) for r in found] == [
        ("notify", 7, 1),
        ("notify", 8, 0),
        ("copy", 7, 0),
    ]
    assert len(run("commands", "list", "copy").out.splitlines()) == 2
    assert run("commands", "list", "nothing").code == 4


@pytest.mark.usefixtures("runs")
def test_what_is_to_run_is_dropped_after_a_yes_which_is_told(run: Run, data: Path) -> None:
    assert run("commands", "drop", "notify").code == 10
    assert run("commands", "drop", "notify", "--run", "3", "--yes", "--json").data == {"dropped": 0}
    assert run("commands", "drop", "notify", "--run", "2", "--yes").code == 0
    assert run("commands", "drop", "1", "--yes", "--json").data == {"dropped": 1}
    (left,) = run("commands", "list", "--json").data["runs"]
    assert left["processor"] == "copy"
    assert (data / "logs" / "events.jsonl").read_text().count("dropped 1 run") == 2


def test_without_a_queue_there_is_nothing_to_list(run: Run) -> None:
    assert run("commands", "list").code == 0
    assert run("commands", "list", "--json").data == {"runs": []}
