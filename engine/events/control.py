"""Who uses the control API, and who was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.events.event import Event, Severity, and_left_out, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlUsed(Event):
    """A user or address uses the control API again after a while, or for the first time."""

    topic: ClassVar[str] = "control"

    by: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"control API used by {self.by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRefused(Event):
    """A request to the control API was refused for who sent it."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "control"
    audited: ClassVar[bool] = True

    address: str
    """Of the client, or its login; the network of an IPv6 address."""
    why: str
    times: int = 1
    """How often lately; repetitions are reported at 10, 100, 1000 …"""
    left_out: int = 0
    """How many such reports were left out before, because there were too many in an hour."""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        what = f"control request from {self.address} refused{again}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAbortAsked(Event):
    """Somebody had an association aborted."""

    topic: ClassVar[str] = "control"

    by: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"{self.by} asked to abort the association"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverRetryAsked(Event):
    """Somebody had the engine try again to listen for a receiver."""

    topic: ClassVar[str] = "control"

    by: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"{self.by} asked to listen again"


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoAsked(Event):
    """Somebody had the engine send a C-ECHO to one of its receivers."""

    topic: ClassVar[str] = "control"

    by: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"{self.by} sent the receiver a C-ECHO"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRouteChanged(Event):
    """Somebody announced where studies go, or took that back."""

    topic: ClassVar[str] = "config"

    by: str
    project: str = ""
    """Empty if the route was deleted."""
    routes: int = 1

    def sentence(self) -> str:
        """Say what happened."""
        what = "a study route" if self.routes == 1 else counted(self.routes, "study route")
        verb, where = ("saved", f" to {self.project}") if self.project else ("deleted", "")
        return f"{self.by} {verb} {what}{where}"
