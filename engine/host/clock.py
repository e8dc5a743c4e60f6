"""The clock that is passed to everything that needs time, so that tests need not wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time for people, and monotonic time for durations."""

    def now(self) -> datetime:
        """Return the aware UTC time of day."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, never running backwards."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the aware UTC time of day."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, never running backwards."""
        return time.monotonic()


def local_midnight(now: datetime) -> datetime:
    """Return the beginning of the local day of a moment."""
    # Made from the date alone: on a day whose clocks change, midnight has another offset.
    return datetime.combine(now.astimezone().date(), datetime.min.time()).astimezone()
