"""The thread that looks after the sessions, and the bell that wakes it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from engine.errors import OutOfResources
from engine.host.wakeup import WakeupPipe, notify
from engine.sessions.worker import SessionWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Rounds:
    """A lifecycle that only counts how often it was run."""

    def __init__(self, *faults: BaseException) -> None:
        self._faults = list(faults)
        self._changed = threading.Condition()
        self.count = 0

    def run_due(self, stopping: Callable[[], bool]) -> float:
        assert not stopping()
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        if self._faults:
            raise self._faults.pop(0)
        return 3600

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, timeout=20)


@pytest.fixture
def wakeup_pipe(tmp_path: Path) -> Iterator[WakeupPipe]:
    wakeup_pipe = WakeupPipe(tmp_path / "bell")
    yield wakeup_pipe
    wakeup_pipe.close()


def test_the_timer_looks_at_once_then_sleeps_until_it_is_rung(
    wakeup_pipe: WakeupPipe, tmp_path: Path
) -> None:
    rounds = Rounds()
    timer = SessionWorker(rounds, wakeup_pipe, threading.Event())  # type: ignore[arg-type]
    timer.start()
    rounds.wait_for(1)
    assert notify(tmp_path / "bell")
    rounds.wait_for(2)
    wakeup_pipe.notify()
    rounds.wait_for(3)
    timer.stop()
    assert rounds.count == 3


@pytest.mark.parametrize("fault", [OutOfResources("no"), OSError("no"), ZeroDivisionError()])
def test_a_round_that_fails_is_not_the_last(
    wakeup_pipe: WakeupPipe, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr("engine.sessions.worker.RETRY_SECONDS", 0.01)
    rounds = Rounds(fault)
    timer = SessionWorker(rounds, wakeup_pipe, threading.Event())  # type: ignore[arg-type]
    timer.start()
    rounds.wait_for(2)
    timer.stop()
