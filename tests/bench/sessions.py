"""`python -m tests.bench.sessions`: listing, filtering and the idle timer with many sessions."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from engine.api.sessions import SessionOrder
from engine.host.clock import SystemClock
from engine.index.listing import find_sessions, session_page, work_waiting
from engine.index.reader import IndexReader
from engine.index.store import SessionIndex
from engine.model.queries import parse_query
from engine.model.session import SessionStatus
from engine.sessions.ledger import SessionRepository
from engine.state.database import stamp
from tests.bench.report import aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.api.sessions import SessionPage
    from engine.model.queries import SessionQuery

BAR_MS = 50
ROUNDS = 15
NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
_INSERT = (
    "INSERT INTO sessions (project, subject, label, study_instance_uid, folder, status, receiver,"
    " calling_ae_title, first_object_at, last_object_at, objects, bytes, modality)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SHARES = ((SessionStatus.ARCHIVED, 90), (SessionStatus.READY, 8), (SessionStatus.RECEIVING, 2))
_PAGE = 1000


def main() -> int:
    """Measure and print; return 1 if something is slower than the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = SessionIndex(Path(folder) / "index.sqlite", durable=False)
        try:
            fill(index, arguments.sessions)
            measured = list(measure(index, Path(folder) / "index.sqlite"))
        finally:
            index.close()
    rows = [("what", "median ms", "bar ms")]
    rows += [(name, f"{milliseconds:.2f}", str(BAR_MS)) for name, milliseconds in measured]
    sys.stdout.write(f"{arguments.sessions:,} sessions in the index\n")
    sys.stdout.writelines(f"{line}\n" for line in aligned(rows))
    return int(any(milliseconds > BAR_MS for _, milliseconds in measured))


def fill(index: SessionIndex, sessions: int) -> None:
    """Write that many sessions, spread over 50 projects, three modalities and a year."""
    chance = random.Random(1)
    with index.changing() as connection:
        connection.executemany(_INSERT, (_row(chance, number) for number in range(sessions)))


def measure(index: SessionIndex, path: Path) -> Iterator[tuple[str, float]]:
    """Yield what was done and its median in milliseconds."""
    yield from _measure_pages(path)
    ledger = SessionRepository(index, SystemClock())
    for words in (
        [],
        ["status:READY"],
        ["project:P07"],
        ["project:P07", "status:READY"],
        ["since:1d"],
        ["modality:PT", "receiver:XNAT:8104"],
        ["project:NOWHERE"],
    ):
        query = parse_query(words, NOW)
        name = f"list {' '.join(words) or 'all'}, first {_PAGE}"
        yield name, _median_ms(lambda query=query: find_sessions(index, query, _PAGE))  # type: ignore[misc]
    yield "which sessions are silent", _median_ms(lambda: ledger.silent(stamp(NOW), ("", 0), 64))
    yield "the next request", _median_ms(lambda: ledger.next_request(automatic=False))
    yield "the next build", _median_ms(ledger.next_build)
    idle = timedelta(minutes=5)
    yield "how much work waits", _median_ms(lambda: work_waiting(index, NOW, idle))
    yield "in the archive already", _median_ms(lambda: ledger.archived_as("P07", "S000007"))


def _measure_pages(path: Path) -> Iterator[tuple[str, float]]:
    """Do what the console's list of sessions does: a page, with the totals of all that is meant."""
    reader = IndexReader(path)
    for words, order in (
        ([], SessionOrder.CHANGED),
        ([], SessionOrder.SUBJECT),
        (["area:prearchive"], SessionOrder.CHANGED),
        (["project:P0*", "status:READY"], SessionOrder.BYTES),
        (["text:0099"], SessionOrder.CHANGED),
    ):
        query = parse_query(words, NOW)
        name = f"page {' '.join(words) or 'all'} by {order}"
        yield name, _median_ms(lambda q=query, o=order: _page(reader, q, o))  # type: ignore[misc]
    reader.close()


def _page(reader: IndexReader, query: SessionQuery, order: SessionOrder) -> SessionPage:
    return session_page(reader, query, order, descending=True, offset=0, limit=100)


def _row(chance: random.Random, number: int) -> tuple[object, ...]:
    status = chance.choices([s for s, _ in _SHARES], [share for _, share in _SHARES])[0]
    last = NOW - timedelta(minutes=chance.randrange(525_600))
    project, label = f"P{number % 50:02d}", f"S{number:06d}"
    return (
        *(project, f"SUBJ{number % 5000:04d}", label, f"1.2.3.{number}"),
        *(f"{project}/20260101_{number:09d}/{label}", status, "XNAT:8104", "CT"),
        *(stamp(last - timedelta(minutes=5)), stamp(last), 200, 100_000_000),
        chance.choice(("MR", "CT", "PT")),
    )


def _median_ms(act: Callable[[], object]) -> float:
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        spent.append((time.perf_counter() - began) * 1000)
    return median(spent)


if __name__ == "__main__":
    sys.exit(main())
