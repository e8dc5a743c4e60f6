"""Known peers for the console: the AEs that the engine may call by their AE title."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.api.status import EchoResult
    from engine.model.known_peer import KnownPeer


class PeersView(Protocol):
    """The known peers; every method may block, so call it in a worker."""

    def list(self) -> tuple[KnownPeer, ...]:
        """Return the peers in the order of the configuration."""
        ...

    def save(self, peer: KnownPeer, actor: str, *, replacing: KnownPeer | None = None) -> KnownPeer:
        """Add a peer, or replace one that its editor saw; return it as it is stored.

        Reports of storage commitment that wait are tried again at once.

        Args:
            peer: the peer to store; its TLS files are read.
            actor: who changes it.
            replacing: the peer as its editor saw it; None adds one. Its AE title may be another.

        Raises:
            InvalidPeer: if a value is invalid, a TLS file can't be used, or its AE title is another
                peer's.
            ChangedMeanwhile: if somebody else changed the peer after its editor saw it.
            NotFound: if the peer to replace does not exist any more.
        """
        ...

    def delete(self, ae_title: str, actor: str) -> None:
        """Remove a peer.

        Raises:
            NotFound: if it does not exist any more.
        """
        ...

    def echo(self, ae_title: str, actor: str, calling: str = "DICOMDOCK") -> EchoResult:
        """Send a C-ECHO to a peer from the engine's host; the audit log records who asked.

        Args:
            ae_title: of a peer, or of a destination of forward copies.
            actor: who asks.
            calling: our own AE title, which the peer may check.

        Raises:
            NotFound: if the peer is not known.
            InvalidReceiver: if one of its TLS files can't be used.
        """
        ...
