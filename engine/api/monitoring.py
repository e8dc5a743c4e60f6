"""Health and counters of an engine for monitoring systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.metrics import Counters  # noqa: TC001 - engine.remote evaluates the hints

if TYPE_CHECKING:
    from engine.model.alerts import AlertTarget


@dataclass(frozen=True, slots=True)
class Health:
    """What a monitoring system asks for."""

    alive: bool
    """Whether every part that must run does; a restart is due otherwise."""
    listening: int
    enabled: int
    """How many receivers listen, and how many should."""
    problems: tuple[str, ...] = ()
    """Why objects are refused or things go wrong, in words; none if all is well."""

    @property
    def ok(self) -> bool:
        """Tell whether there is nothing to complain of."""
        return self.alive and not self.problems


class MonitoringView(Protocol):
    """Counters, health and alerts of an engine; counting sessions reads the index."""

    def counters(self) -> Counters:
        """Return what was counted since the engine started, and what the index holds."""
        ...

    def metrics(self) -> bytes:
        """Return everything as text for Prometheus, of the type that `exposition` names."""
        ...

    def health(self) -> Health:
        """Return whether all is well, and what is not."""
        ...

    def note_secrets_shown(self, what: str, actor: str) -> None:
        """Let the journal keep that somebody is shown secrets of the configuration file.

        Args:
            what: the command that shows them.
            actor: who is shown them.
        """
        ...

    def try_alert(self, target: AlertTarget, actor: str) -> None:
        """Send a made-up alert to a target, saved or not; the journal keeps who did.

        Raises:
            InvalidSite: if it is no target that could be saved.
            NotDelivered: if it did not arrive, with the reason; after 30 s at most.
        """
        ...
