"""An index or a disk that takes nothing for a while: once there is room, everything goes on."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from engine.events.sessions import SessionFailed
from engine.model.project import AutoArchive, PetMr
from engine.model.session import SessionStatus
from engine.sessions import ledger
from engine.sessions.worker import RETRY_SECONDS
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
CHANGES = ("change", "begin", "finish", "end_build", "note_files", "note_merge", "forget_empty")


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def full_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let one kind of change of the index fail."""

    def full(*_arguments: Any, **_options: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(ledger.SessionRepository, name, full)


def fall_silent_while_full(depot: Depot, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with monkeypatch.context() as patched:
        full_at(patched, name)
        for _ in range(2):
            with suppress(sqlite3.OperationalError):
                depot.fall_silent()


@pytest.mark.parametrize("change", CHANGES)
def test_sessions_are_built_separated_and_archived_once_the_index_can_be_written_again(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    depot.pet_mr, depot.codes["NEURO-01"] = PetMr.SEPARATE, AutoArchive.ARCHIVE
    depot.receive(SeriesNumber="1", SeriesInstanceUID="1.1", Modality="PT", SOPClassUID="1.2.3")
    depot.receive(SeriesNumber="2", SeriesInstanceUID="1.2", Modality="MR")
    depot.receive(label="E2", StudyInstanceUID="1.9")
    fall_silent_while_full(depot, monkeypatch, change)
    depot.fall_silent()
    found = {s.label: (s.status, s.objects) for s in depot.index.sessions()}
    assert found == dict.fromkeys(("E1", "E1_PET", "E2"), (S.ARCHIVED, 1))
    assert len(depot.objects()) == 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("direct", [False, True])
def test_a_session_that_there_is_no_room_to_build_is_built_once_there_is_some(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, direct: bool, code: int
) -> None:
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    session = depot.receive(direct=direct, SOPClassUID="1.2.3.4.5")

    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr("engine.sessions.folders.building.write_atomically", full)
        for _ in range(3):
            assert depot.fall_silent() == RETRY_SECONDS
        reason = f"the storage failed: {os.strerror(code)}; it will be tried again"
        waiting = depot.session(session)
        assert (waiting.status, waiting.reason) == (S.RECEIVING, reason)
        assert depot.told(SessionFailed) == [f"session {session} in NEURO-01 failed: {reason}"]
        assert depot.receive(direct=direct, SOPClassUID="1.2.3.4.5") == session
    depot.fall_silent()
    built = depot.session(session)
    assert (built.status, built.reason, built.objects) == (S.ARCHIVED, "", 2)
    assert len(depot.objects()) == 2


def test_objects_that_join_a_session_while_its_build_can_not_be_noted_are_built_with_it(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive()
    fall_silent_while_full(depot, monkeypatch, "end_build")
    assert depot.receive() == session
    depot.fall_silent()
    depot.fall_silent()
    built = depot.session(session)
    assert (built.status, built.objects) == (S.READY, 2)


def test_an_object_that_was_moved_is_found_after_a_fault_that_nobody_foresaw(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = depot.receive(SOPClassUID="1.2.3.4.5")

    def broken(*_arguments: Any) -> bytes:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("engine.sessions.folders.building.catalog", broken)
        depot.fall_silent()
    assert depot.session(session).status is S.ERROR
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()
    assert depot.session(session).status is S.READY
    assert depot.ledger.stored_files(session) == ("SCANS/4/secondary/1.dcm",)


def test_an_interrupted_build_that_can_not_be_looked_at_holds_up_no_other_session(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, other = depot.receive(), depot.receive(label="E2", StudyInstanceUID="1.9")
    depot.ledger.change(odd, S.BUILDING)

    def unreadable(*_arguments: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("engine.sessions.worker.repair", unreadable)
        depot.fall_silent()
    assert depot.session(other).status is S.READY
    row = depot.session(odd)
    assert (row.status, row.reason) == (S.ERROR, "the storage failed: Permission denied")


def test_a_session_that_archives_by_itself_does_so_even_if_the_engine_ends_once_it_is_built(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
    session = depot.receive()
    end_build = ledger.SessionRepository.end_build

    def end(*arguments: Any, **options: Any) -> None:
        end_build(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ledger.SessionRepository, "end_build", end)
        with pytest.raises(KeyboardInterrupt):
            depot.fall_silent()
    depot.fall_silent()
    assert depot.session(session).status is S.ARCHIVED
