"""`route` and `rule`: files and values tried by rules, nothing changed, no values when masked."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.dicom.part10 import FileMeta
from engine.model.project import Project
from tests import dicom
from tests.running import make_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from engine.model.receiver import Receiver
    from tests.engine.cli.outcome import Run

RECEIVER = make_receiver(
    "XNAT", 8104, routing_enabled=True, subject_routing="(0010,0020):([^_]+)_.*"
)


@pytest.fixture(autouse=True)
def receiver(store: ConfigurationStore) -> Receiver:
    store.save_project(Project("NEURO"), "test")
    store.save_project(Project("CARDIO"), "test")
    return store.save_receiver(RECEIVER, "test")[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "Doe_Jane"
    folder.mkdir()
    for number, project in enumerate(("NEURO", "CARDIO", "NOPE")):
        values = {"StudyDescription": project, "PatientID": f"S{number}_E"}
        (folder / f"{number}.dcm").write_bytes(dicom_file(**values))
    return folder


def dicom_file(**values: Any) -> bytes:
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, dicom.EXPLICIT_VR_LITTLE_ENDIAN, "CT_1", "XNAT")
    return meta.preamble("1.2.826.0.1.3680043.8.498.1") + dicom.image(**values)


def route(run: Run, *arguments: object) -> Any:
    return run("route", *map(str, arguments), "--receiver", "XNAT", "--show-values")


def masked_route(run: Run, *arguments: object) -> Any:
    return run("route", *map(str, arguments), "--receiver", "XNAT")


def test_one_file_is_shown_with_its_path_and_every_step(run: Run, folder: Path) -> None:
    outcome = route(run, folder / "0.dcm")
    assert outcome.code == 0
    heads, first, *steps = outcome.out.splitlines()
    assert heads.split() == ["FILE", "PROJECT", "SUBJECT", "SESSION", "AUTO-ARCHIVE", "PATH",
                             "OR", "REASON"]  # fmt: skip
    assert first.split()[1:4] == ["NEURO", "S0", "S0_E"]
    path = "NEURO/TIMESTAMP/S0_E/SCANS/4/DICOM/1.2.826.0.1.3680043.8.498.2-4-1-"
    assert first.split()[4].startswith(path)
    (decisive,) = [step for step in steps if step.startswith("subject")]
    assert decisive.split() == ["subject", "receiver", "1", "(0010,0020):([^_]+)_.*",
                                "(0010,0020)", "PatientID", "S0_E", "S0", "S0"]  # fmt: skip


def test_what_is_not_wanted_and_what_goes_directly_is_said(
    run: Run, folder: Path, store: ConfigurationStore, receiver: Receiver
) -> None:
    cardio = store.load().projects.project("CARDIO")
    store.save_project(
        replace(cardio, series_import_filter="[Modality]\nCT"), "test", replacing=cardio
    )
    store.save_receiver(replace(receiver, direct_archive=True), "test", replacing=receiver)
    directly, filtered, unassigned = route(run, folder).out.splitlines()[1:4]
    assert "NEURO/arc001/S0_E/SCANS/4/DICOM/" in directly
    assert "(goes directly into the archive, unless that has the session already)" in directly
    assert "would be filtered by the project CARDIO's series import filter, line 2" in filtered
    assert "TIMESTAMP/" in unassigned
    found = route(run, folder, "--json").data["objects"]
    assert [record["directly"] for record in found] == [True, True, False]
    assert [bool(record["filtered"]) for record in found] == [False, True, False]


def test_many_files_are_counted_by_what_decides(run: Run, folder: Path) -> None:
    data = route(run, folder, "--json").data
    assert [found["project"] for found in data["objects"]] == ["NEURO", "CARDIO", None]
    counted = [(d["attribute"], d["source"], d["line"], d["objects"]) for d in data["decided_by"]]
    assert counted == [
        ("project", "default", None, 2),
        ("project", "nothing: Unassigned", None, 1),
        ("subject", "receiver", 1, 3),
        ("session", "default", None, 3),
        ("auto-archive", "nothing: the project's setting", None, 3),
    ]
    assert data["objects"][2]["steps"][4]["why_not"] == "project 'ACC-1' does not exist"
    assert "default                               whole value" in route(run, folder).out


def test_drafted_rules_are_compared_with_the_saved_ones(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("[project]\n(0008,1030):NOPE:0 t:.+ r:NEURO\n[site session]\n"
                     "(0008,0060):(.*)\n")  # fmt: skip
    outcome = route(run, folder, "--rules", rules)
    assert outcome.code == 0
    changes = [line.split("  ")[0] for line in outcome.out.splitlines()[1:4]]
    assert changes == [
        "session: S0_E → CT",
        "session: S1_E → CT",
        "project: Unassigned → NEURO, session: S2_E → CT",
    ]
    assert "3 of 3 objects would change" in outcome.err
    data = route(run, folder, "--rules", rules, "--json").data
    assert [found["changes"] for found in data["objects"]] == [True] * 3
    assert data["objects"][2]["saved"]["session"] == "S2_E"
    (decider,) = [d for d in data["decided_by"] if d["attribute"] == "session"]
    assert (decider["source"], decider["line"]) == ("site", 4)


def test_a_draft_that_changes_nothing_says_so(run: Run, folder: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text(f"[subject]\n{RECEIVER.subject_routing}\n")
    outcome = route(run, folder, "--rules", rules)
    assert [line.split()[0] for line in outcome.out.splitlines()[1:4]] == ["same"] * 3
    assert "0 of 3 objects would change" in outcome.err


def test_mistakes_in_a_draft_are_told_with_their_place(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("[project]\n\n(0008,1030):(\n")
    outcome = route(run, folder, "--rules", rules, "--json")
    assert outcome.code == 2
    (problem,) = outcome.error["problems"]
    assert (problem["line"], problem["column"]) == (3, 13)


def test_files_that_can_not_be_read_are_told_and_stop_nothing(run: Run, folder: Path) -> None:
    good = (folder / "0.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(good[:-7])
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "notes.txt").write_text("not DICOM")
    (folder / "meta.dcm").write_bytes(bytes(128) + b"DICM\2\0")
    (folder / "no_meta.dcm").write_bytes(bytes(128) + b"DICM" + dicom.image())
    (folder / "no_uid.dcm").write_bytes(dicom_file(SOPInstanceUID=None))
    os.mkfifo(folder / "fifo.dcm")
    missing = folder / "missing.dcm"
    outcome = route(run, folder, missing, folder / "fifo.dcm", "--json")
    assert outcome.code == 1
    assert len(outcome.data["objects"]) == 3
    reasons = {u["file"].rpartition("/")[2]: u["reason"] for u in outcome.data["unreadable"]}
    assert reasons == {
        "cut.dcm": "(7FE0,0010) runs 7 bytes past the end",
        "empty.dcm": "is empty",
        "notes.txt": "is not a DICOM file",
        "meta.dcm": "the file meta is cut short or damaged",
        "no_meta.dcm": "the file meta names no transfer syntax",
        "no_uid.dcm": "the data set has no SOP class or instance UID",
        "missing.dcm": "can't be read: No such file or directory",
        "fifo.dcm": "is no file",
    }
    assert "missing.dcm: can't be read" in route(run, missing).err


def test_a_folder_that_can_not_be_listed_is_told_and_stops_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    outcome = route(run, folder)
    assert outcome.code == 1
    assert len([line for line in outcome.out.splitlines() if ".dcm " in line]) == 3
    assert f"{folder}/a: can't be listed: Permission denied" in outcome.err


def test_an_object_that_would_be_refused_is_told(
    run: Run, tmp_path: Path, store: ConfigurationStore, receiver: Receiver
) -> None:
    slow = replace(receiver, session_routing=r"(0010,4000):((a|aa)+)!")
    store.save_receiver(slow, "test")
    file = tmp_path / "x.dcm"
    file.write_bytes(dicom_file(PatientComments="a" * 60))
    outcome = route(run, file)
    assert outcome.code == 1
    rule = "receiver rule in line 1, (0010,4000)"
    assert f"refused: a routing rule failed: {rule}: the rule took" in outcome.out
    assert "failed: the rule took longer than 10 ms" in outcome.out
    data = route(run, file, tmp_path / "x.dcm", "--json").data
    assert data["objects"][0]["failure"].startswith("a routing rule failed")
    (decider,) = [d for d in data["decided_by"] if d["attribute"] == "session"]
    assert (decider["source"], decider["objects"]) == ("receiver, failed", 2)


SECRETS = ("Zebedee", "Quagmire", "1.2.826", "Doe_Jane", "S0_E", "secret")


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("count", [1, 2])
def test_masked_output_holds_nothing_of_the_objects(
    run: Run, folder: Path, tmp_path: Path, options: tuple[str, ...], count: int
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text(
        "[project]\n(0010,0010):(Z)(.*):2\n(0010,0020):(.*) t:A r:B\n[session]\n(0010,4000):(.*)\n"
    )
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(
            dicom_file(
                PatientName="Zebedee^Quagmire",
                PatientID="secret-A",
                PatientComments="Project:secret Session:secret",
                SeriesNumber="secret",
            )
        )
    (folder / "secret.txt").write_text("secret")
    files = [folder] if count > 1 else [folder / "0.dcm", folder / "secret.txt"]
    outcome = masked_route(run, *files, "--rules", rules, *options)
    shown = outcome.out + outcome.err
    assert outcome.code == 1
    assert "file 1" in shown
    assert "is not a DICOM file" in shown
    assert not [secret for secret in SECRETS if secret in shown]


def test_masked_labels_of_one_length_still_tell_that_an_object_would_go_elsewhere(
    run: Run, tmp_path: Path
) -> None:
    file, rules = tmp_path / "x.dcm", tmp_path / "rules.txt"
    file.write_bytes(dicom_file(PatientName="Zebedee", PatientID="A1", StudyID="B2"))
    rules.write_text("[session]\n(0020,0010):(.*)\n")
    data = masked_route(run, file, "--rules", rules, "--json").data
    (found,) = data["objects"]
    assert (found["session"], found["saved"]["session"]) == ("••", "••")
    assert found["changes"] is True
    assert "elsewhere" in masked_route(run, file, "--rules", rules).out


def test_hostile_values_reach_the_terminal_as_escapes(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.dcm"
    file.write_bytes(dicom_file(PatientName=b"\x9b2JDoe", SpecificCharacterSet="ISO_IR 192"))
    outcome = route(run, file)
    assert outcome.code == 0
    assert all(character.isprintable() or character == "\n" for character in outcome.out)


def test_an_unknown_receiver_is_not_found(run: Run, folder: Path) -> None:
    assert run("route", str(folder), "--receiver", "NOBODY").code == 4


def test_a_rule_is_explained_on_a_value(run: Run) -> None:
    outcome = run("rule", "(0010,0020):([^_]+)_(.*):2 t:S r:T", "--value", "P1_S1")
    assert outcome.code == 0
    lines = dict(line.split(None, 1) for line in outcome.out.splitlines() if " " in line)
    assert (lines["captured"], lines["result"], lines["group"]) == ("S1", "T1", "2")
    assert (lines["t:"], lines["r:"]) == ("S", "T")


@pytest.mark.parametrize(
    ("rule", "value", "why_not"),
    [
        ("(0010,0020):(P1)", "P1_S1", "pattern must match the whole value: stopped at character 3"),
        ("(0010,0020):(.*)", "", "no value"),
        ("(0010,0020):(.*) t:.+ r:", "P1", "the result is empty"),
    ],
)
def test_why_a_rule_gives_nothing_is_told(run: Run, rule: str, value: str, why_not: str) -> None:
    outcome = run("rule", rule, "--value", value)
    assert outcome.code == 1
    assert outcome.out.splitlines()[-1] == f"why not     {why_not}"


def test_a_rule_is_explained_on_a_file_for_programs(run: Run, folder: Path) -> None:
    outcome = run("rule", "(0010,0010):(.*)", "--file", str(folder / "0.dcm"), "--json")
    assert outcome.code == 0
    assert outcome.data["element"] == "(0010,0010)"
    assert (outcome.data["value"], outcome.data["label"]) == ("Doe^Jane", "Doe_Jane")


def test_a_value_that_is_cut_is_said_to_be(run: Run) -> None:
    outcome = run("rule", "(0010,0020):(.*)", "--value", "x" * 65)
    assert f"{'x' * 64} (cut to 64 characters)" in outcome.out


def test_what_is_no_rule_or_no_file_is_refused(run: Run, folder: Path) -> None:
    refused = run("rule", "(0010,0020):(", "--value", "x", "--json")
    assert (refused.code, refused.error["problems"][0]["column"]) == (2, 13)
    assert run("rule", "(0010,0020):(.*)").code == 2
    unreadable = run("rule", "(0010,0020):(.*)", "--file", str(folder))
    assert (unreadable.code, "is no file" in unreadable.err) == (1, True)


def test_a_rule_that_may_be_slow_is_pointed_out(run: Run) -> None:
    outcome = run("rule", "(0010,0020):((a+)+)", "--value", "aaa")
    assert "this rule may be slow" in outcome.err
    assert outcome.code == 0
