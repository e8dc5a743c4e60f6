"""An index of the first version becomes one of this version, with all that it knows."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.errors import StorageUnusable
from engine.index import removed_rows, schema
from engine.index.reader import IndexFile
from engine.index.schema import SCHEMA_VERSION
from engine.index.store import SessionIndex, SessionKey
from engine.model.session import SessionArea, SessionStatus
from tests.engine.index.test_index import ORIGIN

if TYPE_CHECKING:
    from pathlib import Path

FIRST_VERSION = """
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, project TEXT, subject TEXT, label TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL, folder TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    receiver TEXT NOT NULL, calling_ae_title TEXT NOT NULL, auto_archive INTEGER,
    first_object_at TEXT NOT NULL, last_object_at TEXT NOT NULL,
    objects INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE objects (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, receiver TEXT NOT NULL,
    calling_ae_title TEXT NOT NULL, address TEXT NOT NULL, association TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL, sop_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL, state TEXT NOT NULL, status INTEGER NOT NULL,
    reason TEXT NOT NULL, session INTEGER REFERENCES sessions (id), file TEXT NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX objects_by_session ON objects (session);
INSERT INTO sessions VALUES (7, 'A', 'S', 'E', '1.2', 'A/t/E', 'RECEIVING', 'XNAT:8104', 'CT', 1,
    '2026-08-24T14:03:22+00:00', '2026-08-24T14:03:22+00:00', 1, 100);
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "index.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_VERSION)
    connection.close()
    return path


def test_an_old_index_is_brought_to_this_version_once(old: Path) -> None:
    for _ in range(2):
        index = SessionIndex(old, durable=False)
        (session,) = index.sessions()
        with index.changing() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        index.close()
        assert version == SCHEMA_VERSION
        assert (session.id, session.status, session.area, session.auto_archive) == (
            *(7, SessionStatus.RECEIVING, SessionArea.PREARCHIVE, True),
        )


def test_sessions_of_an_old_index_have_the_rows_of_their_objects(old: Path) -> None:
    connection = sqlite3.connect(old)
    connection.execute("UPDATE sessions SET status = 'READY'")
    connection.commit()
    connection.close()
    index = SessionIndex(old, durable=False)
    with index.changing() as connection:
        connection.execute("UPDATE sessions SET status = 'ARCHIVED', area = 'archive'")
    (session,) = index.sessions()
    assert session.rows_removed_at is None
    with index.reading() as reading:
        assert removed_rows.next_at_rest(reading, "2026-08-24T14:03:22+00:00") is None
        assert removed_rows.next_at_rest(reading, "2026-08-24T14:03:23+00:00") == 7
    index.close()


def test_an_old_index_is_copied_before_it_is_brought_to_this_version(old: Path) -> None:
    SessionIndex(old, durable=False).close()
    copy = sqlite3.connect(old.with_name("index.sqlite.schema-1"))
    (version,) = copy.execute("PRAGMA user_version").fetchone()
    sessions = copy.execute("SELECT id, label FROM sessions").fetchall()
    copy.close()
    assert (version, sessions) == (1, [(7, "E")])


def test_an_index_that_can_not_be_migrated_stays_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = {**schema._STEPS, SCHEMA_VERSION: "ALTER TABLE missing ADD COLUMN a"}
    with monkeypatch.context() as patched:
        patched.setattr(schema, "_FILE", replace(schema._FILE, steps=last))
        with pytest.raises(StorageUnusable, match="no such table"):
            SessionIndex(old, durable=False)
    connection = sqlite3.connect(old)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
    SessionIndex(old, durable=False).close()


def test_the_number_of_a_session_that_is_gone_is_never_anothers(old: Path) -> None:
    for gone in (7, 8):
        index = SessionIndex(old, durable=False)
        with index.changing() as connection:
            connection.execute("DELETE FROM sessions WHERE id = ?", (gone,))
        index.forget_place(gone)
        key = SessionKey("A", "1.2", "E")
        place = index.session_for(key, ORIGIN, lambda _: ("A", "t", "E"))
        assert place.id == gone + 1
        index.close()


def test_a_command_leaves_an_old_index_to_the_engine(old: Path) -> None:
    with pytest.raises(StorageUnusable, match="has schema 1, this version uses"):
        IndexFile(old)


def test_an_index_of_a_newer_version_is_not_touched(old: Path) -> None:
    connection = sqlite3.connect(old)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StorageUnusable, match=f"has schema {SCHEMA_VERSION + 1}"):
        SessionIndex(old, durable=False)
