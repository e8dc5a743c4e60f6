"""Sessions renamed before archiving, scans removed, and what people did undone."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from engine.errors import NotFound, SessionError
from engine.events.sessions import ScansRemoved, SessionRelabelled, SessionUndone
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.session import ProjectScript, SessionArea, SessionStatus
from engine.sessions import builder, runner
from engine.sessions.folders import transfer
from engine.sessions.worker import Lifecycle
from tests.engine.index.depot import Depot, depot_in, open_depot
from tests.engine.sessions.test_archive import Crash, _assert_consistent, _crashing
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
PREARCHIVE, TRASH = SessionArea.PREARCHIVE, SessionArea.TRASH
ARCHIVE, MOVE, DELETE = OperationKind.ARCHIVE, OperationKind.MOVE, OperationKind.DELETE
REMOVE, RESTORE, UNDO = OperationKind.REMOVE_SCANS, OperationKind.RESTORE, OperationKind.UNDO


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def ask(depot: Depot, session: int, kind: OperationKind, by: str = "anna", **changes: Any) -> None:
    depot.ledger.ask(session, Request(kind, by, **changes))
    depot.lifecycle.run_requests()


def ready(depot: Depot, **values: Any) -> int:
    session = depot.receive(**values)
    depot.fall_silent()
    return session


def undo(depot: Depot) -> None:
    """Undo the newest action."""
    session, request = depot.ledger.request_of_undo(depot.ledger.newest_actions()[0].number, "bert")
    depot.ledger.ask(session, request)
    depot.lifecycle.run_requests()


def actions(depot: Depot) -> list[tuple[str, str]]:
    return [(action.what, action.why_not) for action in depot.ledger.newest_actions()]


def names(depot: Depot, session: int) -> tuple[object, ...]:
    row = depot.session(session)
    return row.project, row.subject, row.label, row.folder.split("/")[0::2]


def test_row_folder_and_document_follow_a_new_label(depot: Depot) -> None:
    session = ready(depot)
    ask(depot, session, MOVE, subject="S9", label="S9_MR1")
    row = depot.session(session)
    assert row.status is S.READY
    assert names(depot, session) == ("NEURO-01", "S9", "S9_MR1", ["NEURO-01", "S9_MR1"])
    root = ET.parse(depot.areas.folder(row).with_name("S9_MR1.xml")).getroot()
    assert (root.get("label"), root.findtext("{*}dcmSubject")) == ("S9_MR1", "S9")
    assert len(depot.all_objects()) == 1
    assert not list(depot.root.rglob("E1*"))
    assert depot.told(SessionRelabelled) == [f"session {session} in NEURO-01 relabelled by anna"]
    # A subject is in no folder's name: nothing moves.
    folder = row.folder
    ask(depot, session, MOVE, subject="S10")
    assert (depot.session(session).folder, depot.session(session).subject) == (folder, "S10")


def test_a_session_gets_another_project_and_labels_in_one_step(depot: Depot) -> None:
    session = ready(depot, project=None)
    ask(depot, session, MOVE, project="NEURO-02", label="E2")
    assert names(depot, session) == ("NEURO-02", "S1", "E2", ["NEURO-02", "E2"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": "../E2"}, "session label '../E2' is no label"),
        ({"subject": "Miller^Anna"}, "subject 'Miller^Anna' is no label"),
        ({"label": "E" * 65}, "is no label"),
        ({"subject": "S1", "label": "E1"}, "has these names already"),
        ({}, "has these names already"),
    ],
)
def test_what_is_no_new_label_is_refused(depot: Depot, changes: dict[str, str], words: str) -> None:
    session = ready(depot)
    with pytest.raises(SessionError, match=re.escape(words)):
        ask(depot, session, MOVE, **changes)
    assert depot.session(session).status is S.READY


def test_later_objects_of_a_study_follow_its_names_before_and_after_archiving(
    depot: Depot,
) -> None:
    session = ready(depot)
    ask(depot, session, MOVE, project="NEURO-02", label="E2")
    # By the old names, and by the new ones, which a mended rule may give.
    assert depot.receive(SeriesNumber="5") == session
    assert depot.receive("NEURO-02", "E2", SeriesNumber="6") == session
    assert depot.receive(SeriesNumber="7") == session
    depot.fall_silent()
    assert depot.session(session).objects == 4
    ask(depot, session, ARCHIVE)
    later = ready(depot, SeriesNumber="8", SeriesInstanceUID="1.8")
    assert names(depot, later) == ("NEURO-02", "S1", "E2", ["NEURO-02", "E2"])
    ask(depot, later, ARCHIVE, merge=True)
    assert [s.objects for s in depot.index.sessions()] == [5]
    # Another study of these names is none of it.
    other = ready(depot, StudyInstanceUID="1.9")
    assert names(depot, other)[:3] == ("NEURO-01", "S1", "E1")


def test_objects_that_name_the_project_of_a_renamed_session_since_it_was_made_go_there_too(
    depot: Depot,
) -> None:
    session = ready(depot, project=None)
    ask(depot, session, MOVE, project="NEURO-02", label="E2")
    for project in (None, "NEURO-02"):
        assert depot.receive(project) == session
    assert set(depot.ledger.former_names(S.RECEIVING)) == {
        (session, None, "E1"),
        (session, "NEURO-02", "E1"),
    }
    assert depot.receive("NEURO-01") != session
    depot.fall_silent()
    ask(depot, session, ARCHIVE)
    assert names(depot, depot.receive("NEURO-02", SeriesNumber="8"))[:3] == ("NEURO-02", "S1", "E2")


def test_a_renamed_session_is_recovered_before_an_object_that_comes_by_its_old_names(
    depot: Depot,
) -> None:
    session = ready(depot)
    ask(depot, session, MOVE, label="E2")
    assert depot.receive(SeriesNumber="5") == session
    again = depot.restarted()
    again.lifecycle.begin(clean=False)
    try:
        assert set(again.lifecycle.recovery._pending[session]) == {
            ("NEURO-01", "1.2.826.0.1.3680043.8.498.2", "E2"),
            ("NEURO-01", "1.2.826.0.1.3680043.8.498.2", "E1"),
        }
    finally:
        again.index.close()


@pytest.mark.parametrize(
    ("reruns", "changes", "script"),
    [
        (False, {"label": "E2"}, ProjectScript.DONE),
        (True, {"label": "E2"}, ProjectScript.DUE),
        (False, {"project": "NEURO-02"}, ProjectScript.DUE),
    ],
)
def test_the_project_script_runs_again_after_a_rename_if_the_site_says_so(
    depot: Depot, reruns: bool, changes: dict[str, str], script: ProjectScript
) -> None:
    context = replace(depot.session_context, reruns_script=lambda: reruns)
    depot.lifecycle = Lifecycle(context, depot.policy)
    session = ready(depot, script=ProjectScript.DONE)
    ask(depot, session, MOVE, **changes)
    assert [row.project_script for row in depot.ledger.stored_rows(session)] == [script]


def test_removed_scans_are_an_entry_of_the_trash_and_go_back_into_their_session(
    depot: Depot,
) -> None:
    """The session waits for a person meanwhile, though its project archives by itself."""
    session = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    depot.receive(SeriesNumber="6", SeriesInstanceUID="1.6")
    depot.fall_silent()
    ask(depot, session, REMOVE, scans=("4", "6"))
    row, removed = depot.session(session), depot.session(session + 1)
    assert (row.status, row.objects) == (S.READY, 1)
    assert (removed.status, removed.area, removed.objects) == (S.DELETED, TRASH, 2)
    assert [name.split("/")[-3] for name in depot.objects(PREARCHIVE)] == ["5"]
    assert [name.split("/")[-3] for name in depot.objects(TRASH)] == ["4", "6"]
    assert depot.told(ScansRemoved) == [
        f"session {session} in NEURO-01: 2 scans moved to the trash by anna,"
        f" as session {removed.id}"
    ]
    assert actions(depot) == [("remove scans", "")]
    # The session may have got another label since.
    ask(depot, session, MOVE, label="E2")
    ask(depot, removed.id, RESTORE)
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 3)
    with pytest.raises(NotFound):
        depot.session(removed.id)
    assert len(depot.objects(PREARCHIVE)) == 3
    assert actions(depot)[1] == ("remove scans", "undone by anna")


def test_removed_scans_of_an_archived_session_are_restored_as_a_session_of_their_own(
    depot: Depot,
) -> None:
    session = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    depot.fall_silent()
    ask(depot, session, REMOVE, scans=("4",))
    ask(depot, session, ARCHIVE)
    ask(depot, session + 1, RESTORE)
    restored = depot.session(session + 1)
    assert (restored.status, restored.label, restored.objects) == (S.READY, "E1", 1)


def test_what_is_left_of_a_session_is_counted_before_it_is_built_again(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion may come first: then it is not built at all."""
    session = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    depot.fall_silent()

    def end(*_: object, **__: object) -> None:
        raise Crash

    monkeypatch.setattr(builder, "build", end)
    monkeypatch.setattr(runner, "build", end)
    with pytest.raises(Crash):
        ask(depot, session, REMOVE, scans=("4",))
    assert [depot.session(number).objects for number in (session, session + 1)] == [1, 1]


