"""Links in the data directory: nothing is built, moved or merged through one."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from engine.events.sessions import SessionFailed
from engine.index.operations import OperationKind
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.folders import transfer
from engine.storage import files
from engine.storage.folders import rename_new
from tests.engine.index.depot import Depot, depot_in
from tests.engine.sessions.test_archive import archived, ask, ready

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
ARCHIVE = OperationKind.ARCHIVE


def replace_by_link(folder: Path, outside: Path) -> None:
    """Let a folder be elsewhere, with a link in its place."""
    if folder.exists():
        folder.rename(outside / "moved")
        folder.symlink_to(outside / "moved")
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(outside)


@pytest.mark.parametrize("link", ["NEURO-01", "NEURO-01/arc001"])
def test_no_session_is_archived_through_a_link(depot: Depot, outside: Path, link: str) -> None:
    session = ready(depot)
    replace_by_link(depot.areas.archive / link, outside)
    ask(depot, session, ARCHIVE)
    row = depot.session(session)
    assert row.status is S.ERROR
    assert row.reason == (
        "a link stands where a folder of the archive belongs;"
        f" remove the link archive/{link} and put the folder in its place"
    )
    assert depot.told(SessionFailed) == [
        f"session {session} in NEURO-01 failed: a link stands where a folder of the archive belongs"
    ]
    assert len(depot.objects(SessionArea.PREARCHIVE)) == 1
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("link", ["", "/SCANS", "/SCANS/4", "/SCANS/4/DICOM"])
def test_no_session_is_merged_through_a_link(depot: Depot, outside: Path, link: str) -> None:
    archived(depot)
    second = ready(depot)
    replace_by_link(depot.areas.archive / f"NEURO-01/arc001/E1{link}", outside)
    before = sorted(outside.rglob("*"))
    ask(depot, second, ARCHIVE, merge=True)
    row = depot.session(second)
    assert (row.status, row.area) == (S.ERROR, SessionArea.PREARCHIVE)
    assert "a link stands" in row.reason
    assert sorted(outside.rglob("*")) == before


def test_a_merge_that_finds_a_link_after_it_has_begun_goes_on_when_the_folder_is_back(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, second = archived(depot), ready(depot)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(transfer, "make_folder", full)
        ask(depot, second, ARCHIVE, merge=True)
    folder = depot.areas.archive / "NEURO-01/arc001/E1/SCANS/4"
    replace_by_link(folder, outside)
    before = sorted(outside.rglob("*"))
    depot.lifecycle.run_due()
    assert "a link stands" in depot.session(second).reason
    assert sorted(outside.rglob("*")) == before
    folder.unlink()
    (outside / "moved").rename(folder)
    depot.lifecycle.run_due()
    assert depot.session(into).objects == 2


@pytest.mark.parametrize("link", ["NEURO-02", "trash"])
def test_no_session_is_moved_or_deleted_through_a_link(
    depot: Depot, outside: Path, link: str
) -> None:
    session = ready(depot)
    if link == "trash":
        replace_by_link(depot.areas.folder(depot.session(session)) / "SCANS/4", outside)
        ask(depot, session, OperationKind.DELETE)
        assert depot.session(session).area is SessionArea.PREARCHIVE
    else:
        replace_by_link(depot.areas.prearchive / link, outside)
        ask(depot, session, OperationKind.MOVE, project=link)
        assert list(outside.iterdir()) == []
    assert depot.session(session).status is S.ERROR


@pytest.mark.parametrize("link", ["SCANS", "SCANS/4", "SCANS/4/DICOM"])
def test_no_session_is_built_through_a_link(depot: Depot, outside: Path, link: str) -> None:
    session = depot.receive()
    depot.index.flush()
    replace_by_link(depot.areas.folder(depot.session(session)) / link, outside)
    before = sorted(outside.rglob("*"))
    depot.fall_silent()
    row = depot.session(session)
    assert (row.status, "of the prearchive belongs" in row.reason) == (S.ERROR, True)
    assert sorted(outside.rglob("*")) == before


def test_an_area_that_is_itself_elsewhere_is_used(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/archive").symlink_to(outside)
    with depot_in(tmp_path / "data") as depot:
        session = archived(depot)
        assert depot.session(session).status is S.ARCHIVED
        assert len(list(outside.rglob("*.dcm"))) == 1


@pytest.mark.parametrize("name", ["NEURO-01/arc001", "NEURO-01/arc001/E1/SCANS/4"])
def test_a_link_that_is_planted_between_the_look_and_the_move_is_not_followed(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The thread that moves is held just before its move."""
    if merges := "SCANS" in name:
        archived(depot)
    session = ready(depot, SeriesDescription="kept")
    held, planted = threading.Event(), threading.Event()

    def wait_and_move(source: Path, target: Path, **options: Any) -> None:
        held.set()
        assert planted.wait(20)
        rename_new(source, target, **options)

    monkeypatch.setattr(files, "rename_new", wait_and_move)
    with ThreadPoolExecutor(1) as mover:
        done = mover.submit(ask, depot, session, ARCHIVE, merge=merges)
        assert held.wait(20)
        replace_by_link(depot.areas.archive / name, outside)
        before = sorted(outside.rglob("*"))
        planted.set()
        done.result()
    assert sorted(outside.rglob("*")) == before
    assert "Not a directory" in depot.session(session).reason
    assert len(depot.objects(SessionArea.PREARCHIVE)) == 1


def test_a_log_of_a_direct_archive_is_not_written_through_a_link(
    depot: Depot, outside: Path
) -> None:
    session = depot.receive(direct=True)
    depot.index.flush()
    (file,) = depot.all_objects()
    file.write_bytes(file.read_bytes()[:200])
    (depot.areas.folder(depot.session(session)) / "logs").symlink_to(outside)
    depot.fall_silent()
    assert depot.session(session).area is SessionArea.PREARCHIVE
    assert list(outside.iterdir()) == []


@pytest.mark.timeout(10)
def test_an_area_that_is_no_folder_is_a_failure_of_the_storage_without_waiting(
    depot: Depot,
) -> None:
    depot.areas.trash.rmdir()
    os.mkfifo(depot.areas.trash)
    with pytest.raises(NotADirectoryError):
        depot.areas.require_no_link(SessionArea.TRASH, "NEURO-01/1/E1")
