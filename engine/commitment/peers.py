"""Whom to call by an AE title: a known peer, or else a destination of forward copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.certificates.tls_context import caller
from engine.errors import ConfigurationError, InvalidPeer
from engine.model.known_peer import peer_named
from engine.model.peer import Peer
from engine.processing.forward.connection import peer_of
from engine.processing.forward.processor import ForwardCopy
from engine.processing.forward.service import forward_copies
from engine.processing.installed import settings_of

if TYPE_CHECKING:
    from engine.model.configuration import Configuration
    from engine.model.known_peer import KnownPeer


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


def require_tls_files(peer: KnownPeer) -> None:
    """Read the TLS files of a peer before it is saved.

    Raises:
        InvalidPeer: if one can't be used.
    """
    if peer.tls is not None:
        try:
            caller(peer.tls)
        except ConfigurationError as error:
            raise InvalidPeer(*error.problems) from error
