"""Forward copies for the console: destinations, waiting objects, and objects given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class DestinationState(StrEnum):
    """What a destination does now."""

    SENDING = "sending"
    """An association is open."""
    IDLE = "idle"
    """Nothing waits, or what waits is not due yet."""
    WAITING = "waiting"
    """The peer was in trouble; it is tried again later."""
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
    """Given up until somebody decides."""
    sent: int
    """Ever."""
    bytes_sent: int
    oldest_queued_at: datetime | None
    last_sent_at: datetime | None
    last_error: str
    last_error_at: datetime | None
    next_attempt_at: datetime | None
    """After trouble with the peer."""


@dataclass(frozen=True, slots=True)
class NotForwarded:
    """One object that was given up."""

    id: int
    destination: int
    label: str
    """The destination's."""
    sop_instance_uid: str
    queued_at: datetime
    attempts: int
    reason: str


class ForwardingView(Protocol):
    """The forward copies of an engine; every method reads the queue and belongs in a worker."""

    def destinations(self) -> tuple[DestinationStatus, ...]:
        """Return all destinations in the order of their processors."""
        ...

    def failed(self, destination: int | None = None, limit: int = 100) -> tuple[NotForwarded, ...]:
        """Return what was given up, of one destination or all, the newest first."""
        ...

    def retry(self, destination: int, actor: str, items: tuple[int, ...] = ()) -> int:
        """Try a destination at once, also with what was given up: some of it, or all.

        Args:
            destination: its number.
            actor: who asks for it.
            items: what of it; all if none is named.

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
        """Forget what was given up: some of it, or all; the stored objects stay.

        Args:
            destination: its number.
            actor: who decides that.
            items: what of it; all if none is named.
            waiting: forget instead what waits and was not given up.

        Returns:
            How many objects are not sent any more.

        Raises:
            NotFound: if there is no such destination.
        """
        ...
