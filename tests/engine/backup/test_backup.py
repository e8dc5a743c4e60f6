"""A backup while objects arrive and move, a restore of it, and what interrupts either."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from engine.backup import restoring, writing
from engine.backup.form import TREES, BackupNotMade, BackupRefused
from engine.backup.reading import read_backup
from engine.backup.record import last_backup, note_backup
from engine.backup.restoring import RestorePlan, restore
from engine.backup.writing import Sources, write_file
from engine.config.store import ConfigurationStore
from engine.errors import AlreadyRunning, EngineError, StorageUnusable
from engine.host.data_directory import UNFINISHED_RESTORE, prepare
from engine.host.lock import EngineLock
from engine.index.reader import IndexFile
from engine.model.project import AutoArchive
from engine.sessions.audit import audit
from engine.sessions.ledger import SessionRepository
from engine.sessions.service import areas_of, sessions_without_engine
from engine.settings import EngineSettings
from tests.engine.index.depot import Depot, depot_in
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.backup.restoring import Restore
    from engine.sessions.audit import Audit

ROOT = Path(__file__).parents[3]


def sources(
    data: Path, *, objects: bool = True, progress: Callable[[int], object] = lambda _: None
) -> Sources:
    return Sources(EngineSettings(data), FixedClock(), "0.1", objects, progress)


def back_up(data: Path, file: Path, *, objects: bool = True) -> None:
    write_file(sources(data, objects=objects), file, lambda _: None)


def bring_back(
    data: Path, file: Path, *, state_only: bool = False, replace: bool = False
) -> Restore:
    with file.open("rb") as opened:
        return restore(
            EngineSettings(data),
            opened,
            read_backup(opened),
            RestorePlan(state_only, replace),
            FixedClock(),
            lambda _done, _all: None,
        )


def compared(data: Path) -> Audit:
    settings = EngineSettings(data)
    with IndexFile(settings.index_file) as index:
        ledger = SessionRepository(index, FixedClock())
        return audit(index, ledger, areas_of(settings), live=False)


def objects_in(data: Path) -> set[str]:
    return {path.name for path in data.rglob("*.dcm")}


@pytest.fixture
def data(tmp_path: Path, filled: Path) -> Path:
    """A configuration, a ready session of two objects, and an archived one."""
    return shutil.copytree(filled, tmp_path / "data")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("filled")
    ConfigurationStore(data / "config.json", clock=FixedClock()).create_default("test")
    (data / "trace.key").write_bytes(b"k" * 32)
    (data / "logs").mkdir()
    (data / "logs/audit.jsonl").write_bytes(b"{}\n")
    with depot_in(data) as depot:
        fill(depot)
    return data


def fill(depot: Depot) -> None:
    depot.codes["NEURO-02"] = AutoArchive.ARCHIVE
    for project in ("NEURO-01", "NEURO-01", "NEURO-02"):
        depot.receive(project, f"E{project[-1]}")
    depot.fall_silent()


def test_what_arrives_and_moves_meanwhile_is_there_or_said_and_checks_repair_it(
    data: Path, tmp_path: Path
) -> None:
    with depot_in(data) as depot:
        answered: set[str] = set()

        def arrive_and_move(files: int) -> None:
            if files == 1:  # while the trees are read for the first time
                depot.receive("NEURO-01", "E1", name="late.dcm")
                depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
                depot.fall_silent()
                depot.receive("NEURO-03", "E3", name="later.dcm")
                depot.index.flush()
                answered.update(objects_in(data))

        write_file(sources(data, progress=arrive_and_move), tmp_path / "b.tar", lambda _: None)
        assert depot.session(1).area == "archive"
    new = tmp_path / "new"
    done = bring_back(new, tmp_path / "b.tar")
    assert done.kept_as == ""
    assert objects_in(new) == answered
    assert compared(new).agrees
    # What moved is there once, at its last place.
    assert not list((new / "prearchive").rglob("E1*"))
    for name in ("config.json", "trace.key", "logs/audit.jsonl"):
        assert (new / name).read_bytes() == (data / name).read_bytes()
    (file, *_) = (new / "archive").rglob("*.dcm")
    before = data / file.relative_to(new)
    # An archive keeps a fraction of a second that a float can hold.
    assert abs(file.stat().st_mtime_ns - before.stat().st_mtime_ns) < 1_000
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (new, *new.iterdir())}
    assert (modes["new"] | modes["archive"], modes["config.json"]) == (0o750, 0o600)
    prepare(EngineSettings(new))


def test_an_object_that_comes_after_the_copy_of_the_index_is_found_by_a_check(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with depot_in(data) as depot:

        def receive(_settings: EngineSettings) -> int:
            depot.receive("NEURO-01", "E9", name="after.dcm", StudyInstanceUID="1.9")
            depot.index.flush()
            return real(_settings)

        real = writing._highest_session
        monkeypatch.setattr("engine.backup.writing._highest_session", receive)
        back_up(data, tmp_path / "b.tar")
    new = tmp_path / "new"
    bring_back(new, tmp_path / "b.tar")
    assert [folder.folder.rpartition("/")[2] for folder in compared(new).unknown_folders] == ["E9"]
    with sessions_without_engine(EngineSettings(new), FixedClock()) as session_service:
        session_service.adopt(compared(new), lambda _done, _all: None)
        # Number 3 was given after the copy: queues may name it, so it is not given again.
        assert session_service.ledger.session(4).label == "E9"
    assert compared(new).agrees


def test_the_state_alone_goes_beside_trees_and_overwrites_nothing_unasked(
    data: Path, tmp_path: Path
) -> None:
    back_up(data, tmp_path / "b.tar", objects=False)
    with (tmp_path / "b.tar").open("rb") as file:
        assert not any(member.name.startswith(TREES) for member in read_backup(file).kept)
    with pytest.raises(StorageUnusable, match=r"in use: it has .*config.json"):
        bring_back(data, tmp_path / "b.tar", state_only=True)
    objects, configuration = objects_in(data), (data / "config.json").read_bytes()
    (data / "config.json").write_bytes(b"damaged")
    (data / "index.sqlite-wal").write_bytes(b"the log of another index")
    done = bring_back(data, tmp_path / "b.tar", state_only=True, replace=True)
    kept = data / done.kept_as
    assert (kept / "config.json").read_bytes() == b"damaged"
    assert (kept / "index.sqlite-wal").exists()
    assert (data / "config.json").read_bytes() == configuration
    assert objects_in(data) == objects
    assert compared(data).agrees
    # Without the state that is lost, nothing has to be put aside.
    for path in data.iterdir():
        if path.name not in TREES and path.is_file():
            path.unlink()
    with pytest.raises(StorageUnusable, match=r"it has archive.*logs"):
        bring_back(data, tmp_path / "b.tar")


def test_a_running_engine_is_left_alone(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "b.tar")
    lock = EngineLock.acquire(EngineSettings(data).lock_file, FixedClock())
    with pytest.raises(AlreadyRunning):
        bring_back(data, tmp_path / "b.tar", replace=True)
    lock.release()


def test_a_full_disk_leaves_no_file(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    places = tmp_path / "backups"
    places.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(BackupNotMade, match="No space left"):
            back_up(data, places / "b.tar")
    assert list(places.iterdir()) == []
    back_up(data, places / "b.tar")
    assert stat.S_IMODE((places / "b.tar").stat().st_mode) == 0o600
    with pytest.raises(BackupNotMade, match="exists"):
        back_up(data, places / "b.tar")
    with pytest.raises(BackupNotMade, match="in the data directory"):
        back_up(data, data / "b.tar")
    assert [path.name for path in places.iterdir()] == ["b.tar"]


def test_links_are_not_followed_and_are_said(data: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.dcm"
    secret.write_bytes(b"of somebody else")
    (data / "archive/link.dcm").symlink_to(secret)
    (data / "archive/folder").symlink_to(tmp_path)
    os.mkfifo(data / "archive/pipe")
    (data / "trace.key").unlink()
    (data / "trace.key").symlink_to(secret)
    written = write_file(sources(data), tmp_path / "b.tar", lambda _: None)
    assert written.links == 3
    assert b"of somebody else" not in (tmp_path / "b.tar").read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
from engine.backup import reading, restoring, writing
from engine.host.clock import SystemClock
from engine.settings import EngineSettings

settings, path = EngineSettings(Path(sys.argv[1])), Path(sys.argv[2])
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "backup":
    sources = writing.Sources(settings, SystemClock(), "0.1", True, lambda n: n == 3 and kill())
    writing.write_file(sources, path, print)
restoring._put_in_place = kill
plan, file = restoring.RestorePlan(), path.open("rb")
restoring.restore(settings, file, reading.read_backup(file), plan, SystemClock(), lambda *_: None)
"""


