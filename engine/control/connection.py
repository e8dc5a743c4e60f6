"""One HTTP connection: who it is, how long a request may take, how long a reader may not read."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from engine.control.peers import Peer, local_peer

if TYPE_CHECKING:
    from engine.control.server import Served

REQUEST_SECONDS = 10.0
"""From the first byte of a request, or from connecting, to its last byte."""
READER_SECONDS = 20.0
"""How long a client may leave its answer where it is."""
IDLE_SECONDS = 30
MAX_CONNECTIONS = 128
MAX_CONNECTIONS_PER_PROCESS = 32


class ControlConnection(H11Protocol):
    """Ends itself when its peer is too slow; lives in the server's event loop."""

    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _peer: Peer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find out who it is."""
        super().connection_made(transport)
        try:
            self._peer = _peer(transport, cast("Served", self.config.served))  # type: ignore[attr-defined]
        except OSError:
            transport.abort()
            return
        self.app_state = {**self.app_state, "peer": self._peer}
        others = [c for c in self.connections if cast(ControlConnection, c)._peer == self._peer]
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
            self._reading = _cancelled(self._reading)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._reading, self._writing = _cancelled(self._reading), _cancelled(self._writing)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to count how long nothing is read."""
        super().pause_writing()
        self._writing = self.loop.call_later(READER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop counting."""
        self._writing = _cancelled(self._writing)
        super().resume_writing()

    def _expect_request(self) -> None:
        if self._reading is None:
            self._reading = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
