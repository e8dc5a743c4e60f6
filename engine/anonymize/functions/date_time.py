"""Shifts DICOM dates and times and keeps their precision (dicomedit 9.4).

The middle of the stated period is moved, and only the parts that were there are printed.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta
from typing import Final

from engine.anonymize.errors import StatementFailure

_DATE_TIME = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<month>[0-9]{2})(?:(?P<day>[0-9]{2})(?:(?P<hour>[0-9]{2})"
    r"(?:(?P<minute>[0-9]{2})(?:(?P<second>[0-9]{2})(?P<fraction>\.[0-9]{1,6})?)?)?)?)?)?"
    r"(?P<zone>[+-][0-9]{4})?"
)
_MIDDLES: Final = {3: (12, 0, 0), 4: (30, 0), 5: (30,), 6: ()}
"""What stands in for the parts behind the last that is known."""
_FORMATS: Final = ("%Y", "%m", "%d", "%H", "%M", "%S")
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")
SECONDS_PER_UNIT: Final = {
    "years": 365 * 86_400,
    "days": 86_400,
    "hours": 3_600,
    "minutes": 60,
    "seconds": 1,
}


def moved(text: str, seconds: int) -> str:
    """Move a date, with or without time, by seconds; fraction and zone are copied.

    Raises:
        Failure: if it is no date, or leaves the years 1 to 9999.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise StatementFailure("a value is no date: YYYYMMDD, shorter, or with HHMMSS behind it")
    parts = [int(match[name]) for name in _PARTS if match[name]]
    try:
        at = _middle(parts) + timedelta(seconds=seconds)
    except (ValueError, OverflowError) as error:
        raise StatementFailure("a date does not exist, or is moved out of the calendar") from error
    # strftime does not pad years before 1000 everywhere.
    shown = [f"{at.year:04d}", *(at.strftime(form) for form in _FORMATS[1 : len(parts)])]
    return "".join([*shown, match["fraction"] or "", match["zone"] or ""])


def _middle(parts: list[int]) -> datetime:
    """Return the middle of a year, month, day, hour or minute, or the second itself."""
    if len(parts) == 1:
        return datetime(parts[0], 7, 1)  # noqa: DTZ001 - DICOM's zone takes no part
    if len(parts) == 2:
        year, month = parts
        days = monthrange(year, month)[1]
        return datetime(year, month, 1) + timedelta(days=days / 2)  # noqa: DTZ001
    year, month, day, hour, minute, second = (*parts, *_MIDDLES[len(parts)])
    leap = second == 60  # PS3.5 6.2: 60 is a leap second
    at = datetime(year, month, day, hour, minute, second - leap)  # noqa: DTZ001
    return at + timedelta(seconds=leap)


def days_between(first: str, last: str) -> int | None:
    """Return the days from one DA value to another; None if one of them is no date."""
    try:
        start, end = (datetime.strptime(text, "%Y%m%d") for text in (first, last))  # noqa: DTZ007
    except ValueError:
        return None
    return (end - start).days