def killed(data: Path, file: Path, what: str) -> None:
    command = [sys.executable, "-c", KILLED, str(data), str(file), what]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL


def test_a_kill_leaves_no_half_backup_and_no_half_directory_that_an_engine_would_take(
    data: Path, tmp_path: Path
) -> None:
    file, new = tmp_path / "b.tar", tmp_path / "new"
    killed(data, file, "backup")
    assert not file.exists()
    back_up(data, file)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    killed(new, file, "restore")
    with pytest.raises(StorageUnusable, match=r"restore .* was interrupted"):
        prepare(EngineSettings(new))
    assert bring_back(new, file).kept_as == ""
    assert not (new / UNFINISHED_RESTORE).exists()
    prepare(EngineSettings(new))
    assert compared(new).agrees


def test_when_the_last_backup_was_made_is_remembered(tmp_path: Path) -> None:
    settings, clock = EngineSettings(tmp_path), FixedClock()
    assert last_backup(settings) is None
    note_backup(settings, clock.now(), objects=False)
    assert last_backup(settings) == clock.now().replace(microsecond=0)
    settings.last_backup_file.write_text(json.dumps({"at": 7}))
    assert last_backup(settings) is None


def test_a_directory_without_data_and_a_damaged_database_are_refused_in_words(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match="is no data directory"):
        back_up(tmp_path / "empty", tmp_path / "b.tar")
    index = data / "index.sqlite"
    content = bytearray(index.read_bytes())
    content[4096:12288] = b"\xff" * 8192
    index.write_bytes(content)
    with pytest.raises(StorageUnusable, match=r"index.sqlite") as caught:
        back_up(data, tmp_path / "b.tar")
    assert "check --rebuild-index" in caught.value.remedy
    assert not (tmp_path / "b.tar").exists()


def test_a_newer_database_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(data, tmp_path / "b.tar")
    monkeypatch.setitem(restoring._SCHEMAS, "index.sqlite", 1)
    with pytest.raises(BackupRefused, match=r"has schema .*, this version uses 1"):
        bring_back(tmp_path / "new", tmp_path / "b.tar")
    assert not (tmp_path / "new").exists()
