"""Index and disk compared: what is told, what is adopted, and that nothing is ever removed."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from engine.host.clock import SystemClock
from engine.host.lock import EngineLock
from engine.index.arrivals import Finished
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.session import SessionStatus
from engine.processing.command.queue import RunQueue
from engine.sessions import adoption, audit
from engine.settings import EngineSettings
from engine.state.studies import LabelKey, StudyLabels
from engine.storage import files
from engine.workers.spread import spread
from tests.engine.index.depot import depot_in, open_depot
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

OBJECTS = 5


@pytest.fixture(autouse=True)
def _sessions(data: Path) -> None:
    """Session 1 is archived with two objects, 2 ready with two, 3 unassigned with one."""
    with depot_in(data) as depot:
        depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
        depot.receive(label="E1")
        depot.receive(label="E1", SOPClassUID="1.2.3.4.5")
        depot.receive(project="NEURO-02", label="E2")
        depot.receive(project="NEURO-02", label="E2")
        depot.receive(project=None, label="E3")
        depot.index.begin_run()
        depot.index.confirm_run()
        depot.fall_silent()


def objects(data: Path) -> list[Path]:
    return sorted(data.rglob("*.dcm"))


def check(run: Run, *options: str) -> tuple[int, Any]:
    outcome = run("check", *options, "--json")
    return outcome.code, outcome.data


def test_a_consistent_directory_agrees_and_adds_up(run: Run) -> None:
    code, found = check(run)
    assert (code, found["agrees"], found["looked_at"]) == (0, True, 3)
    assert found["receivers"] == [
        {"receiver": "XNAT:8104", "received": OBJECTS, "states": {"stored": OBJECTS}}
    ]
    table = run("check").out.splitlines()
    assert table[1].split() == ["XNAT:8104", "5", "5", "yes"]


def test_two_processes_find_the_same_as_one(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def noted(work: Any, tasks: Any, *, processes: int) -> Any:
        asked.append(processes)
        return spread(work, tasks, processes=processes)

    for module in (adoption, audit):
        monkeypatch.setattr(module, "spread", noted)
    for path in objects(data)[:2]:
        path.unlink()
    code, found = check(run, "--jobs", "2")
    assert (code, found) == check(run, "--jobs", "1")
    assert asked == [2, 1]
    assert [session["differences"]["missing"] for session in found["sessions"]] != []
    assert "'0' is no number from 1 to 512" in run("check", "--jobs", "0").err
    rebuilt = run("check", "--rebuild-index", "--jobs", "2", "--json")
    assert rebuilt.data["adopted"]["objects"] == OBJECTS - 2
    # The new index is empty before it is filled.
    assert asked[2:] == [1, 2, 2]


def test_an_object_without_a_row_is_told_and_adopted_on_request(run: Run, data: Path) -> None:
    (known, *_) = (data / "prearchive/NEURO-02").rglob("*.dcm")
    shutil.copy(known, known.with_name("new.dcm"))
    code, found = check(run)
    assert code == 1
    assert [f["differences"]["unknown"] for f in found["sessions"]] == [["SCANS/4/DICOM/new.dcm"]]
    assert "not in the index" in run("check").out
    code, found = check(run, "--adopt")
    assert (code, found["adopted"]) == (0, {"objects": 1, "renamed": 0, "second_names": 0})
    assert check(run)[0] == 0
    assert len(objects(data)) == OBJECTS + 1


def test_a_file_that_can_not_be_read_is_told_and_is_not_missing(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (known, *_) = (data / "prearchive/NEURO-02").rglob("*.dcm")
    real = files.is_object

    def look(path: str) -> bool:
        if path == str(known):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files, "is_object", look)
    for options in ((), ("--adopt",)):
        code, found = check(run, *options)
        (findings,) = found["sessions"]
        file = f"SCANS/4/DICOM/{known.name}"
        assert (code, findings["differences"]["unreadable"]) == (1, [file])
        assert findings["differences"]["missing"] == []
    assert "can't be read" in run("check").out


def test_a_missing_object_is_told_and_stays_told(run: Run, data: Path) -> None:
    objects(data)[0].unlink()
    code, found = check(run, "--adopt")
    assert (code, found["adopted"]["objects"]) == (1, 0)
    (findings,) = found["sessions"]
    assert len(findings["differences"]["missing"]) == 1
    assert check(run)[0] == 1


def test_a_renamed_object_and_a_second_name_are_recognized(run: Run, data: Path) -> None:
    first, second = (data / "prearchive/NEURO-02").rglob("*.dcm")
    first.rename(first.with_name("renamed.dcm"))
    os.link(second, second.with_name("second.dcm"))
    code, found = check(run)
    (findings,) = found["sessions"]
    assert code == 1
    assert findings["differences"]["moved"][0]["after"] == "SCANS/4/DICOM/renamed.dcm"
    assert findings["differences"]["second_names"] == ["SCANS/4/DICOM/second.dcm"]
    assert "SCANS/4/DICOM/renamed.dcm" in run("check").out
    code, found = check(run, "--adopt")
    assert (code, found["adopted"]) == (0, {"objects": 0, "renamed": 1, "second_names": 1})
    assert len(objects(data)) == OBJECTS


def test_a_session_that_miscounts_is_told_and_counted_anew(run: Run, data: Path) -> None:
    depot = open_depot(data, FixedClock())
    with depot.index.changing() as connection:
        connection.execute("UPDATE sessions SET objects = 7 WHERE id = 2")
    depot.index.close()
    assert "7 by the session, 2 by its objects" in run("check").out
    assert check(run, "--adopt")[0] == 0


def test_empty_folders_that_a_crash_left_are_no_session(run: Run, data: Path) -> None:
    (data / "prearchive/NEURO-01/20260824_140322000/E8/SCANS/4/DICOM").mkdir(parents=True)
    code, found = check(run)
    assert (code, found["unknown_folders"]) == (0, [])


def test_a_session_that_no_row_knows_is_told_and_adopted(run: Run, data: Path) -> None:
    shutil.copytree(data / "archive/NEURO-01/arc001/E1", data / "archive/NEURO-01/arc001/E9")
    code, found = check(run)
    assert code == 1
    assert found["unknown_folders"] == [{"area": "archive", "folder": "NEURO-01/arc001/E9"}]
    assert "session not in the index" in run("check").out
    outcome = run("check", "--adopt")
    assert (outcome.code, outcome.err.splitlines()) == (
        0,
        [
            "4 sessions looked at",
            "2 objects adopted, 0 found under another name, 0 second names removed",
        ],
    )


@pytest.mark.parametrize("parent", ["NEURO-02/20260824_140322000", "20260824_140322000"])
def test_a_session_that_is_called_scans_is_one_session(run: Run, data: Path, parent: str) -> None:
    known, *_ = (data / "prearchive/NEURO-02").glob("*/*")
    place = data / "prearchive" / parent / "SCANS"
    shutil.copytree(known, place)
    _, found = check(run)
    assert found["unknown_folders"] == [{"area": "prearchive", "folder": f"{parent}/SCANS"}]
    check(run, "--adopt")
    code, found = check(run)
    assert (code, found["unknown_folders"]) == (0, [])


def test_an_index_is_rebuilt_from_the_trees_alone(run: Run, data: Path) -> None:
    before = run("sessions", "list", "--json").data["sessions"]
    (data / "index.sqlite").write_bytes(b"not a database at all")
    assert run("check").code == 5
    outcome = run("check", "--rebuild-index", "--json")
    assert (outcome.code, outcome.data["adopted"]["objects"]) == (0, OBJECTS)
    assert "the old index is index.sqlite." in outcome.err
    assert len(list(data.glob("index.sqlite.*"))) == 1
    names = (
        *("id", "project", "label", "subject", "objects", "area", "study_instance_uid"),
        *("modality", "receiver", "calling_ae_title", "first_object_at"),
    )
    after = run("sessions", "list", "--json").data["sessions"]
    told = [{tuple(session[name] for name in names) for session in s} for s in (before, after)]
    assert told[0] == told[1]
    assert {s["status"] for s in after} == {"ARCHIVED", "RECEIVING"}


def test_a_lost_index_stops_engine_and_checks_until_it_is_made_anew_with_the_trash(
    run: Run, data: Path
) -> None:
    with depot_in(data) as depot:
        depot.ledger.ask(2, Request(OperationKind.DELETE, "admin"))
        depot.fall_silent()
        deleted = depot.session(2)
    assert (deleted.area, deleted.label) == ("trash", "E2")
    for path in data.glob("index.sqlite*"):
        path.unlink()
    for command in (("check",), ("check", "--adopt"), ("engine",)):
        outcome = run(*command)
        assert outcome.code == 5
        assert "index.sqlite is missing, and prearchive has sessions" in outcome.err
        assert "dicomdock check --rebuild-index" in outcome.err
        assert not (data / "index.sqlite").exists()
    outcome = run("check", "--rebuild-index")
    assert outcome.code == 0
    assert "the new index does not have" in outcome.err
    with depot_in(data) as depot:
        names = ("id", "project", "subject", "label", "area", "status", "folder", "modality")
        back = depot.session(2)
        assert [getattr(back, name) for name in names] == [getattr(deleted, n) for n in names]
        assert back.last_object_at == deleted.last_object_at
        depot.ledger.ask(2, Request(OperationKind.RESTORE, "admin"))
        depot.fall_silent()
        depot.fall_silent()
        assert (depot.session(2).area, depot.session(2).objects) == ("prearchive", 2)


def test_a_new_index_keeps_the_labels_that_studies_were_given(run: Run, data: Path) -> None:
    labels = StudyLabels(data / "state.sqlite", data / "index.sqlite")
    assert labels.label(LabelKey("NEURO-02", "S1", "1.3"), "MR") == "S1_MR1"
    labels.close()
    assert run("check", "--rebuild-index").code == 0
    labels = StudyLabels(data / "state.sqlite", data / "index.sqlite")
    assert labels.label(LabelKey("NEURO-02", "S1", "1.4"), "MR") == "S1_MR2"
    assert labels.label(LabelKey("NEURO-02", "S1", "1.3"), "MR") == "S1_MR1"
    labels.close()


def numbers(run: Run) -> dict[str, int]:
    return {s["label"]: s["id"] for s in run("sessions", "list", "--json").data["sessions"]}


def test_sessions_keep_their_numbers_in_a_new_index_and_no_other_gets_one(
    run: Run, data: Path
) -> None:
    shutil.copytree(data / "archive/NEURO-01/arc001/E1", data / "archive/NEURO-01/arc001/E0")
    before = numbers(run)
    with depot_in(data) as depot:
        removed = depot.receive(project="NEURO-02", label="E9", StudyInstanceUID="1.2.9")
        depot.index.flush()
        folder = data / "prearchive" / depot.session(removed).folder
    shutil.rmtree(folder)
    assert run("check", "--rebuild-index").code == 0
    after = numbers(run)
    assert after == before | {"E0": removed + 1}
    with depot_in(data) as depot:
        assert depot.receive(label="E10", StudyInstanceUID="1.2.10") == removed + 2
    shown = run("sessions", "show", str(before["E1"]), "--json").data
    assert (shown["label"], [s["objects"] for s in shown["states"]]) == ("E1", [2])


def test_without_an_old_index_numbers_that_wait_in_the_queue_of_commands_are_given_to_nobody(
    run: Run, data: Path
) -> None:
    (data / "index.sqlite").write_bytes(b"not a database at all")
    with RunQueue(data / "state.sqlite") as queue:
        queue.put([(1, Finished(1, 40, SessionStatus.READY, "2026-01-01"), "1.2.3")])
    # One document was written by an earlier version, one is gone.
    document = next((data / "prearchive/NEURO-02").rglob("E2.xml"))
    document.write_text(re.sub(r"<\?dicomdock.*\?>", "", document.read_text()))
    next((data / "prearchive").rglob("E3.xml")).unlink()
    assert run("check", "--rebuild-index").code == 0
    assert numbers(run) == {"E1": 1, "E2": 42, "E3": 41}


def test_beside_a_running_engine_only_what_rests_is_looked_at(run: Run, data: Path) -> None:
    depot = open_depot(data, FixedClock())
    depot.receive(project=None, label="E4", StudyInstanceUID="1.2.9")
    depot.index.close()
    lock = EngineLock.acquire(EngineSettings(data).lock_file, SystemClock())
    try:
        code, found = check(run)
        assert (code, found["looked_at"], found["passed_over"]) == (0, 3, 1)
        assert "1 just being worked on" in run("check").err
        assert run("check", "--adopt").code == 3
        assert run("check", "--rebuild-index").code == 3
    finally:
        lock.release()
    assert len(objects(data)) == OBJECTS + 1


def test_what_a_killed_engine_left_of_arriving_objects_is_removed(run: Run, data: Path) -> None:
    part = data / "incoming" / "0123456789ab" / "00000001.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"Doe^Jane")
    lock = EngineLock.acquire(EngineSettings(data).lock_file, SystemClock())
    try:
        assert check(run)[1]["swept"] == 0
        assert part.exists()
    finally:
        lock.release()
    outcome = run("check")
    said = "removed 1 part of objects that a killed engine was receiving"
    assert (outcome.code, outcome.err.splitlines()[-1]) == (0, said)
    assert not part.parent.exists()
    assert check(run)[1]["swept"] == 0
