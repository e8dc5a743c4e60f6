"""Questions to an index with very many sessions use its indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.sessions import fill, measure
from tests.engine.index.depot import depot_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "question",
    [
        "SELECT id FROM sessions WHERE status = 'RECEIVING' AND last_object_at <= 'x'",
        "SELECT MIN(last_object_at) FROM sessions WHERE status = 'RECEIVING'",
        "SELECT * FROM sessions WHERE project = 'P' AND label = 'L' AND area = 'archive'",
        "SELECT * FROM sessions ORDER BY last_object_at DESC LIMIT 10",
        "SELECT * FROM sessions WHERE +area = 'archive' ORDER BY last_object_at DESC, id DESC",
        "SELECT area, status, SUM(bytes), SUM(objects) FROM sessions GROUP BY area, status",
        "SELECT * FROM senders WHERE calling_ae_title = 'x' AND address = 'y'",
        "SELECT * FROM objects WHERE sop_instance_uid = 'x'",
        "SELECT * FROM objects WHERE session = 1 AND file = 'x'",
        "SELECT session FROM traces WHERE hash = x'00'",
    ],
)
def test_no_question_looks_at_every_row(tmp_path: Path, question: str) -> None:
    with depot_in(tmp_path) as depot, depot.index.changing() as connection:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}"))
    assert "INDEX" in plan or "PRIMARY KEY" in plan
    assert "TEMP B-TREE" not in plan


def test_the_benchmark_measures_what_it_says(tmp_path: Path) -> None:
    with depot_in(tmp_path) as depot:
        fill(depot.index, 200)
        assert len(depot.index.sessions()) == 200
        measured = measure(depot.index, tmp_path / "index.sqlite")
        names = [name for name, milliseconds in measured if milliseconds > 0]
    assert names[0] == "page all by changed"
    assert "list all, first 1000" in names
    assert len(names) == 17
