"""One HTTP connection: how long a request may take, and how long a reader may not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from engine.connection_table import TableEntry
    from engine.control.peers import Peer

REQUEST_SECONDS = 10.0
"""From the first byte of a request, or from connecting, to its last byte."""
READER_SECONDS = 20.0
"""How long a client may leave its answer where it is."""
IDLE_SECONDS = 30


class ControlConnection(H11Protocol):
    """Ends itself when its peer is too slow; lives in the server's event loop."""

    def __init__(self, *arguments: Any, peer: Peer, entry: TableEntry, **named: Any) -> None:
        """Take what uvicorn gives, who is at the other end, and its place in the table."""
        super().__init__(*arguments, **named)
        # uvicorn gives each request a copy.
        self.app_state = {"peer": peer, "entry": entry}
        self._lost: asyncio.Future[None] = self.loop.create_future()
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    async def until_lost(self) -> None:
        """Wait until the connection has ended; to cancel that ends it."""
        try:
            await self._lost
        finally:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count the time of the first request."""
        super().connection_made(transport)
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
        if not self._lost.done():
            self._lost.set_result(None)

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


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
