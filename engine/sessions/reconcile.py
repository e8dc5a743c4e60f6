"""Index and disk compared, session by session: what is where, and what a crash left between them.

The files are the truth. An object that was moved or renamed just before a crash is found by its
SOP instance, or its name; a second name of a file that is where its row says is a move that was
cut short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from engine.model.file_note import CREATOR_UID
from engine.sessions.building import Moved
from engine.sessions.files import object_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydicom.dataset import FileMetaDataset

    from engine.model.session import Session
    from engine.sessions.ledger_reader import StoredRow
    from engine.sessions.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Identified:
    """What the file meta of an object says."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    note: bytes
    """What was done to it, as `engine.model.file_note` says it."""


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

    def __bool__(self) -> bool:
        return bool(self.moved or self.second_names or self.unknown or self.missing)


def compare(folder: Path, rows: Sequence[StoredRow]) -> Differences:
    """Compare the folder of a session with its rows; changes nothing."""
    known = {row.file for row in rows}
    present = {path.relative_to(folder).as_posix(): path for path in object_files(folder)}
    in_place = {_inode(present[file]) for file in known & present.keys()}
    lost = {row.file: row.sop_instance_uid for row in rows if row.file not in present}
    moved, second_names, unknown = [], [], []
    for file in sorted(present.keys() - known):
        if _inode(present[file]) in in_place:
            second_names.append(file)
        elif before := _before(file, identify(present[file]).sop_instance_uid, lost):
            moved.append(Moved(before, file))
            del lost[before]
        else:
            unknown.append(file)
    return Differences(tuple(moved), tuple(second_names), tuple(unknown), tuple(sorted(lost)))


def _before(file: str, sop_instance_uid: str, lost: Mapping[str, str]) -> str | None:
    """Return where an object was, by its SOP instance; a script may have changed that: by name."""
    same = (f for f, uid in lost.items() if uid == sop_instance_uid)
    name = file.rpartition("/")[2]
    return next(same, None) or next((f for f in lost if f.rpartition("/")[2] == name), None)


def repair(workplace: Workplace, session: Session) -> Differences:
    """Bring a session's rows to what a crash left on the disk, and return how they differed.

    What has no row, and rows without an object, are left for somebody to decide on.
    """
    folder = workplace.areas.folder(session)
    differences = compare(folder, workplace.ledger.stored_rows(session.id))
    workplace.ledger.note_files(session.id, differences.moved)
    for name in differences.second_names:
        (folder / name).unlink()
    return differences


def identify(path: Path) -> Identified:
    """Return what the file meta, which is our own, says about an object."""
    try:
        meta = read_file_meta_info(path)
    except (InvalidDicomError, OSError, EOFError, ValueError):
        return Identified("", "", "", b"")
    return Identified(
        str(meta.get("MediaStorageSOPClassUID", "")),
        str(meta.get("MediaStorageSOPInstanceUID", "")),
        str(meta.get("TransferSyntaxUID", "")),
        _note_in(meta),
    )


def _note_in(meta: FileMetaDataset) -> bytes:
    if meta.get("PrivateInformationCreatorUID", "") != CREATOR_UID:
        return b""
    note = meta.get("PrivateInformation", b"")
    return note if isinstance(note, bytes) else b""


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
