"""How a session's rows and its folder differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.intake.file_meta import FileMeta
from engine.sessions.building import Moved
from engine.sessions.ledger_reader import StoredRow
from engine.sessions.reconcile import Differences, compare
from tests import dicom

if TYPE_CHECKING:
    from pathlib import Path

A, B = "SCANS/4/DICOM/a.dcm", "SCANS/4/secondary/b.dcm"


def put(folder: Path, file: str, uid: str) -> Path:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, dicom.EXPLICIT_VR_LITTLE_ENDIAN, "CT", "XNAT")
    path.write_bytes(meta.preamble(uid))
    return path


def row(file: str, uid: str) -> StoredRow:
    return StoredRow(file, uid, bytes=0)


def test_a_folder_that_is_as_its_rows_say_does_not_differ(tmp_path: Path) -> None:
    put(tmp_path, A, "1.2.3")
    assert not compare(tmp_path, [row(A, "1.2.3")])


@pytest.mark.parametrize("file", [B, A.replace("4", "5")], ids=["by its UID", "by its name"])
def test_an_object_under_another_name_is_found(tmp_path: Path, file: str) -> None:
    put(tmp_path, file, "1.2.3" if file == B else "2.25.7")
    found = compare(tmp_path, [row(A, "1.2.3")])
    assert found == Differences(moved=(Moved(A, file),))
    assert found


def test_a_second_name_an_object_without_a_row_and_a_row_without_one_are_told_apart(
    tmp_path: Path,
) -> None:
    (tmp_path / "SCANS/4/secondary").mkdir(parents=True)
    (tmp_path / B).hardlink_to(put(tmp_path, A, "1.2.3"))
    put(tmp_path, "SCANS/5/DICOM/c.dcm", "1.2.4")
    found = compare(tmp_path, [row(A, "1.2.3"), row("SCANS/6/DICOM/d.dcm", "1.2.5")])
    assert found == Differences(
        second_names=(B,), unknown=("SCANS/5/DICOM/c.dcm",), missing=("SCANS/6/DICOM/d.dcm",)
    )


@pytest.mark.parametrize(
    "found",
    [Differences(second_names=(A,)), Differences(unknown=(A,)), Differences(missing=(A,))],
)
def test_one_difference_is_enough(found: Differences) -> None:
    assert found
