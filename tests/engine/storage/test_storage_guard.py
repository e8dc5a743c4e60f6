"""Room on the storage: warned of with a forecast, refused below the reserve, told once."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from engine.events.journal import Journal
from engine.events.monitoring import describe_forecast
from engine.model.limits import Limits
from engine.storage.guard import FreeSpace, StorageGuard, Thresholds
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GB = 1_000_000_000
LIMITS = Limits(low_space_percent=10, reserve_bytes=GB)


class Storage:
    """A guard on a file system of 100 GB with as much free space as a test wants."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_bytes = 50 * GB
        self.rate = 0.0
        self.clock = FixedClock()
        self.journal = Journal(self.clock)
        self.marker = root / "mounted"
        self.marker.touch()
        self.fd = os.open(root, os.O_RDONLY)
        self.guard = StorageGuard(
            *(root, self.fd, "mounted", lambda: LIMITS, lambda: self.rate),
            *(self.journal, self.clock),
        )
        monkeypatch.setattr(os, "fstatvfs", self.status)

    def status(self, fd: int) -> SimpleNamespace:
        assert fd == self.fd
        return SimpleNamespace(f_bavail=self.free_bytes, f_frsize=1, f_blocks=100 * GB)

    def refusal(self) -> str:
        self.clock.advance(1)
        return self.guard.refusal()

    def told(self) -> list[str]:
        return [r.event.sentence() for r in self.journal.events_since(0, 100).events]


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    storage = Storage(tmp_path, monkeypatch)
    yield storage
    os.close(storage.fd)


def test_enough_space_is_nothing_to_tell(storage: Storage) -> None:
    assert storage.refusal() == ""
    assert storage.guard.refused == ""
    assert storage.told() == []


@pytest.mark.parametrize(
    ("rate", "forecast"),
    [
        (0.0, "nothing is arriving just now"),
        (1_000_000.0, "at the present rate objects are refused in about 2 hours"),
        (1e9, "at the present rate objects are refused in less than a minute"),
    ],
)
def test_little_space_is_told_once_with_a_forecast(
    storage: Storage, rate: float, forecast: str
) -> None:
    storage.free_bytes, storage.rate = 9 * GB, rate
    assert [storage.refusal(), storage.refusal()] == ["", ""]
    assert storage.told() == [f"space runs low: 9.0 GB free, {forecast}"]


def test_below_the_reserve_nothing_is_taken_in_until_there_is_space_again(
    storage: Storage,
) -> None:
    storage.free_bytes = 500_000_000
    assert storage.refusal() == "only 500 MB free on the storage, 1,000 MB required"
    assert storage.guard.refused == "only 500 MB free on the storage, 1,000 MB required"
    storage.free_bytes = 50 * GB
    assert storage.refusal() == ""
    assert storage.told() == [
        "objects are rejected: only 500 MB free on the storage, 1,000 MB required",
        "enough space on the storage again: 50.0 GB free",
    ]


def test_what_changes_back_and_forth_within_a_second_is_not_told_each_time(
    storage: Storage,
) -> None:
    for free in (9, 50) * 20:
        storage.free_bytes = free * GB
        storage.guard.refusal()
    assert len(storage.told()) == 1


def test_a_storage_without_its_marker_is_not_mounted(storage: Storage) -> None:
    storage.marker.unlink()
    assert storage.refusal() == "the storage is not mounted: its marker file is missing"
    storage.marker.touch()
    assert storage.refusal() == ""


def test_a_storage_that_can_not_be_asked_takes_nothing(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fstatvfs", fail)
    assert storage.refusal() == "the storage reports an input/output error"


def test_the_greater_of_bytes_and_percent_counts() -> None:
    space = FreeSpace(free_bytes=0, total_bytes=100 * GB)
    limits = Limits(
        low_space_percent=5, low_space_bytes=7 * GB, reserve_percent=3, reserve_bytes=GB
    )
    assert Thresholds.of(limits, space) == Thresholds(7 * GB, 3 * GB)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "in less than a minute"),
        (60, "in about 1 minute"),
        (5_400, "in about 2 hours"),
        (86_400 * 3, "in about 3 days"),
    ],
)
def test_a_forecast_is_said_roughly(seconds: float, words: str) -> None:
    assert describe_forecast(seconds) == words


def test_the_storage_is_looked_at_ten_times_a_second_not_for_each_object(storage: Storage) -> None:
    assert storage.refusal() == ""
    storage.free_bytes = 0
    assert storage.guard.refusal() == ""
    storage.clock.advance(0.1)
    assert storage.guard.refusal() == "only 0 MB free on the storage, 1,000 MB required"
