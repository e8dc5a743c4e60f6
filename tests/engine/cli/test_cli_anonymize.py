"""`anonymize` and `script check`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

if TYPE_CHECKING:
    from tests.engine.cli.outcome import Run

SCRIPT = """version "6.6"
(0010,0010) := subject
(0010,0020) := session
(0008,0060) = "CT" ? -*/(0008,0080)
(0008,0060) = "MR" ? reject[]
(0008,0060) = "SR" ? (0028,0010) := "x"
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "site.das"
    file.write_text(SCRIPT)
    return str(file)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    for name in ("CT_small.dcm", "image_dfl.dcm"):
        shutil.copy(str(get_testdata_file(name)), folder)
    return folder.parent


GIVEN = ("--subject", "S1", "--session", "E1")


def test_a_file_is_anonymized_into_another(run: Run, script: str, tmp_path: Path) -> None:
    source, target = str(get_testdata_file("CT_small.dcm")), tmp_path / "out.dcm"
    outcome = run("anonymize", script, source, "-o", str(target), *GIVEN)
    assert outcome.code == 0
    assert f"written to {target}" in outcome.err
    ds = dcmread(target)
    assert (str(ds.PatientName), ds.PatientID, "InstitutionName" in ds) == ("S1", "E1", False)


def test_folders_are_walked_and_keep_their_form(
    run: Run, script: str, studies: Path, tmp_path: Path
) -> None:
    (studies / "notes.txt").write_text("no DICOM")
    shutil.copy(str(get_testdata_file("MR_small.dcm")), studies)
    shutil.copy(str(get_testdata_file("test-SR.dcm")), studies)
    out = tmp_path / "out"
    outcome = run("anonymize", script, str(studies), "-o", str(out), "--json", *GIVEN)
    assert outcome.code == 1
    found = {Path(o["source"]).name: o["outcome"] for o in outcome.data["objects"]}
    assert found == {"CT_small.dcm": "ok", "image_dfl.dcm": "ok", "notes.txt": "failed",
                     "MR_small.dcm": "rejected", "test-SR.dcm": "failed"}  # fmt: skip
    written = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert written == ["deep/CT_small.dcm", "deep/image_dfl.dcm"]
    reasons = {Path(o["source"]).name: o["reason"] for o in outcome.data["objects"]}
    assert reasons["notes.txt"] == "it is no DICOM file"
    assert "no whole number" in reasons["test-SR.dcm"]


def test_a_rejected_object_gives_exit_code_3(run: Run, script: str, tmp_path: Path) -> None:
    source, target = str(get_testdata_file("MR_small.dcm")), tmp_path / "out.dcm"
    outcome = run("anonymize", script, source, "-o", str(target), *GIVEN)
    assert (outcome.code, target.exists()) == (3, False)
    assert "rejected by the script" in outcome.err


def test_nothing_is_overwritten_not_even_the_source(
    run: Run, script: str, studies: Path, tmp_path: Path
) -> None:
    file = studies / "deep" / "CT_small.dcm"
    before = file.read_bytes()
    for target in (file, studies / "deep"):
        outcome = run("anonymize", script, str(file), "-o", str(target), *GIVEN)
        assert outcome.code == 1
        assert "exists already" in outcome.err
    assert file.read_bytes() == before


def test_files_written_into_the_folder_that_is_read_are_not_read_again(
    run: Run, script: str, studies: Path
) -> None:
    out = studies / "out"
    for _ in range(2):
        outcome = run("anonymize", script, str(studies), "-o", str(out), "--json", *GIVEN)
        assert len(outcome.data["objects"]) == 2


def test_a_difference_lists_elements_and_can_hide_their_values(
    run: Run, script: str, tmp_path: Path
) -> None:
    source = str(get_testdata_file("CT_small.dcm"))
    shown = run("anonymize", script, source, "-o", str(tmp_path / "a"), "--diff",
                "--show-values", *GIVEN)  # fmt: skip
    assert "CompressedSamples^CT1" in shown.out
    hidden = run("anonymize", script, source, "-o", str(tmp_path / "b"), "--diff",
                 "--json", *GIVEN)  # fmt: skip
    rows = hidden.data["objects"][0]["differences"]
    assert {"(0010,0010)": "changed", "(0008,0080)": "removed"}.items() <= {
        row["path"]: row["change"] for row in rows
    }.items()
    assert "CompressedSamples" not in hidden.out


def test_scripts_are_recorded_and_marked_on_demand(run: Run, script: str, tmp_path: Path) -> None:
    source, target = str(get_testdata_file("CT_small.dcm")), tmp_path / "out.dcm"
    run(
        "anonymize",
        script,
        source,
        "-o",
        str(target),
        "--script-id",
        "12",
        "--mark",
        "ours",
        *GIVEN,
    )
    ds = dcmread(target)
    assert ds.DeidentificationMethodCodeSequence[0].CodeValue == "12"
    assert ds.DeidentificationMethod == "ours"


def test_a_lookup_table_is_read_from_a_file(run: Run, tmp_path: Path) -> None:
    script, table, target = (tmp_path / name for name in ("s.das", "t.txt", "out.dcm"))
    script.write_text('version "6.6"\n(0010,0020) := lookup["id", (0010,0020)]\n')
    table.write_text("id/1CT1 = P-1\n")
    source = str(get_testdata_file("CT_small.dcm"))
    run("anonymize", str(script), source, "-o", str(target), "--lookup", str(table))
    assert dcmread(target).PatientID == "P-1"


