"""Compares index and disk, session by session, and repairs the rows that a crash left behind.

The files are the truth. An object that was moved or renamed just before a crash is found by its
SOP instance, or its name; a second name of a file that is where its row says is a move that was
cut short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.filereader import read_file_meta_info

from engine.errors import SessionError
from engine.events import counted
from engine.index.store import SESSION_COLUMNS, session_of
from engine.index.writer import ObjectRow
from engine.model.anonymization import CREATOR_UID, script_state
from engine.model.identity import TIMESTAMP
from engine.model.session import ObjectState, SessionArea, SessionStatus
from engine.sessions.folders.building import Moved
from engine.storage.files import object_files, object_names, remove_file
from engine.storage.scans import SCANS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydicom.dataset import FileMetaDataset

    from engine.host.clock import Clock
    from engine.index.session_reader import Connection, StoredRow
    from engine.model.session import Session
    from engine.sessions.context import SessionContext
    from engine.sessions.ledger import SessionRepository
    from engine.storage.areas import Areas


SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class Identified:
    """The values in the file meta of an object."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    note: bytes
    """The note about its anonymization, as `engine.model.anonymization` writes it."""


@dataclass(frozen=True, slots=True)
class Differences:
    """How a session's rows and its folder differ; every file relative to the folder."""

    moved: tuple[Moved, ...] = ()
    """Objects under another name than their row says."""
    second_names: tuple[str, ...] = ()
    """Further names of objects that are where their row says."""
    unknown: tuple[str, ...] = ()
    """Objects without a row."""
    missing: tuple[str, ...] = ()
    """Rows without an object."""
    unreadable: tuple[str, ...] = ()
    """Files that can't be read, with a row or without: they may be objects."""

    def __bool__(self) -> bool:
        names = (self.moved, self.second_names, self.unknown, self.missing, self.unreadable)
        return any(names)


def compare(folder: Path, rows: Sequence[StoredRow], *, by_name: bool = False) -> Differences:
    """Compare the folder of a session with its rows; changes nothing.

    Args:
        folder: the session's folder.
        rows: the rows of its objects.
        by_name: whether files with a row count as objects, so that only the others are opened.
    """
    known = {row.file for row in rows}
    unreadable: list[str] = []
    present = set(object_names(folder, unreadable, known if by_name else ()))
    there = present.union(unreadable)
    lost = {row.file: row.sop_instance_uid for row in rows if row.file not in there}
    moved, second_names, unknown = [], [], []
    beside = sorted(present - known)
    # By inode, without reading any file: a second name has the same one.
    in_place = {_inode(folder / file) for file in known & present} if beside else set()
    for file in beside:
        # Before anything is read: its file meta would name the object that is in place.
        if _inode(folder / file) in in_place:
            second_names.append(file)
        elif before := _before(file, folder, lost):
            moved.append(Moved(before, file))
            del lost[before]
        else:
            unknown.append(file)
    if lost:
        for row in rows:
            if row.file in lost and (after := _where_replaced(row, rows, present)):
                moved.append(Moved(row.file, after))
                del lost[row.file]
    return Differences(
        *(tuple(moved), tuple(second_names), tuple(unknown)),
        *(tuple(sorted(lost)), tuple(sorted(unreadable))),
    )


def require_readable(differences: Differences) -> None:
    """Check that all files could be read: one that can't be read may be an object.

    Raises:
        SessionError: if there are unreadable files.
    """
    count = len(differences.unreadable)
    if count:
        raise SessionError(
            f"{counted(count, 'file')} in its folder can't be read; check disk and permissions,"
            " then rebuild the session"
        )


def _before(file: str, folder: Path, lost: Mapping[str, str]) -> str | None:
    """Return where an object was, by its SOP instance; a script may have changed that: by name."""
    if not lost:
        return None
    sop_instance_uid = identify(folder / file).sop_instance_uid
    same = (f for f, uid in lost.items() if uid == sop_instance_uid)
    name = file.rpartition("/")[2]
    return next(same, None) or next((f for f in lost if f.rpartition("/")[2] == name), None)


