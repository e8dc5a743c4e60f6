"""Project scripts on the way into the archive: all objects or none, whenever a crash comes."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pydicom
import pytest

from engine.errors import ProcessingFailed
from engine.events.sessions import SessionFailed
from engine.index.operations import OperationKind, Request
from engine.model.anonymization import Anonymization, ScriptScope
from engine.model.configuration import Configuration
from engine.model.project import Project, ProjectRegistry
from engine.model.session import ProjectScript, SessionArea, SessionStatus
from engine.sessions import ledger, runner
from engine.sessions.folders import building, staging, transfer
from engine.sessions.folders.staging import staging_of
from engine.sessions.service import ProjectScripts
from engine.workers.scripts import ScriptRunner
from tests.engine.index.depot import Depot, depot_in, open_depot
from tests.engine.sessions.test_archive import Crash, ask, ready
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
ARCHIVE = OperationKind.ARCHIVE
FAILING = "script fails on"
DROPPED = "script drops"


class InThisProcess:
    """Edits as a project script would, by what the object's Series Description says."""

    def __init__(self, *projects: str) -> None:
        self.projects = projects or ("NEURO-01",)
        self.runs: Counter[str] = Counter()

    def of(self, project: str) -> Anonymization | None:
        step = Anonymization(ScriptScope.PROJECT, "a script", 7)
        return step if project in self.projects else None

    def run(
        self, source: Path, target: Path, step: Anonymization, labels: tuple[str, str, str]
    ) -> bool:
        ds = pydicom.dcmread(source)
        wanted = str(ds.get("SeriesDescription", ""))
        self.runs[str(ds.PatientName)] += 1
        if wanted == FAILING:
            raise ProcessingFailed(f"{step.script_name} line 2: it can't")
        ds.PatientName = "/".join(labels)
        ds.StudyInstanceUID = "2.25.1"
        ds.SOPInstanceUID = f"2.25.{str(ds.SOPInstanceUID).rpartition('.')[2]}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        if wanted.isdecimal():
            ds.SeriesNumber = int(wanted)
        ds.save_as(target)
        return wanted != DROPPED


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield scripted(depot, InThisProcess())


def scripted(depot: Depot, scripts: InThisProcess) -> Depot:
    depot.scripts = scripts
    depot.__post_init__()
    return depot


def names(depot: Depot) -> Counter[str]:
    return Counter(str(pydicom.dcmread(path).PatientName) for path in depot.all_objects())


def stagings(depot: Depot) -> list[Path]:
    return list(depot.root.rglob(".*.anonymized"))


def send(depot: Depot, *descriptions: str, **values: Any) -> int:
    values = {"PatientName": "QUINCE^ZEBEDEE"} | values
    numbers = []
    for text in descriptions:
        series: dict[str, Any] = {"SeriesInstanceUID": f"1.{text}"} if text.isdecimal() else {}
        numbers.append(depot.receive(SeriesDescription=text, **values, **series))
    depot.fall_silent()
    return numbers[-1]


