"""What is told about the space on the storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.events import Event, Severity

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSuffices(Event):
    """There is enough space again."""

    topic: ClassVar[str] = "storage"

    free_bytes: int

    def sentence(self) -> str:
        """Say what happened."""
        return f"enough space on the storage again: {self.free_bytes / 1e9:.1f} GB free"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLow(Event):
    """Space runs out; objects are still taken in."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "storage"
    urgent: ClassVar[bool] = True

    free_bytes: int
    full_in_seconds: float | None
    """At the rate at which objects arrive now; None if none do."""

    def sentence(self) -> str:
        """Say what happened."""
        forecast = "nothing is arriving just now"
        if self.full_in_seconds is not None:
            forecast = (
                f"at the present rate objects are refused {describe_forecast(self.full_in_seconds)}"
            )
        return f"space runs low: {self.free_bytes / 1e9:.1f} GB free, {forecast}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRefuses(Event):
    """There is no room; associations and objects are refused for now."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "storage"
    urgent: ClassVar[bool] = True

    reason: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"nothing is taken in any more: {self.reason}"


def describe_forecast(seconds: float) -> str:
    """Return a forecast such as ``in about 3 hours``."""
    for unit, name in _UNITS:
        count = round(seconds / unit)
        if seconds >= unit:
            return f"in about {count} {name}" + ("" if count == 1 else "s")
    return "in less than a minute"
