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
from engine.sessions.bell import Bell, ring
from engine.sessions.timer import SessionTimer

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
def bell(tmp_path: Path) -> Iterator[Bell]:
    bell = Bell(tmp_path / "bell")
    yield bell
    bell.close()


def test_the_timer_looks_at_once_then_sleeps_until_it_is_rung(bell: Bell, tmp_path: Path) -> None:
    rounds = Rounds()
    timer = SessionTimer(rounds, bell)  # type: ignore[arg-type]
    timer.start()
    rounds.wait_for(1)
    assert ring(tmp_path / "bell")
    rounds.wait_for(2)
    bell.ring()
    rounds.wait_for(3)
    timer.stop()
    assert rounds.count == 3


@pytest.mark.parametrize("fault", [OutOfResources("no"), OSError("no"), ZeroDivisionError()])
def test_a_round_that_fails_is_not_the_last(
    bell: Bell, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr("engine.sessions.timer.RETRY_SECONDS", 0.01)
    rounds = Rounds(fault)
    timer = SessionTimer(rounds, bell)  # type: ignore[arg-type]
    timer.start()
    rounds.wait_for(2)
    timer.stop()


def test_ringing_a_full_bell_does_not_block(bell: Bell) -> None:
    for _ in range(200_000):
        bell.ring()
    while bell._poll.poll(0):
        bell.wait(0)
    bell.wait(0)


def test_nobody_hears_a_bell_without_an_engine(tmp_path: Path) -> None:
    assert not ring(tmp_path / "bell")
    Bell(tmp_path / "bell").close()
    assert not ring(tmp_path / "bell")


def test_a_bell_is_never_taken_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / "bell"
    path.write_text("not a bell")
    with pytest.raises(StorageUnusable, match="something else"):
        Bell(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnusable):
        Bell(path)
    assert os.listdir(tmp_path) == ["bell"]  # noqa: PTH208


def test_without_fifos_the_engine_can_still_ring_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "mkfifo", refuse)
    bell = Bell(tmp_path / "bell")
    bell.ring()
    assert bell._poll.poll(0)
    bell.wait(0)
    assert not bell._poll.poll(0)
    bell.close()


def test_ringing_a_bell_that_is_closed_writes_into_no_file_that_has_its_place(
    tmp_path: Path,
) -> None:
    bell = Bell(tmp_path / "bell")
    bell.close()
    with (tmp_path / "an object").open("wb"):  # gets the number that is free now
        bell.ring()
        bell.close()
    assert (tmp_path / "an object").read_bytes() == b""


def test_a_ring_that_somebody_else_heard_is_no_fault(
    bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "_poll", type("Poll", (), {"poll": lambda *_: [1]})())
    bell.wait(0)


def test_a_bell_is_the_owners_alone_and_never_rung_through_a_link(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        bell = Bell(tmp_path / "bell")
    finally:
        os.umask(umask)
    with closing(bell):
        assert stat.S_IMODE((tmp_path / "bell").stat().st_mode) == 0o600
        (tmp_path / "link").symlink_to(tmp_path / "bell")
        assert not ring(tmp_path / "link")
        assert ring(tmp_path / "bell")
