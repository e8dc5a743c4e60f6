"""After a kill: objects whose rows were not written yet are in the index before anything else."""

from __future__ import annotations

import errno
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest

from engine.errors import OutOfResources, StorageUnusable
from engine.events import ObjectsAdopted
from engine.host.clock import SystemClock
from engine.index.operations import OperationKind, Request
from engine.index.store import SessionKey
from engine.intake.dock import LocalObjectDock
from engine.intake.filing import Filing
from engine.metrics import Metrics
from engine.model.session import SessionStatus
from engine.sessions import reconcile
from engine.sessions.ledger import SessionRepository
from engine.sessions.recovery import Recovery
from engine.sessions.service import sessions_without_engine
from engine.sessions.worker import RETRY_SECONDS
from engine.settings import EngineSettings
from engine.storage import files
from tests.engine.index.depot import IDLE_SECONDS, STUDY, Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.model.session import Session

S = SessionStatus


def kill(root: Path) -> None:
    """Take the last row from the index, as a kill within the batch time does."""
    with closing(sqlite3.connect(root / "index.sqlite")) as index, index:
        index.execute("DELETE FROM objects WHERE sequence = (SELECT MAX(sequence) FROM objects)")
        index.execute("DELETE FROM engine")
        index.execute("INSERT INTO engine VALUES (0)")


def unreadable(_: object) -> bool:
    raise PermissionError(13, "Permission denied")


def recover(depot: Depot) -> None:
    recovery = Recovery(depot.session_context)
    recovery.begin(clean=False)
    recovery.run()


def rebuild(depot: Depot, session: int) -> None:
    depot.ledger.request_build(session, "admin")


def delete(depot: Depot, session: int) -> None:
    depot.ledger.ask(session, Request(OperationKind.DELETE, "admin"))


def begin_to_build(depot: Depot, session: int) -> None:
    depot.ledger.change(session, S.BUILDING)


def begin_to_delete(depot: Depot, session: int) -> None:
    delete(depot, session)
    (operation,) = depot.ledger.operations()
    plan = depot.lifecycle._operator._planner.plan(depot.session(session), operation.request)
    depot.ledger.begin(session, operation.request, plan)


@pytest.mark.parametrize(
    ("then", "status"),
    [
        (lambda *_: None, S.RECEIVING),
        (begin_to_build, S.RECEIVING),
        (rebuild, S.QUEUED_BUILDING),
        (delete, S.QUEUED_DELETING),
        (begin_to_delete, S.DELETED),
    ],
)
def test_an_object_has_its_row_whatever_its_session_was_waiting_for(
    tmp_path: Path, then: Callable[[Depot, int], None], status: SessionStatus
) -> None:
    with depot_in(tmp_path) as depot:
        session = depot.receive()
        depot.receive()
        depot.index.flush()
        then(depot, session)
    kill(tmp_path)
    with sessions_without_engine(EngineSettings(tmp_path), SystemClock()) as session_service:
        row = session_service.ledger.session(session)
        files = session_service.ledger.stored_files(session)
        assert row.status is status
        assert len(files) == 2
        assert all((session_service.folder(row) / file).is_file() for file in files)


@pytest.mark.parametrize("status", [S.RECEIVING, S.QUEUED_BUILDING, S.QUEUED_DELETING])
def test_only_a_session_that_was_just_opened_is_forgotten_for_want_of_objects(
    tmp_path: Path, status: SessionStatus
) -> None:
    with depot_in(tmp_path) as depot:
        session = depot.receive()
        depot.index.flush()
        (file,) = depot.all_objects()
        if status is S.QUEUED_BUILDING:
            rebuild(depot, session)
        elif status is S.QUEUED_DELETING:
            delete(depot, session)
        file.unlink()
    kill(tmp_path)
    with sessions_without_engine(EngineSettings(tmp_path), SystemClock()) as session_service:
        left = [each.status for each in session_service.ledger.in_status(*S)]
    assert left == ([] if status is S.RECEIVING else [status])


def test_a_session_that_can_not_be_taken_up_ends_a_start_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with depot_in(tmp_path) as depot:
        depot.ledger.change(depot.receive(), S.BUILDING)

    def full(*_: object) -> NoReturn:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(SessionRepository, "change", full)
    with pytest.raises(StorageUnusable, match="index can't be used: database or disk is full"):
        sessions_without_engine(EngineSettings(tmp_path), SystemClock()).__enter__()


