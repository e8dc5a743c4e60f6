"""import: what a running engine makes of folders, archives and media."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.jobs.report import Report
from engine.model.project import Project
from engine.remote.host import serve
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests import dicom
from tests.certificates import Authority
from tests.engine.importing.files import dicom_file, write_dicomdir, write_tar, write_zip
from tests.running import configure, free_port, make_receiver, stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.engine.cli.outcome import Run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("site")
    data, port = root / "data", free_port()
    authority = Authority(root / "certificates")
    configure(
        data,
        make_receiver("XNAT", port),
        make_receiver("GUARDED", port, whitelist_enabled=True, whitelist=("CT1@127.0.0.1",)),
        make_receiver("OFF", port, enabled=False),
        make_receiver("SAFE", free_port(), **authority.settings()),
        projects=(Project("NEURO-01"),),
    )
    settings = EngineSettings(data, durability=Durability.NONE)
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    yield data
    end()
    engine.stop(0)


@pytest.fixture
def data(site: Path) -> Path:
    return site


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with everything that an import reads, and with much that it can't."""
    folder = tmp_path / "media"
    (folder / "IMAGES").mkdir(parents=True)
    (folder / "IMAGES" / "IM1").write_bytes(dicom_file("1.2.1.1"))
    write_dicomdir(folder, ("IMAGES", "IM1"), ("IMAGES", "GONE"))
    write_zip(folder / "a.zip", {"1": dicom_file("1.2.1.2"), "2": dicom_file("1.2.1.1")})
    write_tar(folder / "b.tgz", {"1": dicom_file("1.2.1.3"), "notes": b"hello"})
    big_endian = dicom_file("1.2.1.4", dicom.EXPLICIT_VR_BIG_ENDIAN)
    (folder / "c.dcm").write_bytes(big_endian)
    (folder / "cut.dcm").write_bytes(dicom_file("1.2.1.5")[:-5])
    (folder / "notes.txt").write_text("hello")
    commitment = "1.2.840.10008.1.20.1"
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    (folder / "other.dcm").write_bytes(dicom_file("1.2.1.6", syntax, commitment))
    return folder


def report_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def test_a_medium_with_archives_and_junk_goes_the_way_of_every_object_and_may_be_interrupted(
    run: Run, data: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report"
    before = {path: path.read_bytes() for path in media.rglob("*") if path.is_file()}
    words = ("import", str(media), "--receiver", "XNAT", "--report", str(report), "--jobs", "1")

    def interrupted(self: Report, record: Mapping[str, object]) -> None:
        add(self, record)
        if record["sop_instance_uid"] == "1.2.1.2":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        add = Report.add
        patched.setattr(Report, "add", interrupted)
        stopped = run(*words)
    assert stopped.code == 130
    assert stopped.err.endswith(f"go on with: --report {report} --resume\n")
    outcome = run(*words, "--resume")
    assert outcome.code == 9
    assert "cut.dcm: quarantined: (7FE0,0010) runs 5 bytes past the end" in outcome.err
    assert "GONE: missing: the DICOMDIR refers to it" in outcome.err
    assert "stored before  1" in outcome.out
    found = {(Path(r["source"]).name, r["member"]): r for r in report_of(report)}
    # What was sent before the interruption and not reported is sent again, and here already.
    here = {"stored": "here", "duplicate": "here"}
    assert {place: here.get(r["outcome"], r["outcome"]) for place, r in found.items()} == {
        ("DICOMDIR", ""): "not DICOM",
        ("GONE", ""): "missing",
        ("IM1", ""): "here",
        ("a.zip", "1"): "here",
        ("a.zip", "2"): "here",
        ("b.tgz", "1"): "here",
        ("b.tgz", "notes"): "not DICOM",
        ("c.dcm", ""): "here",
        ("cut.dcm", ""): "quarantined",
        ("notes.txt", ""): "not DICOM",
        ("other.dcm", ""): "failed",
    }
    assert found["c.dcm", ""]["status"] == 0
    assert found["c.dcm", ""]["session"] == found["b.tgz", "1"]["session"]
    assert "Doe" not in report.read_text()
    assert "P-0001" not in report.read_text()
    assert len(stored_files(data)) == 4
    assert {path: path.read_bytes() for path in media.rglob("*") if path.is_file()} == before
    # The rows, events and the audit log name the import.
    recent = run("objects", "recent", "--json").data["objects"]
    assert {one["calling_ae_title"] for one in recent if "XNAT" in one["receiver"]} == {"IMPORT"}
    events = run("events", "--json").out
    assert events.count("ImportBegun") == events.count("ImportEnded") >= 2
    # Without the report it is sent once more, which changes nothing.
    again = run("import", str(media / "DICOMDIR"), "--receiver", "XNAT", "--json")
    assert again.data["outcomes"] == {"duplicate": 1, "missing": 1}


def test_a_dry_run_says_where_each_file_would_go_and_sends_nothing(run: Run, media: Path) -> None:
    before = run("objects", "recent", "--json").data
    outcome = run("import", str(media), "--receiver", "XNAT", "--dry-run")
    assert outcome.code == 9
    lines = dict(line.split("\t") for line in outcome.out.splitlines())
    assert "SCANS" in lines[f"{media}/a.zip: 1"]
    assert "past the end" in lines[f"{media}/cut.dcm"]
    assert "Storage Commitment" in lines[f"{media}/other.dcm"]
    assert "P-0001" not in outcome.out
    words = ("import", str(media / "c.dcm"), "--receiver", "XNAT", "--dry-run", "--show-values")
    shown = run(*words, "--json")
    assert shown.code == 0
    assert "P-0001" in shown.data["where"]
    assert run("objects", "recent", "--json").data == before


@pytest.mark.parametrize("receiver", ["GUARDED", "SAFE"])
def test_whitelists_and_tls_are_asked_as_for_any_caller(
    run: Run, media: Path, receiver: str
) -> None:
    words = ("import", str(media / "c.dcm"), "--receiver", receiver)
    assert run(*words, "--as", "CT1", "--json").data["failed"] == 0
    if receiver == "GUARDED":
        refused = run(*words)
        assert refused.code == 9
        assert "IMPORT@127.0.0.1" in refused.err
        assert refused.out == ""


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("none", "--receiver", "XNAT"), 2, "none: No such file or directory"),
        (("x" * 300, "--receiver", "XNAT"), 2, "File name too long"),
        ((".", "--receiver", "OTHER"), 4, "no receiver 'OTHER'"),
        ((".", "--receiver", "OFF"), 9, "receivers enable OFF:"),
        ((".", "--receiver", "XNAT", "--as", "A\\B"), 2, "contains a backslash"),
        ((".", "--receiver", "XNAT", "--resume"), 2, "add --report"),
        ((".", "--receiver", "XNAT"), 2, "there is no DICOM file"),
        ((".", "--receiver", "XNAT", "--jobs", "0"), 2, "no number from 1 to 64"),
        ((".", "--receiver", "SAFE", "--tls-key", "x"), 2, "name both files"),
    ],
)
def test_what_can_not_be_imported_is_said_with_a_remedy(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("import", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert told in outcome.err
