"""Whom to call with a report: a known peer, or else a destination of forward copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ConfigurationError
from engine.model.known_peer import peer_named
from engine.model.peer import Peer
from engine.processing.forward.connection import peer_of
from engine.processing.forward.processor import ForwardCopy
from engine.processing.forward.service import forward_copies
from engine.processing.installed import settings_of

if TYPE_CHECKING:
    from engine.model.configuration import Configuration


def peer_to_call(configuration: Configuration, called: str, calling: str) -> Peer | None:
    """Return the peer with an AE title; None if it is not known.

    Args:
        configuration: the one in force.
        called: the AE title of the peer.
        calling: our own, by which the peer has asked.
    """
    known = peer_named(configuration.peers, called)
    if known is not None:
        return known.called_from(calling)
    for processor in forward_copies(configuration):
        try:
            peer = peer_of(settings_of(ForwardCopy.info, processor))
        except ConfigurationError:
            continue
        if processor.enabled and peer.called_ae_title == called:
            return Peer(peer.host, peer.port, called, calling, peer.tls)
    return None
