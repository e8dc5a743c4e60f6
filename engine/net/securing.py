"""TLS on a new connection of the loop, as its accepting side: greeting, handshake, certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.net.protocols import SNIFFED_BYTES
from engine.net.reactor import READABLE
from engine.net.tls import TlsRefused, greeting_refusal, handshake_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.tls import PeerCertificate
    from engine.net.reactor import Reactor
    from engine.net.stream import Stream
    from engine.net.tls import Handshake, PortTls


class TlsSetup:
    """What is done until a connection is secured; used on the loop's thread."""

    def __init__(
        self,
        reactor: Reactor,
        stream: Stream,
        tls: PortTls,
        secured: Callable[[PeerCertificate | None], object],
        refused: Callable[[TlsRefused], object],
    ) -> None:
        """Begin with a plain connection.

        Args:
            reactor: lends a thread that may read files.
            stream: the connection.
            tls: that of its port.
            secured: is called with what the caller showed, once the handshake is done.
            refused: is called if it won't be; without a reason if the caller only looked.
        """
        self._reactor, self._stream, self._tls = reactor, stream, tls
        self._secured, self._refused = secured, refused
        self._handshake: Handshake | None = None
        """Known from when a thread of the pool has read the certificates."""

    def go_on(self) -> None:
        """Do what can be done now that the stream is ready."""
        if self._handshake is None:
            self._greet()
        else:
            self._step_handshake(self._handshake)

    def _greet(self) -> None:
        """Look at the caller's first bytes, and leave them where they are."""
        head = self._stream.peek(SNIFFED_BYTES)
        refused = greeting_refusal(head)
        if refused is not None:
            self._refused(refused)
            return
        self._stream.wait_for(0)
        self._reactor.run_in_pool(self._tls.prepare, self._prepared)

    def _prepared(self, handshake: Handshake | TlsRefused) -> None:
        if self._stream.is_closed:
            return
        if isinstance(handshake, TlsRefused):
            self._refused(handshake)
            return
        try:
            self._stream.secure(handshake)
        except OSError as error:
            self._refused(TlsRefused(handshake_words(error)))
            return
        self._handshake = handshake
        self._stream.wait_for(READABLE)

    def _step_handshake(self, handshake: Handshake) -> None:
        try:
            if not self._stream.step_handshake():
                return
            certificate = self._tls.caller_of(self._stream.secured, handshake)
        except TlsRefused as refused:
            self._refused(refused)
        except OSError as error:
            self._refused(TlsRefused(handshake_words(error)))
        else:
            self._secured(certificate)
