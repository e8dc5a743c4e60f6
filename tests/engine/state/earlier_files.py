"""The files of versions before the state database, with one row in each of their tables."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROUTES = """
    CREATE TABLE study_routes (study_instance_uid TEXT PRIMARY KEY, project TEXT NOT NULL,
        subject TEXT NOT NULL, session TEXT NOT NULL, added_by TEXT NOT NULL,
        added_at TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO study_routes VALUES ('1.2.3', 'P', 'S', 'E', 'anna', '2026-08-24T00:00:00+00:00');
    PRAGMA user_version = 1;
"""
UIDS = """
    CREATE TABLE uid_maps (scope TEXT NOT NULL, value TEXT NOT NULL, is_null INTEGER NOT NULL,
        uid TEXT NOT NULL, PRIMARY KEY (scope, value, is_null)) WITHOUT ROWID;
    INSERT INTO uid_maps VALUES ('a', '1.2', 0, '9.1');
"""
LABELS = """
    CREATE TABLE study_labels (project TEXT NOT NULL, subject TEXT NOT NULL,
        study_instance_uid TEXT NOT NULL, label TEXT NOT NULL,
        PRIMARY KEY (project, subject, study_instance_uid), UNIQUE (project, label)) WITHOUT ROWID;
    CREATE INDEX sessions_by_label ON sessions (project, label);
    INSERT INTO study_labels VALUES ('P', 'S1', '1.2.3', 'S1_MR1');
"""
FORWARDING = """
    CREATE TABLE destinations (id INTEGER PRIMARY KEY, mark INTEGER,
        mark_at TEXT NOT NULL DEFAULT '', sent INTEGER NOT NULL DEFAULT 0,
        bytes_sent INTEGER NOT NULL DEFAULT 0, last_sent_at TEXT NOT NULL DEFAULT '',
        last_error TEXT NOT NULL DEFAULT '', last_error_at TEXT NOT NULL DEFAULT '',
        next_attempt_at TEXT NOT NULL DEFAULT '', asked INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, destination INTEGER NOT NULL,
        object INTEGER NOT NULL, sop_instance_uid TEXT NOT NULL, queued_at TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, due_at TEXT NOT NULL DEFAULT '',
        failed INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
        UNIQUE (destination, object));
    CREATE INDEX items_due ON items (destination, failed, due_at, id);
    INSERT INTO destinations VALUES (4, 12, '2026-01-02', 5, 500, 'then', 'broken', 'once', '', 2);
    INSERT INTO items VALUES (7, 4, 11, '1.2.11', '2026-01-01', 3, '2026-01-03', 0, 'busy');
    INSERT INTO items VALUES (8, 4, -8, '1.2.8', '2026-01-01', 9, '', 1, 'refused');
"""
_RUNS = """
    CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT, processor INTEGER NOT NULL,
        finished INTEGER NOT NULL, finished_at TEXT NOT NULL, session INTEGER NOT NULL,
        status TEXT NOT NULL, begun INTEGER NOT NULL DEFAULT 0,
        UNIQUE (processor, finished, finished_at));
    INSERT INTO runs VALUES (3, 5, 21, '2026-01-01', 40, 'READY', 1);
"""
COMMANDS_OF_VERSION_1 = f"{_RUNS} PRAGMA user_version = 1;"
COMMANDS = f"""{_RUNS}
    ALTER TABLE runs ADD COLUMN study TEXT NOT NULL DEFAULT '';
    UPDATE runs SET study = '1.2.40';
    PRAGMA user_version = 2;
"""
FILES = {
    "study-routes.sqlite": ROUTES,
    "uid-maps.sqlite": UIDS,
    "forwarding.sqlite": FORWARDING,
    "commands.sqlite": COMMANDS,
}


def write(file: Path, script: str, *, leave_log: bool = False) -> None:
    """Run a script on a file; with `leave_log` as a process that is killed leaves it."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute('PRAGMA journal_mode = WAL'); c.executescript(sys.argv[2]); os._exit(0)"
    )
    if leave_log:
        subprocess.run([sys.executable, "-c", code, file, script], check=True)
        assert file.with_name(file.name + "-wal").stat().st_size
        return
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)
