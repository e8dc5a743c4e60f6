"""Who uses the control API, and who was refused."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity, and_left_out, by_now, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlUsed(Event, topic="control", template="control API used by {self.by}"):
    """A user or address uses the control API again after a while, or for the first time."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRefused(Event, severity=Severity.WARNING, topic="control", audited=True):
    """A request to the control API was refused for who sent it."""

    address: str
    """Of the client, or its login; the network of an IPv6 address."""
    why: str
    times: int = 1
    """How often lately; repetitions are reported at 10, 100, 1000 …"""
    left_out: int = 0
    """How many such reports were left out before, because there were too many in an hour."""

    def sentence(self) -> str:
        """Say what happened."""
        what = f"control request from {self.address} refused{by_now(self.times)}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAbortAsked(
    Event, topic="control", template="{self.by} asked to abort the association"
):
    """Somebody had an association aborted."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverRetryAsked(Event, topic="control", template="{self.by} asked to listen again"):
    """Somebody had the engine try again to listen for a receiver."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoAsked(Event, topic="control", template="{self.by} sent the receiver a C-ECHO"):
    """Somebody had the engine send a C-ECHO to one of its receivers."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRouteChanged(Event, topic="config"):
    """Somebody announced where studies go, or took that back."""

    by: str
    project: str = ""
    """Empty if the route was deleted."""
    routes: int = 1

    def sentence(self) -> str:
        """Say what happened."""
        what = "a study route" if self.routes == 1 else counted(self.routes, "study route")
        verb, where = ("saved", f" to {self.project}") if self.project else ("deleted", "")
        return f"{self.by} {verb} {what}{where}"
