"""Gives objects that a check found on disk their rows, and sessions that no row knows theirs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import SessionError, UnreadableObject
from engine.index.schema import NEXT_SESSION
from engine.index.writer import insert_objects
from engine.model.anonymization import script_state
from engine.model.identity import safe_part
from engine.model.session import SessionArea, SessionStatus
from engine.sessions import reconcile
from engine.sessions.folders.documents import SessionDocument, read_session_xml
from engine.sessions.folders.stored_objects import read_stored
from engine.sessions.rereading import require_rows
from engine.state.database import stamp
from engine.storage.areas import document_of
from engine.storage.files import object_names
from engine.workers.spread import processes_for, spread

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from engine.index.writer import ObjectRow
    from engine.sessions.audit import Audit, UnknownFolder
    from engine.sessions.context import SessionContext
    from engine.sessions.reconcile import Differences, Identified


_logger = logging.getLogger(__name__)

WORTH_PROCESSES = 64
"""Sessions on disk. To start processes takes as long as to read some thousand objects."""
ROWS_AT_ONCE = 10_000
"""Rows of one transaction."""
FOUND_BY_CHECK = "found on disk by a check"
_UNASSIGNED_PARTS = 2
"""``<timestamp>/<session>``: a session's folder without a project (XNAT 9.1)."""
_INSERT = (
    "INSERT INTO sessions (id, project, subject, label, study_instance_uid, folder, status,"
    " receiver, calling_ae_title, first_object_at, last_object_at, area, modality)"
    f" VALUES (COALESCE(?, {NEXT_SESSION}), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_STATUSES = {
    SessionArea.PREARCHIVE: SessionStatus.RECEIVING,
    SessionArea.ARCHIVE: SessionStatus.ARCHIVED,
    SessionArea.TRASH: SessionStatus.DELETED,
}


@dataclass(frozen=True, slots=True)
class Adopted:
    """The changes of an adoption."""

    objects: int = 0
    """Objects that got a row."""
    renamed: int = 0
    """Rows that say where their object is now."""
    second_names: int = 0
    """Names removed of objects that are still where their rows say."""

    def plus(self, differences: Differences) -> Adopted:
        """Return these counts with those of one session."""
        return Adopted(
            self.objects + len(differences.unknown),
            self.renamed + len(differences.moved),
            self.second_names + len(differences.second_names),
        )


def adopt_findings(
    session_context: SessionContext,
    found: Audit,
    progress: Callable[[int, int], object] = lambda _done, _all: None,
    jobs: int | None = None,
) -> Adopted:
    """Change the index to match the disk, and return what that changed.

    Rows without an object stay as they are: only a person can know where it went.

    Args:
        session_context: the index and the trees.
        found: the findings.
        progress: called with the number of unknown sessions that are read, and of all.
        jobs: as `adopt_folders` takes it.
    """
    adopted = Adopted()
    for findings in found.sessions:
        session = session_context.ledger.session(findings.session)
        try:
            require_rows(session_context, session.id, accept_loss=True)
        except SessionError as error:
            _logger.warning("session %d stays as it is: %s", session.id, error.detail)
            continue
        differences = reconcile.adopt(session_context, session, FOUND_BY_CHECK)
        session_context.ledger.recount(session.id)
        adopted = adopted.plus(differences)
    more = adopt_folders(session_context, found.unknown_folders, progress, jobs)
    return replace(adopted, objects=adopted.objects + more)


def adopt_folders(
    session_context: SessionContext,
    folders: Sequence[UnknownFolder],
    progress: Callable[[int, int], object] = lambda _done, _all: None,
    jobs: int | None = None,
) -> int:
    """Give sessions on disk, and all their objects, their rows; return how many objects.

    Args:
        session_context: the index and the trees.
        folders: of the sessions.
        progress: called with the number of sessions that are done, and of all.
        jobs: the number of processes that read; None for one for each core, if there are many.
    """
    tasks = [
        _Folder(one.area, one.folder, session_context.areas.path(one.area, one.folder))
        for one in folders
    ]
    adopted = waiting = 0
    batch: list[_FoundSession] = []
    processes = processes_for(jobs, is_worth=len(tasks) >= WORTH_PROCESSES)
    for done, found in enumerate(spread(_read_folder, tasks, processes=processes), start=1):
        batch.append(found)
        waiting += len(found.objects)
        adopted += found.files
        # One flush of the log for many sessions.
        if waiting >= ROWS_AT_ONCE or done == len(tasks):
            _insert(session_context, batch)
            batch, waiting = [], 0
        progress(done, len(tasks))
    session_context.index.objects_written.notify()
    return adopted


