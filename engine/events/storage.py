"""What is told about the space on the storage."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events import Event, Severity

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSuffices(Event, topic="storage"):
    """There is enough space again."""

    free_bytes: int

    def sentence(self) -> str:
        """Say what happened."""
        return f"enough space on the storage again: {self.free_bytes / 1e9:.1f} GB free"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLow(Event, severity=Severity.WARNING, topic="storage", urgent=True):
    """Space runs out; objects are still taken in."""

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
class StorageRefuses(
    Event,
    severity=Severity.ERROR,
    topic="storage",
    urgent=True,
    template="nothing is taken in any more: {self.reason}",
):
    """There is no room; associations and objects are refused for now."""

    reason: str


def describe_forecast(seconds: float) -> str:
    """Return a forecast such as ``in about 3 hours``."""
    for unit, name in _UNITS:
        count = round(seconds / unit)
        if seconds >= unit:
            return f"in about {count} {name}" + ("" if count == 1 else "s")
    return "in less than a minute"
