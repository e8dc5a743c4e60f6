"""Events of silent senders, clock, alerts, metrics, storage space, and unforeseen errors."""

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
    """A caller sent nothing in hours in which it usually sends."""

    since: str
    """The local hour of its last object, such as ``2026-01-31 16:00``."""
    hours: int
    """The number of hours since then in which it usually sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderHeard(Event, topic="silence", template="sends again"):
    """A caller that was silent sends again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped(Event, severity=Severity.WARNING, topic="clock"):
    """The wall clock and the monotonic clock moved apart by more than a minute."""

    seconds: int
    """Positive if the wall clock went forward, negative if backward."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
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
    template="the alert to {self.target} was not delivered: {self.why}",
):
    """An alert could not be delivered."""

    target: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTried(Event, topic="alert"):
    """Somebody sent a test alert."""

    target: str
    by: str
    why: str = ""
    """Why it did not arrive; empty if it did."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        outcome = f"did not arrive: {self.why}" if self.why else "was delivered"
        return f"a test alert of {self.by} to {self.target} {outcome}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsUnavailable(
    Event, severity=Severity.ERROR, template="metrics can't be read at {self.address}: {self.why}"
):
    """The metrics endpoint can't be opened; everything else works."""

    address: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unforeseen(Event, severity=Severity.WARNING):
    """A warning or error inside the engine that has no event of its own."""

    source: str
    """The module that logged it."""
    what: str
    """The message, without parts of objects."""
    times: int = 1
    """How often so far; repetitions are reported at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"{self.what} ({self.source}){by_now(self.times)}"


_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSuffices(Event, topic="storage"):
    """The storage has enough free space again."""

    free_bytes: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"enough space on the storage again: {self.free_bytes / 1e9:.1f} GB free"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageLow(Event, severity=Severity.WARNING, topic="storage", urgent=True):
    """The storage is nearly full; objects are still accepted."""

    free_bytes: int
    full_in_seconds: float | None
    """At the present rate of arriving objects; None if none arrive."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
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
    template="objects are rejected: {self.reason}",
):
    """The storage is full; associations and objects are rejected until there is space."""

    reason: str


def describe_forecast(seconds: float) -> str:
    """Return a forecast such as ``in about 3 hours``."""
    for unit, name in _UNITS:
        count = round(seconds / unit)
        if seconds >= unit:
            return f"in about {count} {name}" + ("" if count == 1 else "s")
    return "in less than a minute"
