"""`anonymize` on many files: the same result, whoever works, and however often it is begun."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

SCRIPT = """version "6.6"
(0008,0018) := hashUID[(0008,0018)]
(0020,000D) := mapUID[(0020,000D), "1.9"]
(0020,000E) := newUID[]
(0010,0010) := subject
(0010,0020) = "drop" ? reject[]
"""
CHUNK = 32


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "site.das"
    file.write_text(SCRIPT)
    return str(file)


def make_files(folder: Path, count: int) -> Path:
    """Make files in several folders, each with an instance and a patient of its own."""
    ds = dcmread(str(get_testdata_file("CT_small.dcm")), defer_size=1024)
    for number in range(count):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.{number}")
        ds.PatientID = str(number)
        file = folder / f"series{number % 3}" / f"{number}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(file)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def lines(report: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.read_text().splitlines()]


def test_two_processes_make_the_same_files_as_one(run: Run, script: str, tmp_path: Path) -> None:
    given = make_files(tmp_path / "in", CHUNK + 6)
    (given / "notes.txt").write_text("no DICOM")
    dropped = dcmread(given / "series0" / "0.dcm")
    dropped.PatientID = "drop"
    dropped.save_as(given / "series0" / "0.dcm")
    report = tmp_path / "report"
    remember = ("--uid-map", str(tmp_path / "uids"), "--subject", "S1")
    words = ("anonymize", script, str(given), *remember, "--report", str(report), "-o")
    outcome = run(*words, str(tmp_path / "two"), "--jobs", "2")
    assert outcome.code == 1
    assert sorted(line.split() for line in outcome.out.splitlines()) == [
        ["OUTCOME", "FILES"], ["failed", "1"], ["ok", str(CHUNK + 5)], ["rejected", "1"]
    ]  # fmt: skip
    assert outcome.err.strip().endswith("notes.txt: failed: it is no DICOM file")
    # The key of the first report: so newUID draws the same.
    (tmp_path / "report").write_text(
        report.read_text().splitlines()[0].replace(str(tmp_path / "two"), str(tmp_path / "one"))
        + "\n"
    )
    assert run(*words, str(tmp_path / "one"), "--jobs", "1", "--resume").code == 1
    two, one = tree(tmp_path / "two"), tree(tmp_path / "one")
    assert len(two) == CHUNK + 5
    assert one == two
    written = [dcmread(p, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"]) for p in
               (tmp_path / "two").rglob("*.dcm")]  # fmt: skip
    assert len({ds.StudyInstanceUID for ds in written}) == 1
    assert len({ds.SeriesInstanceUID for ds in written}) == CHUNK + 5
    modes = {p.stat().st_mode & 0o777 for p in (tmp_path / "two").rglob("*.dcm")}
    assert modes == {0o640}
    # Everything once more: nothing is done again but what failed.
    again = run(*words, str(tmp_path / "one"), "--resume", "--json")
    record = {"outcomes": {"failed": 1}, "done_before": CHUNK + 6, "failed": 1}
    assert record.items() <= again.data.items()
    assert "objects" not in again.data
    # Without a report too: what is there already is the same.
    assert tree(tmp_path / "one") == one


def test_a_killed_run_goes_on_where_it_was(run: Run, script: str, tmp_path: Path) -> None:
    given, report = make_files(tmp_path / "in", 2 * CHUNK), tmp_path / "report"
    held, out = tmp_path / "held.dcm", tmp_path / "out"
    # What opens it waits: its task does not end.
    os.mkfifo(held)
    words = [script, str(given), str(held), "-o", str(out), "--report", str(report)]
    program = [sys.executable, "-m", "engine", "anonymize", *words, "--subject", "S1"]
    with subprocess.Popen([*program, "--jobs", "2"], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not report.exists() or len(report.read_text().splitlines()) < 1 + CHUNK:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, left = psutil.wait_procs(workers, 20)
    assert not left
    held.unlink()
    done = len(lines(report)) - 1
    # Written, and not in the report: it is done again, to the same bytes.
    report.write_text("".join(report.read_text().splitlines(keepends=True)[:-1]))
    with report.open("a") as file:
        file.write('{"source": "cut')
    words.remove(str(held))
    outcome = run("anonymize", *words, "--subject", "S1", "--resume", "--jobs", "1")
    assert outcome.code == 0
    assert f"done before  {done - 1}" in outcome.out
    assert len(tree(out)) == 2 * CHUNK
    studies = {dcmread(p, specific_tags=["StudyInstanceUID"]).StudyInstanceUID for p in
               out.rglob("*.dcm")}  # fmt: skip
    assert len(studies) == 1


def test_an_option_that_changes_the_result_begins_another_run(
    run: Run, script: str, tmp_path: Path
) -> None:
    given = make_files(tmp_path / "in", 1)
    words = ("anonymize", script, str(given), "-o", str(tmp_path / "out"))
    report = ("--report", str(tmp_path / "report"))
    assert run(*words, "--resume").err.endswith("→ add --report\n")
    assert run(*words, *report, "--subject", "S1").code == 0
    assert "is there already" in run(*words, *report, "--subject", "S1").err
    outcome = run(*words, *report, "--subject", "S2", "--resume")
    assert (outcome.code, "no report of this anonymize" in outcome.err) == (2, True)
    assert lines(tmp_path / "report")[0]["anonymize"]["key"] not in outcome.err
    same = run("anonymize", script, str(given), "-o", f"{given}/")
    assert (same.code, "is one of the folders that are read" in same.err) == (2, True)


def test_a_full_disk_ends_the_run_which_goes_on_later(
    run: Run, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, report = make_files(tmp_path / "in", 5), tmp_path / "report"
    words = ("anonymize", script, str(given), "-o", str(tmp_path / "out"), "--subject", "S1")
    link = os.link
    named = 0

    def full(*places: object, **options: object) -> None:
        nonlocal named
        named += 1
        if named > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        link(*places, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr("engine.jobs.places.os.link", full)
        outcome = run(*words, "--report", str(report))
    assert outcome.code == 1
    assert "can't write: No space left on device" in outcome.err
    assert f"go on with: --report {report} --resume" in outcome.err
    assert [line["outcome"] for line in lines(report)[1:]] == ["ok"] * 3
    assert run(*words, "--report", str(report), "--resume").code == 0
    assert len(tree(tmp_path / "out")) == 5


def test_files_are_whole_also_where_they_need_a_name_at_once(
    run: Run, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, out = make_files(tmp_path / "in", 2), tmp_path / "out"
    monkeypatch.setattr("engine.jobs.places.os.O_TMPFILE", os.O_DIRECTORY | os.O_CREAT)
    words = ("anonymize", script, str(given), "-o", str(out), "--subject", "S1")
    assert run(*words).code == 0
    assert sorted(tree(out)) == ["series0/0.dcm", "series1/1.dcm"]


def test_a_folder_that_can_not_be_listed_is_a_failure_of_its_own(
    run: Run, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = make_files(tmp_path / "in", 2)
    listed = os.scandir

    def denied(path: str) -> object:
        if path.endswith("series1"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(path)

    monkeypatch.setattr("engine.jobs.walk.os.scandir", denied)
    words = ("anonymize", script, str(given), "-o", str(tmp_path / "out"), "--subject", "S1")
    outcome = run(*words)
    assert outcome.code == 1
    assert "series1: failed: the folder can't be listed: permission denied" in outcome.err
    assert list(tree(tmp_path / "out")) == ["series0/0.dcm"]
