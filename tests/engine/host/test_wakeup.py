"""Waking who waits for a change: threads of this process, and the engine from another one."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from engine.errors import StorageUnusable
from engine.host.wakeup import ChangeSignal, WakeupPipe, notify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def wakeup_pipe(tmp_path: Path) -> Iterator[WakeupPipe]:
    wakeup_pipe = WakeupPipe(tmp_path / "bell")
    yield wakeup_pipe
    wakeup_pipe.close()


def test_a_change_calls_each_function_until_that_is_ended() -> None:
    signal = ChangeSignal()
    heard: list[str] = []
    end_first = signal.add(lambda: heard.append("first"))
    signal.add(lambda: heard.append("second"))
    signal.notify()
    end_first()
    signal.notify()
    assert heard == ["first", "second", "second"]


def test_a_function_that_is_told_of_a_change_may_end_that_and_wait_itself() -> None:
    signal = ChangeSignal()
    ends: list[Callable[[], None]] = []
    rounds: list[None] = []

    def hear() -> None:
        ends.pop()()
        rounds.extend(signal.until(monotonic()))

    ends.append(signal.add(hear))
    signal.notify()
    assert (ends, rounds) == ([], [None])


def test_a_change_of_another_thread_ends_the_wait() -> None:
    signal = ChangeSignal()
    rounds = signal.until(monotonic() + 60)
    next(rounds)
    other = threading.Thread(target=signal.notify)
    other.start()
    next(rounds)
    other.join()


def test_the_wait_for_a_change_has_a_limit() -> None:
    assert list(ChangeSignal().until(monotonic() - 1)) == [None]


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
