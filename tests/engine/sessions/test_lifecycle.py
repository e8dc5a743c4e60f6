"""Sessions on their way: silent, built, ready, interrupted, and archived by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.errors import SessionError, TransitionNotAllowed, UnreadableObject
from engine.events.sessions import SessionArchived, SessionBuilt, SessionFailed
from engine.index.listing import WorkWaiting, work_waiting
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.session import SessionArea, SessionStatus
from engine.sessions import builder
from engine.sessions.builder import Builder
from engine.sessions.context import effective_code
from engine.sessions.folders import building
from engine.sessions.folders.stored_objects import read_stored
from engine.sessions.ledger import SessionRepository
from engine.sessions.worker import RETRY_SECONDS
from tests.engine.index.depot import IDLE_SECONDS, Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def test_a_session_is_built_once_no_object_came_for_the_idle_time(depot: Depot) -> None:
    session = depot.receive()
    depot.receive()
    depot.index.flush()
    depot.clock.advance(IDLE_SECONDS - 1)
    assert depot.lifecycle.run_due() == 1
    assert depot.session(session).status is S.RECEIVING
    depot.clock.advance(1)
    depot.lifecycle.run_due()
    built = depot.session(session)
    assert (built.status, built.modality, built.objects) == (S.READY, "CT", 2)
    assert depot.told(SessionBuilt) == [f"session {session} in NEURO-01 built: 2 objects in 1 scan"]
    assert depot.areas.folder(built).with_name("E1.xml").is_file()


def test_each_object_starts_the_idle_time_anew(depot: Depot) -> None:
    session = depot.receive()
    depot.clock.advance(IDLE_SECONDS - 10)
    depot.receive()
    depot.index.flush()
    depot.clock.advance(20)
    assert depot.lifecycle.run_due() == IDLE_SECONDS - 20
    assert depot.session(session).status is S.RECEIVING


def test_without_sessions_there_is_nothing_to_look_for_until_one_could_be_due(depot: Depot) -> None:
    assert depot.lifecycle.run_due() == IDLE_SECONDS


def test_a_late_object_brings_a_built_session_back_and_it_is_built_again(depot: Depot) -> None:
    session = depot.receive()
    depot.fall_silent()
    assert depot.receive() == session
    assert depot.session(session).status is S.RECEIVING
    depot.fall_silent()
    assert depot.session(session).status is S.READY
    assert len(depot.told(SessionBuilt)) == 2


def test_an_object_that_arrives_while_its_session_is_built_interrupts(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive(SOPClassUID=RT_STRUCTURE_SET)

    def interrupted(*arguments: object) -> object:
        assert depot.session(session).status is S.BUILDING
        assert depot.receive() == session
        assert depot.session(session).status is S.RECEIVING_INTERRUPT
        return building.build(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builder, "build", interrupted)
    depot.fall_silent()
    monkeypatch.undo()
    assert depot.session(session).status is S.RECEIVING
    depot.fall_silent()
    assert depot.session(session).status is S.READY
    files = depot.ledger.stored_files(session)
    assert files == ("SCANS/4/secondary/1.dcm", "SCANS/4/DICOM/2.dcm")
    assert all((depot.areas.folder(depot.session(session)) / file).is_file() for file in files)


@pytest.mark.parametrize("kind", [OperationKind.ARCHIVE, OperationKind.DELETE])
def test_a_late_object_for_a_session_on_its_way_out_opens_a_second_one(
    depot: Depot, kind: OperationKind
) -> None:
    session = depot.receive()
    depot.fall_silent()
    depot.ledger.ask(session, Request(kind, "admin"))
    second = depot.receive()
    assert second != session
    assert depot.session(second).status is S.RECEIVING
    depot.lifecycle.run_requests()
    assert len(depot.all_objects()) == 2


def test_objects_still_on_their_way_are_waited_for(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sessions.context.IDLE_WAIT_SECONDS", 0.01)
    session = depot.receive()
    depot.index.session_writers.acquire(session)
    depot.fall_silent()
    assert depot.session(session).status is S.RECEIVING
    depot.index.session_writers.release(session)
    depot.lifecycle.run_due()
    assert depot.session(session).status is S.READY


def test_a_session_whose_objects_all_failed_is_forgotten_with_its_folders(depot: Depot) -> None:
    session = depot.receive()
    depot.index.flush()
    folder = depot.areas.folder(depot.session(session))
    with depot.index.changing() as connection:
        connection.execute("DELETE FROM objects")
    for file in folder.rglob("*.dcm"):
        file.unlink()
    depot.fall_silent()
    assert depot.index.sessions() == ()
    assert not folder.parent.exists()


def test_a_damaged_object_makes_an_error_that_says_why_and_can_be_built_again(
    depot: Depot,
) -> None:
    session = depot.receive()
    depot.index.flush()
    (file,) = depot.all_objects()
    content = file.read_bytes()
    file.write_bytes(content[:100])
    depot.fall_silent()
    failed = depot.session(session)
    assert failed.status is S.ERROR
    assert failed.reason.startswith("an object of scan 4 can't be read")
    assert depot.told(SessionFailed) == [f"session {session} in NEURO-01 failed: {failed.reason}"]
    file.write_bytes(content)
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()
    assert (depot.session(session).status, depot.session(session).reason) == (S.READY, "")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ZeroDivisionError(), "internal error: ZeroDivisionError; it is in the engine's log"),
        (SessionError("no free folder"), "no free folder"),
    ],
)
def test_a_fault_nobody_foresaw_in_one_session_does_not_hold_up_the_others(
    depot: Depot, fault: Exception, reason: str
) -> None:
    first = depot.receive(label="E1")
    depot.clock.advance(1)
    second = depot.receive(label="E2")

    def faulty(folder: Path, file: str) -> object:
        if "E1" in folder.parts:
            raise fault
        return read_stored(folder, file)

    depot.session_context = type(depot.session_context)(
        *(depot.index, depot.ledger, depot.areas),
        *(faulty, depot.journal, depot.clock),  # type: ignore[arg-type]
    )
    depot.lifecycle = type(depot.lifecycle)(depot.session_context, depot.policy)
    depot.fall_silent()
    assert depot.session(first).status is S.ERROR
    assert depot.session(first).reason == reason
    assert depot.session(second).status is S.READY


@pytest.mark.parametrize(
    ("asked", "project_code", "code"),
    [
        (None, AutoArchive.MANUAL, AutoArchive.MANUAL),
        (None, AutoArchive.ARCHIVE, AutoArchive.ARCHIVE),
        (None, AutoArchive.OVERWRITE, AutoArchive.OVERWRITE),
        (True, AutoArchive.MANUAL, AutoArchive.ARCHIVE),
        (True, AutoArchive.OVERWRITE, AutoArchive.OVERWRITE),
        (False, AutoArchive.OVERWRITE, AutoArchive.MANUAL),
    ],
)
def test_what_the_header_asks_for_wins_over_the_project(
    asked: bool | None, project_code: AutoArchive, code: AutoArchive
) -> None:
    assert effective_code(asked, project_code) is code


def test_a_project_with_code_4_archives_its_sessions_by_itself(depot: Depot) -> None:
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    session = depot.receive()
    depot.fall_silent()
    archived = depot.session(session)
    assert (archived.status, archived.area) == (S.ARCHIVED, SessionArea.ARCHIVE)
    assert depot.objects() == ["NEURO-01/arc001/E1/SCANS/4/DICOM/1.dcm"]
    assert depot.told(SessionArchived) == [
        f"session {session} in NEURO-01 archived by auto-archive"
    ]


def test_an_unassigned_session_is_never_archived_by_itself(depot: Depot) -> None:
    session = depot.receive(project=None, auto_archive=True)
    depot.fall_silent()
    assert depot.session(session).status is S.READY
    with pytest.raises(SessionError, match="without a project"):
        depot.ledger.ask(session, Request(OperationKind.ARCHIVE, "admin"))


def test_a_request_is_refused_in_a_state_that_does_not_allow_it(depot: Depot) -> None:
    session = depot.receive()
    with pytest.raises(TransitionNotAllowed, match="RECEIVING can't become QUEUED_ARCHIVING"):
        depot.ledger.ask(session, Request(OperationKind.ARCHIVE, "admin"))


@pytest.mark.parametrize("before", [S.READY, S.RECEIVING])
def test_a_request_that_waits_can_be_taken_back(depot: Depot, before: SessionStatus) -> None:
    session = depot.receive()
    if before is S.READY:
        depot.fall_silent()
    depot.ledger.ask(session, Request(OperationKind.DELETE, "admin"))
    depot.ledger.cancel(session)
    depot.lifecycle.run_requests()
    assert depot.session(session).status is before
    with pytest.raises(SessionError, match="waits for nothing"):
        depot.ledger.cancel(session)


def test_a_request_that_the_session_outran_is_dropped(depot: Depot) -> None:
    session = depot.receive()
    depot.fall_silent()
    depot.ledger.ask(session, Request(OperationKind.ARCHIVE, "admin"))
    with depot.index.changing() as connection:
        connection.execute("UPDATE sessions SET status = 'RECEIVING'")
    depot.lifecycle.run_requests()
    assert depot.ledger.operations() == ()
    assert depot.session(session).status is S.RECEIVING


def test_a_lifecycle_that_is_to_stop_leaves_the_rest_for_the_next_run(depot: Depot) -> None:
    session = depot.receive()
    depot.index.flush()
    depot.clock.advance(IDLE_SECONDS)
    assert depot.lifecycle.run_due(lambda: True) == 0
    assert depot.session(session).status is S.RECEIVING


def test_an_object_that_arrives_while_an_empty_session_is_forgotten_saves_it(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive()
    depot.index.flush()
    stored_files = SessionRepository.stored_files

    def empty(ledger: SessionRepository, number: int) -> tuple[str, ...]:
        assert depot.receive() == number
        monkeypatch.setattr(SessionRepository, "stored_files", stored_files)
        return ()

    monkeypatch.setattr(SessionRepository, "stored_files", empty)
    depot.fall_silent()
    assert depot.session(session).status is S.RECEIVING
    depot.fall_silent()
    assert depot.session(session).objects == 2


def test_a_direct_session_that_objects_join_while_it_fails_is_built_again(depot: Depot) -> None:
    session = depot.receive(direct=True)

    def damaged(folder: Path, file: str) -> object:
        if depot._received == 1:
            assert depot.receive(direct=True) == session
            raise UnreadableObject("for now")
        return read_stored(folder, file)

    depot.session_context = type(depot.session_context)(
        *(depot.index, depot.ledger, depot.areas),
        *(damaged, depot.journal, depot.clock),  # type: ignore[arg-type]
    )
    depot.lifecycle = type(depot.lifecycle)(depot.session_context, depot.policy)
    depot.fall_silent()
    assert depot.session(session).status is S.RECEIVING
    depot.fall_silent()
    assert depot.session(session).status is S.ARCHIVED


def test_what_a_person_asks_for_while_many_sessions_are_built_comes_next(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.codes["AUTO"] = AutoArchive.ARCHIVE
    ready = depot.receive(label="E0")
    depot.fall_silent()
    for number in range(1, 6):
        depot.receive("AUTO", label=f"E{number}")
    build = Builder.build

    def asked_meanwhile(self: Builder, session: int) -> None:
        if depot.session(ready).status is S.READY:
            depot.ledger.ask(ready, Request(OperationKind.ARCHIVE, "admin"))
        build(self, session)

    monkeypatch.setattr(Builder, "build", asked_meanwhile)
    depot.fall_silent()
    page = depot.journal.events_since(0, 1000)
    told = [r.event for r in page.events if isinstance(r.event, SessionBuilt | SessionArchived)]
    person = next(i for i, e in enumerate(told) if getattr(e, "by", "") == "admin")
    assert person == 2  # after its own build, and that in which it was asked for
    # Builds and what a rule asks for take turns: neither waits for the end of the other.
    assert [type(e) for e in told[3:6]] == [SessionArchived, SessionBuilt, SessionArchived]
    assert len(told) == 12


def test_a_long_run_lets_failed_work_be_tried_again_and_then_goes_on(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.receive(label="E1")
    depot.clock.advance(1)
    second = depot.receive(label="E2")
    tried: list[int] = []

    def postponed(_: Builder, session: int) -> None:
        tried.append(session)
        depot.clock.advance(RETRY_SECONDS)

    monkeypatch.setattr(Builder, "build", postponed)
    assert depot.fall_silent() == 0
    assert depot.lifecycle.run_due() == 0
    assert tried == [1, second]
    assert depot.lifecycle.run_due() == RETRY_SECONDS
    assert depot.lifecycle.run_due() == 0
    assert tried == [1, second, 1]


def test_work_that_waits_is_counted_from_the_time_on_when_it_could_begin(depot: Depot) -> None:
    def waiting() -> WorkWaiting:
        depot.index.flush()
        return work_waiting(depot.index, depot.clock.now(), timedelta(seconds=IDLE_SECONDS))

    session = depot.receive(label="E1")
    assert waiting() == (0, None)
    depot.clock.advance(IDLE_SECONDS)
    silent = depot.clock.now()
    depot.clock.advance(5)
    assert waiting() == (1, silent)
    depot.fall_silent()
    assert waiting() == (0, None)
    depot.ledger.request_build(session, "admin")
    assert waiting() == (1, None)
    depot.lifecycle.run_due()
    asked = depot.clock.now()
    depot.ledger.ask(session, Request(OperationKind.ARCHIVE, "admin"))
    depot.clock.advance(5)
    depot.receive(label="E2")
    assert waiting() == (1, asked)
