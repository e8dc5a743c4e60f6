"""What a build does with objects that have no row: every file that is there gets one."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from engine.index.arrivals import Arrivals
from engine.model.project import AutoArchive
from engine.model.session import ObjectState, ProjectScript, SessionStatus
from engine.sessions import builder
from engine.sessions.builder import FOUND_BY_BUILD
from engine.sessions.folders import building
from engine.sessions.reconcile import differences_of
from engine.storage import files
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.model.session import Session
    from engine.sessions.context import SessionContext
    from engine.sessions.reconcile import Differences

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def set_state(depot: Depot, file: str, state: ObjectState, script: ProjectScript) -> None:
    """Let the row of a stored object be what a failed flush and the sender's retry leave."""
    depot.index.flush()
    with depot.index.changing() as connection:
        connection.execute(
            "UPDATE objects SET state = ?, project_script = ? WHERE file = ?", (state, script, file)
        )


def forget_rows(depot: Depot) -> None:
    depot.index.flush()
    with depot.index.changing() as connection:
        connection.execute("DELETE FROM objects")


def rows(depot: Depot) -> list[tuple[str, str, str]]:
    return [(row.state, row.file, row.reason) for row in reversed(depot.index.objects())]


def test_a_duplicate_whose_file_has_no_row_gets_one(depot: Depot, tmp_path: Path) -> None:
    session = depot.receive(name="a.dcm")
    depot.receive(name="b.dcm")
    set_state(depot, "SCANS/4/DICOM/a.dcm", ObjectState.DUPLICATE, ProjectScript.EXEMPT)
    newest = depot.index.objects()[0]
    depot.fall_silent()
    assert depot.session(session).objects == 2
    assert rows(depot) == [
        ("stored", "SCANS/4/DICOM/b.dcm", ""),
        ("stored", "SCANS/4/DICOM/a.dcm", FOUND_BY_BUILD),
    ]
    row = depot.index.objects()[0]
    assert (row.sop_instance_uid, row.project_script) == ("1.2.3.1", ProjectScript.EXEMPT)
    assert row.status == 0
    arrivals = Arrivals(tmp_path / "index.sqlite")
    (again,) = arrivals.after(2, 10)  # whoever has dealt with both rows meets it all the same
    assert (newest.sop_instance_uid, again.sop_instance_uid) == ("1.2.3.2", "1.2.3.1")
    arrivals.close()


def test_an_object_whose_row_was_lost_is_built_with_the_others(depot: Depot) -> None:
    session = depot.receive(name="a.dcm")
    forget_rows(depot)
    depot.receive(name="b.dcm")
    depot.fall_silent()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 2)


@pytest.mark.parametrize("direct", [False, True])
def test_a_session_is_not_forgotten_while_an_object_is_on_disk(depot: Depot, direct: bool) -> None:
    session = depot.receive(direct=direct)
    forget_rows(depot)
    depot.fall_silent()
    assert depot.session(session).status is (S.ARCHIVED if direct else S.READY)
    assert rows(depot) == [("stored", "SCANS/4/DICOM/1.dcm", FOUND_BY_BUILD)]


def test_a_session_is_not_forgotten_if_its_folder_can_not_be_listed(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive()
    forget_rows(depot)

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("engine.storage.files._scan", fail)
        depot.fall_silent()
    failed = depot.session(session)
    assert (failed.status, failed.reason) == (S.ERROR, "the storage failed: Input/output error")
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 1)


def test_an_object_that_joins_while_the_disk_is_looked_at_has_one_row(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive()

    def joined(session_context: SessionContext, looked_at: Session) -> Differences:
        depot.receive()
        with depot.index.changing() as connection:  # its row is still on the way
            row = connection.execute("SELECT * FROM objects ORDER BY sequence DESC").fetchone()
            connection.execute("DELETE FROM objects WHERE sequence = ?", row[:1])
        found = differences_of(session_context, looked_at)
        with depot.index.changing() as connection:
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO objects VALUES ({marks})", row)
        assert found.unknown
        return found

    with monkeypatch.context() as patch:
        patch.setattr(builder, "differences_of", joined)
        depot.fall_silent()
    assert depot.session(session).status is S.RECEIVING
    depot.fall_silent()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 2)
    assert [row[0] for row in rows(depot)] == ["stored"] * 2


def test_what_arrived_again_while_a_build_moved_the_first_is_a_duplicate_after_the_next_one(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = {"SOPClassUID": "1.2.3.4.5", "SOPInstanceUID": "1.2.3.1", "name": "a.dcm"}
    session = depot.receive(**report)  # type: ignore[arg-type]

    def interrupted(*arguments: object) -> object:
        built = building.build(*arguments)  # type: ignore[arg-type]
        assert depot.receive(**report) == session  # type: ignore[arg-type]
        depot.receive(**report | {"name": "b.dcm"}, InstanceNumber="2")  # type: ignore[arg-type]
        depot.index.flush()  # the build's own renaming is still to come
        return built

    with monkeypatch.context() as patch:
        patch.setattr(builder, "build", interrupted)
        depot.fall_silent()
    assert len(depot.all_objects()) == 3
    depot.fall_silent()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 2)
    place = "SCANS/4/secondary"
    assert sorted(rows(depot)) == [
        ("duplicate", f"{place}/a.dcm", "already here"),
        ("stored", f"{place}/a.dcm", ""),
        ("stored", f"{place}/b.dcm", ""),
    ]
    assert [file.name for file in depot.all_objects()] == ["a.dcm", "b.dcm"]


