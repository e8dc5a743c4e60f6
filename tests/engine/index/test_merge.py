"""Merging into the archive beside files that no row names, and taking a begun archiving back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import SessionError, UnreadableObject
from engine.events.sessions import SessionFailed
from engine.index.operations import OperationKind, Plan, Request
from engine.model.identity import timestamp
from engine.model.session import (
    ObjectState,
    SessionAction,
    SessionArea,
    SessionStatus,
    possible_actions,
)
from engine.sessions import runner
from engine.sessions.folders import transfer
from engine.sessions.folders.stored_objects import read_stored
from engine.sessions.planner import Planner
from tests.engine.index.depot import Depot, depot_in
from tests.engine.sessions.test_archive import archived, ask, ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
ARCHIVE = OperationKind.ARCHIVE
E1 = "NEURO-01/arc001/E1/SCANS/4/DICOM"
FOREIGN = b"nobody knows this file"
FULL = OSError(28, "No space left on device")
DENIED = OSError(13, "Permission denied")


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def put_foreign_file(depot: Depot, name: str) -> Path:
    path = depot.areas.archive / E1 / name
    path.write_bytes(FOREIGN)
    return path


def failing(error: OSError) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def half_merged(depot: Depot, monkeypatch: pytest.MonkeyPatch, **values: Any) -> int:
    """Leave a merge unfinished of which every object has moved; return its session."""
    second = ready(depot, **values)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "_remove_rest", failing(FULL))
        ask(depot, second, ARCHIVE, overwrite=True)
    assert depot.session(second).status is S.ARCHIVING
    return second


def test_a_merged_object_goes_beside_a_file_that_the_index_does_not_know(depot: Depot) -> None:
    into = archived(depot)
    second = ready(depot, name="2.dcm")
    foreign = put_foreign_file(depot, "2.dcm")
    ask(depot, second, ARCHIVE, merge=True)
    assert depot.session(into).objects == 2
    assert depot.ledger.stored_files(into)[-1] == "SCANS/4/DICOM/2_1.dcm"
    assert foreign.read_bytes() == FOREIGN
    assert depot.objects() == [f"{E1}/{name}" for name in ("1.dcm", "2.dcm", "2_1.dcm")]


def test_an_object_that_an_earlier_engine_has_moved_by_half_keeps_its_name(depot: Depot) -> None:
    into = archived(depot)
    second = ready(depot, name="2.dcm")
    before = depot.areas.folder(depot.session(second)) / "SCANS/4/DICOM/2.dcm"
    (depot.areas.archive / E1 / "2.dcm").hardlink_to(before)
    ask(depot, second, ARCHIVE, merge=True)
    assert depot.ledger.stored_files(into)[-1] == "SCANS/4/DICOM/2.dcm"
    assert depot.objects() == [f"{E1}/{name}" for name in ("1.dcm", "2.dcm")]


def test_a_file_without_an_extension_gets_another_name_in_its_own_folder(depot: Depot) -> None:
    into = archived(depot)
    second = ready(depot, name="IM2")
    put_foreign_file(depot, "IM2")
    ask(depot, second, ARCHIVE, merge=True)
    folder, _, name = depot.ledger.stored_files(into)[-1].rpartition("/")
    assert (folder, name != "IM2") == ("SCANS/4/DICOM", True)


def test_the_name_of_a_replaced_object_is_free_for_the_one_that_replaces_it(depot: Depot) -> None:
    archived(depot, SOPInstanceUID="1.2.3.900", name="a.dcm")
    second = ready(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="new")
    ask(depot, second, ARCHIVE, overwrite=True)
    assert depot.objects() == [f"{E1}/a.dcm"]
    assert b"new" in (depot.areas.archive / E1 / "a.dcm").read_bytes()


def test_a_begun_merge_gives_an_object_another_name_if_its_name_was_taken_meanwhile(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = archived(depot)
    depot.receive(name="2.dcm")
    second = ready(depot, name="3.dcm")
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "make_folder", failing(FULL))
        ask(depot, second, ARCHIVE, merge=True)
    put_foreign_file(depot, "2.dcm")
    put_foreign_file(depot, "2_1.dcm")
    depot.lifecycle.run_due()
    assert [(row.id, row.status) for row in depot.index.sessions()] == [(into, S.ARCHIVED)]
    assert depot.ledger.stored_files(into)[1:] == (
        "SCANS/4/DICOM/2_2.dcm",
        "SCANS/4/DICOM/3.dcm",
    )
    third = ready(depot, name="4.dcm")
    ask(depot, third, ARCHIVE, merge=True)
    assert depot.session(into).objects == 4


def test_the_file_that_takes_a_name_between_two_steps_is_kept_and_the_merge_ends_at_the_next_try(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, real = archived(depot), transfer.carry_out
    second = ready(depot, name="2.dcm")

    def carry_out(*arguments: Any) -> None:
        foreign = depot.areas.archive / E1 / "2.dcm"
        if not foreign.exists():
            foreign.write_bytes(FOREIGN)
        real(*arguments)

    monkeypatch.setattr(runner, "carry_out", carry_out)
    ask(depot, second, ARCHIVE, merge=True)
    assert depot.session(second).reason.endswith("File exists; it will be tried again")
    depot.lifecycle.run_due()
    assert depot.ledger.stored_files(into)[-1] == "SCANS/4/DICOM/2_1.dcm"
    assert (depot.areas.archive / E1 / "2.dcm").read_bytes() == FOREIGN


def test_a_merge_that_can_not_go_on_is_taken_back_with_all_its_objects(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = archived(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="old")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    second = half_merged(
        depot, monkeypatch, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="new"
    )
    assert len(depot.objects()) == 2
    assert possible_actions(depot.session(second)) == (SessionAction.CANCEL,)
    depot.ledger.cancel(second)
    depot.lifecycle.run_due()
    row = depot.session(second)
    assert (row.status, row.reason, row.objects) == (S.READY, "", 2)
    folder = depot.areas.folder(row)
    assert all((folder / file).is_file() for file in depot.ledger.stored_files(second))
    assert (folder / "SCANS/5/DICOM/scan_5_catalog.xml").is_file()
    assert folder.with_name("E1.xml").is_file()
    assert depot.objects() == [f"{E1}/a.dcm"]
    assert b"old" in (depot.areas.archive / E1 / "a.dcm").read_bytes()
    assert list(depot.areas.trash.iterdir()) == []
    assert not (depot.areas.archive / E1).parents[1].joinpath("5").exists()
    assert depot.ledger.operations() == ()
    ask(depot, second, ARCHIVE, overwrite=True)
    assert depot.session(into).objects == 2


def test_what_is_taken_back_while_it_is_carried_out_is_undone(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, second = archived(depot), ready(depot)
    real = transfer.carry_out

    def carry_out(*arguments: Any) -> None:
        real(*arguments)
        depot.ledger.cancel(second)

    monkeypatch.setattr(runner, "carry_out", carry_out)
    ask(depot, second, ARCHIVE, merge=True)
    assert depot.session(second).status is S.READY
    assert len(depot.objects()) == len(depot.objects(SessionArea.PREARCHIVE)) == 1
    assert depot.session(into).objects == 1


def test_a_merge_whose_rows_are_given_away_can_not_be_taken_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, second = archived(depot), ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(runner, "build", failing(FULL))
        ask(depot, second, ARCHIVE, merge=True)
    with pytest.raises(SessionError, match="merged already"):
        depot.ledger.cancel(second)
    depot.lifecycle.run_due()
    assert [(row.id, row.objects) for row in depot.index.sessions()] == [(into, 2)]


def test_an_archiving_that_waits_for_room_is_taken_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ready(depot)
    monkeypatch.setattr(transfer, "move_folder", failing(FULL))
    ask(depot, session, ARCHIVE)
    depot.ledger.cancel(session)
    depot.lifecycle.run_due()
    assert depot.session(session).status is S.READY
    assert len(depot.objects(SessionArea.PREARCHIVE)) == 1


def test_an_archiving_that_is_taken_back_after_the_session_has_moved_is_completed(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "flush_folder", failing(FULL))
        ask(depot, session, ARCHIVE)
    depot.ledger.cancel(session)
    depot.lifecycle.run_due()
    assert depot.session(session).status is S.ARCHIVED
    assert len(depot.objects()) == 1


def test_a_deletion_that_has_begun_can_not_be_taken_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ready(depot)
    monkeypatch.setattr(transfer, "move_folder", failing(FULL))
    ask(depot, session, OperationKind.DELETE)
    with pytest.raises(SessionError, match="that is DELETING waits for nothing"):
        depot.ledger.cancel(session)


def test_what_keeps_a_merge_from_being_undone_is_reported_and_it_is_undone_later(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived(depot)
    second = half_merged(depot, monkeypatch)
    depot.ledger.cancel(second)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "move_file", failing(DENIED))
        depot.lifecycle.run_due()
    row = depot.session(second)
    assert row.reason == "the storage failed: Permission denied; it will be tried again"
    depot.lifecycle.run_due()
    assert depot.session(second).status is S.READY


def test_an_unreadable_object_of_the_archived_session_does_not_keep_a_merge_from_ending(
    depot: Depot,
) -> None:
    into, second = archived(depot), ready(depot)

    def read(folder: Path, file: str) -> Any:
        if "archive" in folder.parts and len(depot.objects()) == 2:
            raise UnreadableObject("an object of scan 4 can't be read")
        return read_stored(folder, file)

    depot.session_context = type(depot.session_context)(
        *(depot.index, depot.ledger, depot.areas, read, depot.journal, depot.clock)
    )
    depot.lifecycle = type(depot.lifecycle)(depot.session_context, depot.policy)
    ask(depot, second, ARCHIVE, merge=True)
    (row,) = depot.index.sessions()
    why = "merged, but its documents are as before: an object of scan 4 can't be read"
    assert (row.id, row.status, row.objects, row.reason) == (into, S.ARCHIVED, 2, why)
    assert depot.told(SessionFailed) == [f"session {into} in NEURO-01 failed: {why}"]
    assert depot.ledger.operations() == ()


@pytest.mark.parametrize("status", [S.QUEUED_DELETING, S.DELETING])
def test_nothing_is_merged_into_a_session_that_is_on_its_way_out(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, status: SessionStatus
) -> None:
    into, second = archived(depot), ready(depot, SeriesNumber="5", SeriesInstanceUID="1.5")
    if status is S.DELETING:
        monkeypatch.setattr(transfer, "move_folder", failing(FULL))
        ask(depot, into, OperationKind.DELETE)
        ask(depot, second, ARCHIVE, merge=True)
    else:
        depot.ledger.ask(second, Request(ARCHIVE, "admin", merge=True))
        depot.clock.advance(1)
        depot.ledger.ask(into, Request(OperationKind.DELETE, "admin"))
        depot.lifecycle.run_requests()
    row = depot.session(second)
    assert (row.status, row.reason) == (S.CONFLICT, f"the archived session is {status} just now")
    assert len(depot.objects(SessionArea.PREARCHIVE)) == 1
    assert len(depot.all_objects()) == 2


def test_an_object_that_is_to_be_replaced_and_is_gone_meanwhile_holds_up_no_merge(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = archived(depot, SOPInstanceUID="1.2.3.900", name="a.dcm")
    second = ready(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="new")
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "make_folder", failing(FULL))
        ask(depot, second, ARCHIVE, overwrite=True)
    (depot.areas.archive / E1 / "a.dcm").unlink()
    depot.lifecycle.run_due()
    assert [(row.id, row.status) for row in depot.index.sessions()] == [(into, S.ARCHIVED)]
    assert b"new" in (depot.areas.archive / E1 / "a.dcm").read_bytes()


def test_a_preview_says_every_reason_against_the_archive_or_what_would_be_done(
    depot: Depot,
) -> None:
    archived(depot, SOPInstanceUID="1.2.3.900")
    second = depot.session(ready(depot, SOPInstanceUID="1.2.3.900", Modality="MR"))
    planner = Planner(depot.session_context)
    reasons = planner.preview(second, Request(ARCHIVE, "admin"))
    assert reasons == (
        "session already exists, retry with merge or overwrite",
        "the archived session is CT, this one MR",
        "session already exists with matching files: 1 in scan 4",
    )


def test_sessions_that_fall_back_at_one_time_get_a_folder_each(depot: Depot) -> None:
    session = depot.session(depot.receive(direct=True))
    planner = Planner(depot.session_context)
    stamp = timestamp(depot.clock.now())
    for mark in ("", "_DA", "_DA2", "_DA3"):
        plan = planner.plan(session, Request(OperationKind.FALL_BACK, "direct archive"))
        assert plan.folder == f"NEURO-01/{stamp}{mark}/E1"
        depot.areas.path(SessionArea.PREARCHIVE, plan.folder).mkdir(parents=True)


def test_what_has_not_moved_yet_stays_when_a_merge_is_taken_back(depot: Depot) -> None:
    archived(depot)
    second = ready(depot, name="2.dcm")
    foreign = put_foreign_file(depot, "2.dcm")
    file = "SCANS/4/DICOM/2.dcm"
    plan = Plan(SessionArea.ARCHIVE, "NEURO-01/arc001/E1", S.ARCHIVED, None, files={file: file})
    transfer.undo_move(depot.areas, depot.session(second), plan)
    assert foreign.read_bytes() == FOREIGN
    assert (depot.areas.folder(depot.session(second)) / file).exists()


def test_a_session_whose_folder_is_gone_is_not_archived_as_an_empty_one(depot: Depot) -> None:
    session = depot.session(ready(depot))
    shutil.rmtree(depot.areas.folder(session))
    plan = Plan(SessionArea.ARCHIVE, "NEURO-01/arc001/E1", S.ARCHIVED, None)
    with pytest.raises(FileNotFoundError):
        transfer.carry_out(depot.areas, session, plan)
    assert not depot.areas.path(plan.area, plan.folder).exists()


def test_a_plan_whose_names_are_free_is_not_made_anew(depot: Depot) -> None:
    archived(depot)
    second = depot.session(ready(depot, name="2.dcm"))
    file = "SCANS/4/DICOM/2.dcm"
    for files in ({}, {file: file}):
        plan = Plan(SessionArea.ARCHIVE, "NEURO-01/arc001/E1", S.ARCHIVED, None, files=files)
        assert transfer.with_free_names(depot.areas, second, plan) is plan


def test_an_object_that_an_earlier_engine_has_put_aside_by_half_is_put_aside(depot: Depot) -> None:
    archived(depot)
    second = depot.session(ready(depot, name="2.dcm"))
    replaced = depot.areas.archive / E1 / "1.dcm"
    kept = depot.areas.trash / "20260102_030405006_2" / "SCANS/4/DICOM/1.dcm"
    kept.parent.mkdir(parents=True)
    kept.hardlink_to(replaced)
    plan = Plan(
        *(SessionArea.ARCHIVE, "NEURO-01/arc001/E1", S.ARCHIVED, None),
        into=1,
        files={"SCANS/4/DICOM/2.dcm": "SCANS/4/DICOM/1.dcm"},
        replaced=("SCANS/4/DICOM/1.dcm",),
        trash="20260102_030405006_2",
    )
    moving = depot.areas.folder(second) / "SCANS/4/DICOM/2.dcm"
    inode = moving.stat().st_ino
    transfer.carry_out(depot.areas, second, plan)
    assert replaced.stat().st_ino == inode
    assert kept.exists()


def test_a_merge_that_is_carried_out_again_keeps_the_row_of_what_replaced_an_object(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    same: dict[str, Any] = {"name": "1.dcm", "SOPInstanceUID": "1.2.3.1"}
    into = archived(depot, **same)
    second = half_merged(depot, monkeypatch, **same, InstanceNumber="2")
    (operation,) = depot.ledger.operations()
    assert operation.plan is not None
    depot.ledger.note_merge(second, operation.plan)
    depot.lifecycle.run_due()
    assert depot.ledger.stored_files(into) == ("SCANS/4/DICOM/1.dcm",)
    assert depot.session(into).objects == 1


def test_rows_of_objects_without_a_file_go_to_the_merged_session_too(depot: Depot) -> None:
    into = archived(depot)
    second = ready(depot, name="2.dcm")
    newest = depot.index.objects()[0]
    filtered = depot._row(second, "", 0, {"SOPInstanceUID": "1.2.3.9"})
    depot.index.record(filtered._replace(state=ObjectState.FILTERED))
    depot.index.flush()
    ask(depot, second, ARCHIVE, merge=True)
    rows = depot.index.objects()
    assert newest.session == second
    assert [(row.sop_instance_uid, row.session) for row in rows] == [
        ("1.2.3.9", into),
        ("1.2.3.2", into),
        ("1.2.3.1", into),
    ]
