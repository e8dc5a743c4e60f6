"""One connection of the loop: greeting, plain or TLS, then its bytes; nothing here waits."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.net.protocols import SNIFFED_BYTES
from engine.net.reactor import READABLE, WRITABLE
from engine.net.tls import TlsConnection, TlsRefused, greeting_refusal, handshake_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.tls import PeerCertificate
    from engine.net.reactor import Reactor
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


class Stream:
    """Used on the loop's thread; only `hang_up` may be called by others."""

    def __init__(
        self, reactor: Reactor, connected: socket.socket, on_ready: Callable[[], object]
    ) -> None:
        """Begin without waiting for anything.

        Args:
            reactor: calls.
            connected: a connection that does not block.
            on_ready: is called when what is waited for can be done.
        """
        self._reactor = reactor
        self._socket = connected
        self._fd = connected.fileno()
        self._on_ready = on_ready
        self._waits_for = 0
        self.unsent = b""
        """What the peer has not taken yet; nothing is to be received until it has."""
        self.unsent_since = 0.0

    def wait_for(self, events: int) -> None:
        """Let the loop tell when it can be read or written; 0 for not at all."""
        # Nearly every call asks for what is waited for already: no system call for it.
        if events == self._waits_for:
            return
        if not self._waits_for:
            self._reactor.register(self._fd, self._be_ready, events)
        elif events:
            self._reactor.modify(self._fd, events)
        else:
            self._reactor.forget(self._fd)
        self._waits_for = events

    def _be_ready(self, _: int) -> None:
        self._on_ready()

    def peek(self, size: int) -> bytes:
        """Return the first bytes of a plain connection, and leave them where they are."""
        # The TLS library must find the ClientHello where it is: what was read could not be given
        # back.
        return self._socket.recv(size, socket.MSG_PEEK)

    def secure(self, handshake: Handshake) -> None:
        """Begin to speak TLS.

        Raises:
            OSError: if that can't be.
        """
        self._socket = handshake.wrap(self._socket)

    @property
    def secured(self) -> TlsConnection:
        """The TLS of this connection, which has some."""
        assert isinstance(self._socket, TlsConnection)
        return self._socket

    def step_handshake(self) -> bool:
        """Go on with the TLS handshake; tell whether it is done.

        Raises:
            OSError: if it fails.
        """
        try:
            self.secured.do_handshake()
        # TLS says what it waits for. The other direction would be ready at once, and the loop would
        # spin.
        except ssl.SSLWantReadError:
            self.wait_for(READABLE)
            return False
        except ssl.SSLWantWriteError:
            self.wait_for(WRITABLE)
            return False
        self.wait_for(READABLE)
        return True

    def receive(self, view: memoryview) -> int:
        """Receive what is there: its size, 0 at the end of the stream, -1 if nothing is there.

        Raises:
            OSError: if the connection is broken.
        """
        if self._waits_for & WRITABLE:  # it is now; a connection nearly always is
            self.wait_for(READABLE)
        try:
            return self._socket.recv_into(view)
        except (BlockingIOError, ssl.SSLWantReadError):
            return -1
        # TLS may have to answer the peer before it can read on, for example for new keys.
        except ssl.SSLWantWriteError:
            self.wait_for(READABLE | WRITABLE)
            return -1

    @property
    def has_pending(self) -> bool:
        """Whether more can be received that the descriptor does not tell of: within TLS."""
        # The TLS library reads whole records. What it has decrypted and not handed out is no longer
        # in the socket, so epoll does not report it.
        return isinstance(self._socket, TlsConnection) and self._socket.pending() > 0

    def send(self, data: bytes) -> None:
        """Send; what the peer does not take at once is `unsent`, and waited for.

        Raises:
            OSError: if the connection is broken.
        """
        # What follows unsent bytes must not overtake them.
        if not self.unsent:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                return
            data, self.unsent_since = data[sent:], self._reactor.now()
        self.unsent += data
        self.wait_for(WRITABLE)

    def flush(self) -> bool:
        """Send on; tell whether all is sent, and the stream waits for the peer again.

        Raises:
            OSError: if the connection is broken.
        """
        unsent, since, self.unsent = self.unsent, self.unsent_since, b""
        self.send(unsent)
        if self.unsent:
            # A peer that takes a few bytes now and then has the same deadline: it begins with the
            # first byte that was not taken.
            self.unsent_since = since
            return False
        self.wait_for(READABLE)
        return True

    def half_close(self) -> None:
        """Say that nothing follows.

        Raises:
            OSError: if the connection is broken.
        """
        if isinstance(self._socket, TlsConnection):
            with suppress(OSError, ValueError):  # the peer need not answer our close_notify
                self._socket.unwrap()
        socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def discard(self, view: memoryview) -> int:
        """Receive what comes and forget it: its size, 0 if the peer has ended its side, too."""
        try:
            # Past TLS: what is thrown away need not be decrypted.
            return socket.socket.recv_into(self._socket, view)
        except BlockingIOError:
            return -1

    @property
    def is_closed(self) -> bool:
        """Whether it is closed on our side."""
        return self._socket.fileno() == -1

    def close(self) -> None:
        """Close the connection."""
        self.wait_for(0)
        with suppress(OSError):
            self._socket.close()

    def hang_up(self) -> None:
        """Break the connection; callable from any thread, and returns at once."""
        with suppress(OSError):
            # Not closed: the number of the descriptor could be another connection's before the
            # loop's thread has forgotten it. The loop sees the end of the stream, and closes.
            self._socket.shutdown(socket.SHUT_RDWR)
