"""Session labels with a running number, such as ``S1_MR3``: one for each study, and for good."""

from __future__ import annotations

import sqlite3
import threading
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import OutOfResources

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
"""
_TAKEN = (
    "SELECT label FROM study_labels WHERE project = ?1 AND substr(label, 1, ?3) = ?2"
    " UNION SELECT label FROM sessions WHERE ifnull(project, '') = ?1 AND substr(label, 1, ?3) = ?2"
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
        self._connection.executescript(_SCHEMA)

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
        values = (key.project or "", key.subject, key.study_instance_uid)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            row = self._connection.execute(
                "SELECT label FROM study_labels"
                " WHERE project = ? AND subject = ? AND study_instance_uid = ?",
                values,
            ).fetchone()
            if row:
                return str(row[0])
            label = self._free(key.project or "", stem)
            self._connection.execute("INSERT INTO study_labels VALUES (?, ?, ?, ?)",
                                     (*values, label))  # fmt: skip
        return label

    def _free(self, project: str, stem: str) -> str:
        rows = self._connection.execute(_TAKEN, (project, stem, len(stem)))
        taken = {row[0] for row in rows}
        return next(label for n in count(1) if (label := f"{stem}{n}") not in taken)
