"""The control server: accepts, limits and serves connections on a thread with an event loop."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from engine.model.peer import origin_of
from engine.net.admission import ConnectionLimits, ConnectionTable
from engine.remote.callers import ApiCaller, local_peer
from engine.remote.routes import EventStream, application

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from engine.api import EngineView
    from engine.events import Event
    from engine.net.admission import TableEntry


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
        protocol: Callable[[ApiCaller, TableEntry], ControlConnection],
        *,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        uid_behind: Callable[[int], int | None] = lambda _pid: None,
    ) -> None:
        """Take the socket, and what serves its connections.

        Args:
            listening: a UNIX or TCP socket; closed by `close`.
            table: counts the connections.
            protocol: makes what serves one connection.
            token: what clients of a TCP socket must show.
            tls: None for plain HTTP.
            uid_behind: as for `local_peer`.
        """
        self._listening = listening
        self._table = table
        self._protocol = protocol
        self._token = token
        self._tls = tls
        self._uid_behind = uid_behind
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
        """Accept waiting connections, up to a number, so that open ones have their turn."""
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
        """Pause accepting; waiting connections stay in the backlog."""
        _logger.warning("no connection accepted: %s", error.strerror)
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
        # At once: asyncio shows a connection to its protocol only after the TLS handshake,
        # and silent ones would not be counted.
        entry = self._table.enter(origin, task.cancel)
        try:
            connection = self._protocol(peer, entry)
            await self._connect(connected, connection)
            await connection.until_lost()
        except (OSError, asyncio.CancelledError):
            pass  # the peer is gone or too slow, or was closed in favour of another
        finally:
            entry.leave()

    def _peer_of(self, connected: socket.socket) -> tuple[ApiCaller, str]:
        connected.setblocking(False)
        if connected.family == socket.AF_UNIX:
            peer = local_peer(connected, self._uid_behind)
            return peer, f"process {peer.pid}"
        host, *_ = connected.getpeername()
        network = origin_of(ip_address(host))
        return ApiCaller(f"token from {host}", token=self._token, network=network), network

    async def _connect(self, connected: socket.socket, connection: ControlConnection) -> None:
        """Give a connection to its protocol, through TLS if that is asked for."""
        deadline = self._loop.time() + HANDSHAKE_SECONDS
        tls = self._tls
        try:
            if tls is not None:
                # TLS takes some 300 kB for each connection: a silent one must not have that.
                async with asyncio.timeout_at(deadline):
                    await self._first_byte(connected)
        except BaseException:
            connected.close()
            raise
        # asyncio takes no time limit of 0.
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


REQUEST_SECONDS = 10.0
"""From the first byte of a request, or from connecting, to its last byte."""
READER_SECONDS = 20.0
"""How long a client may leave its answer unread."""
IDLE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long one connection may take, in seconds."""

    request: float
    """See `REQUEST_SECONDS`."""
    reader: float
    """See `READER_SECONDS`."""


