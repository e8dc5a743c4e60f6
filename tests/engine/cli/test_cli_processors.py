"""Processors: added, listed, changed, switched, tried on files and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.cli.test_cli_route import dicom_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run, TypeIn

SCRIPT = 'version "6.6"\n(0010,0010) := "New^Name"\n'


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "set.das"
    file.write_text(SCRIPT)
    return f"script=@{file}"


def add(run: Run, script: str, label: str = "Set", *more: str) -> Any:
    return run("processors", "add", "--label", label, "--class", "setElements", "--set", script,
               *more, "--json")  # fmt: skip


def test_classes_are_listed_with_what_they_must_be_told(run: Run) -> None:
    told = run("processors", "classes")
    assert told.code == 0
    (line,) = [line for line in told.out.splitlines() if line.startswith("relabelFromTable")]
    assert "file*, key, missing" in line
    classes = {
        known["id"]: known for known in run("processors", "classes", "--json").data["classes"]
    }
    assert classes["setElements"]["locations"][0] == "after_dicom_read"
    assert classes["remapByStudy"]["locations"][0] == "after_project_set"


def test_a_processor_is_added_at_the_first_place_of_its_class_and_listed_in_order(
    run: Run, script: str
) -> None:
    run("projects", "add", "A")
    first = add(run, script, "Late", "--priority", "20").data
    assert first["revision"] == 2
    assert first["processor"]["location"] == "after_dicom_read"
    assert first["processor"]["parameters"] == {"script": SCRIPT}
    add(
        run,
        script,
        "Early",
        "--priority",
        "-5",
        "--allow",
        "XNAT:8104",
        "--deny",
        "B:1",
        "--deny",
        "C:2",
    )
    add(
        run, script, "Last", "--location", "after_session_created", "--project", "A", "--no-enabled"
    )
    listed = run("processors", "list", "--json").data["processors"]
    assert [p["label"] for p in listed] == ["Early", "Late", "Last"]
    table = run("processors", "list").out.splitlines()
    assert "XNAT:8104 but B:1, C:2" in table[1]
    assert table[3].split()[3:6] == ["no", "after_session_created", "10"]


def test_a_processor_is_changed_switched_and_removed_and_each_can_be_undone(
    run: Run, script: str, stdin: TypeIn
) -> None:
    add(run, script)
    edited = run("processors", "edit", "Set", "--label", "Other", "--allow", "XNAT:8104")
    assert "no receiver is called XNAT:8104 now" in edited.err
    assert "no receiver has custom processing on" in edited.err
    assert (
        run("processors", "edit", "1", "--allow", "", "--json").data["processor"][
            "receivers_allowed"
        ]
        == []
    )
    assert run("processors", "disable", "Other", "--json").data["processor"]["enabled"] is False
    assert run("processors", "enable", "Other", "--json").data["processor"]["enabled"] is True
    stdin("n\n", True)
    assert run("processors", "delete", "Other").code != 0
    assert run("processors", "delete", "Other", "--yes").err == "deleted Other, revision 6\n"
    assert run("processors", "delete", "Other", "--yes").code == 4
    run("config", "undo", "--yes")
    assert run("processors", "list", "--json").data["processors"][0]["label"] == "Other"
    history = run("config", "history").out
    assert "processor Other enabled: on → off" in history


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (("--class", "nope"), "processor_class"),
        (("--class", "setElements", "--set", "script=nonsense"), "parameters.script"),
        (("--class", "setElements"), "parameters.script"),
        (("--class", "setElements", "--set", "script=x", "--set", "other=1"), "parameters.other"),
        (("--class", "setElements", "--location", "after_stored"), "location"),
        (("--class", "relabelFromTable", "--set", "file=labels.csv"), "parameters.file"),
        (("--class", "relabelFromTable", "--set", "file=/x", "--set", "key=Nope"),
         "parameters.key"),
        (("--class", "relabelFromTable", "--set", "file=/x", "--set", "missing=no"),
         "parameters.missing"),
        (("--class", "remapByStudy"), "parameters.file"),
        (("--class", "remapByStudy", "--set", "file=/x", "--set", "table=y"), "parameters.file"),
        (("--class", "remapByStudy", "--set", "table=study,project"), "parameters.table"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused_by_field(
    run: Run, given: tuple[str, ...], field: str
) -> None:
    refused = run("processors", "add", "--label", "P", *given, "--json")
    assert refused.code == 2
    assert [p["field"] for p in refused.error["problems"]][:1] == [field]
    assert run("processors", "list", "--json").data["processors"] == []


def test_files_are_tried_on_a_processor_and_on_the_way_of_a_receiver(
    run: Run, script: str, tmp_path: Path
) -> None:
    run("receivers", "add", "--ae-title", "XNAT", "--port", "8104", "--custom-processing")
    add(run, script, "Set", "--no-enabled")
    file = tmp_path / "image.dcm"
    file.write_bytes(dicom_file())
    tried = run("processors", "test", "Set", str(file), str(tmp_path / "none.dcm"),
                "--json")  # fmt: skip
    assert tried.code == 1
    good, unreadable = tried.data["files"]
    assert good["processing"][0]["changes"][0]["after"] == "••••••••"
    assert "can't be read" in unreadable["unreadable"]
    route = ("route", "--receiver", "XNAT", str(file), "--show-values")
    assert run(*route, "--json").data["objects"][0]["subject"] == "Doe_Jane"
    run("processors", "enable", "Set")
    found = run(*route).out
    assert "New_Name" in found.splitlines()[1]
    assert "(0010,0010) PatientName: 'Doe^Jane' → 'New^Name'" in found
    run("processors", "edit", "Set", "--deny", "XNAT:8104")
    assert run("processors", "test", "Set", str(file)).code == 4


def test_a_dry_run_says_who_rejects_an_object_and_whom_a_table_knows(
    run: Run, tmp_path: Path
) -> None:
    run("receivers", "add", "--ae-title", "XNAT", "--port", "8104", "--custom-processing")
    table, file = tmp_path / "labels.csv", tmp_path / "image.dcm"
    table.write_text("key,session\nCT_1,E1\n")
    file.write_bytes(dicom_file())
    told = ("--set", f"file={table}", "--set", "key=calling_ae_title", "--set", "missing=reject")
    run("processors", "add", "--label", "Known", "--class", "relabelFromTable", *told)
    route = ("route", "--receiver", "XNAT", str(file), "--show-values")
    rejected = run(*route)
    why = "rejected by processor Known: its calling_ae_title is not in the table"
    assert (rejected.code, why in rejected.out) == (0, True)
    (found,) = run(*route, "--json").data["objects"]
    assert (found["rejected"], found["path"]) == (why, "")
    (found,) = run(*route, "--calling", "CT_1", "--json").data["objects"]
    assert (found["session"], found["rejected"]) == ("E1", "")
    assert found["steps"][0]["rule"] == "processor Known"
