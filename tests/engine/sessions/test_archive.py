"""Sessions archived, merged, moved and deleted; and the same after a crash at every step."""

from __future__ import annotations

import errno
import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from engine.errors import OutOfResources, SessionError
from engine.events.sessions import (
    SessionArchived,
    SessionConflicts,
    SessionDeleted,
    SessionFailed,
    SessionMoved,
    SessionRestored,
    TrashPurged,
)
from engine.index.operations import OperationKind, Request
from engine.index.store import SessionKey, SessionOrigin
from engine.model.project import AutoArchive
from engine.model.receiver import DirectMerge
from engine.model.session import SessionArea, SessionStatus
from engine.sessions import builder, ledger, runner
from engine.sessions.folders import building, transfer
from engine.sessions.object_changes import SKIPPED
from engine.sessions.planner import Planner
from engine.sessions.worker import Lifecycle
from engine.storage import files
from tests.engine.index.depot import Depot, depot_in, open_depot
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.index.operations import Plan

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
TRASH = SessionArea.TRASH
PREARCHIVE = SessionArea.PREARCHIVE


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def ask(depot: Depot, session: int, kind: OperationKind, **changes: Any) -> None:
    depot.ledger.ask(session, Request(kind, "admin", **changes))
    depot.lifecycle.run_requests()


def ready(depot: Depot, **values: Any) -> int:
    session = depot.receive(**values)
    depot.fall_silent()
    return session


def archived(depot: Depot, **values: Any) -> int:
    session = ready(depot, **values)
    ask(depot, session, OperationKind.ARCHIVE)
    assert depot.session(session).status is S.ARCHIVED
    return session


def test_a_new_archive_folder_is_for_new_sessions_and_old_ones_stay_where_they_are(
    depot: Depot,
) -> None:
    archived(depot)
    depot.session_context = replace(depot.session_context, archive_folder=lambda _: "arc002")
    depot.lifecycle = Lifecycle(depot.session_context, depot.policy)
    archived(depot, label="E2")
    ask(depot, ready(depot, SeriesNumber="5", SeriesInstanceUID="1.5"), OperationKind.ARCHIVE,
        merge=True)  # fmt: skip
    folders = [name.rpartition("/SCANS")[0] for name in depot.objects()]
    assert folders == ["NEURO-01/arc001/E1", "NEURO-01/arc001/E1", "NEURO-01/arc002/E2"]
    assert depot.areas.is_archived("NEURO-01", "E1")
    assert not depot.areas.is_archived("NEURO-01", "E3")


def document(path: Path) -> ET.Element:
    return ET.parse(path).getroot()


def test_archiving_moves_the_folder_with_its_documents_and_leaves_nothing(depot: Depot) -> None:
    session = ready(depot)
    ask(depot, session, OperationKind.ARCHIVE)
    row = depot.session(session)
    assert (row.status, row.area, row.folder) == (S.ARCHIVED, "archive", "NEURO-01/arc001/E1")
    assert sorted(p.name for p in (depot.areas.archive / "NEURO-01/arc001").iterdir()) == [
        "E1",
        "E1.xml",
    ]
    assert (depot.areas.folder(row) / "SCANS/4/DICOM/scan_4_catalog.xml").is_file()
    assert list((depot.areas.prearchive / "NEURO-01").iterdir()) == []
    assert depot.told(SessionArchived) == [f"session {session} in NEURO-01 archived by admin"]


@pytest.mark.parametrize("direct", [False, True])
def test_an_archived_session_has_no_empty_folders(depot: Depot, direct: bool) -> None:
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    session = ready(depot, SOPClassUID="1.2.3.4.5", direct=direct)
    scan = depot.areas.folder(depot.session(session)) / "SCANS/4"
    assert [path.name for path in scan.iterdir()] == ["secondary"]


def test_the_same_study_again_is_a_conflict_in_words_and_stays_in_the_prearchive(
    depot: Depot,
) -> None:
    """A4: by a project that archives by itself, if the objects have other content."""
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    ready(depot, SOPInstanceUID="1.2.3.900")
    second = ready(depot, SOPInstanceUID="1.2.3.900", SeriesDescription="other")
    row = depot.session(second)
    assert (row.status, row.area) == (S.CONFLICT, "prearchive")
    assert row.reason == "session already exists with matching files: 1 in scan 4"
    assert depot.told(SessionConflicts) == [
        f"session {second} in NEURO-01 is in conflict: {row.reason}"
    ]


