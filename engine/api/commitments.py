"""Storage commitments: what peers asked for, and what they were told (PS3.4 annex J)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class CommitmentState(StrEnum):
    """Where a request for storage commitment stands."""

    ASKED = "asked"
    """Accepted; what is on the disk is not looked up yet."""
    WAITING = "waiting"
    """The result is known, and not delivered yet."""
    DELIVERED = "delivered"
    GIVEN_UP = "given up"
    """The result could not be delivered in time."""


@dataclass(frozen=True, slots=True)
class CommitmentStatus:
    """One request for storage commitment."""

    id: int
    transaction_uid: str
    calling_ae_title: str
    """Who asked."""
    receiver: str
    asked_at: datetime
    state: CommitmentState
    objects: int
    """Number of SOP instances that the request names."""
    failed: int
    """Number of those that are not committed; 0 until the result is known."""
    changed_at: datetime
    """When it came into its state."""
    attempts: int = 0
    """Failed attempts to deliver the result."""
    next_attempt_at: datetime | None = None
    """None if it is due now, or nothing is to be delivered."""
    reason: str = ""
    """Why it is not delivered yet."""


@dataclass(frozen=True, slots=True)
class CommittedObject:
    """One SOP instance of a request."""

    sop_class_uid: str
    sop_instance_uid: str
    committed: bool | None
    """None until the result is known."""
    reason: str = ""
    """Why it is not committed, such as ``0x0112 (no such object instance)``."""


@dataclass(frozen=True, slots=True)
class CommitmentDetail:
    """A request with its SOP instances, those that failed first."""

    status: CommitmentStatus
    objects: tuple[CommittedObject, ...]


class CommitmentsView(Protocol):
    """The storage commitments of an engine; every method may block, so call it in a worker."""

    def list(self, limit: int = 100) -> tuple[CommitmentStatus, ...]:
        """Return the requests, newest first."""
        ...

    def show(self, number: int, limit: int = 1000) -> CommitmentDetail:
        """Return one request, with at most so many of its SOP instances.

        Raises:
            NotFound: if there is no such request.
        """
        ...

    def retry(self, number: int, actor: str) -> CommitmentStatus:
        """Look the SOP instances up again, and deliver the result at once.

        Raises:
            NotFound: if there is no such request.
        """
        ...
