"""Study routes and running labels: what is known of a study besides its objects."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.errors import OutOfResources, StorageUnusable
from engine.state.database import PrivateTables, open_to_read
from engine.state.earlier import file_with_table
from engine.state.routes import StudyRoutes, read_study_routes
from engine.state.schema import STATE

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.study_route import StudyRoute


MAX_KNOWN = 10_000
"""Labels that are kept in memory."""

_GIVEN = (
    "SELECT label FROM study_labels WHERE project = ? AND subject = ? AND study_instance_uid = ?"
)
# A range, not LIKE: a `_` in a label would stand for any character there.
_GIVEN_TO_OTHERS = "SELECT label FROM study_labels WHERE project = ? AND label >= ? AND label < ?"
_IN_SESSIONS = "SELECT label FROM sessions WHERE project IS ? AND label >= ? AND label < ?"


class LabelKey(NamedTuple):
    """What a label belongs to."""

    project: str | None
    """None means Unassigned."""
    subject: str
    study_instance_uid: str


class StudyLabels(PrivateTables):
    """The labels given so far; every method may be called from any thread.

    A label is taken in the same transaction that finds it free, so that no two studies get one. It
    is durable before the session has its row: the log of the index flushes nothing here.
    """

    def __init__(self, path: Path, index_file: Path) -> None:
        """Open the labels, and the index, which must exist, for those of its sessions.

        Raises:
            StorageUnusable: if one of them can't be used.
        """
        self._known: dict[LabelKey, str] = {}
        """Guarded like the connections."""
        super().__init__(STATE, path)
        try:
            with ExitStack() as resources:
                resources.callback(self._connection.close)
                self._sessions = resources.enter_context(closing(open_to_read(index_file)))
                # To connect reads nothing: the first question shows whether the file is a database.
                self._sessions.execute("SELECT 1 FROM sqlite_master").fetchone()
                resources.pop_all()
        except sqlite3.Error as error:
            raise StorageUnusable(
                f"the session index {index_file.name} can't be used: {error}",
                "check the disk; the received files are not affected",
            ) from error

    def label(self, key: LabelKey, modality: str, *, take: bool = True) -> str:
        """Return the study's label; a new study gets ``<subject>_<modality><n>`` with a free n.

        Args:
            key: what the label belongs to.
            modality: (0008,0060) as a label.
            take: whether a new label is the study's from now on; if not, it is what it would get.

        Raises:
            OutOfResources: if labels or index can't be read or written.
        """
        with self._lock:
            known = self._known.get(key)
            if known is None:
                try:
                    known = self._find(key, f"{key.subject}_{modality}", take)
                except sqlite3.Error as error:
                    raise OutOfResources(f"labels of studies: {error}") from error
                if take:
                    self._remember(key, known)
            return known

    def close(self) -> None:
        """Close both files."""
        with self._lock:
            self._connection.close()
            self._sessions.close()

    def _remember(self, key: LabelKey, label: str) -> None:
        if len(self._known) >= MAX_KNOWN:
            # What is forgotten is only read again.
            self._known.clear()
        self._known[key] = label

    def _find(self, key: LabelKey, stem: str, take: bool) -> str:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE" if take else "BEGIN")
            label, is_new = _looked_up(self._connection, self._sessions, key, stem)
            if is_new and take:
                statement = "INSERT INTO study_labels VALUES (?, ?, ?, ?)"
                self._connection.execute(statement, (*_values(key), label))
        return label


def read_label(path: Path, index_file: Path, key: LabelKey, modality: str) -> str:
    """Return the label that a study has, or would get now; nothing is taken, made or moved.

    Raises:
        OutOfResources: if labels or index can't be read.
    """
    with ExitStack() as resources:
        try:
            file = file_with_table(path, "study_labels")
            labels, sessions = (
                resources.enter_context(closing(open_to_read(found)))
                if found is not None and found.exists()
                else None
                for found in (file, index_file)
            )
            return _looked_up(labels, sessions, key, f"{key.subject}_{modality}")[0]
        except sqlite3.Error as error:
            raise OutOfResources(f"labels of studies: {error}") from error


def _looked_up(
    labels: sqlite3.Connection | None,
    sessions: sqlite3.Connection | None,
    key: LabelKey,
    stem: str,
) -> tuple[str, bool]:
    """Return the study's label, or the first free one; and whether it is new."""
    taken: set[str] = set()
    span = (f"{stem}0", f"{stem}:")  # all that begin with a digit after the stem
    if labels is not None:
        row = labels.execute(_GIVEN, _values(key)).fetchone()
        if row:
            return str(row[0]), False
        rows = labels.execute(_GIVEN_TO_OTHERS, (key.project or "", *span))
        taken |= {label for (label,) in rows}
    if sessions is not None:
        taken |= {label for (label,) in sessions.execute(_IN_SESSIONS, (key.project, *span))}
    return next(label for n in count(1) if (label := f"{stem}{n}") not in taken), True


def _values(key: LabelKey) -> tuple[str, str, str]:
    return key.project or "", key.subject, key.study_instance_uid


class Studies(Protocol):
    """What identifiers may ask about a study."""

    def route(self, study_instance_uid: str) -> StudyRoute | None:
        """Return where the study was announced to go, as it is now.

        Raises:
            OutOfResources: if that can't be read.
        """
        ...

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        """Return the study's session label; see `StudyLabels.label`."""
        ...


class KnownStudies:
    """The studies of a data directory; may be called from any thread."""

    def __init__(self, state_file: Path, index_file: Path) -> None:
        """Open routes and labels; the index must exist.

        Raises:
            StorageUnusable: if one of the files can't be used.
        """
        self._routes = StudyRoutes(state_file)
        try:
            self._labels = StudyLabels(state_file, index_file)
        except StorageUnusable:
            self._routes.close()
            raise

    def route(self, study_instance_uid: str) -> StudyRoute | None:
        """Return where the study was announced to go, as it is now."""
        return self._routes.find(study_instance_uid)

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        """Return the study's session label."""
        return self._labels.label(key, modality, take=take)

    def close(self) -> None:
        """Close both."""
        self._routes.close()
        self._labels.close()


class ReadOnlyStudies:
    """The studies of a data directory for a dry run: nothing is made there, nothing taken."""

    def __init__(self, state_file: Path, index_file: Path) -> None:
        routes = read_study_routes(state_file)
        self._routes = {route.study_instance_uid: route for route in routes}
        self._files = state_file, index_file

    def route(self, study_instance_uid: str) -> StudyRoute | None:
        """Return where the study was announced to go, as it was at first."""
        return self._routes.get(study_instance_uid)

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        """Return the label that the study has, or would get now."""
        return read_label(*self._files, key, modality)


class _NoStudies:
    def route(self, study_instance_uid: str) -> StudyRoute | None:
        return None

    def label(self, key: LabelKey, modality: str, *, take: bool) -> str:
        return f"{key.subject}_{modality}1"


NO_STUDIES: Studies = _NoStudies()
"""Where nothing is known: nothing was announced, and every study is the first."""