def test_more_series_of_an_archived_session_are_merged_by_themselves(depot: Depot) -> None:
    """P13: simpleAutoarchiveMerge."""
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    first = ready(depot, SeriesNumber="4", SeriesInstanceUID="1.4")
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    ready(depot, SeriesNumber="6", SeriesInstanceUID="1.6")
    (row,) = depot.index.sessions()
    assert (row.id, row.status, row.objects) == (first, S.ARCHIVED, 3)
    root = document(depot.areas.folder(row).with_name("E1.xml"))
    assert [scan.get("ID") for scan in root[-1]] == ["4", "5", "6"]
    assert depot.objects(PREARCHIVE) == []
    assert len(depot.ledger.stored_files(first)) == len(depot.objects()) == 3


def test_code_5_replaces_what_is_there_and_keeps_the_old_in_the_trash(depot: Depot) -> None:
    depot.codes["NEURO-01"] = AutoArchive.OVERWRITE
    first = ready(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="old")
    ready(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="new")
    (archive,) = depot.objects()
    assert b"new" in (depot.areas.archive / archive).read_bytes()
    (trash,) = depot.objects(TRASH)
    assert trash.endswith("/replaced/SCANS/4/DICOM/a.dcm")
    assert b"old" in (depot.areas.trash / trash).read_bytes()
    assert depot.ledger.stored_files(first) == ("SCANS/4/DICOM/a.dcm",)
    assert depot.session(first).objects == 1


@pytest.mark.parametrize("code", AutoArchive)
@pytest.mark.parametrize("merge", DirectMerge)
def test_a_direct_receiver_adds_later_objects_in_its_own_mode_whatever_their_project_says(
    depot: Depot, code: AutoArchive, merge: DirectMerge
) -> None:
    depot.codes["NEURO-01"], depot.direct_merge = code, merge
    again: dict[str, Any] = {"SOPInstanceUID": "1.2.3.900", "name": "a.dcm"}
    first = ready(depot, direct=True, SeriesDescription="old", **again)
    ready(depot, direct=True, label="E2", StudyInstanceUID="1.9")
    depot.receive(SeriesDescription="new", **again)
    ready(depot, SeriesNumber="5", SeriesInstanceUID="1.5", name="b.dcm")
    sessions = {s.label: (s.id, s.status, s.objects) for s in depot.index.sessions()}
    assert sessions["E1"] == (first, S.ARCHIVED, 2)
    kept, put_aside = (b"old", b"new") if merge is DirectMerge.APPEND else (b"new", b"old")
    archive = depot.areas.folder(depot.session(first))
    assert kept in (archive / "SCANS/4/DICOM/a.dcm").read_bytes()
    (trash,) = depot.objects(TRASH)
    assert put_aside in (depot.areas.trash / trash).read_bytes()
    folder = "skipped" if merge is DirectMerge.APPEND else "replaced"
    assert trash.endswith(f"/{folder}/SCANS/4/DICOM/a.dcm")
    assert sorted(depot.ledger.stored_files(first)) == [
        "SCANS/4/DICOM/a.dcm",
        "SCANS/5/DICOM/b.dcm",
    ]
    said = {row.reason for row in depot.index.objects() if row.reason}
    assert said == {SKIPPED if merge is DirectMerge.APPEND else "replaced in the archive"}
    assert depot.objects(PREARCHIVE) == []


def test_a_direct_receiver_archives_nothing_that_has_no_counterpart_or_asks_for_a_person(
    depot: Depot,
) -> None:
    depot.direct_merge = DirectMerge.APPEND
    alone = ready(depot)
    assert depot.session(alone).status is S.READY
    ask(depot, alone, OperationKind.ARCHIVE)
    asking = ready(depot, auto_archive=False, SeriesNumber="5", SeriesInstanceUID="1.5")
    assert depot.session(asking).status is S.READY


