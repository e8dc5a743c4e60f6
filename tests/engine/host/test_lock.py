"""The engine lock: one engine per data directory, named to the second, freed by any death."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.errors import AlreadyRunning, StorageUnusable
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock, Holder
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)

HOLD = """
import sys
from pathlib import Path
from engine.host.clock import SystemClock
from engine.errors import AlreadyRunning
from engine.host.lock import EngineLock

try:
    lock = EngineLock.acquire(Path(sys.argv[1]), SystemClock())
except AlreadyRunning as error:
    print(error.detail, "/", error.remedy)
    sys.exit(error.exit_code)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "engine.lock"


@contextmanager
def other_engine(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_free_lock_is_taken_and_tells_its_holder(path: Path) -> None:
    assert EngineLock.holder(path) is None
    lock = EngineLock.acquire(path, FixedClock(NOW))
    assert EngineLock.holder(path) == Holder(os.getpid(), socket.gethostname(), NOW)
    lock.release()
    assert EngineLock.holder(path) is None
    EngineLock.acquire(path, FixedClock(NOW)).release()


def test_the_file_is_private_and_stays(path: Path) -> None:
    lock = EngineLock.acquire(path, FixedClock(NOW))
    inode = path.stat().st_ino
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o027 == 0
    lock.release()
    lock.release()
    assert path.stat().st_ino == inode


def test_a_second_engine_exits_and_names_the_holder(path: Path) -> None:
    lock = EngineLock.acquire(path, FixedClock(NOW))
    command = [sys.executable, "-c", HOLD, str(path)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    lock.release()
    assert second.returncode == 3
    holder = f"pid {os.getpid()} on {socket.gethostname()} since 2026-08-24 14:03:22 UTC"
    assert f"{path.parent} is in use by {holder}" in second.stdout
    assert f"kill {os.getpid()}" in second.stdout


def test_kill_9_of_the_holder_frees_the_lock(path: Path) -> None:
    with other_engine(path) as other:
        with pytest.raises(AlreadyRunning, match=f"pid {other.pid} "):
            EngineLock.acquire(path, SystemClock())
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=10)
        assert path.read_text(), "the dead holder's entry is still there"
        assert EngineLock.holder(path) is None
        EngineLock.acquire(path, SystemClock()).release()


def test_the_lock_is_not_inherited_by_child_processes(path: Path) -> None:
    lock = EngineLock.acquire(path, SystemClock())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()
        assert EngineLock.holder(path) is None
        child.kill()


def test_asking_for_the_holder_does_not_disturb_a_start(path: Path) -> None:
    EngineLock.acquire(path, SystemClock()).release()
    for _ in range(200):
        assert EngineLock.holder(path) is None
        EngineLock.acquire(path, SystemClock()).release()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1, "host": "h", "since": 3}', "\x00"]
)
def test_a_holder_whose_entry_can_not_be_read_is_another_process(path: Path, content: str) -> None:
    lock = EngineLock.acquire(path, FixedClock(NOW))
    path.write_text(content)
    assert EngineLock.holder(path) == Holder()
    with pytest.raises(AlreadyRunning, match="in use by another process") as caught:
        EngineLock.acquire(path, FixedClock(NOW))
    assert caught.value.remedy == f"find it with: fuser {path}"
    lock.release()


def test_a_holder_on_another_host_is_stopped_there(path: Path) -> None:
    lock = EngineLock.acquire(path, FixedClock(NOW))
    path.write_text('{"pid": 7, "host": "dock2", "since": "2026-08-24T14:03:22+00:00"}')
    with pytest.raises(AlreadyRunning) as caught:
        EngineLock.acquire(path, FixedClock(NOW))
    assert caught.value.remedy == "use that engine, or stop it on dock2"
    lock.release()


def test_a_symlink_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "victim")
    for action in (
        lambda: EngineLock.acquire(path, SystemClock()),
        lambda: EngineLock.holder(path),
    ):
        with pytest.raises(StorageUnusable, match="is a symbolic link"):
            action()
    assert not (tmp_path / "victim").exists()


def test_a_data_directory_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnusable):
        EngineLock.acquire(tmp_path / "file" / "engine.lock", SystemClock())
    assert EngineLock.holder(tmp_path / "file" / "engine.lock") is None
