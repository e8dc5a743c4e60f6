"""One destination of forward copies: the peer, and for how long and how often it is tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.model.peer import OWN_AE_TITLE, CallingTls, Peer, PeerDeadlines, make_peer

if TYPE_CHECKING:
    from engine.model.processor import Processor
    from engine.processing.contract import Settings


@dataclass(frozen=True, slots=True)
class Destination:
    """What a Forward copy processor says."""

    id: int
    """The number of the processor."""
    label: str
    peer: Peer
    max_attempts: int
    """How often the peer may refuse or break off one object; outages are not counted."""
    longest_wait_seconds: float
    max_age: timedelta
    """How long an object is tried, from being queued on."""
    deadlines: PeerDeadlines = field(default=PeerDeadlines())


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
