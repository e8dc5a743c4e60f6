"""A file of an earlier version is copied before it is changed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.errors import StorageUnusable
from engine.host.data_directory import flush
from engine.state import database
from engine.state.database import PrivateFile

if TYPE_CHECKING:
    from pathlib import Path

STEPS = {2: "ALTER TABLE t ADD COLUMN b", 3: "ALTER TABLE t ADD COLUMN c"}


def version(number: int) -> PrivateFile:
    return PrivateFile("it", "CREATE TABLE IF NOT EXISTS t (a)", number, "", STEPS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of the first version."""
    return tmp_path / "file.sqlite"


@pytest.fixture(autouse=True)
def first(path: Path) -> None:
    with closing(version(1).open(path)) as connection, connection:
        connection.execute("INSERT INTO t VALUES ('kept')")


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def content(path: Path) -> tuple[int, list[tuple[str | None, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        return number, connection.execute("SELECT * FROM t").fetchall()


def test_a_file_of_an_earlier_version_is_copied_before_it_is_changed(path: Path) -> None:
    version(2).open(path).close()
    copy = path.with_name("file.sqlite.schema-1")
    assert names(path) == ["file.sqlite", "file.sqlite.schema-1"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert content(copy) == (1, [("kept",)])
    assert content(path) == (2, [("kept", None)])


def test_what_another_process_has_committed_to_the_log_is_in_the_copy(path: Path) -> None:
    with closing(version(1).open(path)) as other:
        with other:
            other.execute("INSERT INTO t VALUES ('in the log')")
        version(2).open(path).close()
    assert content(path.with_name("file.sqlite.schema-1")) == (1, [("kept",), ("in the log",)])


def test_a_copy_is_kept_until_the_next(path: Path) -> None:
    version(2).open(path).close()
    version(2).open(path).close()
    assert "file.sqlite.schema-1" in names(path)
    version(3).open(path).close()
    assert names(path) == ["file.sqlite", "file.sqlite.schema-2"]


def test_copies_of_other_files_are_left_alone(path: Path) -> None:
    others = {"file.sqlite.schema-old", "xfile.sqlite.schema-1", "file-sqlite.schema-1"}
    for name in others:
        path.with_name(name).touch()
    version(2).open(path).close()
    assert others <= set(names(path))


def test_a_new_file_is_not_copied(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.sqlite"
    version(3).open(fresh).close()
    assert content(fresh) == (3, [])
    assert not [name for name in names(fresh) if name.startswith("fresh.sqlite.")]


def test_a_file_with_tables_and_no_version_is_of_the_first_and_is_copied(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    version(3).open(path).close()
    assert names(path) == ["file.sqlite", "file.sqlite.schema-0"]
    assert content(path) == (3, [("kept", None, None)])


def test_a_file_that_can_not_be_copied_is_not_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageUnusable, match="No space left"):
            version(2).open(path)
    assert names(path) == ["file.sqlite"]
    assert content(path) == (1, [("kept",)])
    version(2).open(path).close()


def test_what_a_crash_left_of_a_copy_is_made_anew(path: Path) -> None:
    path.with_name("file.sqlite.schema.part").write_bytes(b"half of it")
    version(2).open(path).close()
    assert names(path) == ["file.sqlite", "file.sqlite.schema-1"]
    assert content(path.with_name("file.sqlite.schema-1")) == (1, [("kept",)])


def test_the_copy_is_on_the_disk_before_the_first_step(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def noted(what: Path) -> None:
        flush(what)
        seen.append((what.name, content(path)[0]))

    monkeypatch.setattr(database, "flush", noted)
    version(2).open(path).close()
    assert seen == [("file.sqlite.schema.part", 1), (path.parent.name, 1)]
