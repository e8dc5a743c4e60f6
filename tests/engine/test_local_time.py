"""Times that people read and days that people mean are those of the machine's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.cli.events import _local_time
from engine.errors import ChangedMeanwhile
from engine.host.clock import local_midnight
from engine.metrics import _LocalDay
from engine.model.identity import timestamp
from engine.monitoring.watch import _local
from engine.sessions.trash import _since
from tests.conftest import zone

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLY = datetime(2026, 1, 2, 3, 4, 5, 6_999, tzinfo=UTC)
"""Still the evening before in Newfoundland, three and a half hours behind."""


@pytest.fixture(autouse=True)
def _in_newfoundland() -> Iterator[None]:
    with zone("America/St_Johns"):
        yield


def test_folders_are_named_for_the_local_time() -> None:
    assert timestamp(EARLY) == "20260101_233405006"


def test_events_are_printed_with_the_local_time() -> None:
    assert _local_time("2026-01-02T03:04:05+00:00") == "2026-01-01 23:34:05"


def test_a_change_by_somebody_else_is_told_with_the_local_time() -> None:
    assert "berta at 2026-01-01 23:34:05: " in str(ChangedMeanwhile("XNAT", "berta", EARLY, ["a"]))


def test_an_entry_of_the_trash_is_as_old_as_its_local_time_says() -> None:
    assert _since(f"{timestamp(EARLY)}_7") == EARLY.replace(microsecond=0)


def test_the_hours_of_a_sender_are_local_ones() -> None:
    assert _local(EARLY) == datetime(2026, 1, 1, 23, 34, 5, 6_999)  # noqa: DTZ001 - as a wall clock


def test_the_day_of_the_counts_ends_at_local_midnight() -> None:
    day = _LocalDay(EARLY)
    assert day.of(datetime(2026, 1, 2, 3, 29, 59, tzinfo=UTC)).day == 1
    assert day.of(datetime(2026, 1, 2, 3, 30, tzinfo=UTC)).day == 2


@pytest.mark.parametrize(
    ("noon", "midnight"),
    [
        pytest.param("2026-01-01T23:00-03:30", "2026-01-01T00:00-03:30", id="tomorrow in UTC"),
        pytest.param("2026-03-07T12:00-03:30", "2026-03-07T00:00-03:30", id="the day before"),
        pytest.param("2026-03-08T12:00-02:30", "2026-03-08T00:00-03:30", id="an hour is skipped"),
        pytest.param("2026-11-01T12:00-03:30", "2026-11-01T00:00-02:30", id="an hour comes twice"),
    ],
)
def test_a_day_begins_at_its_midnight_also_when_clocks_change(noon: str, midnight: str) -> None:
    now = datetime.fromisoformat(noon).astimezone(UTC)
    assert local_midnight(now) == datetime.fromisoformat(midnight)
    day = _LocalDay(now)
    assert day.of(datetime.fromisoformat(midnight)) == now.astimezone().date()
    before = datetime.fromisoformat(midnight) - timedelta(seconds=1)
    assert day.of(before) == now.astimezone().date() - timedelta(days=1)
