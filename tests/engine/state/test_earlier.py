"""What earlier versions kept elsewhere is taken over, whatever comes between."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StorageUnusable
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock
from engine.index.store import SessionIndex
from engine.model.session import SessionStatus
from engine.model.study_route import StudyRoute
from engine.processing.command.queue import RunQueue
from engine.processing.forward.queue import ForwardingQueue
from engine.state import earlier
from engine.state.outbox import Position
from engine.state.routes import StudyRoutes, read_study_routes
from engine.state.salvage import TableReader
from engine.state.schema import STATE, Damages
from engine.state.studies import LabelKey, StudyLabels, read_label
from engine.state.uid_maps import SqliteUidMaps
from tests.engine.state.earlier_files import (
    COMMANDS_OF_VERSION_1,
    FILES,
    LABELS,
    ROUTES,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 8, 24, tzinfo=UTC)
KEY = LabelKey("P", "S1", "1.2.3")
OLD = tuple(FILES)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return where the state database is to be in a data directory of an earlier version."""
    SessionIndex(tmp_path / "index.sqlite", durable=False).close()
    write(tmp_path / "index.sqlite", LABELS)
    for name, script in FILES.items():
        write(tmp_path / name, script, leave_log=True)
    return tmp_path / "state.sqlite"


def in_state(state: Path) -> list[Any]:
    with closing(SqliteUidMaps(state)) as maps:
        uid = maps.uid_for("a", "1.2", lambda: "new")
    with closing(StudyLabels(state, state.with_name("index.sqlite"))) as labels:
        label = labels.label(KEY, "CT", take=False)
    with ForwardingQueue(state) as queue:
        objects = [tuple(item)[1:] for item in queue.items()]
    with RunQueue(state) as runs:
        programs = [tuple(run)[1:] for run in runs.items()]
    with StudyRoutes(state) as routes:
        found = [route.study_instance_uid for route in routes.all()]
    return [uid, label, found, objects, programs]


TAKEN = [
    "9.1",
    "S1_MR1",
    ["1.2.3"],
    [(4, 11, "1.2.11", "2026-01-01", 3, "busy"), (4, -8, "1.2.8", "2026-01-01", 9, "refused")],
    [(5, "2026-01-01", 40, SessionStatus.READY, 1, "1.2.40")],
]


def test_all_that_earlier_versions_kept_is_taken_over_and_their_files_are_kept(state: Path) -> None:
    assert in_state(state) == TAKEN
    names = {path.name for path in state.parent.iterdir() if "index" not in path.name}
    assert names == {"state.sqlite", *(f"{name}.before-state" for name in OLD)}
    with closing(sqlite3.connect(state.with_name("index.sqlite"))) as index:
        found = index.execute("SELECT name FROM sqlite_master WHERE name LIKE '%label%'").fetchall()
    assert found == []
    with closing(sqlite3.connect(state.with_name("study-routes.sqlite.before-state"))) as copy:
        assert copy.execute("SELECT COUNT(*) FROM study_routes").fetchone() == (1,)


def test_destinations_are_where_they_were_and_what_failed_has_failed(state: Path) -> None:
    with ForwardingQueue(state) as queue:
        assert queue.marks() == {4: Position(12, "2026-01-02")}
        (target,) = queue.targets().values()
        assert target == (4, 5, 500, "then", "broken", "once", "", 2, 1, 1, "2026-01-01")
        assert [item.sop_instance_uid for item in queue.failed(4, 9)] == ["1.2.8"]
        now = datetime(2026, 1, 2, tzinfo=UTC)
        assert queue.due(4, now, 9, now + timedelta(days=2)) == ()