@pytest.mark.parametrize(
    ("scans", "words"),
    [
        (("9",), "there is no scan '9'"),
        ((), "no scan is named"),
        (("4", "5"), "all scans of the session"),
    ],
)
def test_scans_that_can_not_be_removed_are_refused(
    depot: Depot, scans: tuple[str, ...], words: str
) -> None:
    session = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    depot.fall_silent()
    with pytest.raises(SessionError, match=words):
        ask(depot, session, REMOVE, scans=scans)


def test_every_action_is_undone_one_after_the_other(depot: Depot) -> None:
    """From the trash to the archive, to the prearchive, to the old names."""
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    session = ready(depot, auto_archive=False)
    before = depot.session(session)
    ask(depot, session, MOVE, project="NEURO-02", subject="S9", label="E2")
    ask(depot, session, ARCHIVE)
    archived = depot.session(session)
    ask(depot, session, DELETE)
    assert actions(depot) == [
        ("delete", ""),
        ("archive", "the session was changed again since; undo the later action first"),
        ("edit", "the session was changed again since; undo the later action first"),
    ]
    undo(depot)
    assert replace(depot.session(session), changed_at=None) == replace(archived, changed_at=None)
    ask(depot, session, UNDO, "bert", action=2)
    assert names(depot, session) == ("NEURO-02", "S9", "E2", ["NEURO-02", "E2"])
    ask(depot, session, UNDO, "bert", action=1)
    # It waits for a person, though its project archives by itself.
    row = depot.session(session)
    assert replace(row, changed_at=None) == replace(before, changed_at=None)
    assert {why for _, why in actions(depot)} == {"undone by bert"}
    assert depot.told(SessionUndone)[0] == f"session {session} in NEURO-02: action 3 undone by bert"
    # The study's objects come by its own names again.
    assert depot.receive(SeriesNumber="5") == session


