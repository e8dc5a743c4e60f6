"""From rows to the queue: who wants an object, and that each is queued once, whatever happens."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

import pydicom
import pytest

from engine.errors import StorageUnusable
from engine.index.arrivals import Arrivals, Arrived
from engine.model.configuration import Configuration
from engine.model.processing import TEST_ROOT
from engine.model.project import Project, ProjectRegistry
from engine.processing.forward.forwarding import forwards_to_processor
from engine.processing.forward.queue import ForwardingQueue
from engine.processing.forward.sender import locate
from engine.sessions.rereading import require_rows
from engine.sessions.thinning import Thinning
from engine.sessions.trash import ExpiryClock
from engine.state.outbox import Position
from tests.engine.processing.forward.yard import RECEIVER, Yard, forward_copy, yard_in
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.processor import Processor


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with yard_in(tmp_path) as yard:
        yield yard


ARRIVED = Arrived(7, "2026-01-01T00:00:00", "stored", "XNAT:8104", "NEURO-01", "1.2.3")


@pytest.mark.parametrize(
    ("processor", "arrived", "custom", "wanted"),
    [
        (forward_copy(), ARRIVED, True, True),
        (forward_copy(), ARRIVED, False, False),
        (forward_copy(), ARRIVED._replace(state="duplicate"), True, False),
        (forward_copy(), ARRIVED._replace(state="failed"), True, False),
        (forward_copy(), ARRIVED._replace(receiver="GONE:8104"), True, False),
        (forward_copy(), ARRIVED._replace(sop_instance_uid=f"{TEST_ROOT}5.1"), True, False),
        (forward_copy(enabled=False), ARRIVED, True, False),
        (forward_copy(receivers_allowed=("XNAT:8104",)), ARRIVED, True, True),
        (forward_copy(receivers_allowed=("DQR:8104",)), ARRIVED, True, False),
        (forward_copy(receivers_denied=("XNAT:8104",)), ARRIVED, True, False),
        (forward_copy(projects=("NEURO-01",)), ARRIVED, True, True),
        (forward_copy(projects=("neuro",)), ARRIVED, True, True),
        (forward_copy(projects=("OTHER",)), ARRIVED, True, False),
        (forward_copy(projects=("NEURO-01",)), ARRIVED._replace(project=None), True, False),
    ],
)
def test_who_is_to_see_a_stored_object(
    processor: Processor, arrived: Arrived, custom: bool, wanted: bool
) -> None:
    projects = ProjectRegistry((Project("NEURO-01", aliases=("neuro",)),))
    receiver = replace(RECEIVER, custom_processing=custom)
    configuration = Configuration(receivers=(receiver,), projects=projects)
    assert forwards_to_processor(processor, arrived, configuration) is wanted


def test_each_object_is_queued_once_for_each_destination_from_its_configuration_on(
    yard: Yard,
) -> None:
    yard.depot.receive()
    yard.depot.index.flush()
    yard.configure(forward_copy(1))
    assert yard.follow() == []
    yard.depot.receive()
    yard.depot.index.flush()
    yard.configure(forward_copy(1), forward_copy(2))
    yard.depot.receive()
    wanted = [(1, "1.2.3.2"), (1, "1.2.3.3"), (2, "1.2.3.3")]
    assert sorted(yard.follow()) == wanted
    assert sorted(yard.follow()) == wanted


def test_a_paused_destination_takes_nothing_new_and_keeps_what_waits(yard: Yard) -> None:
    yard.configure(forward_copy())
    yard.depot.receive()
    yard.follow()
    yard.configure(forward_copy(enabled=False))
    yard.depot.receive()
    yard.follow()
    yard.configure(forward_copy())
    yard.depot.receive()
    assert yard.follow() == [(1, "1.2.3.1"), (1, "1.2.3.3")]


def test_what_waits_for_a_removed_destination_is_dropped(yard: Yard) -> None:
    yard.configure(forward_copy(1), forward_copy(2))
    yard.depot.receive()
    yard.follow()
    mark = yard.follower().newest()
    assert yard.queue.set_targets([2], [2], mark) == 1
    assert [item.destination for item in yard.queue.items()] == [2]


def test_more_rows_than_are_read_at_once_are_all_queued(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.forward.forwarding.ROWS_AT_ONCE", 2)
    yard.configure(forward_copy())
    for _ in range(5):
        yard.depot.receive()
    assert len(yard.follow()) == 5


def test_an_index_that_was_replaced_is_followed_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with yard_in(tmp_path / "one") as yard:
        yard.configure(forward_copy())
        for _ in range(3):
            yard.depot.receive()
        yard.follow()
        assert not yard.follower().begin()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "state.sqlite").rename(tmp_path / "two" / "state.sqlite")
    with yard_in(tmp_path / "two") as yard:
        yard.depot.clock.advance(10)
        yard.depot.receive(SOPInstanceUID="1.2.3.2")
        yard.depot.index.flush()
        assert yard.follower().begin()
        yard.configure(forward_copy())
        yard.depot.receive(SOPInstanceUID="1.2.3.9")
        queued = [uid for _, uid in yard.follow()]
        assert queued == ["1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.9"]
        rows = {item.sop_instance_uid: item.object for item in yard.queue.items()}
    assert rows["1.2.3.2"] == 1
    assert rows["1.2.3.1"] is None
    assert rows["1.2.3.9"] == 2


def test_what_waits_for_a_destination_that_is_paused_is_found_in_another_index_too(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with yard_in(tmp_path / "one") as yard:
        yard.configure(forward_copy())
        for _ in range(2):
            yard.depot.receive()
        yard.follow()
        yard.configure(replace(forward_copy(), enabled=False))
    (tmp_path / "one" / "state.sqlite").rename(tmp_path / "two" / "state.sqlite")
    with yard_in(tmp_path / "two") as yard:
        yard.depot.receive(SOPInstanceUID="1.2.3.2")
        yard.depot.receive(SOPInstanceUID="1.2.3.3")
        yard.depot.index.flush()
        assert not yard.follower().begin()
        gone, other = (locate(yard.arrivals, yard.depot.areas, i) for i in yard.queue.items())
    assert "the index does not know it" in gone.gone
    assert other.path is not None
    assert pydicom.dcmread(other.path).SOPInstanceUID == "1.2.3.2"


def test_what_waits_is_found_after_its_row_was_removed_from_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with yard_in(tmp_path) as yard:
        depot = yard.depot
        yard.configure(forward_copy())
        session = depot.receive(direct=True)
        yard.follow()
        depot.fall_silent()
        depot.clock.advance(2 * 86_400)
        Thinning(depot.session_context, ExpiryClock(depot.clock, depot.journal)).run(
            1, lambda: False
        )
        assert depot.session(session).rows_removed_at is not None

        def require(number: int) -> None:
            require_rows(depot.session_context, number)

        (item,) = yard.queue.items()
        with closing(Arrivals(tmp_path / "index.sqlite", require)) as arrivals:
            with monkeypatch.context() as patched:
                patched.setattr("engine.sessions.rereading.object_names", refuse)
                located = locate(arrivals, depot.areas, item)
                assert not located.gone
                assert "can't be read again" in located.waits
            located = locate(arrivals, depot.areas, item)
        assert located.path is not None
        assert located.path.is_file()
        # What came back is not sent once more.
        assert len(yard.follow()) == 1


def test_rows_that_a_destination_has_not_followed_yet_are_not_removed(tmp_path: Path) -> None:
    with yard_in(tmp_path) as yard:
        depot = yard.depot
        yard.configure(forward_copy())
        session = depot.receive(direct=True)
        depot.index.followed_to = lambda: min(m.sequence for m in yard.queue.marks().values())
        depot.fall_silent()
        thinner = Thinning(depot.session_context, ExpiryClock(depot.clock, depot.journal))
        depot.clock.advance(2 * 86_400)
        thinner.run(1, lambda: False)
        assert depot.session(session).rows_removed_at is None
        assert len(yard.follow()) == 1
        depot.clock.advance(2 * 86_400)
        thinner.run(1, lambda: False)
        assert depot.session(session).rows_removed_at is not None


def refuse(*_: object) -> NoReturn:
    raise PermissionError(13, "Permission denied")


def test_a_power_cut_that_took_the_last_rows_makes_what_is_adopted_new(tmp_path: Path) -> None:
    with yard_in(tmp_path) as yard:
        yard.configure(forward_copy())
        yard.depot.receive()
        yard.follow()
        yard.queue.put([], Position(9, "2026-01-01T00:00:00+00:00"), [1], "2026-01-01")
        assert yard.follower().begin()
        yard.depot.receive()
        assert [uid for _, uid in yard.follow()] == ["1.2.3.1", "1.2.3.2"]


def test_a_queue_of_a_later_version_or_no_queue_at_all_is_refused_in_words(
    tmp_path: Path,
) -> None:
    file = tmp_path / "state.sqlite"
    with ForwardingQueue(file) as queue:
        queue._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageUnusable, match="schema 99"):
        ForwardingQueue(file)
    file.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StorageUnusable, match="can't be used"):
        ForwardingQueue(file)


def test_what_was_queued_by_a_clock_that_was_ahead_counts_as_queued_now(yard: Yard) -> None:
    yard.configure(forward_copy())
    yard.depot.receive()
    yard.depot.clock.step(10 * 86_400)
    yard.follow()
    yard.depot.clock.step(-10 * 86_400)
    now = yard.depot.clock.now()
    assert yard.queue.expire(1, now, "too old", now) == 0
    yard.depot.clock.advance(1)
    assert yard.queue.expire(1, yard.depot.clock.now(), "too old", yard.depot.clock.now()) == 1


def test_what_was_postponed_by_a_clock_that_was_ahead_is_due_at_once(yard: Yard) -> None:
    yard.configure(forward_copy())
    yard.depot.receive()
    yard.follow()
    (item,) = yard.queue.items()
    now, minute = yard.depot.clock.now(), timedelta(minutes=1)
    yard.queue.postpone(item.id, now + minute, "busy")
    assert yard.queue.due(1, now, 9, now + minute) == ()
    yard.queue.postpone(item.id, now + 300 * minute, "busy")
    assert [due.id for due in yard.queue.due(1, now, 9, now + minute)] == [item.id]


def test_what_is_older_than_it_may_be_is_given_up(yard: Yard) -> None:
    yard.configure(forward_copy())
    yard.depot.receive()
    yard.follow()
    (item,) = yard.queue.items()
    yard.queue.postpone(item.id, FixedClock().now(), "busy")
    now = yard.depot.clock.now()
    assert yard.queue.expire(1, now, "too old", now) == 0
    yard.depot.clock.advance(1)
    now = yard.depot.clock.now()
    assert yard.queue.expire(1, now, "too old", now) == 1
    assert yard.queue.failed(None, 10)[0].reason == "too old: busy"
