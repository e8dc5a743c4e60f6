"""Work on sessions leaves the time to reception while objects arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.sessions.worker import LATE_SECONDS, LONGEST_SECONDS, PAUSE, PAUSE_WHEN_LATE, Pace
from tests.fakes import FixedClock

WORK_SECONDS = 0.002


@dataclass
class Day:
    """A thread that works, pauses, and finds so many objects for each second that passes."""

    rate: float
    clock: FixedClock = field(default_factory=FixedClock)
    batch: float = 0.0
    """Objects are counted once in so many seconds; 0 for at once."""
    worked: float = 0.0
    arrived: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pace = Pace(self.clock, self.counted, self.wait, lambda: self.worked)

    def counted(self) -> int:
        batch = self.rate * self.batch
        return int(self.arrived // batch * batch if batch else self.arrived)

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.arrived += self.rate * seconds

    def work(self, steps: int, seconds: float = WORK_SECONDS) -> None:
        for _ in range(steps):
            self.worked += seconds
            self.pass_by(seconds)
            self.pace.breathe()


def test_without_objects_the_work_never_pauses() -> None:
    day = Day(rate=0)
    day.work(100)
    assert day.pauses == []


def test_while_objects_arrive_the_work_takes_a_small_part_of_the_time() -> None:
    day = Day(rate=1000)
    day.work(100)
    assert day.pauses == [pytest.approx(PAUSE * WORK_SECONDS)] * 100


def test_objects_that_are_counted_in_batches_arrive_without_a_break() -> None:
    day = Day(rate=1000, batch=0.05)
    day.work(1000)
    assert sum(day.pauses) > 950 * PAUSE * WORK_SECONDS


def test_a_few_objects_slow_the_work_down_a_little() -> None:
    day = Day(rate=10)
    day.work(1000)
    assert 0 < sum(day.pauses) < 1000 * PAUSE * WORK_SECONDS / 5


def test_work_that_has_not_ended_for_an_hour_gets_half_of_the_time() -> None:
    day = Day(rate=1000)
    day.clock.advance(LATE_SECONDS)
    day.pace.begin()
    day.work(1)
    day.clock.advance(LATE_SECONDS)
    day.arrived += 1000 * LATE_SECONDS
    day.work(1)
    assert day.pauses == [
        pytest.approx(PAUSE * WORK_SECONDS),
        pytest.approx(PAUSE_WHEN_LATE * WORK_SECONDS),
    ]


def test_no_pause_is_long_and_little_work_needs_none() -> None:
    day = Day(rate=1000)
    day.work(1, seconds=10)
    day.work(3, seconds=0.0004)
    assert day.pauses == [LONGEST_SECONDS, pytest.approx(PAUSE * 0.0012)]


def test_a_large_session_lets_reception_through_between_its_objects() -> None:
    day = Day(rate=1000)

    def read(folder: Path, file: str) -> Any:
        day.worked += WORK_SECONDS
        day.pass_by(WORK_SECONDS)
        return folder / file

    paced: Any = day.pace.paced(read)
    assert [paced(Path("a"), str(n)) for n in range(3)] == [Path(f"a/{n}") for n in range(3)]
    assert len(day.pauses) == 2