def test_the_names_of_all_copies_are_on_the_disk_before_the_plan_that_counts_on_them(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = send(depot, "one", "9")
    flushed: list[Path] = []
    begin = ledger.SessionRepository.begin

    def begins(*arguments: Any) -> Any:
        assert {path.parent for path in stagings(depot)[0].rglob("*.dcm")} <= set(flushed)
        return begin(*arguments)

    monkeypatch.setattr(staging, "flush_folder", flushed.append)
    monkeypatch.setattr(ledger.SessionRepository, "begin", begins)
    ask(depot, session, ARCHIVE)
    assert depot.session(session).status is S.ARCHIVED


def test_nothing_that_the_index_does_not_know_gets_into_the_archive_as_it_came(
    depot: Depot,
) -> None:
    session = send(depot, "one", "two")
    with depot.index.changing() as connection:
        connection.execute("DELETE FROM objects WHERE file LIKE '%/2.dcm'")
    ask(depot, session, ARCHIVE)
    row = depot.session(session)
    assert (row.status, row.area) == (S.ERROR, SessionArea.PREARCHIVE)
    assert row.reason == (
        "1 object in its folder is not in the index, so that no script would see it; stop the"
        " engine and run: dicomdock check --adopt"
    )
    assert stagings(depot) == []


def test_every_object_is_anonymized_before_it_is_in_the_archive(depot: Depot) -> None:
    session = send(depot, "one", "two", "9")
    ask(depot, session, ARCHIVE)
    row = depot.session(session)
    assert (row.status, row.objects) == (S.ARCHIVED, 3)
    assert names(depot) == {"NEURO-01/S1/E1": 3}
    folder = depot.areas.folder(row)
    assert sorted(p.name for p in (folder / "SCANS").iterdir()) == ["4", "9"]
    assert ET.parse(folder.with_name("E1.xml")).getroot().get("UID") == "2.25.1"
    assert stagings(depot) == []
    rows = depot.ledger.stored_rows(session)
    assert {r.project_script for r in rows} == {ProjectScript.DONE}
    assert {(folder / r.file).is_file() for r in rows} == {True}


def test_a_failure_leaves_the_session_as_it_was_with_words(depot: Depot) -> None:
    session = send(depot, "one", FAILING, "three")
    before = {path: path.read_bytes() for path in depot.all_objects()}
    ask(depot, session, ARCHIVE)
    row = depot.session(session)
    assert (row.status, row.area) == (S.ERROR, SessionArea.PREARCHIVE)
    assert row.reason == "project script line 2: it can't"
    assert {path: path.read_bytes() for path in depot.all_objects()} == before
    assert (stagings(depot), len(depot.told(SessionFailed))) == ([], 1)


def test_rejected_objects_stay_out_of_the_archive_and_have_their_row(depot: Depot) -> None:
    session = send(depot, "one", DROPPED)
    ask(depot, session, ARCHIVE)
    assert (depot.session(session).status, depot.session(session).objects) == (S.ARCHIVED, 1)
    assert names(depot) == {"NEURO-01/S1/E1": 1}
    states = {row.state: (row.file, row.reason) for row in depot.index.objects()}
    assert states["filtered"] == ("", "rejected by the project script")


def test_a_session_of_which_everything_is_rejected_is_an_error_and_stays(depot: Depot) -> None:
    """P6."""
    session = send(depot, DROPPED, DROPPED)
    ask(depot, session, ARCHIVE)
    row = depot.session(session)
    assert (row.status, row.reason) == (S.ERROR, "Empty sessions cannot be archived.")
    assert names(depot) == {"QUINCE^ZEBEDEE": 2}


def test_a_conflict_leaves_the_session_as_it_was(depot: Depot) -> None:
    ask(depot, send(depot, "one"), ARCHIVE)
    late = send(depot, "two")
    ask(depot, late, ARCHIVE)
    assert depot.session(late).status is S.CONFLICT
    assert (names(depot)["QUINCE^ZEBEDEE"], stagings(depot)) == (1, [])


def test_what_is_exempt_or_done_is_not_touched(depot: Depot) -> None:
    send(depot, "one", script=ProjectScript.EXEMPT)
    send(depot, "two", script=ProjectScript.DONE)
    session = send(depot, "three")
    ask(depot, session, ARCHIVE)
    assert names(depot) == {"QUINCE^ZEBEDEE": 2, "NEURO-01/S1/E1": 1}


def test_after_a_move_the_script_of_the_new_project_runs(depot: Depot) -> None:
    scripts = InThisProcess("NEURO-02")
    scripted(depot, scripts)
    session = send(depot, "one", script=ProjectScript.DONE)
    ask(depot, session, OperationKind.MOVE, project="NEURO-02")
    assert scripts.runs.total() == 0
    ask(depot, session, ARCHIVE)
    assert names(depot) == {"NEURO-02/S1/E1": 1}


def test_the_same_originals_replace_their_anonymized_selves(depot: Depot) -> None:
    """F23: merging compares what the archive has with what the script makes."""
    for _ in range(2):
        session = send(depot, "one", SOPInstanceUID="1.2.3.99")
        depot._received -= 1
        ask(depot, session, ARCHIVE, overwrite=True)
    assert len(depot.objects()) == 1
    assert len(depot.objects(SessionArea.TRASH)) == 1
    assert names(depot) == {"NEURO-01/S1/E1": 2}


@contextmanager
def dies(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, late: bool) -> Iterator[None]:
    """Let the process end before or after the first call of a function."""
    real = getattr(owner, name)

    def die(*arguments: Any, **options: Any) -> Any:
        if late:
            real(*arguments, **options)
        raise Crash

    with monkeypatch.context() as patched, suppress(Crash):
        patched.setattr(owner, name, die)
        yield


STEPS = [
    (runner, "put_in_place"),
    (runner, "build"),
    (building, "move_file"),
    (transfer, "move_folder"),
    (transfer, "move_file"),
    (ledger.SessionRepository, "note_anonymized"),
    (ledger.SessionRepository, "finish"),
]


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("merged", [False, True], ids=["whole", "merged"])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=lambda value: str(value)[-24:])
def test_a_crash_at_any_step_is_completed_and_nothing_plain_gets_into_the_archive(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    merged: bool,
    late: bool,
) -> None:
    first = scripted(open_depot(tmp_path, FixedClock()), InThisProcess())
    if merged:
        ask(first, send(first, "one"), ARCHIVE)
    session = send(first, "two", "9", DROPPED, "4")
    first.ledger.ask(session, Request(ARCHIVE, "admin", merge=True))
    with dies(monkeypatch, module, name, late=late):
        first.lifecycle.run_requests()
    assert all(map(_is_edited, first.areas.archive.rglob("*.dcm")))
    with closing_index(first.restarted()) as depot:
        depot.lifecycle.recover()
        depot.lifecycle.run_due()
        assert names(depot) == {"NEURO-01/S1/E1": 3 + merged}
        assert len(depot.objects()) == 3 + merged
        assert (stagings(depot), depot.ledger.operations()) == ([], ())
        states = Counter(row.state for row in depot.index.objects())
        assert states == {"stored": 3 + merged, "filtered": 1}
        (archived,) = depot.index.sessions()
        folder = depot.areas.folder(archived)
        files = depot.ledger.stored_files(archived.id)
        assert {(folder / file).is_file() for file in files} == {True}


