"""Moments as the index keeps them."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def stamp(moment: datetime) -> str:
    """Return a time as the index keeps it: UTC, ISO 8601, comparable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
