"""An event that is known by its words only: of a newer engine, or from a log file."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """What happened, in the words of the engine that recorded it."""

    severity: Severity = Severity.INFO  # type: ignore[misc] # others have one for the class
    topic: str = "engine"  # type: ignore[misc]
    message: str = ""

    def sentence(self) -> str:
        """Say what happened."""
        return self.message
