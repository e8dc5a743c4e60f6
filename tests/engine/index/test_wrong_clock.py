"""Sessions while the wall clock is wrong: built in time, and not purged too early."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import NotFound
from engine.events.sessions import SessionRestored, TrashPurged
from engine.index.operations import OperationKind, Request
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.folders import transfer
from engine.sessions.trash import ExpiryClock, Trash
from tests.counting import counted_index
from tests.engine.index.depot import IDLE_SECONDS, Depot, depot_in
from tests.engine.sessions.test_archive import ask, ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
HOUR, DAY = 3600, 86_400


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def look(depot: Depot) -> float:
    depot.index.flush()
    return depot.lifecycle.run_due()


def receive_in_the_future(depot: Depot, hours: int = 5) -> int:
    depot.clock.step(hours * HOUR)
    session = depot.receive()
    depot.index.flush()
    depot.clock.step(-hours * HOUR)
    return session


def test_a_session_that_was_received_in_the_future_is_built_after_the_idle_time(
    depot: Depot,
) -> None:
    session = receive_in_the_future(depot)
    assert look(depot) == IDLE_SECONDS
    depot.clock.advance(IDLE_SECONDS - 1)
    assert look(depot) == 1
    depot.clock.advance(1)
    look(depot)
    assert depot.session(session).status is S.READY


def test_each_object_of_a_session_in_the_future_starts_the_idle_time_anew(depot: Depot) -> None:
    session = receive_in_the_future(depot)
    look(depot)
    depot.clock.advance(IDLE_SECONDS - 1)
    depot.receive()
    assert look(depot) == IDLE_SECONDS
    depot.clock.advance(IDLE_SECONDS)
    look(depot)
    assert depot.session(session).status is S.READY


def test_after_a_restart_a_session_in_the_future_is_built_after_the_idle_time(
    depot: Depot,
) -> None:
    session = receive_in_the_future(depot)
    look(depot)
    again = depot.restarted()
    try:
        look(again)
        again.fall_silent()
        assert again.session(session).status is S.READY
    finally:
        again.index.close()


def test_a_clock_that_jumps_forward_ends_no_session_early(depot: Depot) -> None:
    look(depot)
    depot.clock.advance(5)
    session = depot.receive()
    depot.index.flush()
    depot.clock.advance(5)
    depot.clock.step(5 * HOUR)
    assert look(depot) >= IDLE_SECONDS - 10
    assert depot.session(session).status is S.RECEIVING
    depot.clock.step(-5 * HOUR)
    depot.clock.advance(IDLE_SECONDS - 10)
    look(depot)
    assert depot.session(session).status is S.READY


def test_a_clock_that_jumps_between_two_looks_changes_nothing_of_a_known_silence(
    depot: Depot,
) -> None:
    session = depot.receive()
    look(depot)
    depot.clock.advance(100)
    depot.clock.step(-5 * HOUR)
    assert look(depot) == IDLE_SECONDS - 100
    depot.clock.step(50 * HOUR)
    assert look(depot) == IDLE_SECONDS - 100
    assert depot.session(session).status is S.RECEIVING


def test_all_sessions_are_read_only_until_those_from_before_a_step_are_built(depot: Depot) -> None:
    def statements() -> str:
        with counted_index(depot.index) as counts:
            look(depot)
        return " ".join(counts.statements)

    every = "SELECT id, last_object_at FROM sessions WHERE status = 'RECEIVING' AND"
    session = depot.receive()
    assert every in statements()
    depot.clock.step(-5 * HOUR)
    assert every not in statements()  # it asks for those that are silent by the wall clock
    depot.clock.advance(IDLE_SECONDS)
    statements()
    assert depot.session(session).status is S.READY
    statements()
    assert every in statements()


def in_trash(depot: Depot, **values: Any) -> int:
    session = ready(depot, **values)
    ask(depot, session, OperationKind.DELETE)
    return session


def test_a_clock_that_is_wrong_for_a_moment_empties_no_trash(depot: Depot) -> None:
    session = in_trash(depot)
    depot.clock.step(40 * DAY)
    depot.clock.advance(HOUR)
    look(depot)
    depot.clock.advance(DAY - HOUR)
    look(depot)
    depot.clock.step(-40 * DAY)
    look(depot)
    assert depot.session(session).status is S.DELETED
    assert len(depot.objects(SessionArea.TRASH)) == 1


def test_a_clock_that_stays_where_it_jumped_empties_the_trash_a_day_later(depot: Depot) -> None:
    in_trash(depot)
    depot.clock.step(40 * DAY)
    depot.clock.advance(HOUR)
    look(depot)
    assert len(depot.all_objects()) == 1
    depot.clock.advance(DAY)
    look(depot)
    assert depot.index.sessions() == ()
    assert depot.all_objects() == []


@pytest.mark.parametrize("begun", [False, True])
def test_a_session_that_somebody_wants_back_is_not_purged(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    session = in_trash(depot)
    depot.clock.advance(30 * DAY + 10)
    depot.ledger.ask(session, Request(OperationKind.RESTORE, "admin"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if begun:
            patched.setattr(transfer, "move_folder", full)
            look(depot)
            assert depot.session(session).status is S.MOVING
        else:
            expiry = ExpiryClock(depot.clock, depot.journal)
            trash = Trash(depot.areas, depot.ledger, depot.journal, depot.clock, expiry)
            assert trash.purge_next(30)
            assert not trash.purge_next(30)
        assert len(depot.objects(SessionArea.TRASH)) == 1
        assert depot.told(TrashPurged) == []
    look(depot)
    assert depot.session(session).status is S.READY
    assert len(depot.told(SessionRestored)) == len(depot.objects(SessionArea.PREARCHIVE)) == 1


def test_a_session_can_not_be_wanted_back_once_its_files_begin_to_go(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, rmtree = in_trash(depot), shutil.rmtree

    def remove(*arguments: Any, **options: Any) -> None:
        with pytest.raises(NotFound):
            depot.ledger.ask(session, Request(OperationKind.RESTORE, "admin"))
        rmtree(*arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", remove)
    depot.clock.advance(31 * DAY)
    look(depot)
    assert len(depot.told(TrashPurged)) == 1


def test_what_can_not_be_removed_is_tried_again_later_and_not_counted(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    in_trash(depot)
    depot.clock.advance(31 * DAY)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        look(depot)
    assert depot.told(TrashPurged) == []
    assert "can't be removed" in caplog.text
    depot.clock.advance(HOUR)
    look(depot)
    assert depot.told(TrashPurged) == ["1 folder of the trash removed for good"]


def test_a_trash_that_somebody_removed_holds_up_nothing(depot: Depot) -> None:
    shutil.rmtree(depot.areas.trash)
    session = in_trash(depot)
    assert depot.session(session).status is S.DELETED


def test_the_trash_is_listed_once_an_hour(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, scandir = [], os.scandir

    def scan(path: Any) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    for _ in range(3):
        look(depot)
        depot.clock.advance(HOUR / 2 - 1)
    assert listed.count(depot.areas.trash) == 1
    depot.clock.advance(3)
    look(depot)
    assert listed.count(depot.areas.trash) == 2