def test_rows_that_can_not_be_written_end_a_start_in_words_instead_of_holding_it_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with depot_in(tmp_path) as depot:
        depot.receive()
        depot.index.flush()
    kill(tmp_path)

    def full(*_: object) -> NoReturn:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("engine.sessions.object_changes.insert_objects", full)
        starting = sessions_without_engine(EngineSettings(tmp_path), SystemClock())
        with pytest.raises(StorageUnusable, match="index can't be used: database or disk is full"):
            starting.__enter__()
    with sessions_without_engine(EngineSettings(tmp_path), SystemClock()) as session_service:
        assert len(session_service.ledger.stored_files(1)) == 1


def test_a_session_whose_only_file_can_not_be_read_just_then_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with depot_in(tmp_path) as depot:
        session = depot.receive()
        depot.index.flush()
    kill(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("engine.storage.files.is_object", unreadable)
        with sessions_without_engine(EngineSettings(tmp_path), SystemClock()) as session_service:
            assert session_service.ledger.session(session).status is S.RECEIVING
    with depot_in(tmp_path) as depot:
        depot.fall_silent()
        assert (depot.session(session).status, depot.session(session).objects) == (S.READY, 1)


def test_an_object_whose_file_meta_is_damaged_ends_no_start(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        session = depot.receive(name="a.dcm")
        depot.receive(name="b.dcm")
        depot.index.flush()
    (damaged,) = (file for file in depot.all_objects() if file.name == "b.dcm")
    damaged.write_bytes(damaged.read_bytes().replace(b"\2\0\x10\0UI", b"\2\0\x10\0XX", 1))
    kill(tmp_path)
    with sessions_without_engine(EngineSettings(tmp_path), SystemClock()) as session_service:
        assert len(session_service.ledger.stored_files(session)) == 2


def test_a_recovery_counts_the_objects_that_lacked_rows_and_their_sessions(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        for label in ("E1", "E1", "E2"):
            depot.receive(label=label)
        depot.index.flush()
        with depot.index.changing() as connection:
            connection.execute("DELETE FROM objects WHERE session = 1")
        for _ in range(2):
            recover(depot)
        assert depot.told(ObjectsAdopted) == [ObjectsAdopted(objects=2, sessions=1).sentence()]


def test_a_session_that_has_rows_is_not_forgotten_if_its_files_are_gone(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        session = depot.receive()
        depot.index.flush()
        for file in depot.all_objects():
            file.unlink()
        recover(depot)
        assert depot.session(session).status is S.RECEIVING
        assert len(depot.ledger.stored_files(session)) == 1


def test_who_follows_stored_objects_hears_of_those_that_are_found_on_disk(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        depot.receive()
        depot.index.flush()
        with depot.index.changing() as connection:
            connection.execute("DELETE FROM objects")
        heard: list[int] = []
        depot.index.objects_written.add(lambda: heard.append(len(depot.index.objects())))
        recover(depot)
        assert heard == [1]


class Reopened(NamedTuple):
    """A depot with three sessions that a killed engine left open, one row of each is missing."""

    depot: Depot
    dock: LocalObjectDock

    @property
    def recovery(self) -> Recovery:
        return self.depot.lifecycle.recovery

    def copies(self, label: str) -> int:
        """Ask for copies of a session's second object, as one that arrives does."""
        uid = f"1.2.3.{2 * int(label[1:])}"
        return len(self.dock.copies(SessionKey("NEURO-01", STUDY, label), uid))

    def rows(self) -> list[int]:
        return [len(self.depot.ledger.stored_rows(session)) for session in (1, 2, 3)]


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Reopened]:
    with depot_in(tmp_path) as depot:
        for label in ("E1", "E2", "E3"):
            depot.receive(label=label)
            depot.receive(label=label)
        depot.index.flush()
        with depot.index.changing() as connection:
            connection.execute("DELETE FROM objects WHERE sequence % 2 = 0")
            connection.execute("INSERT INTO engine VALUES (0)")
        again = depot.restarted()
        try:
            again.lifecycle.begin(clean=again.index.begin_run())
            filing = Filing(again.index, -1, -1)
            recovery = again.lifecycle.recovery
            dock = LocalObjectDock(again.index, filing, Metrics(again.clock), recovery)
            yield Reopened(again, dock)
        finally:
            again.index.close()


def test_an_object_waits_for_the_sessions_of_its_key_and_for_no_others(reopened: Reopened) -> None:
    assert str(reopened.recovery.status()) == "recovering 0 of 3 sessions"
    assert reopened.dock.may_wait
    assert reopened.copies("E2") == 1
    assert reopened.rows() == [1, 2, 1]
    assert str(reopened.recovery.status()) == "recovering 1 of 3 sessions"


def test_no_session_is_built_or_deleted_before_it_is_recovered(reopened: Reopened) -> None:
    depot = reopened.depot
    depot.ledger.ask(1, Request(OperationKind.DELETE, "admin"))
    depot.lifecycle.run_requests()
    assert depot.session(1).status is S.QUEUED_DELETING
    depot.clock.advance(IDLE_SECONDS)
    depot.lifecycle.run_due(stopping=lambda: True)
    assert reopened.rows() == [1, 1, 1]
    depot.lifecycle.run_due()
    # An object that was found counts as one that came now.
    depot.fall_silent()
    assert [depot.session(number).status for number in (1, 2, 3)] == [S.DELETED, S.READY, S.READY]
    assert reopened.rows() == [2, 2, 2]
    assert reopened.recovery.status() is None
    assert depot.told(ObjectsAdopted) == [ObjectsAdopted(objects=3, sessions=3).sentence()]


def test_two_objects_of_one_session_recover_it_once(
    reopened: Reopened, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    real = reconcile.adopt

    def adopt(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(reconcile, "adopt", adopt)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(reopened.copies, "E1")
        assert begun.wait(20)
        second = threads.submit(reopened.copies, "E1")
        go_on.set()
        assert (first.result(20), second.result(20)) == (1, 1)
    assert reopened.rows() == [2, 1, 1]


def test_a_session_that_can_not_be_recovered_refuses_objects_and_holds_up_no_other(
    reopened: Reopened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    depot, real = reopened.depot, reconcile.differences_of

    def fail(context: Any, session: Session, **options: Any) -> Any:
        if session.id == 2 and options:
            raise OSError(errno.EIO, "Input/output error")
        return real(context, session, **options)

    with monkeypatch.context() as patched:
        patched.setattr(reconcile, "differences_of", fail)
        assert depot.lifecycle.run_due() == RETRY_SECONDS
        assert depot.fall_silent() == RETRY_SECONDS
        with pytest.raises(OutOfResources, match="can't be recovered: the storage failed"):
            reopened.copies("E2")
    statuses = [depot.session(number).status for number in (1, 2, 3)]
    assert statuses == [S.READY, S.RECEIVING, S.READY]
    assert (
        caplog.messages.count(
            "session 2 can't be recovered: the storage failed: Input/output error"
        )
        == 1
    )
    depot.lifecycle.recover()
    depot.fall_silent()
    assert (depot.session(2).status, depot.session(2).objects) == (S.READY, 2)


@pytest.mark.parametrize("completed", [False, True])
def test_a_stop_is_clean_only_if_all_sessions_are_recovered(
    reopened: Reopened, completed: bool
) -> None:
    reopened.depot.index.confirm_run()
    reopened.copies("E1")
    if completed:
        reopened.depot.lifecycle.recover()
    later = reopened.depot.restarted()
    try:
        assert later.index.begin_run() is completed
    finally:
        later.index.close()


def test_an_empty_session_is_forgotten_before_an_object_of_its_key_is_filed(
    reopened: Reopened,
) -> None:
    for file in reopened.depot.all_objects():
        file.unlink()
    with reopened.depot.index.changing() as connection:
        connection.execute("DELETE FROM objects")
    reopened.copies("E1")
    assert [session.id for session in reopened.depot.index.sessions()] == [3, 2]


def test_files_that_have_a_row_are_not_opened(
    reopened: Reopened, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = files.is_object

    def look(path: str) -> bool:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(files, "is_object", look)
    reopened.depot.lifecycle.recover()
    assert len(opened) == 3
