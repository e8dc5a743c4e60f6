"""The tables of the index, and the migrations from earlier versions."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import StorageUnusable
from engine.state.database import LOCK_WAIT_SECONDS, PrivateFile

if TYPE_CHECKING:
    from pathlib import Path


RESTS_SINCE = "MAX(last_object_at, COALESCE(changed_at, ''), COALESCE(rows_kept_at, ''))"
"""When something happened to a session for the last time; an index has those that are `RESTS`."""
RESTS = "area = 'archive' AND status = 'ARCHIVED' AND rows_removed_at IS NULL"
"""The condition for sessions in the archive whose objects have rows."""

# Each step brings a file to its version. A new file takes all of them, after `_SCHEMA`.
_STEPS = {
    2: """
        ALTER TABLE sessions ADD COLUMN area TEXT NOT NULL DEFAULT 'prearchive';
        ALTER TABLE sessions ADD COLUMN reason TEXT NOT NULL DEFAULT '';
        ALTER TABLE sessions ADD COLUMN modality TEXT NOT NULL DEFAULT '';
        ALTER TABLE sessions ADD COLUMN changed_at TEXT;
        CREATE INDEX sessions_by_idleness ON sessions (status, last_object_at);
        CREATE INDEX sessions_by_last_object ON sessions (last_object_at);
        CREATE INDEX sessions_by_place ON sessions (project, label, area);
        CREATE TABLE operations (
            session INTEGER PRIMARY KEY REFERENCES sessions (id),
            kind TEXT NOT NULL,
            previous TEXT NOT NULL,
            asked_by TEXT NOT NULL,
            asked_at TEXT NOT NULL,
            arguments TEXT NOT NULL,
            plan TEXT
        );
    """,
    # objects_by_place begins with the session, as objects_by_session did.
    3: """
        CREATE TABLE traces (hash BLOB, session INTEGER, PRIMARY KEY (hash, session)) WITHOUT ROWID;
        CREATE INDEX objects_by_instance ON objects (sop_instance_uid);
        CREATE INDEX objects_by_place ON objects (session, file);
        DROP INDEX IF EXISTS objects_by_session;
    """,
    # sessions_by_area covers the totals of the areas: no row of the table is read for them.
    4: """
        CREATE INDEX sessions_by_area ON sessions (area, status, objects, bytes);
        CREATE TABLE senders (
            calling_ae_title TEXT NOT NULL,
            address TEXT NOT NULL,
            first_seen TEXT NOT NULL,
            last_seen TEXT NOT NULL,
            associations INTEGER NOT NULL DEFAULT 0,
            aborted INTEGER NOT NULL DEFAULT 0,
            rejected INTEGER NOT NULL DEFAULT 0,
            last_rejection TEXT NOT NULL DEFAULT '',
            last_rejection_at TEXT,
            objects INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            last_error TEXT NOT NULL DEFAULT '',
            last_error_at TEXT,
            receiver TEXT NOT NULL DEFAULT '',
            implementation TEXT NOT NULL DEFAULT '',
            implementation_class_uid TEXT NOT NULL DEFAULT '',
            contexts_proposed INTEGER NOT NULL DEFAULT 0,
            contexts_refused INTEGER NOT NULL DEFAULT 0,
            refused_contexts TEXT NOT NULL DEFAULT '[]',
            PRIMARY KEY (calling_ae_title, address)
        ) WITHOUT ROWID;
        CREATE INDEX senders_by_last_seen ON senders (last_seen);
        CREATE TABLE sender_hours (
            calling_ae_title TEXT NOT NULL,
            address TEXT NOT NULL,
            hour TEXT NOT NULL,
            objects INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            PRIMARY KEY (calling_ae_title, address, hour)
        ) WITHOUT ROWID;
        CREATE INDEX sender_hours_by_hour ON sender_hours (hour);
    """,
    5: """
        ALTER TABLE objects ADD COLUMN project_script TEXT NOT NULL DEFAULT 'due';
    """,
    # Unlike objects, sessions have no AUTOINCREMENT: the trigger keeps a removed row's number.
    6: """
        CREATE TABLE session_numbers (highest INTEGER NOT NULL);
        INSERT INTO session_numbers SELECT MAX(
            (SELECT COALESCE(MAX(id), 0) FROM sessions),
            (SELECT COALESCE(MAX(session), 0) FROM finished)
        );
        CREATE TRIGGER sessions_removed AFTER DELETE ON sessions BEGIN
            UPDATE session_numbers SET highest = MAX(highest, OLD.id);
        END;
    """,
    # 'auto-archive' is AUTO_ARCHIVE: requests of people are found without reading the others.
    7: """
        CREATE INDEX operations_waiting ON operations
            (asked_by = 'auto-archive', asked_at, session) WHERE plan IS NULL;
        CREATE INDEX operations_begun ON operations (json_extract(plan, '$.into'))
            WHERE plan IS NOT NULL;
        CREATE INDEX traces_by_session ON traces (session);
    """,
    # The rows that `engine.sessions.thinning` removes, and up to when it has.
    8: """
        CREATE INDEX objects_without_session ON objects (at) WHERE session IS NULL;
        CREATE TABLE thinned (before TEXT NOT NULL);
        INSERT INTO thinned VALUES ('');
    """,
    # came_*: the names under which objects of a renamed session arrive; `engine.index.naming`.
    9: """
        ALTER TABLE sessions ADD COLUMN came_project TEXT;
        ALTER TABLE sessions ADD COLUMN came_label TEXT;
        ALTER TABLE sessions ADD COLUMN part_of INTEGER;
        ALTER TABLE sessions ADD COLUMN patients TEXT NOT NULL DEFAULT '';
        CREATE TABLE actions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            session INTEGER NOT NULL,
            kind TEXT NOT NULL,
            asked_by TEXT NOT NULL,
            at TEXT NOT NULL,
            before TEXT NOT NULL,
            removed INTEGER,
            archived INTEGER NOT NULL DEFAULT 0,
            final TEXT NOT NULL DEFAULT '',
            undone_by TEXT NOT NULL DEFAULT '',
            undone_at TEXT
        );
        CREATE INDEX actions_by_session ON actions (session, id);
    """,
    # The rows of objects of archived sessions that were removed; `engine.index.removed_rows`.
    10: f"""
        ALTER TABLE sessions ADD COLUMN rows_removed_at TEXT;
        ALTER TABLE sessions ADD COLUMN rows_kept_at TEXT;
        CREATE INDEX sessions_at_rest ON sessions ({RESTS_SINCE}) WHERE {RESTS};
        CREATE TABLE rows_in_change (session INTEGER PRIMARY KEY);
        CREATE TABLE removed_instances (hash INTEGER, session INTEGER, PRIMARY KEY (hash, session))
            WITHOUT ROWID;
    """,
}
SCHEMA_VERSION = max(_STEPS)
NEXT_SESSION = (
    "(SELECT 1 + MAX(highest, (SELECT COALESCE(MAX(id), 0) FROM sessions)) FROM session_numbers)"
)
"""The number of a new session, never used before: queues and traces name removed sessions."""


# AUTOINCREMENT: numbers of removed rows are not given again, which `arrivals` relies on.
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


_REMEDY = "check the disk; the received files are not affected"
_FILE = PrivateFile("the session index", _SCHEMA, SCHEMA_VERSION, _REMEDY, _STEPS)


def open_index(path: Path, durable: bool) -> sqlite3.Connection:
    """Return a connection for all threads to an index, which is made if it is not there.

    Raises:
        StorageUnusable: if it can't be opened, or belongs to a later version.
    """
    file = _FILE if durable else replace(_FILE, synchronous="NORMAL")
    try:
        # Unlike the files beside it, an index may be a link to a faster disk.
        connection = sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS, check_same_thread=False)
        try:
            path.chmod(0o600)
            file.prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        reason = f"the session index {path.name} can't be opened: {error}"
        raise StorageUnusable(reason, _REMEDY) from error
    return connection
