"""Senders for the console: their volumes, rejections and failures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

HOURS_KEPT = 7 * 24
HOURS_OF_A_DAY = 24


class SenderOrder(StrEnum):
    """The orders in which senders are listed."""

    LAST_SEEN = "last seen"
    CALLING_AE_TITLE = "calling AE title"
    ADDRESS = "address"
    OBJECTS = "objects"
    BYTES = "bytes"
    REJECTED = "rejected"
    FAILED = "failed"


class SenderState(StrEnum):
    """What a sender does now, or has done so far."""

    SENDING = "sending now"
    """It has an association open."""
    QUIET = "quiet"
    NEVER_SENT = "never sent an object"
    ONLY_REJECTED = "only ever rejected"


@dataclass(frozen=True, slots=True)
class Sender:
    """One calling AE title at one address.

    Counts are added at the end of each association, and every hour during it.
    """

    calling_ae_title: str
    """As it was sent: text of the peer, which may contain anything."""
    address: str
    """Without the port."""
    first_seen: datetime
    last_seen: datetime
    associations: int = 0
    """Accepted associations that have ended."""
    aborted: int = 0
    rejected: int = 0
    last_rejection: str = ""
    last_rejection_at: datetime | None = None
    objects: int = 0
    """Stored objects and duplicates."""
    failed: int = 0
    """Objects that were refused."""
    bytes: int = 0
    last_error: str = ""
    """The last reason why an association was aborted or an object refused, if known."""
    last_error_at: datetime | None = None
    receiver: str = ""
    """The receiver that it called last, ``AE:port``."""
    implementation: str = ""
    """Implementation Version Name (PS3.7 D.3.3.2)."""
    implementation_class_uid: str = ""
    contexts_proposed: int = 0
    """In its last association."""
    contexts_refused: int = 0
    refused_contexts: tuple[str, ...] = ()
    """The first refused contexts, each with SOP class and reason."""
    open_associations: int = 0
    """Associations that are open now."""
    day: tuple[int, ...] = ()
    """Bytes of each of the last 24 hours, oldest first; empty if none came."""

    @property
    def state(self) -> SenderState:
        """What it does now, or has done so far."""
        if self.open_associations:
            return SenderState.SENDING
        if self.objects:
            return SenderState.QUIET
        rejected = self.rejected and not self.associations
        return SenderState.ONLY_REJECTED if rejected else SenderState.NEVER_SENT


@dataclass(frozen=True, slots=True)
class SenderPage:
    """Some of the senders."""

    senders: tuple[Sender, ...]
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class HourVolume:
    """The volume of one hour."""

    begins_at: datetime
    objects: int = 0
    bytes: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class SenderDetail:
    """A sender and its volume by hour."""

    sender: Sender
    hours: tuple[HourVolume, ...]
    """The last seven days without a gap, oldest first; the last 24 are the last day."""
    receivers: tuple[str, ...] = ()
    """The receivers that it is known to have called, the last one first.

    Besides the last one, only those are known that have a session from this AE title.
    """


class SendersView(Protocol):
    """The senders of an engine; every method reads the index, so call it in a worker."""

    def list(
        self,
        *,
        text: str = "",
        order: SenderOrder = SenderOrder.LAST_SEEN,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SenderPage:
        """Return a page of at most 1,000 senders.

        Args:
            text: part of the AE title, address or implementation; letter case is ignored.
            order: what they are sorted by.
            descending: whether the greatest comes first.
            offset: how many to leave out.
            limit: how many to return.
        """
        ...

    def detail(self, calling_ae_title: str, address: str) -> SenderDetail:
        """Return a sender with its volume by hour.

        Raises:
            NotFound: if no such sender is known.
        """
        ...
