"""TLS on a new connection of the loop, as its accepting side: greeting, handshake, certificate."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from engine.net.protocols import GREETING_BYTES
from engine.net.reactor import READABLE
from engine.net.tls import Refused, greeting_refusal, handshake_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.tls import PeerCertificate
    from engine.net.reactor import Reactor
    from engine.net.stream import Stream
    from engine.net.tls import Handshake, PortTls


class _Step(Enum):
    GREETING = auto()
    """The caller's first bytes are due."""
    PREPARING = auto()
    """A thread of the pool reads certificates."""
    HANDSHAKE = auto()


class Securing:
    """What is done until a connection is secured; used on the loop's thread."""

    def __init__(
        self,
        reactor: Reactor,
        stream: Stream,
        tls: PortTls,
        secured: Callable[[PeerCertificate | None], object],
        refused: Callable[[Refused], object],
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
        self._step = _Step.GREETING
        self._handshake: Handshake | None = None

    def go_on(self) -> None:
        """Do what can be done now that the stream is ready."""
        if self._step is _Step.GREETING:
            self._greet()
        elif self._step is _Step.HANDSHAKE:
            self._shake_hands()

    def _greet(self) -> None:
        """Look at the caller's first bytes, and leave them where they are."""
        head = self._stream.peek(GREETING_BYTES)
        refused = greeting_refusal(head)
        if refused is not None:
            self._refused(refused)
            return
        self._step = _Step.PREPARING
        self._stream.wait_for(0)
        self._reactor.finish_elsewhere(self._tls.prepare, self._prepared)

    def _prepared(self, handshake: Handshake | Refused) -> None:
        if self._stream.is_closed:
            return
        if isinstance(handshake, Refused):
            self._refused(handshake)
            return
        try:
            self._stream.secure(handshake)
        except OSError as error:
            self._refused(Refused(handshake_words(error)))
            return
        self._handshake, self._step = handshake, _Step.HANDSHAKE
        self._stream.wait_for(READABLE)
        self._shake_hands()

    def _shake_hands(self) -> None:
        assert self._handshake is not None
        try:
            if not self._stream.shake_hands():
                return
            certificate = self._tls.caller_of(self._stream.secured, self._handshake)
        except Refused as refused:
            self._refused(refused)
        except OSError as error:
            self._refused(Refused(handshake_words(error)))
        else:
            self._secured(certificate)
