"""Sessions waited for until nothing works on them, and given back what they were."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from engine.index.operations import OperationKind, Request
from engine.model.session import SessionStatus
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.model.session import Session

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
LONG_SECONDS, SHORT_SECONDS = 50.0, 20.0


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def archive(depot: Depot, session: int) -> None:
    depot.ledger.ask(session, Request(OperationKind.ARCHIVE, "admin", merge=True))


def outcome_of(depot: Depot, session: int, act: Callable[[], object]) -> Session | None:
    """Return what somebody who waits for a session is given once it has changed."""
    given: list[Session | None] = []

    def wait() -> None:
        given.append(depot.ledger.wait_until_settled(session, LONG_SECONDS))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    act()
    waiting.join(SHORT_SECONDS)
    assert not waiting.is_alive()
    return given[0]


def test_a_session_that_nothing_works_on_is_not_waited_for(depot: Depot) -> None:
    session = depot.receive()
    depot.fall_silent()
    settled = depot.ledger.wait_until_settled(session, LONG_SECONDS)
    assert settled == depot.session(session)
    assert settled.status is S.READY


def test_after_its_time_a_wait_returns_the_session_as_it_is(depot: Depot) -> None:
    session = depot.receive()
    depot.fall_silent()
    archive(depot, session)
    waited = depot.ledger.wait_until_settled(session, 0)
    assert waited is not None
    assert waited.status is S.QUEUED_ARCHIVING


def test_a_session_without_a_row_is_none(depot: Depot) -> None:
    assert depot.ledger.wait_until_settled(7, LONG_SECONDS) is None


def test_who_waits_for_a_session_hears_of_its_end(depot: Depot) -> None:
    session = depot.receive()
    depot.fall_silent()
    archive(depot, session)
    settled = outcome_of(depot, session, depot.lifecycle.run_requests)
    assert settled is not None
    assert settled.status is S.ARCHIVED


def test_who_waits_for_a_session_hears_that_it_was_merged_into_another(depot: Depot) -> None:
    first = depot.receive()
    depot.fall_silent()
    archive(depot, first)
    depot.lifecycle.run_requests()
    second = depot.receive()
    depot.fall_silent()
    archive(depot, second)
    assert outcome_of(depot, second, depot.lifecycle.run_requests) is None
    assert depot.session(first).objects == 2


def test_a_session_whose_steps_are_undone_is_what_it_was_before_the_request(depot: Depot) -> None:
    session = depot.receive()
    depot.fall_silent()
    depot.ledger.refuse(session, S.CONFLICT, "a label is taken")
    archive(depot, session)
    depot.ledger.return_to_queue(session)
    assert depot.session(session).status is S.CONFLICT
    assert depot.ledger.operations() == ()


def test_a_session_whose_request_is_gone_is_ready_once_its_steps_are_undone(depot: Depot) -> None:
    session = depot.receive()
    depot.fall_silent()
    archive(depot, session)
    depot.ledger.drop_request(session)
    depot.ledger.return_to_queue(session)
    assert depot.session(session).status is S.READY
