"""How a session's rows and its folder differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.dicom.part10 import FileMeta
from engine.index.session_reader import StoredRow
from engine.model.anonymization import CREATOR_UID, EXEMPT
from engine.sessions.folders.building import Moved
from engine.sessions.reconcile import Differences, Identified, compare, identify
from tests import dicom

if TYPE_CHECKING:
    from pathlib import Path

VR = (b"\2\0\x10\0UI", b"\2\0\x10\0XX")
"""A value representation of the file meta, and what a damaged disk makes of it."""
UNIDENTIFIED = Identified("", "", "", b"")
A, B = "SCANS/4/DICOM/a.dcm", "SCANS/4/secondary/b.dcm"


def meta(uid: str, *, anonymization: bool = True) -> bytes:
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    before = FileMeta(dicom.CT_IMAGE_STORAGE, syntax, "CT", "XNAT", anonymization=anonymization)
    return before.preamble(uid)


def put(folder: Path, file: str, uid: str) -> Path:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(meta(uid))
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


@pytest.mark.parametrize(
    ("whole", "damaged"),
    [VR, (b"\2\0\0\0UL\4\0", b"\2\0\0\0UL\2\0"), (b"DICM", b"")],
    ids=["a VR", "a length", "the prefix"],
)
def test_a_file_whose_meta_is_damaged_is_identified_as_nothing(
    tmp_path: Path, whole: bytes, damaged: bytes
) -> None:
    (tmp_path / "a.dcm").write_bytes(meta("1.2.3").replace(whole, damaged, 1))
    assert identify(tmp_path / "a.dcm") == UNIDENTIFIED


def test_an_object_whose_file_meta_is_damaged_is_found_by_its_name_only(tmp_path: Path) -> None:
    path = put(tmp_path, B, "1.2.3")
    path.write_bytes(path.read_bytes().replace(*VR, 1))
    found = compare(tmp_path, [row(A, "1.2.3"), row("SCANS/7/DICOM/b.dcm", "1.2.4")])
    assert found == Differences(moved=(Moved("SCANS/7/DICOM/b.dcm", B),), missing=(A,))


def test_a_file_that_is_gone_is_identified_as_nothing(tmp_path: Path) -> None:
    assert identify(tmp_path / "gone.dcm") == UNIDENTIFIED


@pytest.mark.parametrize(
    ("before", "after", "note"),
    [
        (b"", b"", EXEMPT),
        (CREATOR_UID.encode(), CREATOR_UID.replace("9", "8").encode(), b""),
    ],
    ids=["ours", "another program's"],
)
def test_a_note_in_a_file_counts_if_its_creator_is_this_program(
    tmp_path: Path, before: bytes, after: bytes, note: bytes
) -> None:
    (tmp_path / "a.dcm").write_bytes(meta("1.2.3", anonymization=False).replace(before, after))
    found = identify(tmp_path / "a.dcm")
    expected = (dicom.CT_IMAGE_STORAGE, "1.2.3", dicom.EXPLICIT_VR_LITTLE_ENDIAN, note)
    assert found == Identified(*expected)