class ControlConnection(H11Protocol):
    """Ends when its peer is too slow; lives in the server's event loop."""

    def __init__(
        self,
        *arguments: Any,
        peer: ApiCaller,
        entry: TableEntry,
        deadlines: Deadlines,
        **named: Any,
    ) -> None:
        """Take uvicorn's arguments, the caller, its entry of the table, and its deadlines."""
        super().__init__(*arguments, **named)
        self._deadlines = deadlines
        # uvicorn gives each request a copy.
        self.app_state = {"peer": peer, "entry": entry}
        self._lost: asyncio.Future[None] = self.loop.create_future()
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    async def until_lost(self) -> None:
        """Wait until the connection has ended; cancelling ends it."""
        try:
            await self._lost
        finally:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request."""
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
        """Start the deadline for a peer that does not read."""
        super().pause_writing()
        self._writing = self.loop.call_later(self._deadlines.reader, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel that deadline."""
        _cancel(self._writing)
        super().resume_writing()

    def _expect_request(self) -> None:
        # Not moved by further bytes: a request that comes byte by byte must end in time as well.
        if self._reading is None:
            self._reading = self.loop.call_later(self._deadlines.request, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


MAX_HEADER_BYTES = 16 * 1024
GRACE_SECONDS = 2
"""How long requests may go on when the server stops."""
JOIN_SECONDS = 15.0


class HttpServer(ABC):
    """Serves listening sockets; `start` and `stop` may be called from any thread."""

    def __init__(self, name: str, sockets: Sequence[socket.socket]) -> None:
        """Take the name of the thread, and listening sockets, which are closed at the end."""
        self._name = name
        self._sockets = sockets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to serve; connections made before are waiting already."""
        self._thread.start()

    def stop(self) -> None:
        """Let requests finish for a moment, then end every connection."""
        # The thread may just be making its loop.
        self._ready.wait(JOIN_SECONDS)
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(JOIN_SECONDS)

    @abstractmethod
    def _listen(self, state: ServerState, ending: ExitStack) -> None:
        """Begin to accept on every socket, in the event loop; `ending` ends that there."""

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            _logger.exception("the %s server ended", self._name)
        finally:
            self._ready.set()
            for listening in self._sockets:
                listening.close()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        state = ServerState()
        with ExitStack() as ending:
            self._listen(state, ending)
            self._ready.set()
            await self._stopping.wait()
        await _finish(state)


class ControlServer(HttpServer):
    """Serves an engine's control API."""

    def __init__(
        self,
        engine: EngineView,
        local: socket.socket,
        *,
        remote: socket.socket | None = None,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        more: Sequence[BaseRoute] = (),
        report: Callable[[Event], object] = lambda _event: None,
        uid_behind: Callable[[int], int | None] = lambda _pid: None,
    ) -> None:
        """Take what is served and where.

        Args:
            engine: is called from several threads.
            local: a listening UNIX socket; its mode decides who may connect.
            remote: a listening TCP socket, for clients with the token.
            token: for clients of `remote`.
            tls: for clients of `remote`; None speaks plain HTTP.
            more: further routes, see `application`.
            report: records events in the engine's journal.
            uid_behind: as for `local_peer`.
        """
        super().__init__("control", [local] if remote is None else [local, remote])
        self._engine = engine
        self._local = local
        self._remote = remote
        self._token = token
        self._tls = tls
        self._more = more
        self._report = report
        self._uid_behind = uid_behind

    def _listen(self, state: ServerState, ending: ExitStack) -> None:
        news = EventStream(self._engine)
        ending.callback(news.end)  # else its answers would never end
        app = application(self._engine, more=self._more, news=news, report=self._report)
        connection = partial(_connection, configure(app), state)
        local = ControlListener(self._local, _table(), connection, uid_behind=self._uid_behind)
        ending.callback(local.close)
        if self._remote is not None:
            remote = ControlListener(
                self._remote, _table(), connection, token=self._token, tls=self._tls
            )
            ending.callback(remote.close)


async def _finish(state: ServerState) -> None:
    """Take no more requests; give those in progress `GRACE_SECONDS`."""
    for connection in list(state.connections):
        connection.shutdown()
    tasks = set(state.tasks)
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()


def _table() -> ConnectionTable:
    # A part of the descriptors only: reception needs them as well.
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ConnectionTable(ConnectionLimits.within(descriptors))


def _connection(
    config: uvicorn.Config, state: ServerState, peer: ApiCaller, entry: TableEntry
) -> ControlConnection:
    deadlines = Deadlines(REQUEST_SECONDS, READER_SECONDS)
    return ControlConnection(config, state, {}, peer=peer, entry=entry, deadlines=deadlines)


def configure(app: ASGIApp) -> uvicorn.Config:
    """Return how uvicorn's connections serve an application."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # what clients do wrong is told to them
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        # A header without an end must not fill the memory.
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.load()
    return config