def _where_replaced(
    row: StoredRow, rows: Sequence[StoredRow], present: Collection[str]
) -> str | None:
    """Return where an object is that replaced a file which a build moved at that moment.

    The build moves the file with its new content, and renames the rows that it knew: those of what
    was replaced. The file is in another folder since, under the same name if that was free.
    """
    if not row.replaces:
        return None
    folder, _, name = row.file.rpartition("/")
    found = [
        other.file
        for other in rows
        if other.sop_instance_uid == row.sop_instance_uid
        and other.file in present
        and other.file.rpartition("/")[0] != folder
    ]
    same_name = [file for file in found if file.rpartition("/")[2] == name]
    return next(iter(same_name or found), None)


def differences_of(
    session_context: SessionContext, session: Session, *, by_name: bool = False
) -> Differences:
    """Compare a session's folder with its rows, as `compare` does; changes nothing."""
    rows = session_context.ledger.stored_rows(session.id)
    return compare(session_context.areas.folder(session), rows, by_name=by_name)


def repair(
    session_context: SessionContext, session: Session, differences: Differences | None = None
) -> Differences:
    """Change a session's rows to match what a crash left on the disk; return how they differed.

    Objects without a row, and rows without an object, stay as they are.
    """
    found = differences_of(session_context, session) if differences is None else differences
    session_context.ledger.note_files(session.id, found.moved)
    for name in found.second_names:
        path = session_context.areas.folder(session) / name
        remove_file(path, roots=session_context.areas.roots)
    return found


def adopt(
    session_context: SessionContext,
    session: Session,
    reason: str,
    differences: Differences | None = None,
) -> Differences:
    """Repair a session's rows, and give the objects that have none a row with a reason.

    No object may be on its way into the session; rows without an object are left as they are.

    Args:
        session_context: the index and the trees.
        session: the session's row.
        reason: how the objects were found.
        differences: the result of `compare`, if the caller has it already.
    """
    found = repair(session_context, session, differences)
    insert_missing_rows(session_context, session, found.unknown, reason)
    return found


def insert_missing_rows(
    session_context: SessionContext, session: Session, files: Iterable[str], reason: str
) -> None:
    """Give objects of a session that have no row one that says how they were found."""
    folder = session_context.areas.folder(session)
    rows = [
        _row(folder / file, session, file, reason, session_context.clock)
        for file in files
        if _is_text(file)  # the engine makes no other names
    ]
    session_context.ledger.insert_missing_rows(rows)
    session_context.index.objects_written.notify()


def _row(path: Path, session: Session, file: str, reason: str, clock: Clock) -> ObjectRow:
    found = identify(path)
    return ObjectRow(
        at=clock.now().isoformat(timespec="microseconds"),
        receiver=session.receiver,
        calling_ae_title=session.calling_ae_title,
        address="",
        association="",
        sop_class_uid=found.sop_class_uid,
        sop_instance_uid=found.sop_instance_uid,
        transfer_syntax_uid=found.transfer_syntax_uid,
        state=ObjectState.STORED,
        status=SUCCESS,
        reason=reason,
        session=session.id,
        file=file,
        bytes=path.stat().st_size,
        project_script=script_state(found.note, session.project),
    )


def _is_text(name: str) -> bool:
    """Tell whether a file name is UTF-8, as everything in the index is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def identify(path: Path) -> Identified:
    """Return what the file meta, which we wrote, says about an object; empty values if damaged."""
    try:
        meta = read_file_meta_info(path)
        return Identified(
            str(meta.get("MediaStorageSOPClassUID", "")),
            str(meta.get("MediaStorageSOPInstanceUID", "")),
            str(meta.get("TransferSyntaxUID", "")),
            _note_in(meta),
        )
    except Exception:  # pydicom raises errors of many kinds; one file must not end a recovery
        return Identified("", "", "", b"")


def _note_in(meta: FileMetaDataset) -> bytes:
    note: bytes = meta.get("PrivateInformation", b"")
    return note if meta.get("PrivateInformationCreatorUID") == CREATOR_UID else b""


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


IDLE_STATUSES = frozenset(
    (SessionStatus.READY, SessionStatus.CONFLICT, SessionStatus.ERROR, SessionStatus.ARCHIVED)
)
"""States in which a running engine changes nothing unless a request or an object comes."""

# XNAT 9.1: <timestamp>/<session> or <project>/<timestamp>/<session>; 9.2:
# <project>/arc001/<session>.
_DEPTHS = {
    SessionArea.PREARCHIVE: ("*/*", "*/*/*"),
    SessionArea.ARCHIVE: ("*/*/*",),
}


@dataclass(frozen=True, slots=True)
class ReceiverBalance:
    """The objects of one receiver by their final state."""

    receiver: str
    received: int
    states: dict[str, int]

    @property
    def add_up(self) -> bool:
        """Whether every received object ended in exactly one known state."""
        known = sum(self.states.get(state, 0) for state in ObjectState)
        return self.received == known


@dataclass(frozen=True, slots=True)
class SessionFindings:
    """How the rows of one session differ from its folder and from its count."""

    session: int
    differences: Differences
    counted: int
    """Objects by the session's row."""
    stored: int
    """Objects by their own rows."""


