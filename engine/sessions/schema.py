"""The tables of the index, and how its file is opened: made, or brought to this version."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable
from engine.sessions.migrations import SCHEMA_VERSION, migrate

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY,
    project TEXT,
    subject TEXT,
    label TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    folder TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    receiver TEXT NOT NULL,
    calling_ae_title TEXT NOT NULL,
    auto_archive INTEGER,
    first_object_at TEXT NOT NULL,
    last_object_at TEXT NOT NULL,
    objects INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS sessions_by_study ON sessions (study_instance_uid, label, project);
CREATE INDEX IF NOT EXISTS sessions_by_status ON sessions (status);
CREATE TABLE IF NOT EXISTS objects (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    receiver TEXT NOT NULL,
    calling_ae_title TEXT NOT NULL,
    address TEXT NOT NULL,
    association TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    state TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    session INTEGER REFERENCES sessions (id),
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_time ON objects (at);
CREATE TABLE IF NOT EXISTS observed (
    receiver TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    since TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS whitelist_uses (
    receiver TEXT NOT NULL,
    line TEXT NOT NULL,
    uses INTEGER NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (receiver, line)
);
CREATE TABLE IF NOT EXISTS finished (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL,
    status TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS engine (clean_stop INTEGER NOT NULL);
"""


def open_index(path: Path, durable: bool) -> sqlite3.Connection:
    """Return a connection for all threads to an index, which is made if it is not there.

    Raises:
        StorageUnusable: if it can't be opened, or belongs to a later version.
    """
    try:
        connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
        try:
            path.chmod(0o600)
            _prepare(connection, durable)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise StorageUnusable(
            f"the session index {path.name} can't be opened: {error}",
            "check the disk; the received files are not affected",
        ) from error
    return connection


def _prepare(connection: sqlite3.Connection, durable: bool) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StorageUnusable(
            f"the session index has schema {version}, this version reads {SCHEMA_VERSION}",
            "run the newer dicomdock",
        )
    connection.executescript(_SCHEMA)
    migrate(connection, version)
