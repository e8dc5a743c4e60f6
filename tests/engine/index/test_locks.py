"""A connection, a table or a descriptor that threads share is touched under its lock only."""

from __future__ import annotations

import os
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from engine.host.wakeup import ChangeSignal, WakeupPipe
from engine.index.arrivals import Arrivals
from engine.index.reader import IndexReader
from engine.index.store import SessionIndex, SessionWriters
from engine.state.routes import StudyRoutes
from engine.state.studies import LabelKey, StudyLabels
from engine.state.uid_maps import SqliteUidMaps
from engine.storage.folders import FlushedFolders
from tests.engine.index.test_index import KEY, ORIGIN, folder
from tests.guarded import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

PLACES, LOCK = "_places_lock", "_lock"
CONNECTION = ("_connection",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path) -> Iterator[SessionIndex]:
    with closing(SessionIndex(path, durable=False)) as index:
        yield index


def enter(context: AbstractContextManager[object]) -> None:
    with context:
        pass


@pytest.mark.parametrize(
    ("call", "fields", "lock"),
    [
        (lambda index: index.place_of(KEY), ("_places",), PLACES),
        (lambda index: index.is_open(KEY), ("_places",), PLACES),
        (lambda index: index.is_open(KEY), CONNECTION, LOCK),
        (lambda index: index.session_for(KEY, ORIGIN, folder), CONNECTION, LOCK),
        (lambda index: index.session_for(KEY, ORIGIN, folder), ("_places", "_keys"), PLACES),
        (lambda index: index.copies(KEY, "1.2.3"), CONNECTION, LOCK),
        (lambda index: enter(index.changing()), CONNECTION, LOCK),
        (lambda index: index.forget_place(1), ("_keys",), PLACES),
        (lambda index: index.forget_empty(1), ("_keys",), PLACES),
        (lambda index: index.forget_empty(1), CONNECTION, LOCK),
        (lambda index: index.knows_place(1), ("_keys",), PLACES),
        (lambda index: enter(index.reading()), ("_reading",), "_reading_lock"),
        (lambda index: index.observe(()), CONNECTION, LOCK),
        (lambda index: index.begin_run(), CONNECTION, LOCK),
        (lambda index: index.close(), CONNECTION, LOCK),
    ],
)
def test_the_index(
    index: SessionIndex, call: Callable[[SessionIndex], object], fields: tuple[str, ...], lock: str
) -> None:
    with guarded(index, *fields, by=getattr(index, lock)):
        call(index)


def test_the_rows_that_are_written(index: SessionIndex) -> None:
    with guarded(index._writer, *CONNECTION, by=index._lock):
        index._writer._write([])


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "call",
    [
        lambda arrivals: arrivals.after(0, 10),
        lambda arrivals: arrivals.newest(),
        lambda arrivals: arrivals.time_of(1),
        lambda arrivals: arrivals.place(1),
        lambda arrivals: arrivals.latest_of("1.2.3"),
        lambda arrivals: arrivals.first_of("1.2.3", 0),
        lambda arrivals: arrivals.close(),
    ],
)
def test_the_arrivals(path: Path, call: Callable[[Arrivals], object]) -> None:
    with closing(Arrivals(path)) as arrivals, guarded(arrivals, *CONNECTION, by=arrivals._lock):
        call(arrivals)


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "call", [lambda reader: enter(reader.reading()), lambda reader: reader.close()]
)
def test_a_reader_of_the_index(path: Path, call: Callable[[IndexReader], object]) -> None:
    with closing(IndexReader(path)) as reader, guarded(reader, *CONNECTION, by=reader._lock):
        call(reader)


@pytest.mark.usefixtures("index")
def test_the_labels_of_studies(path: Path) -> None:
    with closing(StudyLabels(path.with_name("state.sqlite"), path)) as labels:
        with guarded(labels, "_known", *CONNECTION, by=labels._lock):
            labels.label(LabelKey("NEURO-01", "S1", "1.2.3"), "MR")
        with guarded(labels, *CONNECTION, by=labels._lock):
            labels.close()


def test_the_map_of_uids(path: Path) -> None:
    with closing(SqliteUidMaps(path)) as maps:
        with guarded(maps, *CONNECTION, by=maps._lock):
            maps.uid_for("scope", "1.2.3", lambda: "2.25.1")
        with guarded(maps, *CONNECTION, by=maps._lock):
            maps.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda routes: routes.find("1.2.3"),
        lambda routes: routes.all(),
        lambda routes: routes.check(),
        lambda routes: routes.close(),
    ],
)
def test_a_private_table(path: Path, call: Callable[[StudyRoutes], object]) -> None:
    with StudyRoutes(path) as routes, guarded(routes, *CONNECTION, by=routes._lock):
        call(routes)


def test_a_bell_that_one_thread_rings_and_another_closes(path: Path) -> None:
    with closing(WakeupPipe(path)) as wakeup_pipe:
        for call in (wakeup_pipe.notify, wakeup_pipe.close):
            with guarded(wakeup_pipe, "_is_closed", by=wakeup_pipe._lock):
                call()


def test_the_count_of_changes() -> None:
    changes = ChangeSignal()
    with guarded(changes, "_count", by=changes._changed):
        until = changes.until(monotonic() + 60)
        next(until)
        changes.notify()
        next(until)


def test_the_holds_of_sessions() -> None:
    session_writers = SessionWriters()
    for call in (
        lambda: session_writers.acquire(1),
        lambda: session_writers.wait_until_free(1, 0),
        lambda: session_writers.release(1),
    ):
        with guarded(session_writers, "_counts", by=session_writers._lock):
            call()
    assert session_writers.wait_until_free(1, 0)


def test_the_folders_that_are_known_to_be_flushed(tmp_path: Path) -> None:
    flushed = FlushedFolders()
    with guarded(flushed, "_inodes", by=flushed._lock):
        mark = flushed.begin_to_make(("SCANS",))
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with guarded(flushed, "_inodes", by=flushed._lock):
            flushed.flush(("SCANS",), fd, fd, mark)
    finally:
        os.close(fd)
    assert flushed.seen(("SCANS",)) != mark
