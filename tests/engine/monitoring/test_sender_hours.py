"""Who usually sends when: learned from days, told once, kept across runs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.events.journal import Journal
from engine.events.monitoring import SenderHeard, SenderSilent
from engine.host.clock import SystemClock
from engine.metrics import OTHER_SENDERS, SenderCounts
from engine.monitoring.watch import DAYS_KEPT, SENDERS_REMEMBERED, SenderHours, SilenceDetector

if TYPE_CHECKING:
    from pathlib import Path

MONDAY = datetime(2026, 8, 3, tzinfo=UTC)
HOURS = (8, 9, 10, 11, 14, 15)


def worked(days: int) -> SenderHours:
    """Return what is known of a scanner after so many days, weekends without work."""
    hours = SenderHours(MONDAY.date())
    for number in range(days):
        day = MONDAY.replace(tzinfo=None) + timedelta(days=number)
        for hour in HOURS if day.weekday() < 5 else ():
            hours = hours.with_object_at(day.replace(hour=hour, minute=30))
    return hours


@pytest.mark.parametrize(
    ("days", "at", "silent"),
    [
        (3, "2026-08-06T12:00", 0),  # three days are too few
        (4, "2026-08-07T08:59", 0),
        (4, "2026-08-07T09:00", 1),
        (4, "2026-08-07T10:00", 2),
        (4, "2026-08-07T13:30", 4),
        (5, "2026-08-08T18:00", 0),  # Saturday
        (5, "2026-08-10T09:10", 1),  # and the Monday after it
        (5, "2026-08-10T10:10", 2),
    ],
)
def test_silence_is_counted_in_hours_in_which_something_usually_comes(
    days: int, at: str, silent: int
) -> None:
    now = datetime.fromisoformat(at)
    assert worked(days).silent_hours(now) == silent
    assert worked(days).is_silent(now) is (silent >= 2)


def test_a_day_off_makes_no_hour_unusual_and_a_changed_habit_does() -> None:
    hours = worked(4)  # to Thursday; Friday is a day off
    monday = date(2026, 8, 10)
    assert hours.is_usual(monday, 9)
    assert not hours.is_usual(monday + timedelta(days=14), 9)


def test_old_days_are_forgotten_and_a_record_is_read_again() -> None:
    hours = worked(60)
    assert len(hours.days) <= DAYS_KEPT
    assert SenderHours.parse(hours.to_record()) == hours
    assert SenderHours(MONDAY.date()).silent_hours(datetime.fromisoformat("2027-01-01T12:00")) == 0


@pytest.fixture
def journal() -> Journal:
    return Journal(SystemClock())


def told(journal: Journal) -> list[str]:
    events = [recorded.event for recorded in journal.events_since(1, 99).events]
    assert all(isinstance(event, SenderSilent | SenderHeard) for event in events)
    return [f"{event.calling_ae_title} {event.sentence()}" for event in events]


def look_all_week(watch: SilenceDetector) -> None:
    for day in range(4):
        for hour in HOURS:
            at = MONDAY + timedelta(days=day, hours=hour)
            watch.check([SenderCounts("CT1", 1, last_object_at=at)], at)


@pytest.mark.usefixtures("in_utc")
def test_a_silence_is_told_once_and_its_end_too(tmp_path: Path, journal: Journal) -> None:
    look_all_week(SilenceDetector(tmp_path / "hours.json", journal))
    watch = SilenceDetector(tmp_path / "hours.json", journal)  # another run
    friday = MONDAY + timedelta(days=4)
    for hour in (9, 10, 11, 12):
        watch.check([], friday + timedelta(hours=hour))
    again = friday + timedelta(hours=12, minutes=5)
    watch.check([SenderCounts("CT1", 1, last_object_at=again)], again)
    assert told(journal) == [
        "CT1 has sent nothing since 2026-08-06 15:00, 2 hours in which it usually sends",
        "CT1 sends again",
    ]


def test_guessed_names_fill_no_memory(tmp_path: Path, journal: Journal) -> None:
    watch = SilenceDetector(tmp_path / "hours.json", journal)
    names = [f"GUESS{n}" for n in range(SENDERS_REMEMBERED + 9)]
    watch.check(
        [SenderCounts(n, 1, last_object_at=MONDAY) for n in (OTHER_SENDERS, *names)], MONDAY
    )
    assert len(watch._hours) == SENDERS_REMEMBERED


@pytest.mark.parametrize("content", ["", "[]", '{"CT1": 1}', '{"CT1": {"days": [], "last": ""}}'])
def test_a_broken_file_is_learned_anew(
    tmp_path: Path, journal: Journal, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hours.json").write_text(content)
    watch = SilenceDetector(tmp_path / "hours.json", journal)
    look_all_week(watch)
    assert "learned anew" in caplog.text
    assert told(journal) == []
