"""What a file says of its anonymization, and what that means where it is now."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from engine.anonymize import Profile, edit_file
from engine.dicom.part10 import FileMeta
from engine.model.anonymization import EXEMPT, done_for, script_state
from engine.model.session import ProjectScript
from engine.sessions.reconcile import identify
from tests import dicom

if TYPE_CHECKING:
    from pathlib import Path

S = ProjectScript


@pytest.mark.parametrize(
    ("note", "project", "meaning"),
    [
        (b"", "P1", S.DUE),
        (EXEMPT, "P1", S.EXEMPT),
        (EXEMPT, None, S.EXEMPT),
        (done_for("P1"), "P1", S.DONE),
        (done_for("P12"), "P12", S.DONE),
        (done_for("P1"), "P2", S.DUE),
        (done_for("P1"), None, S.DUE),
        (b"anything else", "P1", S.DUE),
    ],
)
def test_a_note_counts_where_its_object_is_now(
    note: bytes, project: str | None, meaning: ProjectScript
) -> None:
    assert len(note) % 2 == 0 or note == b"anything else"
    assert script_state(note, project) is meaning


def stored(path: Path, *, anonymization: bool = True) -> Path:
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, syntax, "CT", "XNAT", anonymization=anonymization)
    path.write_bytes(meta.preamble("1.2.3") + dicom.image())
    return path


def test_a_file_without_anonymization_says_so_and_others_say_nothing(tmp_path: Path) -> None:
    assert identify(stored(tmp_path / "raw.dcm", anonymization=False)).note == EXEMPT
    assert identify(stored(tmp_path / "in.dcm")).note == b""
    content = (tmp_path / "raw.dcm").read_bytes()
    assert dcmread(io.BytesIO(content)).PatientName == "Doe^Jane"


def test_what_a_project_did_is_noted_even_behind_a_profile_that_clears_the_file_meta(
    tmp_path: Path,
) -> None:
    source, target = stored(tmp_path / "in.dcm"), tmp_path / "out.dcm"
    edit_file(source, target, [Profile()], {}, done_for="P1")
    assert identify(target).note == done_for("P1")
    assert dcmread(target).file_meta.get("SourceApplicationEntityTitle") is None
