"""An event of a kind that this dicomdock does not know, as a newer engine tells it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events import Event, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """What happened, in the engine's words."""

    severity: Severity = Severity.INFO  # type: ignore[misc] # others have one for the class
    topic: str = "engine"  # type: ignore[misc]
    message: str = ""

    def sentence(self) -> str:
        """Say what happened."""
        return self.message
