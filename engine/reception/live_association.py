"""One open association, with its counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.api import AssociationStatus
from engine.metrics import SecondsRing

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.api import RefusedContext
    from engine.dimse.contexts import AcceptedUIDs
    from engine.intake.object import AssociationContext
    from engine.model.receiver import Receiver
    from engine.model.whitelist import Address


class Report(NamedTuple):
    """A report of storage commitment, for an association that is open."""

    number: int
    """Of the request."""
    context_id: int
    event_type: int
    """The Event Type ID (PS3.4 J.3.3.1.1)."""
    data_set: bytes


@dataclass(slots=True)
class LiveAssociation:
    """One open association; changed on the loop's thread, read by any thread."""

    id: str
    receiver: Receiver
    """As configured when the association was accepted."""
    settings: Receiver
    """The receiver as configured now, which applies to the next object."""
    whitelist_line: str
    """The line that allowed the caller; empty while the whitelist is off."""
    calling_ae_title: str
    address: str
    """Peer address and port."""
    since: datetime
    peer: Address
    abort: Callable[[], None] = lambda: None
    """Aborts the association, without waiting."""
    report: Callable[[Report], None] = lambda _: None
    """Sends a report of storage commitment, without waiting."""
    why: str = ""
    """Why we aborted it; empty if we did not."""
    is_open: bool = True
    source: AssociationContext | None = None
    """What its objects share; None before the first one."""
    implementation: str = ""
    contexts_accepted: int = 0
    contexts_refused: tuple[RefusedContext, ...] = ()
    accepted: tuple[AcceptedUIDs, ...] = ()
    objects: int = 0
    failed: int = 0
    bytes: int = 0
    last_error: str = ""
    noted: tuple[int, int, int] = (0, 0, 0)
    """The objects, bytes and failures that are in its sender's row already."""
    noted_hour: str = ""
    """The hour of those that are not in the row yet."""
    ring: SecondsRing = field(default_factory=SecondsRing)
    unreported_objects: int = 0
    unreported_duplicates: int = 0
    unreported_filtered: int = 0
    unreported_bytes: int = 0
    unreported_second: int = 0

    def status(self, second: int | None = None) -> AssociationStatus:
        """Return it as the console shows it; with its rate only if `second` is given."""
        rate = 0.0 if second is None else self.ring.throughput(second).bytes_rate
        return AssociationStatus(
            id=self.id,
            receiver=self.receiver.label,
            calling_ae_title=self.calling_ae_title,
            called_ae_title=str(self.receiver.ae_title),
            address=self.address,
            since=self.since,
            implementation=self.implementation,
            contexts_accepted=self.contexts_accepted,
            contexts_proposed=self.contexts_accepted + len(self.contexts_refused),
            contexts_refused=self.contexts_refused,
            objects=self.objects,
            failed=self.failed,
            bytes=self.bytes,
            bytes_rate=rate,
        )
