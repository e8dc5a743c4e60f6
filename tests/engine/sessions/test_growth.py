"""One session costs the same, however many others there are."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from json import dumps
from typing import TYPE_CHECKING

import pytest

from engine.index.operations import AUTO_ARCHIVE, OperationKind, Request
from engine.index.store import SessionKey, SessionOrigin
from engine.model.identity import timestamp
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.rereading import require_rows
from engine.sessions.thinning import Thinning
from engine.sessions.trash import ExpiryClock
from engine.state.database import stamp
from tests.counting import Counts, counted_index
from tests.engine.index.depot import IDLE_SECONDS, Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
FEW, MANY = 20, 400
_SESSION = (
    "INSERT INTO sessions (project, label, study_instance_uid, folder, status, receiver,"
    " calling_ae_title, first_object_at, last_object_at, area)"
    " VALUES ('P', ?, ?, ?, ?, 'XNAT:8104', 'CT', ?, ?, ?)"
)
_REQUEST = "INSERT INTO operations VALUES (?, 'archive', 'READY', ?, ?, ?, NULL)"


def crowd(depot: Depot, count: int) -> None:
    """Let there be so many other sessions: received, archived, in the trash, and waiting."""
    now, later = stamp(depot.clock.now()), stamp(depot.clock.now() + timedelta(days=1))
    request = dumps(asdict(Request(OperationKind.ARCHIVE, "anna")))
    with depot.index.changing() as connection:
        for number in range(count):
            for status, area, folder in (
                (S.RECEIVING, SessionArea.PREARCHIVE, f"P/t{number}/R"),
                (S.READY, SessionArea.PREARCHIVE, f"P/t{number}/B"),
                (S.ARCHIVED, SessionArea.ARCHIVE, f"P/arc001/A{number}"),
                (S.DELETED, SessionArea.TRASH, f"20990101_120000000_{number}/D"),
                (S.QUEUED_ARCHIVING, SessionArea.PREARCHIVE, f"P/t{number}/Q"),
                (S.QUEUED_ARCHIVING, SessionArea.PREARCHIVE, f"P/t{number}/W"),
            ):
                label = f"{folder[-1]}{number}"
                values = (label, f"1.7.{number}", folder, status, now, now, area)
                session = connection.execute(_SESSION, values).lastrowid
                connection.execute("INSERT INTO traces VALUES (randomblob(16), ?)", (session,))
                if status is S.QUEUED_ARCHIVING:
                    by = AUTO_ARCHIVE if folder.endswith("Q") else "anna"
                    connection.execute(_REQUEST, (session, by, later, request))
    for number in range(count):
        key = SessionKey("P", f"1.7.{number}", f"R{number}")
        origin = SessionOrigin(None, None, "XNAT:8104", "CT", depot.clock.now())
        place = depot.index.session_for(key, origin, lambda _: ())
        depot.index.session_writers.release(place.id)


def one_step(depot: Depot) -> Callable[[], bool]:
    """Stop after the first step: the others belong to the crowd."""
    answers = iter((False, True))
    return lambda: next(answers, True)


def life(depot: Depot, others: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each thing that happens to a session beside others, and what does it."""
    ledger, lifecycle = depot.ledger, depot.lifecycle
    session = depot.receive("NEURO-01", "E1")
    depot.index.flush()
    depot.clock.advance(10)
    crowd(depot, others)

    def receive() -> None:
        origin = SessionOrigin(None, None, "XNAT:8104", "CT", depot.clock.now())
        key = SessionKey("P", "1.8", "E9")
        place = depot.index.session_for(key, origin, lambda at: ("P", timestamp(at), "E9"))
        depot.index.session_writers.release(place.id)
        depot.index.forget_empty(place.id)

    yield "a session begins", receive
    yield "how many are received", lambda: ledger.receiving_since()
    depot.clock.advance(IDLE_SECONDS - 10)
    due = lifecycle._idle.due(IDLE_SECONDS)
    yield "the next silent session is found and built", lambda: lifecycle._build_idle(due)
    assert depot.session(session).status is S.READY
    archive = Request(OperationKind.ARCHIVE, "anna")
    yield "a person asks", lambda: ledger.ask(session, archive)
    yield "and takes it back", lambda: ledger.cancel(session)
    ledger.ask(session, archive)
    yield "the oldest request is carried out", lambda: lifecycle.run_requests(one_step(depot))
    assert depot.session(session).status is S.ARCHIVED
    thinner = Thinning(depot.session_context, ExpiryClock(depot.clock, depot.journal))
    yield "no session is in the archive for long", lambda: thinner.run(730, lambda: False)
    later = stamp(depot.clock.now() + timedelta(days=1))
    yield "the session at rest for longest is found", lambda: thinner._next_at_rest(later)
    archived = depot.session(session)
    yield "the rows of a session go", lambda: thinner._thin(archived, later, lambda: False)
    assert depot.session(session).rows_removed_at is not None
    yield "and come back", lambda: require_rows(depot.session_context, session)
    assert depot.session(session).rows_removed_at is None
    yield "is it the last of its study", lambda: ledger.waits_in_prearchive("1.7.1")
    ledger.ask(session, Request(OperationKind.DELETE, "anna"))
    yield "a session is deleted", lambda: lifecycle.run_requests(one_step(depot))
    assert depot.session(session).status is S.DELETED
    depot.clock.advance(40 * 86_400)
    yield (
        "old entries of the trash are found and the first is purged",
        (lambda: lifecycle._trash.purge_next(30)),
    )
    assert depot.all_objects() == []
    yield "nothing is left of a restart", lifecycle.recover


def counts_of_a_life(root: Path, others: int) -> dict[str, Counts]:
    root.mkdir()
    counts = {}
    with depot_in(root) as depot:
        for what, act in life(depot, others):
            with counted_index(depot.index) as counts[what]:
                act()
    return counts


def test_nothing_in_the_life_of_a_session_costs_more_if_there_are_more_sessions(
    tmp_path: Path,
) -> None:
    few, many = (counts_of_a_life(tmp_path / str(n), n) for n in (FEW, MANY))
    for what, counts in many.items():
        assert len(counts.statements) == len(few[what].statements), what
        # Their rows are the plans that are being carried out, and the sessions whose rows are in
        # change: at most one, unless the disk is full.
        few_rows = {"SCAN operations USING INDEX operations_begun", "SCAN rows_in_change"}
        assert counts.scans <= few_rows, what
        assert counts.steps == few[what].steps, what