_LAST_OBJECT = "UPDATE sessions SET last_object_at = ? WHERE id = ?"


class _Folder(NamedTuple):
    """The folder of a session that no row knows."""

    area: SessionArea
    folder: str
    path: Path


class _FoundSession(NamedTuple):
    """The values of a session that its folder tells."""

    area: SessionArea
    folder: str
    files: int
    """How many objects there are."""
    project: str | None = None
    document: SessionDocument = SessionDocument()
    study_instance_uid: str = ""
    first_object_at: str = ""
    last_object_at: str = ""
    objects: Sequence[tuple[str, int, Identified]] = ()
    """File, size and file meta of each object whose name can be in the index."""


def _read_folder(task: _Folder) -> _FoundSession:
    """Read what the folder of a session tells; in any process."""
    area, folder, path = task
    status = reconcile.in_order_of_arrival(path, object_names(path, []))
    files = list(status)
    if not files:
        return _FoundSession(area, folder, 0)
    parts = folder.split("/")
    document = read_session_xml(document_of(path))
    if area is SessionArea.TRASH:
        project = document.project
    else:
        project = None if len(parts) == _UNASSIGNED_PARTS else parts[0]
    return _FoundSession(
        area=area,
        folder=folder,
        files=len(files),
        project=project,
        document=document,
        study_instance_uid=_study_instance_uid(path, files),
        first_object_at=_moment(status[files[0]]),
        last_object_at=_moment(status[files[-1]]),
        objects=[
            (name, one.st_size, reconcile.identify(f"{path}/{name}"))
            for name, one in status.items()
            if reconcile.is_text(name)  # the engine makes no other names
        ],
    )


def _moment(status: os.stat_result) -> str:
    return stamp(datetime.fromtimestamp(status.st_mtime, UTC))


def _insert(session_context: SessionContext, found: Iterable[_FoundSession]) -> None:
    at = session_context.clock.now().isoformat(timespec="microseconds")
    with session_context.index.changing() as connection:
        for one in found:
            if not one.files:
                continue
            number = connection.execute(_INSERT, _values(one, connection)).lastrowid
            assert number is not None
            insert_objects(connection, [_row(at, number, one.project, *o) for o in one.objects])
            if one.area is not SessionArea.PREARCHIVE:
                # The rows came now, the objects did not; a session that is received waits anew.
                last = (
                    origin.last_object_at if (origin := one.document.origin) else one.last_object_at
                )
                connection.execute(_LAST_OBJECT, (last, number))


def _values(one: _FoundSession, connection: sqlite3.Connection) -> tuple[object, ...]:
    """Return the values of a session's row."""
    document, origin = one.document, one.document.origin
    name = one.folder.rpartition("/")[2]
    label = document.label if safe_part(document.label) == name else name
    first, last = one.first_object_at, one.last_object_at
    if origin is None:
        number, came_by = None, ("", "")
    else:
        # A copy of a folder, made by a person, has the number of another session.
        is_given = connection.execute("SELECT 1 FROM sessions WHERE id = ?", (origin.session,))
        number = None if is_given.fetchone() else origin.session
        came_by = (origin.receiver, origin.calling_ae_title)
        first, last = origin.first_object_at, origin.last_object_at
    return (
        *(number, one.project, document.subject, label),
        *(one.study_instance_uid, one.folder, _STATUSES[one.area]),
        *(*came_by, first, last, one.area, document.modality),
    )


def _row(
    at: str, session: int, project: str | None, file: str, size: int, found: Identified
) -> ObjectRow:
    return reconcile.row_of_found(
        *(at, "", "", session, file, size, found),
        script_state(found.note, project),
        FOUND_BY_CHECK,
    )


def _study_instance_uid(folder: Path, files: Iterable[str]) -> str:
    for file in files:
        try:
            return read_stored(folder, file).study_instance_uid
        except (UnreadableObject, OSError):
            continue
    return ""
