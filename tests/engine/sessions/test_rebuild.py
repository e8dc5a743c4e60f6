"""A new index from the files: the same rows however they are read, the old index until the end."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from engine.errors import StorageUnusable
from engine.index.store import SessionIndex
from engine.sessions import adoption, rebuild
from engine.sessions.rebuild import rebuild_index
from engine.settings import EngineSettings
from tests.engine.index.depot import depot_in
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.sessions.adoption import Adopted

ROWS = "SELECT * FROM objects ORDER BY sequence"
SESSIONS = "SELECT * FROM sessions ORDER BY id"


def read(index: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(index)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    """Sessions in both trees and without a project, the objects in the order of their times."""
    with depot_in(tmp_path) as depot:
        depot.receive("NEURO-01", "E1")
        depot.receive("NEURO-01", "E1", SeriesNumber="5")
        depot.receive(None, "E2", StudyInstanceUID="1.2.3.9")
        depot.receive("NEURO-01", "E3", direct=True)
        depot.index.flush()
        for number, file in enumerate(depot.all_objects()):
            os.utime(file, (1_790_000_000 + number,) * 2)
    return EngineSettings(tmp_path)


def rebuilt(settings: EngineSettings, seconds: float = 0) -> Adopted:
    clock = FixedClock()
    clock.advance(seconds)
    return rebuild_index(settings, clock, lambda: 0, lambda _done, _all: None).adopted


def test_rows_and_sessions_are_as_before_but_for_what_only_the_network_told(
    settings: EngineSettings,
) -> None:
    before, sessions = read(settings.index_file, ROWS), read(settings.index_file, SESSIONS)
    assert rebuilt(settings).objects == len(before)
    after = read(settings.index_file, ROWS)
    # SOP class and instance, transfer syntax, state, status; session, file, size; project's script.
    assert sorted(row[6:11] + row[12:] for row in after) == sorted(
        row[6:11] + row[12:] for row in before
    )
    assert {row[2:6] + row[11:12] for row in after} == {
        ("", "", "", "", "found on disk by a check")
    }
    now = read(settings.index_file, SESSIONS)
    # Number, project; label, study and folder; objects and bytes.
    assert [row[:2] + row[3:6] + row[12:14] for row in now] == [
        row[:2] + row[3:6] + row[12:14] for row in sessions
    ]


def test_a_session_whose_rows_were_removed_has_them_all_in_the_new_index(
    settings: EngineSettings,
) -> None:
    before, sessions = read(settings.index_file, ROWS), read(settings.index_file, SESSIONS)
    with closing(sqlite3.connect(settings.index_file)) as connection, connection:
        connection.execute("DELETE FROM objects WHERE session = 3")
        connection.execute("UPDATE sessions SET rows_removed_at = last_object_at WHERE id = 3")
    assert rebuilt(settings).objects == len(before)
    assert read(settings.index_file, "SELECT DISTINCT rows_removed_at FROM sessions") == [(None,)]
    counts = "SELECT session, COUNT(*) FROM objects GROUP BY session ORDER BY session"
    assert read(settings.index_file, counts) == [(row[0], row[12]) for row in sessions]


def test_processes_read_the_same_as_this_process(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt(settings)
    alone = read(settings.index_file, ROWS)
    monkeypatch.setattr(adoption, "WORTH_PROCESSES", 1)
    rebuilt(settings, seconds=1)
    rows = [(*row[:1], *row[2:]) for row in alone]  # without the time
    assert [(*row[:1], *row[2:]) for row in read(settings.index_file, ROWS)] == rows
    assert len(rows) == 4


def test_many_sessions_take_one_transaction(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    real = SessionIndex.changing

    @contextmanager
    def changing(index: SessionIndex) -> Iterator[sqlite3.Connection]:
        with real(index) as connection:
            before = connection.total_changes
            yield connection
            if connection.total_changes > before:
                begun.append(connection.total_changes - before)

    monkeypatch.setattr(SessionIndex, "changing", changing)
    assert rebuilt(settings).objects == 4
    assert len(begun) == 1


def test_what_interrupts_it_leaves_the_old_index_and_nothing_else(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(settings.index_file, "SELECT * FROM objects")

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    def fail(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(adoption, "_insert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            rebuilt(settings)
    with monkeypatch.context() as patched:
        patched.setattr(rebuild, "flush", fail)
        with pytest.raises(StorageUnusable, match="made anew: No space left"):
            rebuilt(settings)
    assert read(settings.index_file, "SELECT * FROM objects") == before
    names = {path.name for path in settings.data_dir.iterdir()}
    assert {name for name in names if name.startswith("index")} == {"index.sqlite"}


def test_an_index_that_is_a_link_to_a_faster_disk_stays_there(
    settings: EngineSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fast = tmp_path_factory.mktemp("fast") / "dock.sqlite"
    settings.index_file.rename(fast)
    settings.index_file.symlink_to(fast)
    assert rebuilt(settings).objects == 4
    assert settings.index_file.readlink() == fast
    assert len(read(settings.index_file, ROWS)) == 4
    assert len([path for path in fast.parent.iterdir() if path.suffix != ".sqlite"]) == 1
