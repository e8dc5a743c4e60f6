"""What is flushed before what, so that a power cut finds either the old state or the new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.index.operations import OperationKind
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.folders import transfer
from engine.sessions.folders.staging import staging_of
from engine.sessions.ledger import SessionRepository
from tests.engine.index.depot import Depot, depot_in
from tests.engine.sessions.folders.test_project_scripts import InThisProcess, scripted
from tests.engine.sessions.test_archive import archived, ask, ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.storage.disk_log import DiskLog

pytestmark = pytest.mark.usefixtures("quick")
ARCHIVE = OperationKind.ARCHIVE
NOTED = Path("the index")


@pytest.fixture
def depot(tmp_path: Path, disk_log: DiskLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    """Note in the disk's log when the index commits a step."""
    for name in ("begin", "note_anonymized", "note_merge", "finish"):
        _note(monkeypatch, disk_log, name)
    with depot_in(tmp_path) as depot:
        yield depot


def _note(monkeypatch: pytest.MonkeyPatch, log: DiskLog, name: str) -> None:
    real = getattr(SessionRepository, name)

    def noted(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        log.note(name, NOTED)
        return result

    monkeypatch.setattr(SessionRepository, name, noted)


@pytest.mark.parametrize("kind", [ARCHIVE, OperationKind.DELETE])
def test_a_moved_session_and_its_document_are_flushed_before_the_index_says_so(
    depot: Depot, disk_log: DiskLog, kind: OperationKind
) -> None:
    session = ready(depot)
    before = depot.areas.folder(depot.session(session))
    disk_log.clear()
    ask(depot, session, kind)
    after = depot.areas.folder(depot.session(session))
    moved = disk_log.index("move", after)
    document = disk_log.index("move", after.with_name("E1.xml"))
    assert disk_log.index("begin", NOTED) < moved < document
    assert document < disk_log.last("flush", after.parent) < disk_log.index("finish", NOTED)
    assert moved < disk_log.index("flush", before.parent) < disk_log.index("finish", NOTED)


def test_merged_objects_are_flushed_before_the_index_gives_them_away(
    depot: Depot, disk_log: DiskLog
) -> None:
    into = archived(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="old")
    second = ready(depot, SOPInstanceUID="1.2.3.900", name="a.dcm", SeriesDescription="new")
    disk_log.clear()
    ask(depot, second, ARCHIVE, overwrite=True)
    (kept,) = depot.areas.trash.rglob("a.dcm")
    merged = depot.areas.folder(depot.session(into)) / "SCANS/4/DICOM/a.dcm"
    steps = [
        disk_log.index("begin", NOTED),
        disk_log.index("move", kept),
        disk_log.index("flush", kept.parent),
        disk_log.index("move", merged),
        disk_log.index("flush", merged.parent),
        disk_log.index("note_merge", NOTED),
        disk_log.index("finish", NOTED),
    ]
    assert steps == sorted(steps)


def test_what_a_merge_removes_is_gone_for_good_before_the_index_forgets_the_session(
    depot: Depot, disk_log: DiskLog
) -> None:
    archived(depot)
    second = ready(depot)
    stamp = depot.areas.folder(depot.session(second)).parent
    disk_log.clear()
    ask(depot, second, ARCHIVE, merge=True)
    assert not stamp.exists()
    assert disk_log.last("flush", stamp.parent) < disk_log.index("finish", NOTED)


def test_what_is_put_back_is_flushed_where_it_is_now(
    depot: Depot, disk_log: DiskLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived(depot, SOPInstanceUID="1.2.3.900", name="a.dcm")
    second = ready(depot, SOPInstanceUID="1.2.3.900", name="b.dcm", SeriesDescription="new")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(transfer, "_remove_rest", full)
        ask(depot, second, ARCHIVE, overwrite=True)
    asked = depot.ledger.operation(second)
    assert asked is not None
    assert asked.operation.plan is not None
    disk_log.clear()
    transfer.undo_move(depot.areas, depot.session(second), asked.operation.plan)
    mine = depot.areas.folder(depot.session(second)) / "SCANS/4/DICOM/b.dcm"
    theirs = depot.areas.archive / "NEURO-01/arc001/E1/SCANS/4/DICOM/a.dcm"
    for file in (mine, theirs):
        assert disk_log.index("move", file) < disk_log.last("flush", file.parent)


def test_copies_are_flushed_before_the_plan_that_counts_on_them_and_again_in_their_places(
    depot: Depot, disk_log: DiskLog
) -> None:
    session = ready(scripted(depot, InThisProcess()), PatientName="QUINCE^ZEBEDEE")
    folder = depot.areas.folder(depot.session(session))
    file = "SCANS/4/DICOM/1.dcm"
    copy = staging_of(folder) / "objects" / file
    disk_log.clear()
    ask(depot, session, ARCHIVE)
    assert depot.session(session).status is SessionStatus.ARCHIVED
    steps = [
        disk_log.index("flush", copy),
        disk_log.last("flush", copy.parent),
        disk_log.index("begin", NOTED),
        disk_log.index("move", folder / file),
        disk_log.index("flush", (folder / file).parent),
        disk_log.index("note_anonymized", NOTED),
    ]
    assert steps == sorted(steps)


def test_what_a_script_rejects_is_gone_for_good_before_the_index_says_so(
    depot: Depot, disk_log: DiskLog
) -> None:
    scripted(depot, InThisProcess())
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    session = ready(depot, SeriesDescription="script drops")
    folder = depot.areas.folder(depot.session(session))
    disk_log.clear()
    ask(depot, session, ARCHIVE)
    gone = folder / "SCANS/4/DICOM/2.dcm"
    steps = [
        disk_log.index("unlink", gone),
        disk_log.index("flush", gone.parent),
        disk_log.index("note_anonymized", NOTED),
    ]
    assert steps == sorted(steps)
    assert len(depot.objects()) == 1
    assert depot.objects(SessionArea.PREARCHIVE) == []


def test_a_duplicate_that_a_build_drops_is_gone_for_good_before_the_build_goes_on(
    depot: Depot, disk_log: DiskLog
) -> None:
    report = {"SOPClassUID": "1.2.3.4.5", "SOPInstanceUID": "1.2.3.1"}
    session = depot.receive(name="a.dcm", **report)  # type: ignore[arg-type]
    depot.fall_silent()
    depot.receive(name="a.dcm", **report)  # type: ignore[arg-type]
    folder = depot.areas.folder(depot.session(session))
    built, again = folder / "SCANS/4/secondary/a.dcm", folder / "SCANS/4/DICOM/a.dcm"
    assert depot.all_objects() == [again, built]
    disk_log.clear()
    depot.fall_silent()
    (left,) = depot.all_objects()
    dropped = again if left == built else built
    assert disk_log.steps[disk_log.index("unlink", dropped) + 1] == ("flush", dropped.parent)
