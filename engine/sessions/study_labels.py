"""Session labels with a running number, such as ``S1_MR3``: one for each study, and for good."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import OutOfResources
from engine.sessions.reader import open_to_read

if TYPE_CHECKING:
    from pathlib import Path

MAX_KNOWN = 10_000
"""Labels that are kept in memory."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS study_labels (
    project TEXT NOT NULL,
    subject TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (project, subject, study_instance_uid),
    UNIQUE (project, label)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_label ON sessions (project, label);
"""
_GIVEN = (
    "SELECT label FROM study_labels WHERE project = ? AND subject = ? AND study_instance_uid = ?"
)
_ALL = "SELECT project, subject, study_instance_uid, label FROM study_labels"
_TAKEN = (
    "SELECT label FROM study_labels WHERE project = ? AND label >= ? AND label < ?"
    " UNION SELECT label FROM sessions WHERE project IS ? AND label >= ? AND label < ?"
)


class LabelKey(NamedTuple):
    """What a label belongs to."""

    project: str | None
    """None means Unassigned."""
    subject: str
    study_instance_uid: str


class StudyLabels:
    """The labels given so far, kept in the session index; may be called from any thread.

    A label is taken in the same transaction that finds it free, so that no two studies get one.
    """

    def __init__(self, index_file: Path) -> None:
        self._lock = threading.Lock()
        """Guards the connection and what is known."""
        self._known: dict[LabelKey, str] = {}
        self._connection = sqlite3.connect(
            index_file, timeout=10, check_same_thread=False, isolation_level=None
        )
        try:
            # The session's row comes next, in the same log: what flushes it flushes the label, too.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error:
            self._connection.close()
            raise

    def label(self, key: LabelKey, modality: str, *, take: bool = True) -> str:
        """Return the study's label; a new study gets ``<subject>_<modality><n>`` with a free n.

        Args:
            key: what the label belongs to.
            modality: (0008,0060) as a label.
            take: whether a new label is the study's from now on; if not, it is what it would get.

        Raises:
            OutOfResources: if the index can't be read or written.
        """
        with self._lock:
            known = self._known.get(key)
            if known is None:
                try:
                    known = self._find(key, f"{key.subject}_{modality}", take)
                except sqlite3.Error as error:
                    raise OutOfResources(f"session index: {error}") from error
                if take:
                    self._remember(key, known)
            return known

    def close(self) -> None:
        """Close the connection to the index."""
        with self._lock:
            self._connection.close()

    def _remember(self, key: LabelKey, label: str) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = label

    def _find(self, key: LabelKey, stem: str, take: bool) -> str:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE" if take else "BEGIN")
            label, is_new = _looked_up(self._connection, key, stem)
            if is_new and take:
                statement = "INSERT INTO study_labels VALUES (?, ?, ?, ?)"
                self._connection.execute(statement, (*_values(key), label))
        return label


def read_label(index_file: Path, key: LabelKey, modality: str) -> str:
    """Return the label that a study has, or would get now; nothing is taken or made.

    Raises:
        OutOfResources: if the index can't be read.
    """
    stem = f"{key.subject}_{modality}"
    if not index_file.exists():
        return f"{stem}1"
    try:
        with closing(open_to_read(index_file)) as connection:
            return _looked_up(connection, key, stem)[0]
    except sqlite3.Error as error:
        raise OutOfResources(f"session index: {error}") from error


def carry_over(before: Path, after: Path) -> None:
    """Let studies keep their labels in an index that is made anew, as far as the old one tells.

    Args:
        before: the index that was set aside; it may be damaged.
        after: the new one, which must exist.
    """
    with suppress(sqlite3.Error), closing(open_to_read(before)) as old:
        given = old.execute(_ALL).fetchall()
        with closing(sqlite3.connect(after, timeout=10)) as new, new:
            new.executescript(_SCHEMA)
            new.executemany("INSERT OR IGNORE INTO study_labels VALUES (?, ?, ?, ?)", given)


def _looked_up(connection: sqlite3.Connection, key: LabelKey, stem: str) -> tuple[str, bool]:
    """Return the study's label, or the first free one; and whether it is new."""
    row = connection.execute(_GIVEN, _values(key)).fetchone()
    if row:
        return str(row[0]), False
    span = (f"{stem}0", f"{stem}:")  # all that begin with a digit after the stem
    rows = connection.execute(_TAKEN, (key.project or "", *span, key.project, *span))
    taken = {row[0] for row in rows}
    return next(label for n in count(1) if (label := f"{stem}{n}") not in taken), True


def _values(key: LabelKey) -> tuple[str, str, str]:
    return key.project or "", key.subject, key.study_instance_uid
