"""The control server: one thread with an event loop, which serves an engine until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import resource
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from engine.connection_table import ConnectionLimits, ConnectionTable
from engine.control.connection import IDLE_SECONDS, ControlConnection
from engine.control.listener import ControlListener
from engine.control.routes import application
from engine.control.stream import NewsStream

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Sequence

    from starlette.routing import BaseRoute

    from engine.connection_table import TableEntry
    from engine.control.peers import Peer
    from engine.events import Event
    from engine.view import EngineView

MAX_HEADER_BYTES = 16 * 1024
GRACE_SECONDS = 2
"""How long requests may go on when the server stops."""
JOIN_SECONDS = 15.0

_logger = logging.getLogger(__name__)


class ControlServer:
    """Serves an engine on listening sockets; `start` and `stop` may be called from any thread."""

    def __init__(
        self,
        engine: EngineView,
        local: socket.socket,
        *,
        remote: socket.socket | None = None,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        more: Sequence[BaseRoute] = (),
        tell: Callable[[Event], object] = lambda _event: None,
    ) -> None:
        """Take what is served and where.

        Args:
            engine: answers from any thread.
            local: a listening UNIX socket; its permissions say who may come.
            remote: a listening TCP socket, for clients that show the token.
            token: for clients of `remote`.
            tls: for clients of `remote`; None speaks plain HTTP.
            more: further routes, see `application`.
            tell: records events in the engine's journal.
        """
        self._engine = engine
        self._local = local
        self._remote = remote
        self._token = token
        self._tls = tls
        self._more = more
        self._tell = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to serve; connections made before are waiting already."""
        self._thread.start()

    def stop(self) -> None:
        """Let requests finish for a moment, then end every connection."""
        self._ready.wait(JOIN_SECONDS)
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            _logger.exception("the control server ended")
        finally:
            self._ready.set()
            for listening in (self._local, self._remote):
                if listening is not None:
                    listening.close()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        news = NewsStream(self._engine)
        config = _config(application(self._engine, more=self._more, news=news, tell=self._tell))
        state = ServerState()
        connection = partial(_connection, config, state)
        listeners = [ControlListener(self._local, _table(), connection)]
        if self._remote is not None:
            remote = ControlListener(
                self._remote, _table(), connection, token=self._token, tls=self._tls
            )
            listeners.append(remote)
        self._ready.set()
        await self._stopping.wait()
        for listener in listeners:
            listener.close()
        news.end()
        await _finish(state)


async def _finish(state: ServerState) -> None:
    """Take no more requests; those that are served may go on for a moment."""
    for connection in list(state.connections):
        connection.shutdown()
    tasks = set(state.tasks)
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()


def _table() -> ConnectionTable:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ConnectionTable(ConnectionLimits.within(descriptors))


def _connection(
    config: uvicorn.Config, state: ServerState, peer: Peer, entry: TableEntry
) -> ControlConnection:
    return ControlConnection(config, state, {}, peer=peer, entry=entry)


def _config(app: Any) -> uvicorn.Config:
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
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.load()
    return config
