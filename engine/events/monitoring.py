"""What the engine notices about its surroundings: who falls silent, and whom it can't tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from engine.events import Event, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSilent(Event):
    """A caller sends nothing in hours in which it usually does."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "silence"
    urgent: ClassVar[bool] = True

    since: str
    """The local hour of its last object, such as ``2026-01-31 16:00``."""
    hours: int
    """In how many hours since then it usually sends."""

    def sentence(self) -> str:
        """Say what happened."""
        return f"has sent nothing since {self.since}, {self.hours} hours in which it usually sends"


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderHeard(Event):
    """A caller that was silent sends again."""

    topic: ClassVar[str] = "silence"

    def sentence(self) -> str:
        """Say what happened."""
        return "sends again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStepped(Event):
    """The wall clock went another way than the monotonic clock by more than a minute."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "clock"

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
class AlertFailed(Event):
    """An alert could not be delivered."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "alert"

    target: str
    why: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"{self.target} could not be told: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTried(Event):
    """Somebody had a made-up alert sent."""

    topic: ClassVar[str] = "alert"

    target: str
    by: str
    why: str = ""
    """Why it did not arrive; empty if it did."""

    def sentence(self) -> str:
        """Say what happened."""
        outcome = f"did not arrive: {self.why}" if self.why else "was delivered"
        return f"a test alert of {self.by} to {self.target} {outcome}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsUnavailable(Event):
    """Metrics can't be read over HTTP; everything else goes on."""

    severity: ClassVar[Severity] = Severity.ERROR

    address: str
    why: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"metrics can't be read at {self.address}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unforeseen(Event):
    """Something went wrong inside the engine that has no event of its own."""

    severity: ClassVar[Severity] = Severity.WARNING

    source: str
    """The module that says so."""
    what: str
    """Holds nothing of objects."""
    times: int = 1
    """How often so far; repetitions are told at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        return f"{self.what} ({self.source}){again}"
