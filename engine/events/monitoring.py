"""What the engine notices about its surroundings: who falls silent, and whom it can't tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from engine.events.event import Event, Severity, by_now


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSilent(
    Event,
    severity=Severity.WARNING,
    topic="silence",
    urgent=True,
    template="has sent nothing since {self.since}, {self.hours} hours in which it usually sends",
):
    """A caller sends nothing in hours in which it usually does."""

    since: str
    """The local hour of its last object, such as ``2026-01-31 16:00``."""
    hours: int
    """In how many hours since then it usually sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderHeard(Event, topic="silence", template="sends again"):
    """A caller that was silent sends again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped(Event, severity=Severity.WARNING, topic="clock"):
    """The wall clock went another way than the monotonic clock by more than a minute."""

    seconds: int
    """Forward; backward if negative."""

    def sentence(self) -> str:
        """Say what happened."""
        size = str(timedelta(seconds=abs(self.seconds)))
        if self.seconds < 0:
            return f"the system clock went back by {size}"
        return (
            f"the system clock went forward by {size}, or the machine slept; the trash and the"
            " forwarding queue expire by the new time only after it has lasted for a day"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFailed(
    Event,
    severity=Severity.WARNING,
    topic="alert",
    template="{self.target} could not be told: {self.why}",
):
    """An alert could not be delivered."""

    target: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTried(Event, topic="alert"):
    """Somebody had a made-up alert sent."""

    target: str
    by: str
    why: str = ""
    """Why it did not arrive; empty if it did."""

    def sentence(self) -> str:
        """Say what happened."""
        outcome = f"did not arrive: {self.why}" if self.why else "was delivered"
        return f"a test alert of {self.by} to {self.target} {outcome}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsUnavailable(
    Event, severity=Severity.ERROR, template="metrics can't be read at {self.address}: {self.why}"
):
    """Metrics can't be read over HTTP; everything else goes on."""

    address: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unforeseen(Event, severity=Severity.WARNING):
    """Something went wrong inside the engine that has no event of its own."""

    source: str
    """The module that says so."""
    what: str
    """Holds nothing of objects."""
    times: int = 1
    """How often so far; repetitions are told at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Say what happened."""
        return f"{self.what} ({self.source}){by_now(self.times)}"


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
