"""The watcher: whatever way the file changes, a call comes; after `stop` none does."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from engine.config import watcher as watcher_module
from engine.config.storage import AtomicJSONStorage
from engine.config.watcher import ConfigurationWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_SECONDS = 10


class Watched:
    """A file that is watched, and the calls about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.called = threading.Event()
        self.watcher = ConfigurationWatcher(path, self.called.set)

    def notices(self, change: Callable[[], object]) -> bool:
        self.called.clear()
        change()
        return self.called.wait(PATIENCE_SECONDS)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    path = tmp_path / "config.json"
    path.write_text("{}")
    watched = Watched(path)
    watched.watcher.start()
    yield watched
    watched.watcher.stop()


def test_every_way_to_change_the_file_is_noticed(watched: Watched) -> None:
    path = watched.path
    other = path.with_name("other")

    def replace() -> None:
        other.write_text("{ }")
        other.replace(path)

    assert watched.notices(replace)
    assert watched.notices(lambda: AtomicJSONStorage(path).write({"a": {}}))
    assert watched.notices(lambda: path.write_text('{"b": {}}'))
    assert watched.notices(path.unlink)
    assert watched.notices(lambda: path.write_text("{}"))
    assert watched.notices(lambda: path.rename(other))
    assert watched.notices(lambda: path.symlink_to(other))
    assert watched.notices(lambda: other.replace(path))


def test_a_file_that_appears_later_is_noticed(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "config.json")
    watched.watcher.start()
    assert watched.notices(lambda: watched.path.write_text("{}"))
    watched.watcher.stop()


def test_other_files_of_the_directory_are_none_of_its_business(watched: Watched) -> None:
    assert watched.notices(lambda: watched.path.write_text("{}"))
    watched.called.clear()
    for number in range(50):
        watched.path.with_name(f"index.sqlite-{number}").write_text("x")
        watched.path.with_name("config.json.lock").write_text(str(number))
    assert not watched.called.wait(1.0)


def test_a_burst_of_changes_is_few_calls(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    calls: list[str] = []
    called = threading.Event()

    def note() -> None:
        calls.append(path.read_text())
        if calls[-1] == "last":
            called.set()

    watcher = ConfigurationWatcher(path, note)
    watcher.start()
    for number in range(1000):
        path.write_text(str(number))
    path.write_text("last")
    assert called.wait(PATIENCE_SECONDS)
    watcher.stop()
    assert len(calls) < 50


def test_a_callback_that_fails_does_not_end_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "POLL_SECONDS", 0.05)
    path = tmp_path / "config.json"
    called = threading.Event()

    def fail_once() -> None:
        if path.read_text() == "1":
            raise RuntimeError("once")
        called.set()

    watcher = ConfigurationWatcher(path, fail_once)
    watcher.start()
    path.write_text("1")
    path.write_text("22")
    assert called.wait(PATIENCE_SECONDS)
    watcher.stop()


def test_without_events_of_the_file_system_the_slow_look_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that has no inotify watches left."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watcher_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(watcher_module, "watch", fail)
    watched = Watched(tmp_path / "config.json")
    watched.watcher.start()
    assert watched.notices(lambda: watched.path.write_text("{}"))
    assert watched.notices(lambda: os.utime(watched.path, (1, 1)))
    watched.watcher.stop()


def test_stop_is_prompt_and_final(watched: Watched) -> None:
    began = time.monotonic()
    watched.watcher.stop()
    assert time.monotonic() - began < 1.0
    watched.called.clear()
    watched.path.write_text("[]")
    assert not watched.called.is_set()
    watched.watcher.stop()


def test_a_watcher_may_be_stopped_before_it_was_started_and_by_its_own_callback(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.json"
    ConfigurationWatcher(path, lambda: None).stop()
    stopped = threading.Event()

    def stop() -> None:
        watcher.stop()
        stopped.set()

    watcher = ConfigurationWatcher(path, stop)
    watcher.start()
    path.write_text("{}")
    assert stopped.wait(PATIENCE_SECONDS)
