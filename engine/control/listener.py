"""Accepts the connections of one listening socket; each is served by a task of its own.

A connection is counted and timed from here on, so before TLS. TLS begins with the first byte: a
silent connection costs a descriptor and little memory.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.addresses import origin_of
from engine.control.peers import Peer, local_peer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from engine.connection_table import ConnectionTable, TableEntry
    from engine.control.connection import ControlConnection

HANDSHAKE_SECONDS = 5.0
"""From accept to the end of the TLS handshake."""
REST_SECONDS = 1.0
"""How long no connection is accepted when there was no descriptor for one."""
_ACCEPTED_AT_ONCE = 32
_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_logger = logging.getLogger(__name__)


class ControlListener:
    """One listening socket; every method is called in the server's event loop."""

    def __init__(
        self,
        listening: socket.socket,
        table: ConnectionTable,
        protocol: Callable[[Peer, TableEntry], ControlConnection],
        *,
        token: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the socket, and what serves its connections.

        Args:
            listening: a UNIX or TCP socket; closed by `close`.
            table: counts the connections.
            protocol: makes what serves one connection.
            token: what clients of a TCP socket must show.
            tls: None for plain HTTP.
        """
        self._listening = listening
        self._table = table
        self._protocol = protocol
        self._token = token
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._is_closed = False
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept no more connections; open ones go on."""
        self._is_closed = True
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def _listen(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        """Accept who waits, up to a number: then the open connections have their turn."""
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connected, _ = self._listening.accept()
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._rest(error)
                return
            task = self._loop.create_task(self._serve(connected))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    def _rest(self, error: OSError) -> None:
        """Accept nobody for a moment: who waits to be accepted keeps waiting."""
        _logger.warning("control: no connection accepted: %s", error.strerror)
        self._loop.remove_reader(self._listening)
        self._loop.call_later(REST_SECONDS, self._listen)

    async def _serve(self, connected: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            peer, origin = self._peer_of(connected)
        except (OSError, ValueError):
            connected.close()
            return
        entry = self._table.enter(origin, task.cancel)
        try:
            connection = self._protocol(peer, entry)
            await self._connect(connected, connection)
            await connection.until_lost()
        except (OSError, asyncio.CancelledError):
            pass  # the peer is gone or too slow, or gave way to another; there is nobody to tell
        finally:
            entry.leave()

    def _peer_of(self, connected: socket.socket) -> tuple[Peer, str]:
        connected.setblocking(False)
        if connected.family == socket.AF_UNIX:
            peer = local_peer(connected)
            return peer, f"process {peer.pid}"
        host, *_ = connected.getpeername()
        network = origin_of(ip_address(host))
        return Peer(f"token from {host}", token=self._token, network=network), network

    async def _connect(self, connected: socket.socket, connection: ControlConnection) -> None:
        """Give a connection to its protocol, through TLS if that is asked for."""
        deadline = self._loop.time() + HANDSHAKE_SECONDS
        tls = self._tls
        try:
            if tls is not None:
                async with asyncio.timeout_at(deadline):
                    await self._first_byte(connected)
        except BaseException:
            connected.close()
            raise
        left = max(deadline - self._loop.time(), 0.1) if tls is not None else None
        await self._loop.connect_accepted_socket(
            lambda: connection, connected, ssl=tls, ssl_handshake_timeout=left
        )

    async def _first_byte(self, connected: socket.socket) -> None:
        """Wait until a peer has sent something, or has closed."""
        readable = self._loop.create_future()
        self._loop.add_reader(connected, _resolve, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(connected)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
