"""Requests and details of sessions while nobody works on them, so that each state can be seen."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from engine.errors import StorageUnusable
from engine.events.sessions import SessionCancelled
from engine.index.reader import IndexReader
from engine.index.traces import TraceKey
from engine.model.configuration import Configuration
from engine.model.project import PetMr
from engine.model.session import SessionAction, SessionArea, SessionStatus, possible_actions
from engine.queries.sessions import SessionQueries
from engine.sessions.planner import Planner
from tests.engine.index.depot import Depot, depot_in
from tests.fakes.sessions import make_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.index.operations import Plan, Request
    from engine.model.session import Session
    from engine.sessions.service import SessionService
    from engine.storage.scans import StoredObject

A, S = SessionAction, SessionStatus


class IdleKeeping:
    """Keeps the sessions of a depot, but does nothing before it is told to."""

    def __init__(self, depot: Depot) -> None:
        self.depot, self.ledger, self.rung = depot, depot.ledger, 0

    def folder(self, session: Session) -> Path:
        return self.depot.areas.folder(session)

    def read(self, folder: Path, file: str) -> StoredObject:
        return self.depot.session_context.read(folder, file)

    def preview(self, session: Session, request: Request) -> Plan | tuple[str, ...]:
        return Planner(self.depot.session_context).preview(session, request)

    def notify(self) -> None:
        self.rung += 1


@pytest.fixture
def session_service(tmp_path: Path) -> Iterator[IdleKeeping]:
    with depot_in(tmp_path) as depot:
        yield IdleKeeping(depot)


@pytest.fixture
def sessions(session_service: IdleKeeping) -> Iterator[SessionQueries]:
    depot = session_service.depot
    reader = IndexReader(depot.root / "index.sqlite")
    yield SessionQueries(
        cast("SessionService", session_service),
        reader,
        depot.journal,
        lambda: Configuration(),
        TraceKey(depot.root / "trace.key"),
    )
    reader.close()


@pytest.mark.parametrize(
    ("session", "actions"),
    [
        (make_session(1, S.RECEIVING), {A.DELETE, A.REBUILD}),
        (make_session(1, S.READY), {A.ARCHIVE, A.EDIT, A.MOVE, A.DELETE, A.REBUILD}),
        (make_session(1, S.READY, project=None), {A.EDIT, A.MOVE, A.DELETE, A.REBUILD}),
        (make_session(1, S.QUEUED_ARCHIVING), {A.CANCEL}),
        (make_session(1, S.ARCHIVING), {A.CANCEL}),
        (make_session(1, S.SEPARATING), {A.CANCEL}),
        (make_session(1, S.ARCHIVED, area=SessionArea.ARCHIVE), {A.DELETE}),
        (make_session(1, S.DELETED, area=SessionArea.TRASH), {A.RESTORE}),
        (make_session(1, S.MOVING, area=SessionArea.TRASH), set()),
    ],
)
def test_what_may_be_asked_for_depends_on_state_project_and_place(
    session: Session, actions: set[SessionAction]
) -> None:
    assert set(possible_actions(session)) == actions


def test_a_request_that_waits_is_shown_and_can_be_taken_back(
    session_service: IdleKeeping, sessions: SessionQueries
) -> None:
    number = session_service.depot.receive()
    session_service.depot.fall_silent()
    outcome = sessions.archive(number, "anna", merge=True)
    assert (outcome.settled, outcome.text, session_service.rung) == (False, "queued archiving", 1)
    request = sessions.detail(number).request
    assert request is not None
    assert (request.action, request.by, request.begun) == (A.ARCHIVE, "anna", False)
    assert request.asked_at == session_service.depot.clock.now()
    assert not sessions.settled(number, wait_seconds=0.01).settled
    assert sessions.cancel(number, "bert").text == "ready"
    assert sessions.detail(number).request is None
    assert session_service.depot.told(SessionCancelled) == [
        f"bert cancelled the request for session {number}"
    ]


@pytest.mark.parametrize("direct", [False, True])
def test_what_nobody_asked_for_is_no_request_that_waits(
    session_service: IdleKeeping,
    sessions: SessionQueries,
    monkeypatch: pytest.MonkeyPatch,
    direct: bool,
) -> None:
    depot = session_service.depot
    depot.pet_mr = PetMr.SEPARATE
    depot.receive(SeriesNumber="1", SeriesInstanceUID="1.1", Modality="PT", direct=direct)
    number = depot.receive(SeriesNumber="2", SeriesInstanceUID="1.2", Modality="MR", direct=direct)

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("engine.sessions.runner.carry_out", full)
        depot.fall_silent()
        detail = sessions.detail(number)
    assert detail.session.status is (S.MOVING if direct else S.SEPARATING)
    assert (detail.request, detail.actions) == (None, () if direct else (A.CANCEL,))


def test_a_conflict_is_said_before_anything_is_done(
    session_service: IdleKeeping, sessions: SessionQueries
) -> None:
    depot = session_service.depot
    first = depot.receive(SOPInstanceUID="1.2.99")
    depot.fall_silent()
    sessions.archive(first, "anna")
    depot.lifecycle.run_requests()
    second = depot.receive(SOPInstanceUID="1.2.99", name="again.dcm", ImageComments="new")
    depot.fall_silent()
    before = depot.all_objects()
    preview = sessions.preview_archive(second)
    assert preview.conflicts == (
        "session already exists, retry with merge or overwrite",
        "session already exists with matching files: 1 in scan 4",
    )
    assert preview.into is not None
    assert preview.into.id == first
    assert len(sessions.preview_archive(second, merge=True).conflicts) == 1
    replacing = sessions.preview_archive(second, overwrite=True)
    assert (replacing.conflicts, replacing.added, replacing.replaced) == ((), 1, 1)
    assert depot.all_objects() == before
    sessions.archive(second, "anna")
    depot.lifecycle.run_requests()
    outcome = sessions.settled(second)
    assert outcome.text == f"conflict: {'; '.join(preview.conflicts)}"


def test_a_scan_whose_object_is_gone_is_shown_without_its_description(
    session_service: IdleKeeping, sessions: SessionQueries
) -> None:
    number = session_service.depot.receive()
    session_service.depot.index.flush()
    for path in session_service.depot.all_objects():
        path.unlink()
    (scan,) = sessions.detail(number).scans
    assert (scan.id, scan.objects, scan.description) == ("4", 1, "")


def test_an_index_that_is_full_or_locked_is_told_in_words_whatever_is_asked_for(
    sessions: SessionQueries, session_service: IdleKeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = session_service.depot
    number = depot.receive()
    depot.fall_silent()

    def full() -> NoReturn:
        raise sqlite3.OperationalError("database or disk is full")

    for way in ("changing", "reading"):
        monkeypatch.setattr(depot.index, way, full)
    for ask in (
        lambda: sessions.detail(number),
        lambda: sessions.preview_archive(number),
        lambda: sessions.archive(number, "anna"),
        lambda: sessions.rebuild(number, "anna"),
        lambda: sessions.cancel(number, "anna"),
        lambda: sessions.settled(number),
    ):
        with pytest.raises(StorageUnusable, match="can't be used: database or disk is full"):
            ask()
    monkeypatch.undo()
