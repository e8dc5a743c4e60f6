"""Objects and sessions that are on disk but not in the index, taken into it; nothing is removed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from engine.errors import UnreadableObject
from engine.model.session import SessionArea, SessionStatus
from engine.sessions import reconcile
from engine.sessions.building import document_of
from engine.sessions.files import object_files
from engine.sessions.migrations import NEXT_SESSION
from engine.sessions.moments import stamp
from engine.sessions.session_xml import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.sessions.audit import Audit, UnknownFolder
    from engine.sessions.reconcile import Differences
    from engine.sessions.workplace import Workplace

REASON = "found on disk by a check"
_UNASSIGNED_PARTS = 2
"""``<timestamp>/<session>``: a session's folder without a project (XNAT 9.1)."""
_INSERT = (
    "INSERT INTO sessions (id, project, subject, label, study_instance_uid, folder, status,"
    " receiver, calling_ae_title, first_object_at, last_object_at, area)"
    f" VALUES ({NEXT_SESSION}, ?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Adopted:
    """What an adoption changed."""

    objects: int = 0
    """That have rows now."""
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


def adopt_findings(workplace: Workplace, found: Audit) -> Adopted:
    """Bring the index to what the disk says, and return what that changed.

    Rows without an object stay as they are: only a person can know where it went.
    """
    adopted = Adopted()
    for findings in found.sessions:
        session = workplace.ledger.session(findings.session)
        differences = reconcile.adopt(workplace, session, REASON)
        workplace.ledger.recount(session.id)
        adopted = adopted.plus(differences)
    more = adopt_folders(workplace, found.unknown_folders)
    return replace(adopted, objects=adopted.objects + more)


def adopt_folders(workplace: Workplace, folders: Iterable[UnknownFolder]) -> int:
    """Give sessions on disk, and all their objects, their rows; return how many objects."""
    adopted = 0
    for unknown in folders:
        folder = workplace.areas.path(unknown.area, unknown.folder)
        files = sorted(object_files(folder, []), key=lambda path: (path.stat().st_mtime, path.name))
        if not files:
            continue
        session = workplace.ledger.session(_insert(workplace, unknown, folder, files))
        names = (path.relative_to(folder).as_posix() for path in files)
        reconcile.give_rows(workplace, session, names, REASON)
        adopted += len(files)
    return adopted


def _insert(workplace: Workplace, unknown: UnknownFolder, folder: Path, files: list[Path]) -> int:
    parts = unknown.folder.split("/")
    archived = unknown.area is SessionArea.ARCHIVE
    moments = [datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in files]
    values = (
        None if len(parts) == _UNASSIGNED_PARTS else parts[0],
        _subject(folder),
        parts[-1],
        _study_instance_uid(workplace, folder, files),
        unknown.folder,
        SessionStatus.ARCHIVED if archived else SessionStatus.RECEIVING,
        *(stamp(min(moments)), stamp(max(moments)), unknown.area),
    )
    with workplace.index.changing() as connection:
        number = connection.execute(_INSERT, values).lastrowid
    assert number is not None
    return number


def _subject(folder: Path) -> str | None:
    """Return the subject that the session's document names; None if it was never built."""
    try:
        return ET.parse(document_of(folder)).getroot().findtext(f"{{{NAMESPACE}}}dcmSubject")
    except (OSError, ET.ParseError):
        return None


def _study_instance_uid(workplace: Workplace, folder: Path, files: list[Path]) -> str:
    for path in files:
        try:
            return workplace.read(folder, path.relative_to(folder).as_posix()).study_instance_uid
        except (UnreadableObject, OSError):
            continue
    return ""
