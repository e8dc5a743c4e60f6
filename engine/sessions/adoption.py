"""Gives objects that a check found on disk their rows, and sessions that no row knows theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from engine.errors import UnreadableObject
from engine.index.schema import NEXT_SESSION
from engine.model.session import SessionArea, SessionStatus
from engine.sessions import reconcile
from engine.sessions.folders.documents import XNAT_NAMESPACE
from engine.state.database import stamp
from engine.storage.areas import document_of
from engine.storage.files import object_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.sessions.context import SessionContext
    from engine.sessions.reconcile import Audit, Differences, UnknownFolder


FOUND_BY_CHECK = "found on disk by a check"
_UNASSIGNED_PARTS = 2
"""``<timestamp>/<session>``: a session's folder without a project (XNAT 9.1)."""
_INSERT = (
    "INSERT INTO sessions (id, project, subject, label, study_instance_uid, folder, status,"
    " receiver, calling_ae_title, first_object_at, last_object_at, area)"
    f" VALUES ({NEXT_SESSION}, ?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)"
)


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


def adopt_findings(session_context: SessionContext, found: Audit) -> Adopted:
    """Change the index to match the disk, and return what that changed.

    Rows without an object stay as they are: only a person can know where it went.
    """
    adopted = Adopted()
    for findings in found.sessions:
        session = session_context.ledger.session(findings.session)
        differences = reconcile.adopt(session_context, session, FOUND_BY_CHECK)
        session_context.ledger.recount(session.id)
        adopted = adopted.plus(differences)
    more = adopt_folders(session_context, found.unknown_folders)
    return replace(adopted, objects=adopted.objects + more)


def adopt_folders(session_context: SessionContext, folders: Iterable[UnknownFolder]) -> int:
    """Give sessions on disk, and all their objects, their rows; return how many objects."""
    adopted = 0
    for unknown in folders:
        folder = session_context.areas.path(unknown.area, unknown.folder)
        # In the order of arrival, as building wants them: the time of the file is all that is left
        # of it.
        files = sorted(object_files(folder, []), key=lambda path: (path.stat().st_mtime, path.name))
        if not files:
            continue
        session = session_context.ledger.session(_insert(session_context, unknown, folder, files))
        names = (path.relative_to(folder).as_posix() for path in files)
        reconcile.insert_missing_rows(session_context, session, names, FOUND_BY_CHECK)
        adopted += len(files)
    return adopted


def _insert(
    session_context: SessionContext, unknown: UnknownFolder, folder: Path, files: list[Path]
) -> int:
    parts = unknown.folder.split("/")
    archived = unknown.area is SessionArea.ARCHIVE
    moments = [datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in files]
    values = (
        None if len(parts) == _UNASSIGNED_PARTS else parts[0],
        _subject(folder),
        parts[-1],
        _study_instance_uid(session_context, folder, files),
        unknown.folder,
        SessionStatus.ARCHIVED if archived else SessionStatus.RECEIVING,
        *(stamp(min(moments)), stamp(max(moments)), unknown.area),
    )
    with session_context.index.changing() as connection:
        number = connection.execute(_INSERT, values).lastrowid
    assert number is not None
    return number


def _subject(folder: Path) -> str | None:
    """Return the subject that the session's document names; None if it was never built."""
    try:
        return ET.parse(document_of(folder)).getroot().findtext(f"{{{XNAT_NAMESPACE}}}dcmSubject")
    except (OSError, ET.ParseError):
        return None


def _study_instance_uid(session_context: SessionContext, folder: Path, files: list[Path]) -> str:
    for path in files:
        try:
            return session_context.read(
                folder, path.relative_to(folder).as_posix()
            ).study_instance_uid
        except (UnreadableObject, OSError):
            continue
    return ""
