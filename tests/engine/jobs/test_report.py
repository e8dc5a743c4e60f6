"""The report of an import is the journal that an interrupted one goes on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.importing.found import FoundObject, Name, Outcome
from engine.importing.outcomes import Result, key_if_done, not_done
from engine.importing.sources import Sources
from engine.jobs.report import Report, ReportUnusable
from tests.engine.importing.files import dicom_file

HEADING = {"receiver": "XNAT:8104", "as": "IMPORT"}


def opened(path: Path, heading: dict[str, str] = HEADING, *, resume: bool) -> Report:
    return Report(path, "import", heading, key_if_done, resume=resume)


def result(name: Name, status: int | None, outcome: Outcome = Outcome.STORED) -> dict[str, object]:
    return Result(name, outcome, "", "1.2.3", status).to_record()


def left(report: Report, folder: Path) -> list[str]:
    names = []
    for one in not_done(Sources((folder,)).find(), report):
        names.append(Path(one.name.source).name)
        if isinstance(one, FoundObject):
            one.close()
    return names


def test_what_was_answered_with_success_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("a", "b", "c", "d\udcff"):
        (folder / name).write_bytes(dicom_file(f"1.2.{ord(name[0])}"))
    path = tmp_path / "report"
    with opened(path, resume=False) as report:
        names = [one.name for one in Sources((folder,)).find()]
        report.add(result(names[0], 0xC000, Outcome.QUARANTINED))
        report.add(result(names[1], 0x0000))
        report.add(result(names[2], None, Outcome.UNREADABLE))
        report.add(result(names[3], 0xB000))
    # Cut by a crash, in the middle of a line.
    with path.open("a") as file:
        file.write('{"source": "/x", "mem')
    with opened(path, resume=True) as report:
        assert left(report, folder) == ["a", "c"]
        assert report.passed_over == 2
        report.add(result(names[0], 0x0000))
    # Another size is another file.
    (folder / "b").write_bytes(dicom_file("1.2.98", pixels=bytes(64)))
    with opened(path, resume=True) as report:
        assert left(report, folder) == ["b", "c"]
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text("ascii").splitlines()
    assert json.loads(lines[0]) == {"import": HEADING}
    assert json.loads(lines[-1])["sop_instance_uid"] == "1.2.3"


def test_a_report_is_neither_overwritten_nor_mixed_with_another_one(tmp_path: Path) -> None:
    path = tmp_path / "report"
    with opened(path, resume=True):
        with pytest.raises(ReportUnusable, match="is there already"):
            opened(path, resume=False)
        with pytest.raises(ReportUnusable, match="another import writes to"):
            opened(path, resume=True)
    with pytest.raises(ReportUnusable, match="no report of this import: receiver XNAT:8104"):
        opened(path, {**HEADING, "receiver": "PACS:104"}, resume=True)
    with pytest.raises(ReportUnusable, match="o such file"):
        opened(tmp_path / "none" / "report", resume=False)
    path.write_bytes(b"\xff\0nothing of ours\n[1]\n")
    with pytest.raises(ReportUnusable, match="no report of this import"):
        opened(path, resume=True)
    # Cut by a crash before its first line was whole.
    path.write_bytes(b'{"imp')
    for _ in range(2):
        with opened(path, resume=True) as report:
            assert report.passed_over == 0


def test_what_a_run_notes_is_there_in_the_next_one_and_in_no_message(tmp_path: Path) -> None:
    def begun(settings: str, key: str) -> Report:
        heading, noted = {"settings": settings}, {"key": key}
        path = tmp_path / "report"
        return Report(path, "anonymize", heading, key_if_done, resume=True, noted=noted)

    for key in ("secret", "another"):
        with begun("1", key) as report:
            assert report.heading == {"settings": "1", "key": "secret"}
    with pytest.raises(ReportUnusable, match="settings 1") as caught:
        begun("2", "another")
    assert "secret" not in str(caught.value)