@contextmanager
def closing_index(depot: Depot) -> Iterator[Depot]:
    try:
        yield depot
    finally:
        depot.index.close()


def _is_edited(path: Path) -> bool:
    return str(pydicom.dcmread(path).PatientName) == "NEURO-01/S1/E1"


def test_copies_that_somebody_removed_are_an_error_and_no_way_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scripted(open_depot(tmp_path, FixedClock()), InThisProcess())
    session = send(first, "one", "two")
    first.ledger.ask(session, Request(ARCHIVE, "admin"))
    with dies(monkeypatch, runner, "put_in_place", late=False):
        first.lifecycle.run_requests()
    folder = first.areas.folder(first.session(session))
    next(staging_of(folder).rglob("*.dcm")).unlink()
    with closing_index(first.restarted()) as depot:
        depot.lifecycle.recover()
        row = depot.session(session)
        assert (row.status, row.area) == (S.ERROR, SessionArea.PREARCHIVE)
        assert row.reason == "anonymized copies are gone (1); rebuild the session"
        assert depot.objects() == []
        depot.ledger.request_build(session, "admin")
        depot.lifecycle.run_requests()
        ask(depot, session, ARCHIVE)
        assert names(depot) == {"NEURO-01/S1/E1": 2}


def test_an_engine_that_stops_leaves_the_request_for_the_next_one(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        project = Project(
            "NEURO-01", anonymization_script="text", anonymization_script_enabled=True
        )
        configuration = Configuration(projects=ProjectRegistry((project,)))
        scripts = ProjectScripts(ScriptRunner(tmp_path / "uids"), lambda: configuration)
        depot.scripts = scripts
        depot.__post_init__()
        session = send(depot, "one")
        depot.ledger.ask(session, Request(ARCHIVE, "admin"))
        asked = iter((False, False, True))
        with scripts.held_back():
            depot.lifecycle.run_requests(lambda: next(asked, True))
        assert depot.session(session).status is S.QUEUED_ARCHIVING
        assert (stagings(depot), depot.objects()) == ([], [])


def test_late_objects_are_anonymized_when_they_are_merged(depot: Depot) -> None:
    ask(depot, send(depot, "one"), ARCHIVE)
    late = ready(depot, PatientName="QUINCE^ZEBEDEE")
    ask(depot, late, ARCHIVE, merge=True)
    assert names(depot) == {"NEURO-01/S1/E1": 2}
