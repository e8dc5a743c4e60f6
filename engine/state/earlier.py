"""Takes over what earlier versions kept elsewhere: in four files of their own, and in the index.

Rows are added unless they are there, and a file is given another name once its rows are committed,
so a kill at any moment loses nothing, and what is done twice is harmless.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import StorageUnusable
from engine.host.data_directory import flush
from engine.host.lock import EngineLock
from engine.settings import EARLIER_STATE_FILES
from engine.state.database import LOCK_WAIT_SECONDS, SUFFIXES, open_to_read
from engine.state.salvage import TableReader, note_damage, set_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


KEPT_AS = ".before-state"
"""How the names of files end whose rows were taken over."""


class EarlierTable(NamedTuple):
    """A table of an earlier version, and what becomes of its rows."""

    name: str
    insert: str
    added: Mapping[str, str] = {}
    """Values of columns that the first version of the table had not."""


_ROUTES = EarlierTable(
    "study_routes",
    "INSERT OR IGNORE INTO study_routes"
    " VALUES (:study_instance_uid, :project, :subject, :session, :added_by, :added_at)",
)
_UID_MAPS = EarlierTable(
    "uid_maps", "INSERT OR IGNORE INTO uid_maps VALUES (:scope, :value, :is_null, :uid)"
)
_LABELS = EarlierTable(
    "study_labels",
    "INSERT OR IGNORE INTO study_labels VALUES (:project, :subject, :study_instance_uid, :label)",
)
_DESTINATIONS = EarlierTable(
    "destinations",
    "INSERT OR IGNORE INTO outbox_targets VALUES ('forward', :id, :mark, :mark_at, :sent,"
    " :bytes_sent, :last_sent_at, :last_error, :last_error_at, :next_attempt_at, :asked)",
)
# Items get new numbers: there may be others in the outbox. A row below 0 means none, and keeps its
# item from being taken over twice.
_OBJECTS = EarlierTable(
    "items",
    "INSERT OR IGNORE INTO outbox"
    " (kind, target, row, what, queued_at, due_at, attempts, failed, reason)"
    " VALUES ('forward', :destination, :object, :sop_instance_uid,"
    " :queued_at, :due_at, :attempts, :failed, :reason)",
)
_RUNS = EarlierTable(
    "runs",
    "INSERT OR IGNORE INTO outbox (kind, target, row, row_at, what, queued_at, begun)"
    " VALUES ('command', :processor, :finished, :finished_at, json_object("
    "'session', :session, 'status', :status, 'study', :study), :finished_at, :begun)",
    {"study": ""},
)
FILES = dict(
    zip(
        EARLIER_STATE_FILES,
        ((_ROUTES,), (_UID_MAPS,), (_DESTINATIONS, _OBJECTS), (_RUNS,)),
        strict=True,
    )
)
"""The tables of each file that earlier versions had beside the index."""
_INDEX, _LOCK = "index.sqlite", "engine.lock"
_PLACES = {"study_labels": _INDEX} | {
    table.name: file for file, tables in FILES.items() for table in tables
}


def is_there(path: Path) -> bool:
    """Tell whether there is a file whose rows are to be taken over.

    Args:
        path: the state database, beside which earlier versions had theirs.
    """
    return any(path.with_name(name).exists() for name in FILES)


def file_with_table(path: Path, table: str) -> Path | None:
    """Return the file that a table is in now, for who only reads; None if there is none.

    Raises:
        sqlite3.Error: if that can't be read.
    """
    for file in (path, path.with_name(_PLACES[table])):
        if file.exists():
            with closing(open_to_read(file)) as connection:
                query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
                if connection.execute(query, (table,)).fetchone():
                    return file
    return None


def take_over(target: sqlite3.Connection, path: Path) -> Callable[[], None]:
    """Add the rows of all earlier files within a transaction that is open.

    Returns:
        What gives the files another name, to be called once that is committed; it raises `OSError`.

    Raises:
        StorageUnusable: if an engine uses those files.
        sqlite3.Error: if one can't be read for another reason than damage.
    """
    files = [file for name in FILES if (file := path.with_name(name)).exists()]
    index = path.with_name(_INDEX)
    is_in_index = index.exists() and _has_labels(index)
    if not files and not is_in_index:
        return lambda: None
    _require_no_other_engine(path)
    damaged = {file: _take_file(target, file) for file in files}
    if is_in_index:
        with closing(TableReader(index)) as source:
            _take_table(target, source, _LABELS)

    def clean_up() -> None:
        # The name of the new file must survive a power cut before the old names go.
        flush(path.parent)
        if is_in_index:
            _remove_labels(index)
        for file, is_damaged in damaged.items():
            if is_damaged:
                set_aside(file)
            else:
                _keep_as_copy(file)
        flush(path.parent)

    return clean_up


def _take_file(target: sqlite3.Connection, file: Path) -> bool:
    """Add the rows of a file; return whether it is damaged, which is noted."""
    if file.is_symlink():
        raise StorageUnusable(f"{file} is a symbolic link", "put what it leads to in its place")
    with closing(TableReader(file)) as source:
        source.check()
        for table in FILES[file.name]:
            _take_table(target, source, table)
        if source.is_damaged:
            note_damage(target, file, source.read)
        return source.is_damaged


def _take_table(target: sqlite3.Connection, source: TableReader, table: EarlierTable) -> None:
    rows = source.rows(table.name)
    target.executemany(table.insert, ({**table.added, **row} for row in rows))


def _has_labels(index: Path) -> bool:
    with closing(TableReader(index)) as source:
        return next(iter(source.rows("study_labels")), None) is not None


def _remove_labels(index: Path) -> None:
    """Remove labels from their old place; if that fails, they stay there unused."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(index, timeout=LOCK_WAIT_SECONDS)) as old:
        old.execute("DROP TABLE IF EXISTS study_labels")
        old.execute("DROP INDEX IF EXISTS sessions_by_label")


def _require_no_other_engine(path: Path) -> None:
    """Fail if an engine of an earlier version runs: it would write files that nobody reads."""
    holder = EngineLock.holder(path.with_name(_LOCK))
    if holder is not None and holder.pid != os.getpid():
        raise StorageUnusable(
            f"an engine of an earlier version still uses {path.parent}: {holder}",
            "restart it, so that it is of this version and takes over what is there",
        )


def _keep_as_copy(file: Path) -> None:
    """Rename a file whose rows were taken over, without a log beside it."""
    # Whether or not that succeeds, its rows are taken over.
    with suppress(sqlite3.Error), closing(sqlite3.connect(file, timeout=LOCK_WAIT_SECONDS)) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    name = file.name + KEPT_AS
    # The file itself first: without its log it might have rows that were removed since.
    for suffix in reversed(SUFFIXES):
        with suppress(FileNotFoundError):  # another process was faster
            file.with_name(file.name + suffix).rename(file.with_name(name + suffix))