def test_commands_of_the_first_version_are_taken_over_without_a_study(state: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        state.with_name(f"commands.sqlite{suffix}").unlink()
    write(state.with_name("commands.sqlite"), COMMANDS_OF_VERSION_1)
    with RunQueue(state) as queue:
        (run,) = queue.items()
    assert (run.session, run.study) == (40, "")


def test_what_is_in_the_state_already_stays(state: Path) -> None:
    in_state(state)
    with StudyRoutes(state) as routes:
        routes.exchange(routes.all()[0], StudyRoute("1.2.3", "OTHER"), "anna", AT)
    write(state.with_name("study-routes.sqlite"), ROUTES)
    with StudyRoutes(state) as routes:
        assert [route.project for route in routes.all()] == ["OTHER"]


def test_a_kill_between_the_commit_and_the_new_names_loses_nothing(state: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from engine.state import earlier, schema;"
        "earlier.flush = lambda _: os.kill(os.getpid(), signal.SIGKILL);"
        "schema.STATE.open(Path(sys.argv[1]))"
    )
    killed = subprocess.run([sys.executable, "-c", code, state], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert state.with_name(OLD[0]).exists()
    assert read_study_routes(state)[0].study_instance_uid == "1.2.3"
    assert in_state(state) == TAKEN
    assert not state.with_name(OLD[0]).exists()


def test_a_disk_that_is_full_meanwhile_leaves_all_as_it_was(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = earlier._take_table

    def full(target: sqlite3.Connection, *arguments: Any) -> None:
        real(target, *arguments)
        (pages,) = target.execute("PRAGMA page_count").fetchone()
        target.execute(f"PRAGMA max_page_count = {pages}")
        target.execute("CREATE TABLE too_much (a)")

    with monkeypatch.context() as patched:
        patched.setattr(earlier, "_take_table", full)
        with pytest.raises(StorageUnusable, match="full"):
            STATE.open(state)
    assert all(state.with_name(name).exists() for name in OLD)
    assert read_study_routes(state)[0].study_instance_uid == "1.2.3"
    assert in_state(state) == TAKEN


def test_a_file_that_can_not_be_read_for_another_reason_than_damage_stays(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(TableReader, "check", failing)
        with pytest.raises(StorageUnusable, match="I/O"):
            STATE.open(state)
    assert in_state(state) == TAKEN


def test_what_can_be_read_of_a_damaged_file_is_taken_and_the_rest_noted(state: Path) -> None:
    for suffix in ("-wal", "-shm"):
        state.with_name(f"uid-maps.sqlite{suffix}").unlink()
    state.with_name("uid-maps.sqlite").write_bytes(b"no database at all, but long enough" * 100)
    assert in_state(state) == ["new", *TAKEN[1:]]
    with Damages(state) as damages:
        (damage,) = damages.all()
        assert damage == ("uid-maps.sqlite.damaged", 0)
        damages.forget(damage)
        assert damages.all() == ()
    names = {path.name for path in state.parent.glob("*uid-maps*")}
    assert names == {"uid-maps.sqlite.damaged"}


def test_labels_of_an_index_that_is_damaged_are_taken_over_and_the_index_left_alone(
    state: Path,
) -> None:
    index = state.with_name("index.sqlite")
    index.write_bytes(b"no database at all, but long enough" * 100)
    before = index.read_bytes()
    with StudyRoutes(state) as routes:
        assert len(routes.all()) == 1
    assert index.read_bytes() == before


@pytest.mark.parametrize("name", OLD)
def test_files_without_a_table_are_taken_for_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    STATE.open(tmp_path / "state.sqlite").close()
    assert not (tmp_path / name).exists()


def test_a_link_is_not_followed(state: Path, tmp_path: Path) -> None:
    file = state.with_name("uid-maps.sqlite")
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnusable, match="symbolic link"):
        STATE.open(state)


def test_nothing_is_taken_from_an_engine_that_still_runs(state: Path) -> None:
    lock_file = state.with_name("engine.lock")
    lock = EngineLock.acquire(lock_file, SystemClock())
    holder = json.loads(lock_file.read_text())
    lock_file.write_text(json.dumps(holder | {"pid": os.getppid()}))
    with pytest.raises(StorageUnusable, match="earlier version still uses"):
        STATE.open(state)
    lock_file.write_text(json.dumps(holder))
    assert in_state(state) == TAKEN
    lock.release()


def test_who_only_reads_makes_and_moves_nothing(state: Path) -> None:
    before = {path.name for path in state.parent.iterdir()}
    index = state.with_name("index.sqlite")
    assert [route.study_instance_uid for route in read_study_routes(state)] == ["1.2.3"]
    assert read_label(state, index, KEY, "CT") == "S1_MR1"
    assert read_label(state, index, LabelKey("P", "S1", "1.2.4"), "MR") == "S1_MR2"
    assert {path.name for path in state.parent.iterdir()} >= before
    assert not state.exists()
