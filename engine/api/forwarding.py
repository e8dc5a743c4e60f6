"""Forward copies for the console: destinations, waiting objects, and failed objects.

A failed object is one that is no longer retried: it waits for `retry` or `drop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class DestinationState(StrEnum):
    """The state of a destination."""

    SENDING = "sending"
    """An association is open."""
    IDLE = "idle"
    """No object waits, or none is due yet."""
    WAITING = "waiting"
    """The last attempt failed; the next one follows at `next_attempt_at`."""
    PAUSED = "paused"
    """Its processor is disabled: nothing is queued and nothing sent."""
    STOPPED = "stopped"
    """No engine runs."""


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination, which is one Forward copy processor."""

    id: int
    """The number of the processor."""
    label: str
    peer: str
    """``AE@host:port``."""
    tls: bool
    state: DestinationState
    queued: int
    failed: int
    """Number of objects that are no longer retried."""
    sent: int
    """Number of objects ever sent."""
    bytes_sent: int
    oldest_queued_at: datetime | None
    last_sent_at: datetime | None
    last_error: str
    last_error_at: datetime | None
    next_attempt_at: datetime | None
    """The next attempt after a failure; None if none is due."""


@dataclass(frozen=True, slots=True)
class NotForwarded:
    """One object that is no longer retried."""

    id: int
    destination: int
    label: str
    """The label of the destination."""
    sop_instance_uid: str
    queued_at: datetime
    attempts: int
    reason: str


class ForwardingView(Protocol):
    """The forward copies of an engine; every method may block, so call it in a worker."""

    def destinations(self) -> tuple[DestinationStatus, ...]:
        """Return all destinations in the order of their processors."""
        ...

    def failed(self, destination: int | None = None, limit: int = 100) -> tuple[NotForwarded, ...]:
        """Return failed objects, of one destination or all, newest first."""
        ...

    def retry(self, destination: int, actor: str, items: tuple[int, ...] = ()) -> int:
        """Retry a destination at once, and queue failed objects again.

        Args:
            destination: its number.
            actor: who asks for it.
            items: ids of failed objects; empty for all.

        Returns:
            How many objects are queued again.

        Raises:
            NotFound: if there is no such destination.
        """
        ...

    def drop(
        self,
        destination: int,
        actor: str,
        items: tuple[int, ...] = (),
        *,
        waiting: bool = False,
    ) -> int:
        """Remove failed objects from the queue; the stored objects stay.

        Args:
            destination: its number.
            actor: who decides that.
            items: ids of failed objects; empty for all.
            waiting: remove the objects that still wait instead of the failed ones.

        Returns:
            How many objects were removed.

        Raises:
            NotFound: if there is no such destination.
        """
        ...
