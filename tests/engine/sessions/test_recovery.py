"""After a kill: objects whose rows were not written yet are in the index before anything else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

import pytest

from engine.errors import StorageUnusable
from engine.host.clock import SystemClock
from engine.index.operations import OperationKind, Request
from engine.model.session import SessionStatus
from engine.sessions.ledger import SessionRepository
from engine.sessions.recovery import Recovered, adopt
from engine.sessions.service import sessions_without_engine
from engine.settings import EngineSettings
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

S = SessionStatus


def kill(root: Path) -> None:
    """Take the last row from the index, as a kill within the batch time does."""
    with closing(sqlite3.connect(root / "index.sqlite")) as index, index:
        index.execute("DELETE FROM objects WHERE sequence = (SELECT MAX(sequence) FROM objects)")
        index.execute("DELETE FROM engine")
        index.execute("INSERT INTO engine VALUES (0)")


def unreadable(_: Path) -> bool:
    raise PermissionError(13, "Permission denied")


def rebuild(depot: Depot, session: int) -> None:
    depot.ledger.request_build(session)


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
        assert adopt(depot.session_context) == Recovered(objects=2, sessions=1)
        assert adopt(depot.session_context) == Recovered(objects=0, sessions=0)


def test_a_session_that_has_rows_is_not_forgotten_if_its_files_are_gone(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        session = depot.receive()
        depot.index.flush()
        for file in depot.all_objects():
            file.unlink()
        adopt(depot.session_context)
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
        adopt(depot.session_context)
        assert heard == [1]
