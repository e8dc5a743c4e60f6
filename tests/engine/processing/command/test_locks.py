"""What the threads of programs share is touched under its lock only."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.model.session import SessionStatus
from engine.processing.command.queue import QueuedRun
from engine.processing.command.runner import Outputs, Runner
from tests.guarded import guarded

if TYPE_CHECKING:
    from pathlib import Path

    from engine.processing.command.runner import RunResult

RUN = QueuedRun(1, 1, "2026-01-01", 3, SessionStatus.READY, 0)


class Bench:
    """What all programs share, with a queue that holds one run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[int] = set()
        self.queue = SimpleNamespace(begin=lambda *_: RUN, end=lambda _: None)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def runner(bench: Bench) -> Runner:
    return Runner(cast("Any", SimpleNamespace(id=1, at_once=0)), cast("Any", bench))


def test_the_outputs_of_programs(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "commands")
    with guarded(outputs, "_write", by=outputs._lock):
        assert outputs.keep(RUN, "Doe^Jane")


def test_why_nothing_runs(bench: Bench, runner: Runner) -> None:
    with guarded(runner, "_halted", by=bench.lock):
        runner._note("")


def test_the_runs_that_have_begun(
    monkeypatch: pytest.MonkeyPatch, bench: Bench, runner: Runner
) -> None:
    monkeypatch.setattr(
        runner, "_run", lambda _: cast("RunResult", SimpleNamespace(was_stopped=True))
    )
    with guarded(bench, "running", by=bench.lock):
        assert not runner._run_next()
    assert bench.running == set()
