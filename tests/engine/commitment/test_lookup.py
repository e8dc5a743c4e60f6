"""Which objects are committed: by the state of their sessions, and by what is on the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.commitment.lookup import CommitmentLookup, SessionBusy
from engine.index.arrivals import FiledRow
from engine.model.session import ObjectState, SessionArea, SessionStatus
from engine.storage.areas import Areas

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
WHOLE = bytes(128) + b"DICM" + b"the rest"
PREARCHIVE, ARCHIVE, TRASH = SessionArea.PREARCHIVE, SessionArea.ARCHIVE, SessionArea.TRASH
STORED, READY = ObjectState.STORED, SessionStatus.READY


class Index:
    """Rows by their SOP Instance UID; each look takes the next of several answers."""

    def __init__(self, *looks: list[FiledRow]) -> None:
        self._looks = list(looks)

    def filed(self, _: str) -> tuple[FiledRow, ...]:
        return tuple(self._looks.pop(0) if len(self._looks) > 1 else self._looks[0])


def row(**changes: Any) -> FiledRow:
    return FiledRow(CT, STORED, PREARCHIVE, "P/S", READY, "1.dcm")._replace(**changes)


def lookup(folder: Path, index: Index, *, flushes: bool = False) -> CommitmentLookup:
    areas = Areas(folder / "prearchive", folder / "archive", folder / "trash")
    return CommitmentLookup(index, areas, flushes=flushes)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a file in each area."""
    for area in SessionArea:
        session = tmp_path / area / "P" / "S"
        session.mkdir(parents=True)
        (session / "1.dcm").write_bytes(WHOLE)
    return tmp_path


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row()], 0),
        ([row(area=ARCHIVE, status=SessionStatus.ARCHIVED)], 0),
        ([row(status=SessionStatus.MOVING)], 0),
        # A file that is here counts, whatever else has become of the instance.
        ([row(state=ObjectState.DUPLICATE, file=""), row(file="gone.dcm"), row(area=ARCHIVE)], 0),
        ([], 0x0112),
        ([row(state=ObjectState.FILTERED, area=None, status=None, file="")], 0x0112),
        ([row(state=ObjectState.QUARANTINED, area=None, status=None)], 0x0112),
        ([row(area=TRASH, status=SessionStatus.DELETED)], 0x0112),
        ([row(status=SessionStatus.QUEUED_DELETING)], 0x0112),
        ([row(sop_class_uid=MR)], 0x0119),
        ([row(file="gone.dcm")], 0x0110),
    ],
)
def test_what_is_here_is_committed(folder: Path, rows: list[FiledRow], reason: int) -> None:
    failures = lookup(folder, Index(rows)).failures(((CT, "1.2.3"),))
    assert failures == ({0: reason} if reason else {})


def test_what_is_no_whole_file_is_not_committed(folder: Path) -> None:
    file = folder / "prearchive" / "P" / "S" / "1.dcm"
    file.write_bytes(WHOLE[:130])
    references = ((CT, "1.2.3"),)
    assert lookup(folder, Index([row()])).failures(references) == {0: 0x0110}
    file.unlink()
    file.symlink_to(folder / "archive" / "P" / "S" / "1.dcm")
    assert lookup(folder, Index([row()])).failures(references) == {0: 0x0110}
    file.unlink()
    os.mkfifo(file)
    assert lookup(folder, Index([row()])).failures(references) == {0: 0x0110}


def test_a_session_that_is_being_moved_is_looked_up_again(folder: Path) -> None:
    gone, references = row(folder="P/OLD"), ((CT, "1.2.3"),)
    # Moved between the two looks.
    assert lookup(folder, Index([gone], [row()])).failures(references) == {}
    with pytest.raises(SessionBusy):
        busy = row(folder="P/OLD", status=SessionStatus.ARCHIVING)
        lookup(folder, Index([busy])).failures(references)


def test_files_are_flushed_if_their_receipt_does_not_do_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = list[str]()

    def flush(fd: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{fd}").readlink()))

    monkeypatch.setattr(os, "fsync", flush)
    references = ((CT, "1.2.3"), (CT, "1.2.4"))
    lookup(folder, Index([row()])).failures(references)
    assert flushed == []
    lookup(folder, Index([row()]), flushes=True).failures(references)
    session = str(folder / "prearchive" / "P" / "S")
    assert flushed == [f"{session}/1.dcm", f"{session}/1.dcm", session]