@pytest.mark.parametrize("asks", [False, True], ids=["by itself", "by a person"])
def test_an_identical_study_is_never_a_conflict_and_never_archived_twice(
    depot: Depot, asks: bool
) -> None:
    depot.codes["NEURO-01"] = AutoArchive.MANUAL if asks else AutoArchive.ARCHIVE
    again = {"SOPInstanceUID": "1.2.3.900"}
    first = archived(depot, **again) if asks else ready(depot, **again)
    second = ready(depot, **again)
    if asks:
        ask(depot, second, OperationKind.ARCHIVE)
    (row,) = depot.index.sessions()
    assert (row.id, row.status, row.objects) == (first, S.ARCHIVED, 1)
    assert [(r.session, r.state, r.file) for r in depot.index.objects()] == [
        (first, "duplicate", "SCANS/4/DICOM/1.dcm"),
        (first, "stored", "SCANS/4/DICOM/1.dcm"),
    ]
    assert (len(depot.objects()), depot.objects(PREARCHIVE)) == (1, [])


def test_a_conflict_can_be_solved_by_asking_for_a_merge(depot: Depot) -> None:
    archived(depot)
    second = ready(depot, SeriesNumber="5", SeriesInstanceUID="1.5")
    ask(depot, second, OperationKind.ARCHIVE)
    assert depot.session(second).status is S.CONFLICT
    ask(depot, second, OperationKind.ARCHIVE, merge=True)
    assert len(depot.objects()) == 2


def test_a_folder_that_the_index_does_not_know_is_left_alone(depot: Depot) -> None:
    session = ready(depot)
    foreign = depot.areas.archive / "NEURO-01/arc001/E1"
    foreign.mkdir(parents=True)
    ask(depot, session, OperationKind.ARCHIVE, overwrite=True)
    assert depot.session(session).status is S.CONFLICT
    assert "that the index does not know" in depot.session(session).reason
    assert list(foreign.iterdir()) == []


def test_a_session_whose_label_is_just_being_archived_can_be_retried_after_it(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "flush_folder", _failing(28, "No space left on device"))
        ask(depot, first, OperationKind.ARCHIVE)
        second = depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
        depot.fall_silent()
        ask(depot, second, OperationKind.ARCHIVE, merge=True)
        assert "just being archived" in depot.session(second).reason
    depot.lifecycle.run_due()
    ask(depot, second, OperationKind.ARCHIVE, merge=True)
    assert [(s.id, s.objects) for s in depot.index.sessions()] == [(first, 2)]


def test_a_session_goes_to_another_project_and_is_built_anew_there(depot: Depot) -> None:
    """P1, P5: move Unassigned with rebuild."""
    depot.codes["NEURO-02"] = AutoArchive.ARCHIVE
    session = ready(depot, project=None)
    stamp = depot.session(session).folder.split("/")[0]
    ask(depot, session, OperationKind.MOVE, project="NEURO-01")
    row = depot.session(session)
    assert (row.project, row.status, row.folder) == ("NEURO-01", S.READY, f"NEURO-01/{stamp}/E1")
    root = document(depot.areas.folder(row).with_name("E1.xml"))
    assert root.get("project") == "NEURO-01"
    assert not (depot.areas.prearchive / stamp).exists()
    ask(depot, session, OperationKind.MOVE, project="NEURO-02")
    assert depot.session(session).status is S.ARCHIVED
    assert depot.told(SessionMoved) == [
        f"session {session} moved to NEURO-01 by admin",
        f"session {session} moved to NEURO-02 by admin",
    ]


def test_two_sessions_of_one_time_and_label_moved_together_get_a_folder_each(depot: Depot) -> None:
    first = depot.receive(project=None, StudyInstanceUID="1.2.1")
    second = depot.receive(project="NEURO-02", StudyInstanceUID="1.2.2")
    depot.fall_silent()
    ask(depot, first, OperationKind.MOVE, project="NEURO-01")
    ask(depot, second, OperationKind.MOVE, project="NEURO-01")
    folders = {depot.session(number).folder for number in (first, second)}
    assert len(folders) == 2
    assert len(depot.objects(PREARCHIVE)) == 2


