"""The time by which things expire, while the wall clock is wrong, set right, or not looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.events.journal import Journal
from engine.events.monitoring import ClockStepped
from engine.sessions.trash import BELIEVED_AFTER, ExpiryClock
from tests.fakes import NOW, FixedClock

if TYPE_CHECKING:
    from pathlib import Path

HOUR, DAY = 3600, 86_400


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def journal(clock: FixedClock) -> Journal:
    return Journal(clock)


@pytest.fixture
def expiry(clock: FixedClock, journal: Journal) -> ExpiryClock:
    return ExpiryClock(clock, journal)


def steps(journal: Journal) -> list[int]:
    events = [recorded.event for recorded in journal.events_since(0, 100).events]
    return [event.seconds for event in events if isinstance(event, ClockStepped)]


def test_it_goes_on_with_the_wall_clock(expiry: ExpiryClock, clock: FixedClock) -> None:
    clock.advance(40 * DAY)
    assert expiry.now() == clock.now()


def test_a_jump_forward_counts_only_after_a_day(
    expiry: ExpiryClock, clock: FixedClock, journal: Journal
) -> None:
    clock.step(40 * DAY)
    assert expiry.now() == NOW
    clock.advance(DAY - 1)
    assert expiry.now() == NOW + timedelta(seconds=DAY - 1)
    clock.advance(1)
    assert expiry.now() == clock.now() == NOW + timedelta(days=41)
    assert steps(journal) == [40 * DAY]


def test_a_jump_that_is_taken_back_within_a_day_never_counts(
    expiry: ExpiryClock, clock: FixedClock, journal: Journal
) -> None:
    for _ in range(2):
        clock.step(40 * DAY)
        expiry.now()
        clock.advance(DAY - HOUR)
        assert expiry.now() < NOW + timedelta(days=3)
        clock.step(-40 * DAY)
        assert expiry.now() == clock.now()
    assert steps(journal) == [40 * DAY, -40 * DAY] * 2


def test_another_jump_begins_another_day(expiry: ExpiryClock, clock: FixedClock) -> None:
    clock.step(40 * DAY)
    expiry.now()
    clock.advance(DAY - HOUR)
    clock.step(300 * DAY)
    expiry.now()
    clock.advance(2 * HOUR)
    assert expiry.now() < NOW + timedelta(days=2)
    clock.advance(DAY)
    assert expiry.now() == clock.now()


def test_a_clock_that_is_set_back_counts_at_once(
    expiry: ExpiryClock, clock: FixedClock, journal: Journal
) -> None:
    clock.step(-5 * HOUR)
    assert expiry.now() == clock.now()
    assert steps(journal) == [-5 * HOUR]


def test_clocks_that_drift_apart_are_no_news(
    expiry: ExpiryClock, clock: FixedClock, journal: Journal
) -> None:
    for _ in range(200):
        clock.advance(60)
        clock.step(30)
        assert expiry.now() == clock.now()
    assert steps(journal) == []


@pytest.mark.parametrize("seconds", [60, 61])
def test_only_a_step_of_more_than_a_minute_is_an_event(
    expiry: ExpiryClock, clock: FixedClock, journal: Journal, seconds: int
) -> None:
    clock.step(seconds)
    expiry.now()
    assert steps(journal) == [seconds] * (seconds > 60)


def test_what_the_events_say() -> None:
    assert ClockStepped(seconds=-18_000).sentence() == "the system clock went back by 5:00:00"
    assert ClockStepped(seconds=691_200).sentence() == (
        "the system clock went forward by 8 days, 0:00:00, or the machine slept; the trash"
        " and the forwarding queue expire by the new time only after it has lasted for a day"
    )


def test_a_pause_of_less_than_a_day_between_two_runs_is_believed(
    clock: FixedClock, journal: Journal, tmp_path: Path
) -> None:
    file = tmp_path / "clock.json"
    ExpiryClock(clock, journal, file).keep()
    later = FixedClock(NOW + BELIEVED_AFTER)
    assert ExpiryClock(later, journal, file).now() == later.now()


def test_after_a_longer_pause_the_engine_must_run_for_a_day_also_in_several_runs(
    clock: FixedClock, journal: Journal, tmp_path: Path
) -> None:
    file = tmp_path / "clock.json"
    ExpiryClock(clock, journal, file).keep()
    later = FixedClock(NOW + timedelta(days=40))
    first = ExpiryClock(later, journal, file)
    later.advance(8 * HOUR)
    first.keep()
    assert first.now() == NOW + timedelta(hours=8)
    later = FixedClock(later.now() + timedelta(hours=1))
    second = ExpiryClock(later, journal, file)
    later.advance(15 * HOUR)
    assert second.now() == NOW + timedelta(hours=23)
    later.advance(HOUR)
    assert second.now() == later.now()


def test_a_clock_that_is_behind_the_last_run_counts(
    clock: FixedClock, journal: Journal, tmp_path: Path
) -> None:
    ExpiryClock(clock, journal, tmp_path / "clock.json").keep()
    earlier = FixedClock(NOW - timedelta(days=300))
    assert ExpiryClock(earlier, journal, tmp_path / "clock.json").now() == earlier.now()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"at": 7, "ahead_for_seconds": 0}', b'{"at": "2026-01-01"}',
     b'{"at": "2026-01-01", "ahead_for_seconds": 1e300}'],
)  # fmt: skip
def test_a_file_that_is_none_of_ours_counts_as_none(
    clock: FixedClock, journal: Journal, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "clock.json").write_bytes(content)
    assert ExpiryClock(clock, journal, tmp_path / "clock.json").now() == NOW
