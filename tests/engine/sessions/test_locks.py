"""Whatever shares a connection, a table or a descriptor with other threads waits for its lock."""

from __future__ import annotations

import os
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from engine.sessions.arrivals import Arrivals
from engine.sessions.bell import Bell
from engine.sessions.changes import Changes
from engine.sessions.folders import FlushedFolders
from engine.sessions.holds import Holds
from engine.sessions.index import SessionIndex
from engine.sessions.reader import IndexReader
from engine.sessions.study_labels import LabelKey, StudyLabels
from engine.sessions.study_routes import StudyRoutes
from engine.sessions.uid_maps import SqliteUidMaps
from tests.engine.sessions.test_index import KEY, NOW, ORIGIN, folder
from tests.taken_lock import ReleasedLock, require_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLACES = "_places_lock"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path) -> Iterator[SessionIndex]:
    with closing(SessionIndex(path, durable=False)) as index:
        yield index


@pytest.mark.parametrize(
    ("call", "lock", "entries"),
    [
        (lambda index: index.place_of(KEY), PLACES, 0),
        (lambda index: index.is_open(KEY), PLACES, 0),
        (lambda index: index.is_open(KEY), "_lock", 0),
        (lambda index: index.session_for(KEY, ORIGIN, folder), "_lock", 0),
        (lambda index: index.session_for(KEY, ORIGIN, folder), PLACES, 1),
        (lambda index: index.copies(KEY, "1.2.3"), "_lock", 0),
        (lambda index: index.changing().__enter__(), "_lock", 0),
        (lambda index: index.forget_place(1), PLACES, 0),
        (lambda index: index.sessions(), "_lock", 0),
        (lambda index: index.objects(), "_lock", 0),
        (lambda index: index.stored_files(1), "_lock", 0),
        (lambda index: index.today(NOW), "_lock", 0),
        (lambda index: index.known_callers(), "_lock", 0),
        (lambda index: index.counts_by_status(), "_lock", 0),
        (lambda index: index.observe(()), "_lock", 0),
        (lambda index: index.begin_run(), "_lock", 0),
    ],
)
def test_the_index_waits_for_the_threads_that_use_its_connection_or_its_places(
    index: SessionIndex, call: Callable[[SessionIndex], object], lock: str, entries: int
) -> None:
    require_wait(index, lambda: call(index), lock, entries=entries)


@pytest.mark.parametrize(
    "call", [lambda index: index.forget_place(1), lambda index: index.forget_empty(1)]
)
@pytest.mark.parametrize("entries", [0, 1])
def test_sessions_that_are_received_are_counted_and_noted_under_one_lock(
    index: SessionIndex, call: Callable[[SessionIndex], object], entries: int
) -> None:
    require_wait(index, lambda: call(index), entries=entries)


def test_no_thread_finds_a_session_removed_that_still_counts_as_received(
    index: SessionIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = index.session_for(KEY, ORIGIN, folder)
    lock = ReleasedLock(index._lock, index.receiving)
    monkeypatch.setattr(index, "_lock", lock)
    assert index.receiving() == 1
    index.forget_empty(place.id)
    assert lock.seen[0] == 0


def test_an_index_is_closed_once_no_thread_uses_it(path: Path) -> None:
    index = SessionIndex(path, durable=False)
    require_wait(index, index.close)
    index.close()


def test_rows_are_written_while_no_other_thread_uses_the_connection(index: SessionIndex) -> None:
    require_wait(index._writer, lambda: index._writer._write([]))


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
def test_who_follows_the_arrivals_waits_for_other_followers(
    path: Path, call: Callable[[Arrivals], object]
) -> None:
    with closing(Arrivals(path)) as arrivals:
        require_wait(arrivals, lambda: call(arrivals))


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "call", [lambda reader: reader.reading().__enter__(), lambda reader: reader.close()]
)
def test_who_reads_the_index_waits_for_other_readers(
    path: Path, call: Callable[[IndexReader], object]
) -> None:
    with closing(IndexReader(path)) as reader:
        require_wait(reader, lambda: call(reader))


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "call",
    [
        lambda labels: labels.label(LabelKey("NEURO-01", "S1", "1.2.3"), "MR"),
        lambda labels: labels.close(),
    ],
)
def test_a_label_is_given_to_one_thread_at_a_time(
    path: Path, call: Callable[[StudyLabels], object]
) -> None:
    with closing(StudyLabels(path)) as labels:
        require_wait(labels, lambda: call(labels))


@pytest.mark.parametrize(
    "call",
    [lambda maps: maps.uid_for("scope", "1.2.3", lambda: "2.25.1"), lambda maps: maps.close()],
)
def test_a_uid_is_made_by_one_thread_at_a_time(
    path: Path, call: Callable[[SqliteUidMaps], object]
) -> None:
    with closing(SqliteUidMaps(path)) as maps:
        require_wait(maps, lambda: call(maps))


@pytest.mark.parametrize(
    "call",
    [
        lambda routes: routes.find("1.2.3"),
        lambda routes: routes.all(),
        lambda routes: routes.check(),
        lambda routes: routes.close(),
    ],
)
def test_private_tables_serve_one_thread_at_a_time(
    path: Path, call: Callable[[StudyRoutes], object]
) -> None:
    with StudyRoutes(path) as routes:
        require_wait(routes, lambda: call(routes))


@pytest.mark.parametrize("call", [lambda bell: bell.ring(), lambda bell: bell.close()])
def test_no_thread_rings_a_bell_that_another_one_closes(
    path: Path, call: Callable[[Bell], object]
) -> None:
    with closing(Bell(path)) as bell:
        require_wait(bell, lambda: call(bell))


def test_changes_are_counted_by_one_thread_at_a_time() -> None:
    changes = Changes()
    require_wait(changes, changes.note, "_changed")
    require_wait(changes, lambda: next(changes.until(monotonic() + 60)), "_changed")
    require_wait(changes, lambda: list(changes.until(monotonic() + 60)), "_changed", entries=1)


def test_holds_are_counted_by_one_thread_at_a_time() -> None:
    holds = Holds()
    require_wait(holds, lambda: holds.take(1))
    holds.take(1)
    require_wait(holds, lambda: holds.give_back(1))
    require_wait(holds, lambda: holds.wait_until_free(1, 0), "_changed")
    holds.give_back(1)
    assert holds.wait_until_free(1, 0)


def test_a_folder_is_known_to_be_flushed_only_if_no_thread_makes_it_anew(tmp_path: Path) -> None:
    flushed = FlushedFolders()
    require_wait(flushed, lambda: flushed.begin_to_make(("SCANS",)))
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        require_wait(flushed, lambda: flushed.flush(("SCANS",), fd, fd, None))
    finally:
        os.close(fd)