@pytest.mark.parametrize("state", ["receiving", "ready", "archived"])
def test_deleting_puts_a_session_into_the_trash_and_later_removes_it_for_good(
    depot: Depot, state: str
) -> None:
    make: dict[str, Callable[..., int]] = {
        "receiving": lambda depot: depot.receive(),
        "ready": ready,
        "archived": archived,
    }
    session = make[state](depot)
    ask(depot, session, OperationKind.DELETE)
    assert depot.session(session).status is S.DELETED
    assert len(depot.objects(TRASH)) == len(depot.all_objects()) == 1
    assert depot.told(SessionDeleted) == [
        f"session {session} in NEURO-01 moved to the trash by admin"
    ]
    depot.clock.advance(29 * 86_400)
    depot.lifecycle.run_due()
    assert depot.told(TrashPurged) == []
    depot.clock.advance(2 * 86_400)
    depot.lifecycle.run_due()
    assert depot.told(TrashPurged) == ["1 folder of the trash removed for good"]
    assert depot.all_objects() == []
    assert depot.index.sessions() == ()
    assert [(row.session, row.state) for row in depot.index.objects()] == [(None, "stored")]


@pytest.mark.parametrize("project", ["NEURO-01", None])
def test_a_deleted_session_is_taken_out_of_the_trash_whole(
    depot: Depot, project: str | None
) -> None:
    session = ready(depot, project=project)
    before = depot.objects(PREARCHIVE)
    ask(depot, session, OperationKind.DELETE)
    depot.clock.advance(86_400)
    with pytest.raises(SessionError, match="is in the trash"):
        depot.ledger.ask(session, Request(OperationKind.MOVE, "admin", project="NEURO-02"))
    ask(depot, session, OperationKind.RESTORE)
    row = depot.session(session)
    assert (row.status, row.area, row.project, row.objects) == (S.READY, PREARCHIVE, project, 1)
    (restored,) = depot.objects(PREARCHIVE)
    assert restored.split("/")[-4:] == before[0].split("/")[-4:]
    assert depot.objects(TRASH) == []
    assert depot.told(SessionRestored) == [
        f"session {session} in {project or 'Unassigned'} taken out of the trash by admin"
    ]
    with pytest.raises(SessionError, match="is not in the trash"):
        depot.ledger.ask(session, Request(OperationKind.RESTORE, "admin"))


def test_a_request_to_restore_can_be_cancelled(depot: Depot) -> None:
    session = ready(depot)
    ask(depot, session, OperationKind.DELETE)
    depot.ledger.ask(session, Request(OperationKind.RESTORE, "admin"))
    depot.ledger.cancel(session)
    depot.lifecycle.run_requests()
    assert depot.session(session).status is S.DELETED


def test_what_else_is_in_the_trash_is_not_touched(depot: Depot) -> None:
    for name in ("mine", "20260231_000000000_1", "2020_1"):
        (depot.areas.trash / name).mkdir()
    depot.clock.advance(365 * 86_400)
    depot.lifecycle.run_due()
    assert len(list(depot.areas.trash.iterdir())) == 3


def test_a_direct_session_is_built_where_it_is(depot: Depot) -> None:
    session = depot.receive(direct=True)
    depot.fall_silent()
    row = depot.session(session)
    assert (row.status, row.folder) == (S.ARCHIVED, "NEURO-01/arc001/E1")
    assert depot.areas.folder(row).with_name("E1.xml").is_file()
    assert depot.told(SessionArchived) == [
        f"session {session} in NEURO-01 archived by direct archive"
    ]


