"""Files beside the index: what survives a power cut, and one writer at a time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StorageUnusable
from engine.index.reader import IndexFile
from engine.index.store import SessionIndex
from engine.model.study_route import StudyRoute
from engine.processing.command.queue import RunQueue
from engine.processing.forward.queue import ForwardingQueue
from engine.state import database, studies
from engine.state.database import PrivateFile, PrivateTables
from engine.state.routes import StudyRoutes
from engine.state.studies import LabelKey, StudyLabels
from engine.state.uid_maps import SqliteUidMaps
from tests.fakes import NOW

if TYPE_CHECKING:
    from pathlib import Path

NORMAL, FULL = 1, 2
ADD = "ALTER TABLE t ADD COLUMN b"


def pragmas(connection: sqlite3.Connection) -> tuple[str, int]:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    return mode, synchronous


@pytest.mark.parametrize("opening", [RunQueue, StudyRoutes, ForwardingQueue])
def test_every_transaction_of_the_state_database_is_flushed(
    tmp_path: Path, opening: type[RunQueue | StudyRoutes | ForwardingQueue]
) -> None:
    with opening(tmp_path / "file.sqlite") as tables:
        assert pragmas(tables._connection) == ("wal", FULL)


def test_the_index_survives_a_power_cut_unless_its_user_does_without(tmp_path: Path) -> None:
    with closing(SessionIndex(tmp_path / "index.sqlite")) as index:
        assert pragmas(index._connection) == ("wal", FULL)


@pytest.mark.parametrize(("durable", "synchronous"), [(True, FULL), (False, NORMAL)])
def test_the_index_is_flushed_with_each_transaction_if_it_is_to_be_durable(
    tmp_path: Path, durable: bool, synchronous: int
) -> None:
    with closing(SessionIndex(tmp_path / "index.sqlite", durable=durable)) as index:
        assert pragmas(index._connection) == ("wal", synchronous)


def test_what_is_written_after_another_process_closed_the_file_is_not_lost(tmp_path: Path) -> None:
    """The last user of a file removes its log: each process must hold its lock until its end.

    A process loses the locks of all its connections when it closes any descriptor of the file.
    """
    path = tmp_path / "file.sqlite"
    read = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute(sys.argv[2]))"

    def elsewhere() -> str:
        command = (sys.executable, "-c", read, path, "SELECT COUNT(*) FROM study_routes")
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    with StudyRoutes(path) as first, StudyRoutes(path):
        elsewhere()
        first.add([StudyRoute("1.2.3", "P1")], "anna", NOW)
        assert elsewhere() == "(1,)\n"


def test_nobody_else_reads_or_writes_between_the_reading_and_writing_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_SECONDS", 0.01)
    path = tmp_path / "file.sqlite"
    with RunQueue(path) as mine, RunQueue(path) as others:
        with mine._changing(), pytest.raises(StorageUnusable, match="locked"), others._changing():
            pass
        with others._changing():
            pass


def test_a_thread_waits_for_the_transaction_of_another(tmp_path: Path) -> None:
    entered: list[str] = []
    with RunQueue(tmp_path / "file.sqlite") as tables:

        def change() -> None:
            waiting.set()
            with tables._changing():
                entered.append("second")

        waiting = threading.Event()
        second = threading.Thread(target=change)
        with tables._changing():
            second.start()
            assert waiting.wait(20)
            assert tables._lock.locked()
            entered.append("first")
        second.join(20)
    assert entered == ["first", "second"]


def test_a_file_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file.sqlite").symlink_to(tmp_path / "foreign")
    with pytest.raises(StorageUnusable):
        PrivateTables(database.PrivateFile("it", "", 1, ""), tmp_path / "file.sqlite")
    assert not (tmp_path / "foreign").exists()


def test_two_processes_that_bring_one_file_to_this_version_do_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is done between the first one's look at the version and its change."""
    path = tmp_path / "file.sqlite"
    first = PrivateFile("it", "CREATE TABLE IF NOT EXISTS t (a)", 1, "")
    second = PrivateFile("it", "CREATE TABLE IF NOT EXISTS t (a, b)", 2, "", {2: ADD})
    first.open(path).close()
    others = iter([second])

    class Outrun(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            cursor = super().execute(sql, *arguments)
            if sql == "PRAGMA user_version" and (other := next(others, None)):
                other.open(path).close()
            return cursor

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Outrun))
    with closing(second.open(path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(t)")]
        assert columns == ["a", "b"]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_nobody_else_writes_while_a_file_is_brought_to_this_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.sqlite"
    PrivateFile("it", "CREATE TABLE t (a)", 1, "").open(path).close()
    connect = sqlite3.connect
    refused: list[str] = []

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql == "PRAGMA user_version" and self.in_transaction:
                with closing(connect(path, timeout=0)) as other:
                    try:
                        other.execute("BEGIN IMMEDIATE")
                    except sqlite3.OperationalError as error:
                        refused.append(str(error))
            return super().execute(sql, *arguments)

    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Watched))
    PrivateFile("it", "", 2, "", {2: ADD}).open(path).close()
    assert refused == ["database is locked"]


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    PrivateFile("it", "CREATE TABLE t (a)", 1, "").open(path).close()
    failing = PrivateFile("it", "", 2, "", {2: f"{ADD}; ALTER TABLE missing ADD COLUMN c"})
    with pytest.raises(StorageUnusable, match="no such table"):
        failing.open(path)
    PrivateFile("it", "", 2, "", {2: ADD}).open(path).close()


def test_what_replaces_uids_and_labels_is_written_beside_its_readers(tmp_path: Path) -> None:
    path, index = tmp_path / "state.sqlite", tmp_path / "index.sqlite"
    with closing(SqliteUidMaps(path)) as maps:
        assert pragmas(maps._connection) == ("wal", FULL)
    with closing(SessionIndex(index, durable=False)), closing(StudyLabels(path, index)) as labels:
        assert pragmas(labels._connection) == ("wal", FULL)


@pytest.mark.parametrize("how", ["engine", "command"])
def test_nobody_else_writes_between_the_reading_and_writing_of_the_index(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "index.sqlite"
    with closing(SessionIndex(path, durable=False)) as index, IndexFile(path) as file:
        changing = index.changing if how == "engine" else file.changing
        with closing(sqlite3.connect(path, timeout=0)) as other:
            with changing(), pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            other.execute("BEGIN IMMEDIATE")


def test_nobody_else_writes_between_the_search_for_a_free_label_and_its_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, index = tmp_path / "state.sqlite", tmp_path / "index.sqlite"
    real, refused = studies._looked_up, []

    def look_up(*arguments: Any) -> Any:
        with closing(sqlite3.connect(path, timeout=0)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                refused.append(str(error))
        return real(*arguments)

    monkeypatch.setattr(studies, "_looked_up", look_up)
    with closing(SessionIndex(index, durable=False)), closing(StudyLabels(path, index)) as labels:
        assert labels.label(LabelKey("NEURO-01", "S1", "1.2.3"), "MR") == "S1_MR1"
        labels.label(LabelKey("NEURO-01", "S1", "1.2.4"), "MR", take=False)
    assert refused == ["database is locked"]


@pytest.mark.parametrize("opened", [PrivateTables, SessionIndex])
def test_a_file_is_the_owners_alone_whatever_the_umask(tmp_path: Path, opened: Any) -> None:
    path = tmp_path / "file.sqlite"
    umask = os.umask(0)
    try:
        with closing(StudyRoutes(path) if opened is PrivateTables else SessionIndex(path)):
            assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(umask)
