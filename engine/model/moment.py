"""Points in time as people write them: an age such as ``2h``, or a local date and time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MOMENT_REMEDY = "use such as 30m, 2h, 7d or 2026-01-31T12:00"

_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the UTC time that a text means.

    Raises:
        ValueError: if it is neither an age nor a time; `MOMENT_REMEDY` says what is.
    """
    age = _AGE.fullmatch(text)
    try:
        if age:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("neither an age nor a time") from error