def test_no_direct_session_gets_the_folder_that_another_is_just_moving_into(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, carry_out = ready(depot), transfer.carry_out

    def while_it_moves(*arguments: Any) -> None:
        with pytest.raises(OutOfResources, match="no free session folder"):
            depot.receive(direct=True)
        carry_out(*arguments)

    monkeypatch.setattr(runner, "carry_out", while_it_moves)
    ask(depot, session, OperationKind.ARCHIVE)
    assert depot.session(session).status is S.ARCHIVED
    assert depot.objects() == ["NEURO-01/arc001/E1/SCANS/4/DICOM/1.dcm"]


def test_a_direct_session_that_was_faster_makes_a_conflict_and_holds_up_nobody(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = ready(depot), ready(depot, label="E2", StudyInstanceUID="1.9")
    plan = Planner.plan

    def before_it_begins(*arguments: Any) -> Plan:
        made = plan(*arguments)
        depot.receive(direct=True, SeriesNumber="5")
        return made

    depot.ledger.ask(slow, Request(OperationKind.ARCHIVE, "admin"))
    depot.ledger.ask(other, Request(OperationKind.DELETE, "admin"))
    with monkeypatch.context() as patched:
        patched.setattr(Planner, "plan", before_it_begins)
        depot.lifecycle.run_requests()
    row = depot.session(slow)
    assert (row.status, row.reason) == (S.CONFLICT, "another session has got its place meanwhile")
    assert depot.session(other).status is S.DELETED
    depot.fall_silent()
    assert depot.objects() == [
        f"NEURO-01/arc001/E1/SCANS/5/DICOM/{number}.dcm" for number in (3, 4)
    ]


def test_no_session_is_moved_into_the_folder_of_one_that_has_nothing_on_the_disk_yet(
    depot: Depot,
) -> None:
    session = ready(depot)
    *_, stamp, label = depot.session(session).folder.split("/")
    depot.index.session_for(
        SessionKey("NEURO-02", "1.9", label),
        SessionOrigin("S1", None, "XNAT:8104", "CT", depot.clock.now()),
        lambda _: ("NEURO-02", stamp, label),
    )
    ask(depot, session, OperationKind.MOVE, project="NEURO-02")
    assert depot.session(session).folder == f"NEURO-02/{stamp}_1/{label}"


def test_a_direct_session_that_can_not_be_built_falls_back_to_the_prearchive(depot: Depot) -> None:
    """A5."""
    session = depot.receive(direct=True)
    depot.index.flush()
    (file,) = depot.all_objects()
    file.write_bytes(file.read_bytes()[:200])
    depot.fall_silent()
    row = depot.session(session)
    assert (row.status, row.area) == (S.ERROR, "prearchive")
    assert row.reason.startswith("Attempt to direct-archive failed: an object of scan 4")
    log = depot.areas.folder(row) / f"logs/directArchive{session}.log"
    assert "Attempt to direct-archive failed" in log.read_text()
    assert depot.objects() == []
    assert len(depot.objects(PREARCHIVE)) == 1
    assert depot.told(SessionFailed) == [f"session {session} in NEURO-01 failed: {row.reason}"]


def test_a_storage_that_fails_before_anything_happened_makes_an_error(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ready(depot)
    monkeypatch.setattr(transfer, "move_folder", _failing(13, "Permission denied"))
    ask(depot, session, OperationKind.ARCHIVE)
    row = depot.session(session)
    assert (row.status, row.reason) == (S.ERROR, "the storage failed: Permission denied")
    monkeypatch.undo()
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()
    ask(depot, session, OperationKind.ARCHIVE)
    assert depot.session(session).status is S.ARCHIVED


@pytest.mark.parametrize("kind", [OperationKind.ARCHIVE, OperationKind.DELETE])
def test_a_session_that_there_is_no_room_to_move_is_moved_once_there_is_some(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, kind: OperationKind
) -> None:
    session = ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "move_folder", _failing(28, "No space left on device"))
        ask(depot, session, kind)
        depot.lifecycle.run_due()
        reason = "the storage failed: No space left on device; it will be tried again"
        assert depot.session(session).reason == reason
        assert len(depot.told(SessionFailed)) == 1
    depot.lifecycle.run_due()
    after = {OperationKind.ARCHIVE: S.ARCHIVED, OperationKind.DELETE: S.DELETED}
    assert (depot.session(session).status, depot.session(session).reason) == (after[kind], "")


def test_a_merge_that_failed_half_way_is_completed_when_the_storage_works_again(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived(depot)
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    second = ready(depot, SeriesNumber="5", SeriesInstanceUID="1.5")
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "flush_folder", _failing(28, "No space left on device"))
        ask(depot, second, OperationKind.ARCHIVE, merge=True)
        assert depot.session(second).status is S.ARCHIVING
        assert depot.told(SessionFailed)[-1].endswith(
            "the storage failed: No space left on device; it will be tried again"
        )
    depot.lifecycle.run_due()
    assert len(depot.objects()) == 3
    assert len(depot.index.sessions()) == 1


def half_merged(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Leave the merge of one session into another unfinished, and return both."""
    into = archived(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="old")
    second = ready(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="new")
    monkeypatch.setattr(transfer, "flush_folder", _failing(28, "No space left on device"))
    ask(depot, second, OperationKind.ARCHIVE, overwrite=True)
    return into, second


def test_a_merge_that_is_cancelled_takes_back_what_it_replaced_and_skipped(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, before = 0, list[Path]()
    for description in ("old", "new"):
        depot.receive(SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription=description)
        depot.receive(SOPInstanceUID="1.2.3.901", name="b.dcm")
        depot.fall_silent()
        session = max(row.id for row in depot.index.sessions())
        before = depot.all_objects()
        with monkeypatch.context() as patched:
            patched.setattr(transfer, "_remove_rest", _failing(28, "No space left on device"))
            ask(depot, session, OperationKind.ARCHIVE, overwrite=True)
    folders = {path.split("/")[1] for path in depot.objects(TRASH)}
    assert (folders, depot.objects(PREARCHIVE)) == ({"replaced", "skipped"}, [])
    depot.ledger.cancel(session)
    depot.lifecycle.run_due()
    assert depot.session(session).status is S.READY
    assert depot.all_objects() == before
    assert list(depot.areas.trash.iterdir()) == []


def test_what_keeps_failing_is_told_once_and_its_row_says_why(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        _, second = half_merged(depot, patched)
        for _ in range(3):
            depot.lifecycle.run_due()
        reason = "the storage failed: No space left on device; it will be tried again"
        assert (depot.session(second).status, depot.session(second).reason) == (S.ARCHIVING, reason)
        assert depot.told(SessionFailed) == [f"session {second} in NEURO-01 failed: {reason}"]
    depot.lifecycle.run_due()
    assert [(s.status, s.reason) for s in depot.index.sessions()] == [(S.ARCHIVED, "")]


def test_a_session_that_another_is_half_merged_into_is_deleted_after_that(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        into, _ = half_merged(depot, patched)
        ask(depot, into, OperationKind.DELETE)
        assert depot.session(into).status is S.QUEUED_DELETING
    depot.lifecycle.run_due()
    (row,) = depot.index.sessions()
    assert (row.status, row.objects) == (S.DELETED, 1)
    assert depot.objects() == []
    assert len(depot.objects(TRASH)) == 2


def test_nothing_is_merged_into_a_session_that_another_is_half_merged_into(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        into, _ = half_merged(depot, patched)
        third = ready(depot, SeriesNumber="5", SeriesInstanceUID="1.5")
        ask(depot, third, OperationKind.ARCHIVE, merge=True)
        assert "just being merged" in depot.session(third).reason
    depot.lifecycle.run_due()
    ask(depot, third, OperationKind.ARCHIVE, merge=True)
    assert [(s.id, s.objects) for s in depot.index.sessions()] == [(into, 2)]


def test_what_a_merge_puts_into_the_trash_is_kept_until_the_merge_is_complete(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        half_merged(depot, patched)
        depot.clock.advance(31 * 86_400)
        depot.lifecycle.run_due()
    depot.lifecycle.run_due()
    (archive,) = depot.objects()
    assert b"new" in (depot.areas.archive / archive).read_bytes()


def test_empty_sessions_cannot_be_archived(depot: Depot) -> None:
    """P6."""
    session = ready(depot)
    with depot.index.changing() as connection:
        connection.execute("DELETE FROM objects")
    ask(depot, session, OperationKind.ARCHIVE)
    assert depot.session(session).reason == "Empty sessions cannot be archived."


def _failing(code: int, words: str) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, words)

    return fail


class Crash(BaseException):
    """The process ends here."""


STEPS = {
    "files": (building, "move_file"),
    "catalogs": (building, "write_atomically"),
    "folder": (transfer, "move_folder"),
    "aside": (transfer, "_put_aside"),
    "merged file": (transfer, "move_file"),
    "flush": (transfer, "flush_folder"),
    "rest": (transfer, "_remove_rest"),
    "rename": (files, "rename_new"),
    "unlink": (Path, "unlink"),
    "begin": (ledger.SessionRepository, "begin"),
    "finish": (ledger.SessionRepository, "finish"),
    "end of build": (ledger.SessionRepository, "end_build"),
    "note merge": (ledger.SessionRepository, "note_merge"),
    "rebuild": (runner, "build"),
    "build": (builder, "build"),
}


def _crashing(monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool, count: int) -> None:
    """Let the process end before or after the n-th time that a step is made."""
    owner, name = STEPS[step]
    real, left = getattr(owner, name), [count]

    def crash(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise Crash
        result = real(*arguments, **options)
        if left[0] == 0:
            raise Crash
        return result

    monkeypatch.setattr(owner, name, crash)


def _scenario(depot: Depot) -> None:
    """Build, archive, merge with an object replaced and one skipped, move and delete."""
    depot.codes["NEURO-01"] = AutoArchive.OVERWRITE
    depot.receive(SOPInstanceUID="1.2.3.900", name="a.dcm")
    depot.receive(SOPInstanceUID="1.2.3.901", name="s.dcm", SOPClassUID="1.2.3.4.5")
    depot.fall_silent()
    depot.receive(SOPInstanceUID="1.2.3.900", name="b.dcm", SeriesDescription="new")
    depot.receive(SOPInstanceUID="1.2.3.901", name="t.dcm", SOPClassUID="1.2.3.4.5")
    depot.receive(SOPInstanceUID="1.2.3.902", SeriesNumber="5", SeriesInstanceUID="1.5")
    depot.fall_silent()
    moved = ready(depot, project=None, StudyInstanceUID="1.9")
    ask(depot, moved, OperationKind.MOVE, project="NEURO-02")
    deleted = ready(depot, project=None, StudyInstanceUID="1.10")
    ask(depot, deleted, OperationKind.DELETE)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_after_a_crash_at_any_step_everything_is_completed_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, count: int, after: bool
) -> None:
    depot = open_depot(tmp_path, FixedClock())
    with monkeypatch.context() as patched, suppress(Crash):
        _crashing(patched, step, after=after, count=count)
        _scenario(depot)
    depot.index.flush()
    received = {row.sop_instance_uid for row in depot.index.objects()}
    again = depot.restarted()
    try:
        again.lifecycle.recover()
        again.fall_silent()
        _assert_consistent(again, received)
        assert again.ledger.in_status(S.CONFLICT) == ()
    finally:
        again.index.close()


RESTING = {S.READY, S.ARCHIVED, S.DELETED, S.CONFLICT}


def _assert_consistent(depot: Depot, received: set[str]) -> None:
    """Every object is there once, where its row says, and every session is in a resting state."""
    assert {session.status for session in depot.index.sessions()} <= RESTING
    assert depot.ledger.operations() == ()
    indexed = Counter[str]()
    for session in depot.index.sessions():
        folder = depot.areas.folder(session)
        for file in depot.ledger.stored_files(session.id):
            assert (folder / file).is_file(), (session, file)
            indexed[str((folder / file).relative_to(depot.root))] += 1
    on_disk = {
        str(path.relative_to(depot.root))
        for path in depot.all_objects()
        if not {"replaced", "skipped"}.intersection(path.parts)
    }
    assert set(indexed) == on_disk
    assert set(indexed.values()) <= {1}
    assert {row.sop_instance_uid for row in depot.index.objects()} == received
    counts = {s.id: s.objects for s in depot.index.sessions()}
    assert counts == {s: len(depot.ledger.stored_files(s)) for s in counts}


DISK_STEPS = [
    *("files", "catalogs", "folder", "aside", "merged file", "flush", "rest", "rename", "unlink")
]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("step", DISK_STEPS)
def test_a_storage_that_fails_at_any_step_loses_nothing_and_can_be_gone_on_with(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    with monkeypatch.context() as patched, suppress(SessionError):
        owner, name = STEPS[step]
        patched.setattr(owner, name, _failing(code, os.strerror(code)))
        _scenario(depot)
    depot.fall_silent()
    for session in depot.ledger.in_status(S.ERROR):
        assert session.reason == f"the storage failed: {os.strerror(code)}"
        depot.ledger.request_build(session.id, "admin")
    depot.lifecycle.run_requests()
    depot.fall_silent()
    depot.index.flush()
    _assert_consistent(depot, {row.sop_instance_uid for row in depot.index.objects()})


def test_a_session_has_moved_if_it_is_where_the_plan_leads_and_nowhere_else(depot: Depot) -> None:
    session = depot.session(ready(depot))
    planner = depot.lifecycle._operator._planner
    plan = planner.plan(session, Request(OperationKind.ARCHIVE, "admin"))
    source, target = depot.areas.folder(session), depot.areas.path(plan.area, plan.folder)
    assert not transfer.has_moved(depot.areas, session, plan)
    target.mkdir(parents=True)
    assert not transfer.has_moved(depot.areas, session, plan)
    source.rename(source.with_name("elsewhere"))
    assert transfer.has_moved(depot.areas, session, plan)
    assert not transfer.has_moved(depot.areas, session, replace(plan, into=7))
    target.rmdir()
    assert not transfer.has_moved(depot.areas, session, plan)
