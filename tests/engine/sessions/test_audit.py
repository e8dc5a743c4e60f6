"""A check reads many sessions in one transaction, and looks again beside a running engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.sessions import audit as auditing
from engine.sessions.audit import audit
from tests.engine.index.depot import depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.index.depot import Depot


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    """A depot with six sessions that are ready, and one that is received."""
    with depot_in(tmp_path) as depot:
        for number in range(6):
            depot.receive(label=f"E{number}")
        depot.fall_silent()
        depot.receive(label="E7")
        depot.index.flush()
        yield depot


def counted(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many sessions' rows each transaction reads."""
    read: list[int] = []
    real = type(depot.ledger).stored_rows_of

    def stored_rows_of(ledger: Any, sessions: list[int]) -> Any:
        read.append(len(sessions))
        return real(ledger, sessions)

    monkeypatch.setattr(type(depot.ledger), "stored_rows_of", stored_rows_of)
    return read


@pytest.mark.parametrize(("rows", "read"), [(2_000, [7]), (4, [2, 2, 2, 1])])
def test_a_transaction_reads_some_rows_of_many_sessions(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, rows: int, read: list[int]
) -> None:
    monkeypatch.setattr(auditing, "ROWS_AT_ONCE", rows)
    transactions, shown = counted(depot, monkeypatch), []
    found = audit(
        depot.index,
        depot.ledger,
        depot.areas,
        live=False,
        progress=lambda done, of: shown.append((done, of)),
    )
    assert found.agrees
    assert transactions == read
    assert shown[-1] == (7, 7)
    assert len(shown) == len(read)


def test_a_session_that_the_engine_changes_meanwhile_is_no_finding(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = auditing._compare_sessions

    def compare(comparisons: Any) -> Any:
        if len(comparisons) > 1:  # the first look: then an object arrives, and a session goes
            result = real([one._replace(rows=[]) for one in comparisons])
            depot.receive(label="E0")
            depot.index.flush()
            depot.ledger.forget(2)
            return result
        return real(comparisons)

    monkeypatch.setattr(auditing, "_compare_sessions", compare)
    found = audit(depot.index, depot.ledger, depot.areas, live=True)
    assert found.sessions == ()
    assert (found.looked_at, found.passed_over) == (4, 3)
