"""The report of an import is the journal that an interrupted one goes on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.importing.found import FoundObject, Name, Outcome
from engine.importing.outcomes import Result
from engine.importing.report import Report, ReportUnusable
from engine.importing.sources import Sources
from tests.engine.importing.files import dicom_file

HEADING = {"receiver": "XNAT:8104", "as": "IMPORT"}


def result(name: Name, status: int | None, outcome: Outcome = Outcome.STORED) -> Result:
    return Result(name, outcome, "", "1.2.3", status)


def left(report: Report, folder: Path) -> list[str]:
    names = []
    for one in report.left(Sources((folder,)).find()):
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
    with Report(path, HEADING, resume=False) as report:
        names = [one.name for one in Sources((folder,)).find()]
        report.add(result(names[0], 0xC000, Outcome.QUARANTINED))
        report.add(result(names[1], 0x0000))
        report.add(result(names[2], None, Outcome.UNREADABLE))
        report.add(result(names[3], 0xB000))
    # Cut by a crash, in the middle of a line.
    with path.open("a") as file:
        file.write('{"source": "/x", "mem')
    with Report(path, HEADING, resume=True) as report:
        assert left(report, folder) == ["a", "c"]
        assert report.passed_over == 2
        report.add(result(names[0], 0x0000))
    # Another size is another file.
    (folder / "b").write_bytes(dicom_file("1.2.98", pixels=bytes(64)))
    with Report(path, HEADING, resume=True) as report:
        assert left(report, folder) == ["b", "c"]
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text("ascii").splitlines()
    assert json.loads(lines[0]) == {"import": HEADING}
    assert json.loads(lines[-1])["sop_instance_uid"] == "1.2.3"


def test_a_report_is_neither_overwritten_nor_mixed_with_another_one(tmp_path: Path) -> None:
    path = tmp_path / "report"
    with Report(path, HEADING, resume=True):
        with pytest.raises(ReportUnusable, match="is there already"):
            Report(path, HEADING, resume=False)
        with pytest.raises(ReportUnusable, match="another import writes to"):
            Report(path, HEADING, resume=True)
    with pytest.raises(ReportUnusable, match="is the report of another import"):
        Report(path, {**HEADING, "receiver": "PACS:104"}, resume=True)
    with pytest.raises(ReportUnusable, match="o such file"):
        Report(tmp_path / "none" / "report", HEADING, resume=False)
    path.write_bytes(b"\xff\0nothing of ours\n[1]\n")
    with Report(path, HEADING, resume=True) as report:
        assert report.passed_over == 0
