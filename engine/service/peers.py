"""The known peers as the console and the control API see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api.status import EchoResult
from engine.commitment.peers import peer_to_call, require_tls_files
from engine.dimse.commands import SUCCESS, status_in_words
from engine.dimse.scu import echo_peer
from engine.errors import NotFound, PeerError
from engine.events import PeerEchoAsked
from engine.model.known_peer import parse_known_peer
from engine.model.peer import OWN_AE_TITLE, AETitle, PeerDeadlines
from engine.net.ports import shown_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.model.known_peer import KnownPeer
    from engine.service.processors import ConfigurationAccess

_DEADLINES = PeerDeadlines(connect_seconds=5, answer_seconds=10)
"""Somebody waits for the answer."""


class PeerService:
    """Satisfies `engine.api.peers.PeersView`; for all threads."""

    def __init__(
        self, access: ConfigurationAccess, report: Callable[[Event], object], clock: Clock
    ) -> None:
        self._access = access
        self._report = report
        self._clock = clock

    def list(self) -> tuple[KnownPeer, ...]:
        """Return the peers in the order of the configuration."""
        return self._access.current().peers

    def save(self, peer: KnownPeer, actor: str, *, replacing: KnownPeer | None = None) -> KnownPeer:
        """Add a peer, or replace one that its editor saw; return it as it is stored."""
        # From its fields: a client may have made the value without any check.
        parsed = parse_known_peer(peer.to_record())
        require_tls_files(parsed)
        with self._access.changing() as store:
            self._access.apply(store.save_peer(parsed, actor, replacing=replacing))
        return parsed

    def delete(self, ae_title: str, actor: str) -> None:
        """Remove a peer."""
        with self._access.changing() as store:
            self._access.apply(store.delete_peer(ae_title, actor))

    def echo(self, ae_title: str, actor: str, calling: str = OWN_AE_TITLE) -> EchoResult:
        """Send a C-ECHO to a peer."""
        own = str(AETitle.parse(calling, "calling"))
        peer = peer_to_call(self._access.current(), ae_title, own)
        if peer is None:
            raise NotFound(f"there is no peer {ae_title[:40]}", "list them with: peers list")
        self._report(PeerEchoAsked(peer=peer.called_ae_title, by=actor))
        shown = shown_address(peer.host, peer.port)
        started = self._clock.monotonic()
        try:
            status = echo_peer(peer, _DEADLINES)
        except PeerError as error:
            return EchoResult(False, shown, error.detail)
        if status != SUCCESS:
            return EchoResult(False, shown, f"answered {status_in_words(status)}")
        milliseconds = round((self._clock.monotonic() - started) * 1000)
        return EchoResult(True, shown, f"answered in {milliseconds} ms")
