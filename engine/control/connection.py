"""One HTTP connection: who it is, how long a request may take, how long a reader may not read."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from engine.control.peers import Peer, local_peer

if TYPE_CHECKING:
    import asyncio

REQUEST_SECONDS = 10.0
"""From the first byte of a request, or from connecting, to its last byte."""
READER_SECONDS = 20.0
"""How long a client may leave its answer where it is."""
IDLE_SECONDS = 30
MAX_CONNECTIONS = 128
MAX_CONNECTIONS_PER_PROCESS = 32


class ControlConnection(H11Protocol):
    """Ends itself when its peer is too slow; lives in the server's event loop."""

    def __init__(self, *arguments: Any, token: str = "", **named: Any) -> None:
        """Take what uvicorn gives, and the token that clients from elsewhere must show."""
        super().__init__(*arguments, **named)
        self._token = token
        self._peer: Peer | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find out who it is."""
        super().connection_made(transport)
        try:
            self._peer = _peer_of(transport, self._token)
        except OSError:
            transport.abort()
            return
        self.app_state = {**self.app_state, "peer": self._peer}
        others = [c for c in self.connections if getattr(c, "_peer", None) == self._peer]
        if len(self.connections) > MAX_CONNECTIONS or len(others) > MAX_CONNECTIONS_PER_PROCESS:
            transport.abort()
        else:
            self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            self._expect_request()
        else:
            _cancel(self._reading)
            self._reading = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        for timer in (self._reading, self._writing):
            _cancel(timer)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to count how long nothing is read."""
        super().pause_writing()
        self._writing = self.loop.call_later(READER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop counting."""
        _cancel(self._writing)
        super().resume_writing()

    def _expect_request(self) -> None:
        if self._reading is None:
            self._reading = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)


def _peer_of(transport: asyncio.BaseTransport, token: str) -> Peer:
    connected = transport.get_extra_info("socket")
    if connected.family == socket.AF_UNIX:
        return local_peer(connected)
    host, *_ = transport.get_extra_info("peername")
    return Peer(f"token from {host}", token=token)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