def test_a_rebuild_that_archived_is_undone_and_a_rebuild_alone_is_nothing(depot: Depot) -> None:
    session = ready(depot)
    ask(depot, session, MOVE, label="E2")
    depot.ledger.request_build(session, "anna")
    depot.lifecycle.run_requests()
    assert actions(depot)[0] == (
        *("rebuild", "a rebuild by itself changes nothing that could be undone"),
    )
    assert actions(depot)[1] == ("edit", "")
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    depot.ledger.request_build(session, "anna")
    depot.lifecycle.run_requests()
    assert depot.session(session).status is S.ARCHIVED
    assert actions(depot)[0] == ("rebuild, then archived", "")
    undo(depot)
    assert (depot.session(session).status, depot.objects()) == (S.READY, [])


def test_what_was_merged_can_not_be_undone_and_says_so(depot: Depot) -> None:
    first = ready(depot)
    ask(depot, first, ARCHIVE)
    second = ready(depot, SeriesNumber="5", SeriesInstanceUID="1.5")
    ask(depot, second, ARCHIVE, merge=True)
    assert actions(depot) == [
        ("archive", f"it was merged into session {first}"),
        ("archive", "objects of another session were merged into it since"),
    ]
    with pytest.raises(SessionError, match="be undone: objects of another session"):
        ask(depot, first, UNDO, action=1)
    assert depot.session(first).status is S.ARCHIVED


