"""Compares index and disk, session by session, and repairs the rows that a crash left behind.

The files are the truth. An object that was moved or renamed just before a crash is found by its
SOP instance, or its name; a second name of a file that is where its row says is a move that was
cut short.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.filereader import read_file_meta_info

from engine.dicom.part10 import own_meta
from engine.errors import SessionError
from engine.events import counted
from engine.index.writer import ObjectRow
from engine.model.anonymization import CREATOR_ELEMENT, CREATOR_UID, NOTE_ELEMENT, script_state
from engine.model.session import ObjectState, ProjectScript
from engine.sessions.folders.building import Moved
from engine.storage.files import object_names, remove_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from pydicom.dataset import FileMetaDataset

    from engine.host.clock import Clock
    from engine.index.session_reader import StoredRow
    from engine.model.session import Session
    from engine.sessions.context import SessionContext


SUCCESS = 0x0000
_BEGINNING_BYTES = 2048
"""Longer than the file meta that we write."""
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010
_CREATOR, _NOTE = CREATOR_ELEMENT & 0xFFFF, NOTE_ELEMENT & 0xFFFF


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
        if is_text(file)  # the engine makes no other names
    ]
    session_context.ledger.insert_missing_rows(rows)
    session_context.index.objects_written.notify()


def _row(path: Path, session: Session, file: str, reason: str, clock: Clock) -> ObjectRow:
    found = identify(path)
    return row_of_found(
        clock.now().isoformat(timespec="microseconds"),
        *(session.receiver, session.calling_ae_title, session.id, file, path.stat().st_size),
        found,
        script_state(found.note, session.project),
        reason,
    )


def row_of_found(
    at: str,
    receiver: str,
    calling_ae_title: str,
    session: int,
    file: str,
    size_bytes: int,
    found: Identified,
    project_script: ProjectScript,
    reason: str,
) -> ObjectRow:
    """Return the row of an object that was found on disk."""
    return ObjectRow(
        at=at,
        receiver=receiver,
        calling_ae_title=calling_ae_title,
        address="",
        association="",
        sop_class_uid=found.sop_class_uid,
        sop_instance_uid=found.sop_instance_uid,
        transfer_syntax_uid=found.transfer_syntax_uid,
        state=ObjectState.STORED,
        status=SUCCESS,
        reason=reason,
        session=session,
        file=file,
        bytes=size_bytes,
        project_script=project_script,
    )


def in_order_of_arrival(folder: Path, names: Iterable[str]) -> dict[str, os.stat_result]:
    """Return objects of a session by name, as building wants them.

    The time of the file is all that is left of their order.
    """
    status = {name: (folder / name).stat() for name in names}
    order = sorted(status, key=lambda name: (status[name].st_mtime, name.rpartition("/")[2]))
    return {name: status[name] for name in order}


def is_text(name: str) -> bool:
    """Tell whether a file name is UTF-8, as everything in the index is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def identify(path: Path | str) -> Identified:
    """Return what the file meta, which we wrote, says about an object; empty values if damaged."""
    try:
        found = own_meta(_beginning(path))
        if found is not None:
            is_ours = found.get(_CREATOR, b"").rstrip(b"\0 ") == CREATOR_UID.encode()
            return Identified(
                _uid(found[_SOP_CLASS]),
                _uid(found[_SOP_INSTANCE]),
                _uid(found[_TRANSFER_SYNTAX]),
                found.get(_NOTE, b"") if is_ours else b"",
            )
        # Slower by a factor of 20, and it reads what others may have written.
        meta = read_file_meta_info(path)
        return Identified(
            str(meta.get("MediaStorageSOPClassUID", "")),
            str(meta.get("MediaStorageSOPInstanceUID", "")),
            str(meta.get("TransferSyntaxUID", "")),
            _note_in(meta),
        )
    except Exception:  # pydicom raises errors of many kinds; one file must not end a recovery
        return Identified("", "", "", b"")


def _uid(value: bytes) -> str:
    return value.decode("ascii").rstrip("\0 ")


def _beginning(path: Path | str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(fd, _BEGINNING_BYTES)
    finally:
        os.close(fd)


def _note_in(meta: FileMetaDataset) -> bytes:
    note: bytes = meta.get("PrivateInformation", b"")
    return note if meta.get("PrivateInformationCreatorUID") == CREATOR_UID else b""


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
