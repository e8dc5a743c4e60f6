"""Pages of sessions: what is looked for, in which order, and what all of it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.api.sessions import Amount, AreaCounts, SessionOrder, StatusCount
from engine.errors import StorageUnusable
from engine.index.listing import session_page
from engine.index.operations import OperationKind, Request
from engine.index.reader import IndexReader, sessions_by_project
from engine.model.queries import SessionQuery
from engine.model.session import SessionArea, SessionStatus
from tests.counting import counted
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexReader]:
    """An index with a ready, an archived, a deleted and an unassigned session."""
    with depot_in(tmp_path_factory.mktemp("depot")) as depot:
        _fill(depot)
        reader = IndexReader(depot.root / "index.sqlite")
        yield reader
        reader.close()


def _fill(depot: Depot) -> None:
    depot.receive("NEURO-01", "E1", subject="S1", StudyInstanceUID="1.1")
    depot.clock.advance(60)
    depot.receive("NEURO-02", "E2", subject="S2", StudyInstanceUID="1.2", Modality="MR")
    depot.receive("NEURO-02", "E2", subject="S2", StudyInstanceUID="1.2", Modality="MR")
    depot.clock.advance(60)
    depot.receive("CARDIO", "E%3_", subject="[S]", StudyInstanceUID="1.3")
    depot.fall_silent()
    depot.ledger.ask(2, Request(OperationKind.ARCHIVE, "admin"))
    depot.ledger.ask(3, Request(OperationKind.DELETE, "admin"))
    depot.lifecycle.run_requests()
    depot.receive(None, "E4", subject="S4", StudyInstanceUID="1.4")
    depot.index.flush()


def ids(reader: IndexReader, query: SessionQuery, **how: object) -> list[int]:
    given = {"order": SessionOrder.CHANGED, "descending": True, "offset": 0, "limit": 100} | how
    order = given.pop("order")
    page = session_page(reader, query, order, **given)  # type: ignore[arg-type]
    return [session.id for session in page.sessions]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (SessionQuery(), [4, 3, 2, 1]),
        (SessionQuery(area=SessionArea.PREARCHIVE), [4, 1]),
        (SessionQuery(area=SessionArea.ARCHIVE), [2]),
        (SessionQuery(area=SessionArea.TRASH), [3]),
        (SessionQuery(project="NEURO*"), [2, 1]),
        (SessionQuery(project="*euro-0*"), [2, 1]),
        (SessionQuery(project="*unas*"), [4]),
        (SessionQuery(project="%*"), []),
        (SessionQuery(project="Unassigned"), [4]),
        (SessionQuery(project="NEURO-0?*"), []),
        (SessionQuery(statuses=(S.READY, S.ARCHIVED)), [2, 1]),
        (SessionQuery(modality="MR"), [2]),
        (SessionQuery(modality="*m*"), [2]),
        (SessionQuery(caller="c"), [4, 3, 2, 1]),
        (SessionQuery(caller="CT_"), []),
        (SessionQuery(words=("neuro",)), [2, 1]),
        (SessionQuery(words=("1.4",)), [4]),
        (SessionQuery(words=("neuro", "-02")), [2]),
        (SessionQuery(without=("neuro",)), [4, 3]),
        (SessionQuery(without=("neuro", "1.4")), [3]),
        (SessionQuery(words=("%",)), [3]),
        (SessionQuery(words=("_",)), [3]),
        (SessionQuery(words=("[s]",)), [3]),
        (SessionQuery(words=("^",)), []),
        (SessionQuery(words=("e",), area=SessionArea.PREARCHIVE, project="NEURO-01"), [1]),
    ],
)
def test_a_query_finds_what_it_means(
    reader: IndexReader, query: SessionQuery, found: list[int]
) -> None:
    assert ids(reader, query) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (SessionOrder.CHANGED, [1, 2, 3, 4]),
        (SessionOrder.STATUS, [2, 3, 1, 4]),
        (SessionOrder.PROJECT, [4, 3, 1, 2]),
        (SessionOrder.SUBJECT, [1, 2, 4, 3]),
        (SessionOrder.LABEL, [3, 1, 2, 4]),
        (SessionOrder.OBJECTS, [1, 3, 4, 2]),
    ],
)
def test_sessions_are_sorted_and_equal_ones_by_their_number(
    reader: IndexReader, order: SessionOrder, found: list[int]
) -> None:
    assert ids(reader, SessionQuery(), order=order, descending=False) == found
    assert ids(reader, SessionQuery(), order=order) == found[::-1]


@pytest.mark.parametrize(
    "query", [SessionQuery(), SessionQuery(words=("e",)), SessionQuery(since=None)]
)
def test_pages_follow_each_other_and_end(reader: IndexReader, query: SessionQuery) -> None:
    assert ids(reader, query, limit=3) == [4, 3, 2]
    assert ids(reader, query, limit=3, offset=3) == [1]
    assert ids(reader, query, offset=99) == ids(reader, query, limit=-1) == []
    assert ids(reader, query, offset=-5, limit=1) == [4]


def test_totals_are_those_of_all_that_is_meant_and_areas_of_everything(
    reader: IndexReader,
) -> None:
    order = SessionOrder.CHANGED
    for query in (SessionQuery(project="NEURO-02"), SessionQuery(words=("neuro-02",))):
        page = session_page(reader, query, order, descending=True, offset=0, limit=0)
        assert page.total == Amount(1, 2, page.total.bytes)
        assert page.total.bytes > 0
        assert page.by_status == (StatusCount(S.ARCHIVED, 1),)
        assert page.areas == AreaCounts(prearchive=2, archive=1, trash=1)
    everything = session_page(reader, SessionQuery(), order, descending=True, offset=0, limit=9)
    assert everything.total.objects == 5
    assert [count.status for count in everything.by_status] == [
        *(S.RECEIVING, S.READY, S.ARCHIVED, S.DELETED)
    ]


def test_a_text_that_very_many_have_is_counted_too(
    reader: IndexReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.index.listing._FEW", 1)
    page = session_page(
        reader, SessionQuery(words=("e",)), SessionOrder.CHANGED, descending=True, offset=1, limit=2
    )
    assert ([s.id for s in page.sessions], page.total.sessions) == ([3, 2], 4)


def test_a_reader_of_a_broken_index_says_so(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"no database" * 100)
    reader = IndexReader(path)
    with pytest.raises(StorageUnusable, match="can't be used"):
        ids(reader, SessionQuery())
    reader.close()


def test_the_sessions_of_all_projects_are_counted_by_one_statement_over_an_index(
    reader: IndexReader,
) -> None:
    with counted(reader._connection) as counts, reader.reading() as connection:
        found = sessions_by_project(connection)
    assert found == {"NEURO-01": 1, "NEURO-02": 1, "CARDIO": 1}
    assert len([s for s in counts.statements if s.startswith("SELECT")]) == 1
    assert all("COVERING INDEX sessions_by_place" in scan for scan in counts.scans)