def test_mapped_uids_are_remembered_from_one_run_to_the_next(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "s.das"
    script.write_text('version "6.6"\n(0020,000D) := mapUID[(0020,000D), "1.9"]\n')
    source, uids = str(get_testdata_file("CT_small.dcm")), []
    for name in ("a", "b"):
        target = tmp_path / name
        remember = ("--uid-map", str(tmp_path / "uids.sqlite"))
        assert run("anonymize", str(script), source, "-o", str(target), *remember).code == 0
        uids.append(dcmread(target).StudyInstanceUID)
    assert uids[0] == uids[1]
    assert uids[0].startswith("1.9.")


def test_the_profile_comes_first_and_keeps_what_it_is_told(run: Run, tmp_path: Path) -> None:
    script, target = tmp_path / "s.das", tmp_path / "out.dcm"
    script.write_text('version "6.6"\n(0010,0020) := "P"\n')
    source = str(get_testdata_file("CT_small.dcm"))
    command = ["anonymize", str(script), source, "-o", str(target)]
    assert run(*command, "--retain", "uids").code == 2
    assert run(*command, "--profile", "--retain", "uids", "--shift-days", "-5").code == 0
    ds, before = dcmread(target), dcmread(source)
    assert (ds.PatientID, str(ds.PatientName)) == ("P", "")
    assert ds.StudyInstanceUID == before.StudyInstanceUID
    assert (before.StudyDate, ds.StudyDate) == ("20040119", "20040114")


def test_a_variable_that_is_not_given_has_no_value(run: Run, script: str, tmp_path: Path) -> None:
    source = str(get_testdata_file("CT_small.dcm"))
    outcome = run("anonymize", script, source, "-o", str(tmp_path / "out.dcm"))
    assert outcome.code == 1
    assert "the variable subject has no value" in outcome.err


@pytest.mark.parametrize(
    ("inputs", "said"), [(["missing.dcm"], "No such file"), (["empty"], "no file in the folders")]
)
def test_what_is_not_there_is_said(
    run: Run, script: str, tmp_path: Path, inputs: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    paths = [str(tmp_path / name) for name in inputs]
    outcome = run("anonymize", script, *paths, "-o", str(tmp_path / "out"), *GIVEN)
    assert outcome.code != 0
    assert said in outcome.err


def test_a_wrong_script_is_refused_before_any_file_is_touched(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "wrong.das"
    script.write_text('version "6.6"\n-(0019,1010)\n')
    source = str(get_testdata_file("CT_small.dcm"))
    outcome = run("anonymize", str(script), source, "-o", str(tmp_path / "out.dcm"))
    assert outcome.code == 1
    assert "wrong.das line 2 column 8" in outcome.err
    assert not (tmp_path / "out.dcm").exists()


def test_a_script_is_checked_with_its_traps(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "s.das"
    script.write_text('version "6.6"\n-(0010,0010)\n')
    checked = run("script", "check", str(script))
    assert (checked.code, "nested-copies" in checked.out) == (1, True)
    checked = run("script", "check", str(script), "--json")
    assert checked.data["valid"] is True
    assert checked.data["findings"][0]["line"] == 2
    script.write_text('version "6.6"\nremoveAllPrivateTags\n')
    checked = run("script", "check", str(script))
    assert (checked.code, checked.err.splitlines()[0]) == (0, "the script is valid")
    assert "neither this script nor the basic profile removes: Code Meaning" in checked.err
    left = run("script", "check", str(script), "--json").data["left"]
    assert {"path": "(0042,0010)", "name": "Document Title"} in left


def test_errors_of_a_script_are_said_with_their_place(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "s.das"
    script.write_text('version "6.6"\n(0010,0010) := reverse["a"]\n')
    checked = run("script", "check", str(script), "--json")
    assert checked.code == 1
    (error,) = checked.data["errors"]
    assert (error["line"], error["column"], error["value"]) == (2, 16, "reverse")
    assert run("script", "check", str(script)).code == 1
    script.write_text("-(0010,0010)\n")
    assert "DicomEdit 4" in run("script", "check", str(script)).err


def test_texts_that_stay_and_may_tell_a_person_are_named(run: Run, tmp_path: Path) -> None:
    source, script = tmp_path / "in.dcm", tmp_path / "s.das"
    ds = dcmread(str(get_testdata_file("CT_small.dcm")))
    ds.DocumentTitle = "Report of Doe"
    ds.save_as(source)
    script.write_text('version "6.6"\n')
    command = ("anonymize", str(script), str(source), "--profile", "--diff", "-o")
    (found,) = run(*command, str(tmp_path / "1.dcm"), "--json", "--show-values").data["objects"]
    kept = {row["keyword"]: row["after"] for row in found["differences"] if row["telling"]}
    assert kept["DocumentTitle"] == "Report of Doe"
    masked = run(*command, str(tmp_path / "2.dcm")).out
    (line,) = [line for line in masked.splitlines() if "DocumentTitle" in line]
    assert line.split()[:3] == ["(0042,0010)", "DocumentTitle", "kept"]
    assert "Doe" not in masked
