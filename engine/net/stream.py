"""One connection of the loop, plain or TLS: handshake, reading and writing, without blocking."""

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
    """The TLS handshake of one connection; used on the loop's thread."""

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
            reactor: its pool reads the certificate files.
            stream: the connection.
            tls: the TLS of its port.
            secured: called with the caller's certificate, once the handshake is done.
            refused: called if it fails; without a reason if the caller sent nothing.
        """
        self._reactor, self._stream, self._tls = reactor, stream, tls
        self._secured, self._refused = secured, refused
        self._handshake: Handshake | None = None
        """None until a thread of the pool has read the certificates."""

    def go_on(self) -> None:
        """Continue with the handshake; call it when the stream is ready."""
        if self._handshake is None:
            self._greet()
        else:
            self._step_handshake(self._handshake)

    def _greet(self) -> None:
        """Check the caller's first bytes, without taking them from the socket."""
        head = self._stream.peek(SNIFFED_BYTES)
        refused = greeting_refusal(head)
        if refused is not None:
            self._refused(refused)
            return
        # Certificate files may be on slow storage, so a thread of the pool reads them.
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
    """One non-blocking connection; used on the loop's thread. Others may call `hang_up` only."""

    def __init__(
        self, reactor: Reactor, connected: socket.socket, on_ready: Callable[[], object]
    ) -> None:
        """Begin without waiting for anything.

        Args:
            reactor: the loop.
            connected: a non-blocking socket.
            on_ready: called when an event of `wait_for` has come.
        """
        self._reactor = reactor
        self._socket = connected
        self._fd = connected.fileno()
        self._on_ready = on_ready
        self._waits_for = 0
        self.unsent = b""
        """Bytes that did not fit into the socket; do not receive until they are sent."""
        self.unsent_since = 0.0

    def wait_for(self, events: int) -> None:
        """Let the loop wait until it can be read or written; 0 for neither."""
        # Nearly every call asks for the present events: that makes no system call.
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
        """Return the first bytes of a plain connection, without taking them from the socket."""
        # The TLS library must find the ClientHello in the socket: bytes that were read can't be
        # given back.
        return self._socket.recv(size, socket.MSG_PEEK)

    def secure(self, handshake: Handshake) -> None:
        """Put TLS on the connection; `step_handshake` follows.

        Raises:
            OSError: if that fails.
        """
        self._socket = handshake.wrap(self._socket)

    @property
    def secured(self) -> TlsConnection:
        """The TLS connection, after `secure`."""
        assert isinstance(self._socket, TlsConnection)
        return self._socket

    def step_handshake(self) -> bool:
        """Continue the TLS handshake; return whether it is done.

        Raises:
            OSError: if it fails.
        """
        try:
            self.secured.do_handshake()
        # Wait for the direction that TLS names: the other one would be ready at once, and the loop
        # would spin.
        except ssl.SSLWantReadError:
            self.wait_for(READABLE)
            return False
        except ssl.SSLWantWriteError:
            self.wait_for(WRITABLE)
            return False
        self.wait_for(READABLE)
        return True

    def receive(self, view: memoryview) -> int:
        """Receive bytes; return their number, 0 at the end of the stream, -1 if none are there.

        Raises:
            OSError: if the connection is broken.
        """
        # Waited for because TLS had to write. A connection is nearly always writable, so the loop
        # would spin.
        if self._waits_for & WRITABLE:
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
        """Whether the TLS library holds more bytes, which epoll does not report."""
        # The TLS library reads whole records. What it has decrypted and not handed out is no longer
        # in the socket, so epoll does not report it.
        return isinstance(self._socket, TlsConnection) and self._socket.pending() > 0

    def send(self, data: bytes) -> None:
        """Send; bytes that do not fit into the socket become `unsent`, and are waited for.

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
        """Send unsent bytes; return whether all are sent, and then wait for the peer again.

        Raises:
            OSError: if the connection is broken.
        """
        unsent, since, self.unsent = self.unsent, self.unsent_since, b""
        self.send(unsent)
        if self.unsent:
            # A peer that reads a few bytes now and then has the same deadline: it begins with the
            # first byte that did not fit.
            self.unsent_since = since
            return False
        self.wait_for(READABLE)
        return True

    def half_close(self) -> None:
        """Tell the peer that nothing follows, in TLS and TCP.

        Raises:
            OSError: if the connection is broken.
        """
        if isinstance(self._socket, TlsConnection):
            with suppress(OSError, ValueError):  # the peer need not answer our close_notify
                self._socket.unwrap()
        socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def discard(self, view: memoryview) -> int:
        """Receive and discard bytes; return their number, 0 if the peer has closed its side."""
        try:
            # Past TLS: bytes that are discarded need not be decrypted.
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
        """Break the connection; may be called from any thread, and returns at once."""
        with suppress(OSError):
            # Not closed: the number of the descriptor could be another connection's before the
            # loop's thread has forgotten it. The loop sees the end of the stream, and closes.
            self._socket.shutdown(socket.SHUT_RDWR)
