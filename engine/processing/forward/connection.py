"""A destination of forward copies, and the open association to it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.dimse.acse import MAX_CONTEXTS
from engine.dimse.scu import call
from engine.errors import AssociationBroken
from engine.model.peer import OWN_AE_TITLE, CallingTls, Peer, PeerDeadlines, make_peer
from engine.state.outbox import RetryRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.dimse.acse import Context
    from engine.dimse.scu import OutgoingAssociation
    from engine.model.processor import Processor
    from engine.processing.contract import Settings


class DestinationConnection:
    """Used by its sender's thread; only `hang_up` and `is_open` are for others."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._lock = threading.Lock()
        """Guards the association against being hung up while it is made."""
        self._association: OutgoingAssociation | None = None
        self._hung_up = False
        self._contexts: dict[Context, None] = {}
        """The proposed contexts, in the order in which they were first needed."""

    @property
    def is_open(self) -> bool:
        """Whether there is an association."""
        association = self._association
        return association is not None and association.is_open

    def require(self, contexts: Iterable[Context]) -> OutgoingAssociation:
        """Return an association that these contexts were proposed for.

        Raises:
            PeerError: if there is none.
            InvalidReceiver: if a certificate file can't be used.
        """
        wanted = dict.fromkeys(contexts)
        association = self._association
        if (
            association is not None
            # The peer may have ended an association that was idle for a while.
            and association.is_quiet()
            and wanted.keys() <= self._contexts.keys()
        ):
            return association
        self.close()
        # Earlier contexts are proposed too: objects of mixed kinds need one association only.
        proposed = dict.fromkeys([*wanted, *self._contexts][:MAX_CONTEXTS])
        made = call(self._destination.peer, list(proposed), self._destination.deadlines)
        self._contexts = proposed
        with self._lock:
            self._association = made
            # A stop during `call` found no association to hang up.
            if self._hung_up:
                made.hang_up()
                raise AssociationBroken("the engine stops")
        return made

    def close(self) -> None:
        """Release the association, if there is one."""
        with self._lock:
            association, self._association = self._association, None
        if association is not None:
            association.release()

    def hang_up(self) -> None:
        """End the association from another thread, and let no other be made."""
        with self._lock:
            self._hung_up = True
            if self._association is not None:
                self._association.hang_up()


@dataclass(frozen=True, slots=True)
class Destination:
    """The parameters of a Forward copy processor."""

    id: int
    """The number of the processor."""
    label: str
    peer: Peer
    max_attempts: int
    """How often one object may be refused or interrupted; outages are not counted."""
    longest_wait_seconds: float
    max_age: timedelta
    """How long an object is tried after it was queued."""
    deadlines: PeerDeadlines = field(default=PeerDeadlines())

    @property
    def retries(self) -> RetryRule:
        """How often and when one object is tried again."""
        return RetryRule(self.longest_wait_seconds, self.max_attempts)


def destination_of(processor: Processor, settings: Settings) -> Destination:
    """Return the destination that a processor means.

    Raises:
        InvalidPeer: if host, port or an AE title can't be right.
    """
    return Destination(
        id=processor.id,
        label=processor.label,
        peer=peer_of(settings),
        max_attempts=settings.number("max_attempts"),
        longest_wait_seconds=settings.number("max_wait_seconds"),
        max_age=timedelta(hours=settings.number("max_age_hours")),
        deadlines=PeerDeadlines(answer_seconds=settings.number("timeout_seconds")),
    )


def peer_of(settings: Settings) -> Peer:
    """Return whom a processor's parameters mean.

    Raises:
        InvalidPeer: if host, port or an AE title can't be right.
    """
    tls = None
    if settings.switch("tls"):
        tls = CallingTls(
            settings.text("tls_ca"),
            settings.text("tls_certificate"),
            settings.text("tls_key"),
            check_name=settings.switch("tls_check_name"),
        )
    called, calling = settings.text("ae_title"), settings.text("calling_ae_title")
    host, port = settings.text("host"), settings.text("port")
    return make_peer(host, port, called, calling or OWN_AE_TITLE, tls)