@dataclass(frozen=True, slots=True)
class UnknownFolder:
    """A session's folder that holds objects and that no row knows."""

    area: SessionArea
    folder: str


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that was found."""

    receivers: tuple[ReceiverBalance, ...]
    sessions: tuple[SessionFindings, ...]
    """Only those with findings."""
    unknown_folders: tuple[UnknownFolder, ...]
    looked_at: int
    passed_over: int
    """Sessions that are just being received or worked on."""

    @property
    def agrees(self) -> bool:
        """Whether index and disk say the same, and all counts add up."""
        return not self.sessions and not self.unknown_folders and self.adds_up

    @property
    def adds_up(self) -> bool:
        """Whether the sum rule holds for every receiver."""
        return all(counts.add_up for counts in self.receivers)


def audit(index: Connection, ledger: SessionRepository, areas: Areas, *, live: bool) -> Audit:
    """Compare an index with its trees.

    Args:
        index: the index.
        ledger: the sessions in it.
        areas: the trees.
        live: whether an engine runs. Sessions that it may change meanwhile are skipped then.
    """
    with index.changing() as connection:
        rows = connection.execute(f"SELECT {SESSION_COLUMNS} FROM sessions ORDER BY id").fetchall()
    sessions = [session_of(row) for row in rows]
    looked_at = [s for s in sessions if s.status in IDLE_STATUSES or not live]
    findings = (_findings(session, ledger, areas) for session in looked_at)
    return Audit(
        receivers=tuple(_counts(index)),
        sessions=tuple(f for f in findings if f.differences or f.counted != f.stored),
        unknown_folders=tuple(_unknown_folders(sessions, areas)),
        looked_at=len(looked_at),
        passed_over=len(sessions) - len(looked_at),
    )


def _findings(session: Session, ledger: SessionRepository, areas: Areas) -> SessionFindings:
    rows = ledger.stored_rows(session.id)
    differences = compare(areas.folder(session), rows)
    return SessionFindings(session.id, differences, session.objects, len(rows))


def _counts(index: Connection) -> Iterator[ReceiverBalance]:
    sql = "SELECT receiver, state, COUNT(*) FROM objects GROUP BY receiver, state ORDER BY receiver"
    with index.changing() as connection:
        rows = connection.execute(sql).fetchall()
    states: dict[str, dict[str, int]] = {}
    for receiver, state, count in rows:
        states.setdefault(receiver, {})[state] = count
    for receiver, counts in states.items():
        yield ReceiverBalance(receiver, sum(counts.values()), counts)


def _unknown_folders(sessions: list[Session], areas: Areas) -> Iterator[UnknownFolder]:
    known = {(session.area, session.folder) for session in sessions}
    for area, depths in _DEPTHS.items():
        root = areas.path(area, ".")
        for depth in depths:
            for scans in sorted(root.glob(f"{depth}/{SCANS}")):
                folder = scans.parent.relative_to(root)
                if not _is_session(area, folder) or (area, folder.as_posix()) in known:
                    continue
                # A crash may leave empty folders, which are no findings.
                unreadable: list[Path] = []
                if any(object_files(scans.parent, unreadable)) or unreadable:
                    yield UnknownFolder(area, folder.as_posix())


def _is_session(area: SessionArea, folder: Path) -> bool:
    """Return whether a folder is a session's place: its label may be the name of scans, too."""
    return area is SessionArea.ARCHIVE or TIMESTAMP.fullmatch(folder.parts[-2]) is not None
