"""In which hours a caller usually sends, learned from the days on which it did; pure.

Working days and weekends are learned apart. An hour is usual if something came in it on three of
four such days, and nothing is usual before there were four; so a scanner is known after a week.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DAYS_JUDGED = 8
"""The last days of a kind that count."""
DAYS_NEEDED = 4
USUAL_SHARE = 0.75
SILENT_HOURS = 2
"""So many usual hours must pass without an object before a caller counts as silent."""
DAYS_KEPT = 40
_LOOK_BACK = timedelta(days=7)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SenderHours:
    """The hours of one caller."""

    since: date
    """The first day that is known."""
    days: Mapping[date, int] = field(default_factory=dict)
    """By local day, the hours in which something came, as bits."""
    last: datetime | None = None
    """The local hour in which something came last."""

    def with_object_at(self, at: datetime) -> SenderHours:
        """Return the hours after an object came, in local time; old days are forgotten."""
        day, bit = at.date(), 1 << at.hour
        hour = at.replace(minute=0, second=0, microsecond=0)
        if self.days.get(day, 0) & bit and self.last == hour:
            return self
        kept = {d: bits for d, bits in self.days.items() if (day - d).days < DAYS_KEPT}
        return SenderHours(
            max(self.since, day - timedelta(days=DAYS_KEPT)),
            kept | {day: kept.get(day, 0) | bit},
            hour,
        )

    def is_usual(self, day: date, hour: int) -> bool:
        """Tell whether something usually comes in an hour of such a day."""
        before = (day - timedelta(days=number) for number in range(1, DAYS_KEPT))
        alike = [d for d in before if d >= self.since and _is_weekend(d) == _is_weekend(day)]
        judged = alike[:DAYS_JUDGED]
        sent = sum(bool(self.days.get(d, 0) & 1 << hour) for d in judged)
        return len(judged) >= DAYS_NEEDED and sent >= USUAL_SHARE * len(judged)

    def silent_hours(self, now: datetime) -> int:
        """Return how many usual hours are over since the last object, at most those of a week."""
        if self.last is None:
            return 0
        hour = now.replace(minute=0, second=0, microsecond=0) - _HOUR
        first = max(self.last, now - _LOOK_BACK)
        silent = 0
        while hour > first:
            silent += self.is_usual(hour.date(), hour.hour)
            hour -= _HOUR
        return silent

    def is_silent(self, now: datetime) -> bool:
        """Tell whether the caller should have sent something by now, in local time."""
        return self.silent_hours(now) >= SILENT_HOURS

    def to_record(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "since": self.since.isoformat(),
            "days": {day.isoformat(): bits for day, bits in self.days.items()},
            "last": self.last.isoformat() if self.last else None,
        }

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> SenderHours:
        """Return the hours that a record describes.

        Raises:
            ValueError, TypeError, KeyError: if it is none.
        """
        days, last = raw["days"], raw["last"]
        if not isinstance(days, dict) or len(days) > 2 * DAYS_KEPT:
            raise ValueError("days")
        return cls(
            date.fromisoformat(str(raw["since"])),
            {date.fromisoformat(day): int(bits) for day, bits in days.items()},
            datetime.fromisoformat(str(last)) if last else None,
        )


def _is_weekend(day: date) -> bool:
    return day.weekday() >= 5
