"""UIDs that scripts put in the place of others survive a restart."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.anonymize import ScriptContext, UidMaps
from engine.errors import OutOfResources, StorageUnusable
from engine.state.uid_maps import SqliteUidMaps, open_own_file
from tests.engine.anonymize.objects import make_object, script, value_at

if TYPE_CHECKING:
    from pathlib import Path


def test_a_value_keeps_its_uid_after_a_restart_and_in_another_process(tmp_path: Path) -> None:
    numbers = itertools.count()
    first = SqliteUidMaps(tmp_path / "uids.sqlite")
    second = SqliteUidMaps(tmp_path / "uids.sqlite")
    with closing(first), closing(second):
        uid = first.uid_for("mapUID", "1.2.3", lambda: f"9.{next(numbers)}")
        assert second.uid_for("mapUID", "1.2.3", lambda: f"9.{next(numbers)}") == uid
    with closing(SqliteUidMaps(tmp_path / "uids.sqlite")) as third:
        assert third.uid_for("mapUID", "1.2.3", lambda: "other") == uid


def test_scopes_null_and_empty_text_are_apart(tmp_path: Path) -> None:
    numbers = itertools.count()
    with closing(SqliteUidMaps(tmp_path / "uids.sqlite")) as maps:
        keys = [("a", None), ("a", ""), ("a", "x"), ("b", "x")]
        uids = [maps.uid_for(scope, value, lambda: f"9.{next(numbers)}") for scope, value in keys]
        assert len(set(uids)) == 4


def test_whoever_sees_a_value_first_decides_for_all_threads(tmp_path: Path) -> None:
    numbers = itertools.count()
    seen: list[str] = []
    with closing(SqliteUidMaps(tmp_path / "uids.sqlite")) as maps:

        def ask() -> None:
            seen.extend(maps.uid_for("a", f"{n}", lambda: f"{next(numbers)}") for n in range(20))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 80
    assert len(set(seen)) == 20


def test_opening_waits_for_another_process_that_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "uids.sqlite"
    with closing(sqlite3.connect(path)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        opening = pool.submit(SqliteUidMaps, path)
        with pytest.raises(TimeoutError):
            opening.result(0.05)
        other.rollback()
        with closing(opening.result(10)) as maps:
            assert maps.uid_for("a", "x", lambda: "9.1") == "9.1"


def test_scripts_map_uids_through_it(tmp_path: Path) -> None:
    uids = []
    for _ in range(2):
        with closing(SqliteUidMaps(tmp_path / "uids.sqlite")) as table:
            maps: UidMaps = table
            ds = make_object({"(0020,000D)": ("UI", "1.2.3")})
            script('(0020,000D) := mapUID[(0020,000D), "1.9"]').apply(
                ds, {}, script_context=ScriptContext(uid_maps=maps)
            )
            uids.append(value_at(ds, "(0020,000D)"))
    assert uids[0] == uids[1] != "1.2.3"


def test_a_table_that_can_not_be_written_is_reported(tmp_path: Path) -> None:
    with closing(SqliteUidMaps(tmp_path / "uids.sqlite")) as maps:
        with closing(sqlite3.connect(tmp_path / "uids.sqlite")) as connection:
            connection.execute("DROP TABLE uid_maps")
        with pytest.raises(OutOfResources, match="the table of UIDs"):
            maps.uid_for("a", "b", lambda: "c")


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "uids.sqlite").write_text("something else, long enough to be read as a header")
    for path in (tmp_path / "uids.sqlite", tmp_path / "missing" / "uids.sqlite"):
        with pytest.raises(StorageUnusable, match="can't be used"):
            SqliteUidMaps(path)
        with pytest.raises(StorageUnusable, match="can't keep UIDs"):
            SqliteUidMaps(path, open_own_file)


def test_a_table_that_can_not_be_written_says_so_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.state.uid_maps.LOCK_WAIT_SECONDS", 0.01)
    path = tmp_path / "uids.sqlite"
    SqliteUidMaps(path, open_own_file).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnusable, match="locked"):
            SqliteUidMaps(path, open_own_file)
    SqliteUidMaps(path, open_own_file).close()