def test_a_kill_while_a_duplicate_is_dropped_leaves_one_of_both(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = {"SOPInstanceUID": "1.2.3.1"}
    session = depot.receive(name="a.dcm", **same)  # type: ignore[arg-type]
    depot.receive(name="b.dcm", **same)  # type: ignore[arg-type]

    def kill(_: Path, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(builder, "remove_file", kill)
        with pytest.raises(KeyboardInterrupt):
            depot.fall_silent()
    assert len(depot.all_objects()) == 2
    later = depot.restarted()
    later.lifecycle.recover()
    later.fall_silent()
    assert (later.session(session).status, later.session(session).objects) == (S.READY, 1)
    assert [file.name for file in later.all_objects()] == ["a.dcm"]
    later.index.close()


def test_an_object_that_is_replaced_just_before_a_build_moves_it_keeps_its_row(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    report: dict[str, Any] = {"Modality": "SR", "SOPClassUID": "1.2.3.4.5"}
    session = depot.receive(name="a.dcm", **report)
    depot.receive(name="b.dcm", **report)
    row = depot.session(session)
    real = files.move_file

    def replace_and_move(source: Path, target: Path, **options: Any) -> None:
        if source.name == "a.dcm" and depot.session(session).status is S.BUILDING:
            depot.replace(row, "SCANS/4/DICOM/a.dcm", "1.2.3.1", PatientName="new", **report)
        real(source, target, **options)

    monkeypatch.setattr(building, "move_file", replace_and_move)
    depot.fall_silent()
    assert depot.session(session).status is S.RECEIVING
    depot.fall_silent()
    built = depot.session(session)
    assert (built.status, built.reason, built.objects) == (S.READY, "", 2)
    assert not differences_of(depot.session_context, built)
    assert b"new" in (depot.areas.folder(built) / "SCANS/4/secondary/a.dcm").read_bytes()


def test_a_file_name_that_is_no_text_ends_no_build(depot: Depot) -> None:
    session = depot.receive()
    depot.index.flush()
    (file,) = depot.all_objects()
    odd = file.with_name("odd\udc80.dcm")
    odd.write_bytes(file.read_bytes())
    depot.fall_silent()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 1)


def unreadable(_: object) -> bool:
    raise PermissionError(13, "Permission denied")


def test_a_session_with_a_file_that_can_not_be_read_is_not_built_without_it(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive(name="a.dcm")
    depot.receive(name="b.dcm")
    forget_newest_row(depot)
    with monkeypatch.context() as patched:
        patched.setattr("engine.storage.files.is_object", unreadable_if("b.dcm"))
        depot.fall_silent()
        failed = depot.session(session)
        assert failed.status is S.ERROR
        assert differences_of(depot.session_context, failed).unreadable == ("SCANS/4/DICOM/b.dcm",)
        assert differences_of(depot.session_context, failed).missing == ()
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 2)


def unreadable_if(name: str) -> Callable[[str], bool]:
    real = files.is_object

    def look(path: str) -> bool:
        return unreadable(path) if path.endswith(name) else real(path)

    return look


def forget_newest_row(depot: Depot) -> None:
    depot.index.flush()
    with depot.index.changing() as connection:
        connection.execute(
            "DELETE FROM objects WHERE sequence = (SELECT MAX(sequence) FROM objects)"
        )


def test_a_session_whose_only_file_can_not_be_read_is_not_forgotten(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive()
    forget_rows(depot)
    with monkeypatch.context() as patched:
        patched.setattr("engine.storage.files.is_object", unreadable)
        depot.fall_silent()
    failed = depot.session(session)
    assert failed.status is S.ERROR
    assert failed.reason == (
        "1 file in its folder can't be read; check disk and permissions, then rebuild the session"
    )
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 1)


def test_a_session_that_gets_an_object_while_it_is_to_be_forgotten_stays(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive()
    forget_rows(depot)
    (file,) = depot.all_objects()
    file.unlink()

    def joined(_: Path) -> bool:
        depot.receive()
        return False

    with monkeypatch.context() as patched:
        patched.setattr(builder, "holds_files", joined)
        depot.fall_silent()
    assert depot.session(session).status is S.RECEIVING
    depot.fall_silent()
    assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 1)


def test_a_session_that_an_object_joins_while_it_is_built_is_not_archived_yet(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    session = depot.receive()

    def interrupted(*arguments: object) -> object:
        depot.receive()
        return building.build(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(builder, "build", interrupted)
        depot.fall_silent()
    assert depot.session(session).status is S.RECEIVING
    assert depot.ledger.operations() == ()
    depot.fall_silent()
    assert (depot.session(session).status, depot.session(session).objects) == (S.ARCHIVED, 2)
