"""The thread that looks after the sessions, and the bell that wakes it."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.errors import OutOfResources, StorageUnusable
from engine.sessions.worker import SessionWorker, WakeupPipe, notify

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
    timer = SessionWorker(rounds, wakeup_pipe)  # type: ignore[arg-type]
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
    timer = SessionWorker(rounds, wakeup_pipe)  # type: ignore[arg-type]
    timer.start()
    rounds.wait_for(2)
    timer.stop()


def test_ringing_a_full_bell_does_not_block(wakeup_pipe: WakeupPipe) -> None:
    for _ in range(200_000):
        wakeup_pipe.notify()
    while wakeup_pipe._poll.poll(0):
        wakeup_pipe.wait(0)
    wakeup_pipe.wait(0)


def test_nobody_hears_a_bell_without_an_engine(tmp_path: Path) -> None:
    assert not notify(tmp_path / "bell")
    WakeupPipe(tmp_path / "bell").close()
    assert not notify(tmp_path / "bell")


def test_a_bell_is_never_taken_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / "bell"
    path.write_text("not a bell")
    with pytest.raises(StorageUnusable, match="something else"):
        WakeupPipe(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnusable):
        WakeupPipe(path)
    assert os.listdir(tmp_path) == ["bell"]  # noqa: PTH208


def test_without_fifos_the_engine_can_still_ring_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "mkfifo", refuse)
    wakeup_pipe = WakeupPipe(tmp_path / "bell")
    wakeup_pipe.notify()
    assert wakeup_pipe._poll.poll(0)
    wakeup_pipe.wait(0)
    assert not wakeup_pipe._poll.poll(0)
    wakeup_pipe.close()


def test_ringing_a_bell_that_is_closed_writes_into_no_file_that_has_its_place(
    tmp_path: Path,
) -> None:
    wakeup_pipe = WakeupPipe(tmp_path / "bell")
    wakeup_pipe.close()
    with (tmp_path / "an object").open("wb"):  # gets the number that is free now
        wakeup_pipe.notify()
        wakeup_pipe.close()
    assert (tmp_path / "an object").read_bytes() == b""


def test_a_ring_that_somebody_else_heard_is_no_fault(
    wakeup_pipe: WakeupPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup_pipe, "_poll", type("Poll", (), {"poll": lambda *_: [1]})())
    wakeup_pipe.wait(0)


def test_a_bell_is_the_owners_alone_and_never_rung_through_a_link(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        wakeup_pipe = WakeupPipe(tmp_path / "bell")
    finally:
        os.umask(umask)
    with closing(wakeup_pipe):
        assert stat.S_IMODE((tmp_path / "bell").stat().st_mode) == 0o600
        (tmp_path / "link").symlink_to(tmp_path / "bell")
        assert not notify(tmp_path / "link")
        assert notify(tmp_path / "bell")