def test_an_archived_session_is_not_renamed_and_a_place_that_is_taken_is_not_given_twice(
    depot: Depot,
) -> None:
    session = ready(depot)
    ask(depot, session, ARCHIVE)
    with pytest.raises(SessionError, match="is archived"):
        ask(depot, session, MOVE, label="E2")
    ask(depot, session, DELETE)
    other = ready(depot, StudyInstanceUID="1.9")
    ask(depot, other, ARCHIVE)
    assert actions(depot)[1][1].startswith("another session has its place in the archive")


def test_a_hundred_actions_are_kept(depot: Depot) -> None:
    session = ready(depot)
    for number in range(101):
        with depot.index.changing() as connection:
            connection.execute("UPDATE sessions SET status = 'READY'")
        depot.ledger.request_build(session, f"anna {number}")
    assert len(depot.ledger.newest_actions(1_000)) == 100
    assert [action.by for action in depot.ledger.newest_actions(2)] == ["anna 100", "anna 99"]


def _review(depot: Depot, session: int) -> None:
    """Rename, remove scans, restore them, archive, and undo that and the rename."""
    ask(depot, session, MOVE, project="NEURO-02", label="E2")
    ask(depot, session, REMOVE, scans=("5",))
    undo(depot)
    ask(depot, session, ARCHIVE)
    undo(depot)
    ask(depot, session, UNDO, action=1)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "step", ["folder", "merged file", "flush", "rest", "begin", "finish", "note merge", "build"]
)
def test_after_a_crash_at_any_step_of_a_review_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, count: int, after: bool
) -> None:
    depot = open_depot(tmp_path, FixedClock())
    session = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    depot.fall_silent()
    with monkeypatch.context() as patched, suppress(Crash):
        _crashing(patched, step, after=after, count=count)
        _review(depot, session)
    received = {row.sop_instance_uid for row in depot.index.objects()}
    again = depot.restarted()
    try:
        again.lifecycle.recover()
        again.fall_silent()
        _assert_consistent(again, received)
        assert again.ledger.in_status(S.CONFLICT, S.ERROR) == ()
    finally:
        again.index.close()


def test_two_patients_in_one_study_are_told_without_their_names(depot: Depot) -> None:
    anna: dict[str, Any] = {"PatientID": "A1", "PatientName": "Miller^Anna"}
    session = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4", **anna)
    # Only another spelling, and a value that is missing.
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5", PatientID=" a1",
                  PatientName="MILLER, ANNA")  # fmt: skip
    depot.receive(SeriesNumber="6", SeriesInstanceUID="1.6", PatientID="", PatientName="")
    depot.fall_silent()
    assert depot.session(session).patients == ""
    depot.receive(SeriesNumber="9", SeriesInstanceUID="1.9", PatientID="B2",
                  PatientName="Smith^Bob")  # fmt: skip
    depot.fall_silent()
    assert depot.session(session).patients == (
        "two patients in one study: 2 Patient IDs and 2 names; most objects are of one of them,"
        " others are in scan 9"
    )
    ask(depot, session, REMOVE, scans=("9",))
    assert depot.session(session).patients == ""
    # Another session of the study, under another subject.
    other = depot.receive(label="E7", subject="S7", SeriesNumber="12", SeriesInstanceUID="1.12")
    assert depot.ledger.of_other_subjects(depot.session(session)) == (other,)
    assert depot.ledger.of_other_subjects(depot.session(other)) == (session,)


def test_a_removal_of_scans_that_is_cancelled_half_way_is_undone(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive(SeriesNumber="4", SeriesInstanceUID="1.4")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    depot.fall_silent()
    real = transfer.carry_out

    def carry_out(*arguments: Any) -> None:
        real(*arguments)
        depot.ledger.cancel(session)

    monkeypatch.setattr("engine.sessions.runner.carry_out", carry_out)
    ask(depot, session, REMOVE, scans=("4",))
    received = {row.sop_instance_uid for row in depot.index.objects()}
    _assert_consistent(depot, received)
    assert [s.id for s in depot.index.sessions()] == [session]
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 2)
    assert (depot.objects(TRASH), actions(depot)) == ([], [])
