"""A session built from real files: places, catalogs, document, and what a crash leaves."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from engine.dicom.part10 import FileMeta
from engine.errors import UnreadableObject
from engine.model.session import Session, SessionStatus
from engine.sessions.folders import building
from engine.sessions.folders.building import Moved, build
from engine.sessions.folders.stored_objects import read_stored
from engine.storage import files
from engine.storage.areas import document_of
from tests import dicom

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.sessions.folders.documents import BuiltSession

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
CAT = "{http://nrg.wustl.edu/catalog}"
XNAT = "{http://nrg.wustl.edu/xnat}"
RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"


def make_session(**changes: object) -> Session:
    values: dict[str, object] = {
        "id": 1,
        "project": "NEURO-01",
        "subject": "S0041",
        "label": "S0041_CT_01",
        "study_instance_uid": "1.2.826.0.1.3680043.8.498.2",
        "folder": "NEURO-01/20260824_140322000/S0041_CT_01",
        "status": SessionStatus.BUILDING,
        "receiver": "XNAT:8104",
        "calling_ae_title": "CT_SCANNER_1",
        "first_object_at": NOW,
        "last_object_at": NOW,
        "objects": 0,
        "bytes": 0,
    }
    return Session(**values | changes)  # type: ignore[arg-type]


def put(folder: Path, file: str, **values: object) -> str:
    """Store an object as the engine does."""
    elements = {"SOPInstanceUID": f"1.2.3.{len(list(folder.rglob('*')))}"} | values
    sop_class = str(elements.get("SOPClassUID", dicom.CT_IMAGE_STORAGE))
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    preamble = FileMeta(sop_class, syntax, "CT", "XNAT").preamble(str(elements["SOPInstanceUID"]))
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(preamble + dicom.image(syntax, None, **elements))
    return file


def build_all(
    folder: Path, stored: Sequence[str], **changes: object
) -> tuple[BuiltSession, tuple[Moved, ...]]:
    objects = [read_stored(folder, file) for file in stored]
    moved: list[Moved] = []
    return build(make_session(**changes), folder, objects, moved, (folder.parent,)), tuple(moved)


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "S0041_CT_01"
    folder.mkdir()
    return folder


def test_a_built_session_has_a_catalog_per_resource_and_a_document_beside_it(folder: Path) -> None:
    stored = [
        put(folder, "SCANS/4/DICOM/a.dcm"),
        put(folder, "SCANS/4/DICOM/b.dcm", InstanceNumber="2"),
        put(folder, "SCANS/4/DICOM/c.dcm", SOPClassUID=RT_STRUCTURE_SET),
    ]
    _, moved = build_all(folder, stored)
    assert moved == (Moved("SCANS/4/DICOM/c.dcm", "SCANS/4/secondary/c.dcm"),)
    assert names(folder) == [
        "SCANS/4/DICOM/a.dcm",
        "SCANS/4/DICOM/b.dcm",
        "SCANS/4/DICOM/scan_4_catalog.xml",
        "SCANS/4/secondary/c.dcm",
        "SCANS/4/secondary/scan_4_secondary_catalog.xml",
    ]
    root = ET.parse(folder / "SCANS/4/DICOM/scan_4_catalog.xml").getroot()
    assert (root.tag, root.get("UID")) == (f"{CAT}DCMCatalog", "1.2.826.0.1.3680043.8.498.3")
    entries = [(e.get("URI"), e.get("instanceNumber")) for e in root.iter(f"{CAT}entry")]
    assert entries == [("a.dcm", "1"), ("b.dcm", "2")]


def test_the_document_tells_what_the_session_is(folder: Path) -> None:
    stored = [
        put(folder, "SCANS/4/DICOM/a.dcm", SeriesDescription="t1_mpr <&>", StudyTime="101500.25"),
        put(folder, "SCANS/4/DICOM/b.dcm", NumberOfFrames="7"),
    ]
    size = sum((folder / file).stat().st_size for file in stored)
    built, _ = build_all(folder, stored)
    assert (built.objects, built.bytes, built.modality) == (2, size, "CT")
    root = ET.parse(document_of(folder)).getroot()
    assert root.tag == f"{XNAT}CTSession"
    assert dict(root.attrib) == {
        "project": "NEURO-01",
        "label": "S0041_CT_01",
        "UID": "1.2.826.0.1.3680043.8.498.2",
        "modality": "CT",
    }
    told = {element.tag.removeprefix(XNAT): element.text for element in root.iter()}
    assert (told["date"], told["time"]) == ("2026-01-02", "10:15:00")
    assert (told["dcmSubject"], told["series_description"]) == ("S0041", "t1_mpr <&>")
    assert told["frames"] == "8"
    (scan,) = root.iter(f"{XNAT}scan")
    assert (scan.get("ID"), scan.get("type")) == ("4", "t1_mpr <&>")
    (resource,) = root.iter(f"{XNAT}file")
    assert (resource.get("file_count"), resource.get("file_size")) == ("2", str(size))


@pytest.mark.parametrize("text", ["\x01\x1b[2J", "]]>", "\ufffe", '"><x/>'])
def test_no_text_of_a_peer_breaks_a_document(folder: Path, text: str) -> None:
    stored = [put(folder, "SCANS/4/DICOM/a.dcm", SeriesDescription=text.encode("utf-8", "replace"))]
    build_all(folder, stored, subject=text)
    root = ET.parse(document_of(folder)).getroot()
    assert [element.tag for element in root] == [f"{XNAT}date", f"{XNAT}dcmSubject", f"{XNAT}scans"]


def test_two_series_of_one_number_are_two_scans(folder: Path) -> None:
    stored = [
        put(folder, "SCANS/4/DICOM/a.dcm", SeriesInstanceUID="1.9"),
        put(folder, "SCANS/4/DICOM/b.dcm", SeriesInstanceUID="1.1"),
    ]
    built, moved = build_all(folder, stored)
    assert [scan.id for scan in built.scans] == ["4", "4-CT1"]
    assert (folder / "SCANS/4-CT1/DICOM/b.dcm").is_file()
    again, nothing = build_all(folder, [stored[0], moved[0].after])
    assert (again, nothing) == (built, ())


def test_scans_that_are_gone_leave_no_catalog_but_their_folder_for_objects_on_their_way(
    folder: Path,
) -> None:
    stored = [
        put(folder, "SCANS/4/DICOM/a.dcm"),
        put(folder, "SCANS/5/DICOM/b.dcm", SeriesNumber="5"),
    ]
    build_all(folder, stored)
    (folder / stored[1]).unlink()
    build_all(folder, stored[:1])
    assert names(folder) == ["SCANS/4/DICOM/a.dcm", "SCANS/4/DICOM/scan_4_catalog.xml"]
    assert (folder / "SCANS/5/DICOM").is_dir()


def test_what_a_crash_left_of_a_catalog_is_removed(folder: Path) -> None:
    stored = [put(folder, "SCANS/4/DICOM/a.dcm")]
    (folder / "SCANS/4/DICOM/.scan_4_secondary_catalog.xml.part").write_text("<cat")
    build_all(folder, stored)
    assert names(folder) == ["SCANS/4/DICOM/a.dcm", "SCANS/4/DICOM/scan_4_catalog.xml"]


def test_a_build_that_fails_keeps_the_catalogs_of_the_one_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [put(folder, "SCANS/4/DICOM/a.dcm")]
    build_all(folder, stored)
    before = names(folder)
    monkeypatch.setattr(os, "fchmod", lambda *_: _no_space(0))
    with pytest.raises(OSError, match="No space left"):
        build_all(folder, stored)
    assert names(folder) == before


def test_a_catalog_that_somebody_removes_during_a_build_does_not_end_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [
        put(folder, "SCANS/4/DICOM/a.dcm"),
        put(folder, "SCANS/5/DICOM/b.dcm", SeriesNumber="5"),
    ]
    build_all(folder, stored)
    (folder / stored[1]).unlink()
    glob = type(folder).glob

    def removed_meanwhile(within: Path, pattern: str) -> list[Path]:
        found = list(glob(within, pattern))
        for path in found:
            path.unlink()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(type(folder), "glob", removed_meanwhile)
        build_all(folder, stored[:1])
    assert names(folder) == ["SCANS/4/DICOM/a.dcm", "SCANS/4/DICOM/scan_4_catalog.xml"]


def test_what_the_index_does_not_know_is_neither_moved_nor_overwritten(folder: Path) -> None:
    unknown = put(folder, "SCANS/4/secondary/c.dcm")
    content = (folder / unknown).read_bytes()
    stored = [put(folder, "SCANS/4/DICOM/c.dcm", SOPClassUID=RT_STRUCTURE_SET)]
    _, moved = build_all(folder, stored)
    assert moved == (Moved("SCANS/4/DICOM/c.dcm", "SCANS/4/secondary/c_1.dcm"),)
    assert (folder / unknown).read_bytes() == content


def test_a_damaged_object_stops_the_build_and_its_scan_is_named(folder: Path) -> None:
    stored = put(folder, "SCANS/4/DICOM/a.dcm")
    (folder / stored).write_bytes(b"no DICOM at all")
    with pytest.raises(UnreadableObject, match="an object of scan 4 can't be read"):
        build_all(folder, [stored])


@pytest.mark.parametrize("step", ["write_atomically", "move_file", "flush_folder"])
def test_a_build_that_failed_half_way_can_be_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    stored = [
        put(folder, "SCANS/4/DICOM/a.dcm"),
        put(folder, "SCANS/4/DICOM/b.dcm", SOPClassUID=RT_STRUCTURE_SET),
    ]

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(building, step, fail)
        with pytest.raises(OSError, match="No space left"):
            build_all(folder, stored)
    present = [name for name in names(folder) if name.endswith(".dcm")]
    assert len(present) == 2
    build_all(folder, present)
    assert len([name for name in names(folder) if name.endswith(".dcm")]) == 2
    assert document_of(folder).is_file()


def test_a_document_is_the_old_or_the_new_one_and_never_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.xml"
    files.write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.xml"]


def _no_space(_fd: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_move_that_was_cut_short_between_both_names_is_completed(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    os.link(source, target)
    files.move_file(source, target)
    assert (source.exists(), target.read_bytes()) == (False, b"x")


def test_a_folder_is_moved_once_and_never_onto_another(tmp_path: Path) -> None:
    source, target = tmp_path / "a" / "s", tmp_path / "b" / "c" / "s"
    source.mkdir(parents=True)
    files.move_folder(source, target, roots=(tmp_path,))
    files.move_folder(source, target, roots=(tmp_path,))
    assert target.is_dir()
    source.mkdir()
    with pytest.raises(FileExistsError):
        files.move_folder(source, target, roots=(tmp_path,))
