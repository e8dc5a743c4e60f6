"""Files beside the index: what survives a power cut, and one writer at a time."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.errors import StorageUnusable
from engine.forwarding.queue import ForwardingQueue
from engine.programs.queue import RunQueue
from engine.sessions import private_file
from engine.sessions.index import SessionIndex
from engine.sessions.private_file import PrivateTables
from engine.sessions.study_routes import StudyRoutes

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

NORMAL, FULL = 1, 2


def pragmas(connection: sqlite3.Connection) -> tuple[str, int]:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    return mode, synchronous


@pytest.mark.parametrize(
    ("opening", "synchronous"), [(RunQueue, FULL), (StudyRoutes, FULL), (ForwardingQueue, NORMAL)]
)
def test_what_a_power_cut_must_not_undo_is_flushed_with_each_transaction(
    tmp_path: Path, opening: type[RunQueue | StudyRoutes | ForwardingQueue], synchronous: int
) -> None:
    with opening(tmp_path / "file.sqlite") as tables:
        assert pragmas(tables._connection) == ("wal", synchronous)


@pytest.mark.parametrize(("durable", "synchronous"), [(True, FULL), (False, NORMAL)])
def test_the_index_is_flushed_with_each_transaction_if_it_is_to_be_durable(
    tmp_path: Path, durable: bool, synchronous: int
) -> None:
    with closing(SessionIndex(tmp_path / "index.sqlite", durable=durable)) as index:
        assert pragmas(index._connection) == ("wal", synchronous)


def test_nobody_else_reads_or_writes_between_the_reading_and_writing_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_file, "WAIT_SECONDS", 0.01)
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
        PrivateTables(private_file.PrivateFile("it", "", 1, ""), tmp_path / "file.sqlite")
    assert not (tmp_path / "foreign").exists()
