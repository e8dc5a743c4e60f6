"""Old rows of objects that no session has go; `test_rereading` has those of archived sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import NotFound
from engine.events.sessions import RowsThinned
from engine.index.trails import known_trail
from engine.index.writer import ObjectRow
from engine.sessions import thinning
from engine.sessions.thinning import PAUSE_SECONDS, Thinning
from engine.sessions.trash import ExpiryClock
from engine.state.database import stamp
from tests.engine.index.depot import depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.index.depot import Depot

DAYS = 730
DAY_SECONDS = 86_400


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    """A depot that got refused objects, and a stored one in a session of the prearchive."""
    with depot_in(tmp_path) as depot:
        depot.receive()
        refuse(depot, 5)
        depot.fall_silent()
        assert len(depot.all_objects()) == 1
        yield depot


def refuse(depot: Depot, number: int) -> None:
    for one in range(number):
        values = (stamp(depot.clock.now()), "XNAT:8104", "CT", "", "", "1.2", f"1.2.9.{one}", "1.2")
        depot.index.record(ObjectRow(*values, "failed", 0xA700, "full", None, "", 0))
    depot.index.flush()


def thinning_of(depot: Depot) -> Thinning:
    return Thinning(depot.session_context, ExpiryClock(depot.clock, depot.journal))


def states(depot: Depot) -> list[str]:
    return [row.state for row in depot.index.objects()]


def test_rows_of_no_session_go_after_their_time_and_all_others_stay(depot: Depot) -> None:
    thinner = thinning_of(depot)
    depot.clock.advance(DAYS * DAY_SECONDS - 3_600)
    refuse(depot, 1)
    thinner.run(DAYS, lambda: False)
    assert len(states(depot)) == 7
    depot.clock.advance(2 * 3_600)
    thinner.run(0, lambda: False)
    assert len(states(depot)) == 7
    thinner.run(DAYS, lambda: False)
    assert states(depot) == ["failed", "stored"]
    (told,) = depot.told(RowsThinned)
    assert told.startswith("5 rows of objects in no session removed from the index")


def test_it_takes_few_rows_at_once_and_lets_others_write_between(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(thinning, "MOST_TRANSACTIONS", 2)
    flushed: list[int] = []
    real = depot.index.flush

    def flush(seconds: float | None = None) -> bool:
        flushed.append(len(states(depot)))
        return real(seconds)

    monkeypatch.setattr(depot.index, "flush", flush)
    depot.clock.advance((DAYS + 1) * DAY_SECONDS)
    thinner = thinning_of(depot)
    thinner.run(DAYS, lambda: False)
    assert flushed == [6, 4]
    # There is more to do, so that the next look does not wait for an hour.
    thinner.run(DAYS, lambda: False)
    assert states(depot) == ["stored"]
    refuse(depot, 1)
    depot.clock.advance(PAUSE_SECONDS - 1)
    thinner.run(DAYS, lambda: False)
    assert len(flushed) == 3 + 1  # by `refuse`


def test_a_stop_ends_it_between_two_transactions(depot: Depot) -> None:
    depot.clock.advance((DAYS + 1) * DAY_SECONDS)
    thinning_of(depot).run(DAYS, lambda: True)
    assert len(states(depot)) == 6


def test_only_the_rows_that_go_are_looked_at(depot: Depot) -> None:
    with depot.index.changing() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {thinning._DELETE}", ("2026", 5)).fetchall()
    assert any("objects_without_session" in row[-1] for row in plan)
    assert not any(row[-1].startswith("SCAN objects") for row in plan)


def test_who_asks_for_an_object_without_a_row_learns_up_to_when_rows_are_removed(
    depot: Depot,
) -> None:
    depot.clock.advance((DAYS + 1) * DAY_SECONDS)
    thinning_of(depot).run(DAYS, lambda: False)
    with (
        depot.index.changing() as connection,
        pytest.raises(NotFound, match="no such object") as error,
    ):
        known_trail(connection, "1.2.9.1")
    assert "in no session were removed" in error.value.remedy
