"""The control server: one thread with an event loop, which serves an engine until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from engine.control.connection import IDLE_SECONDS, ControlConnection
from engine.control.routes import application
from engine.control.stream import NewsStream

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

    from starlette.routing import BaseRoute

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
    ) -> None:
        """Take what is served and where.

        Args:
            engine: answers from any thread.
            local: a listening UNIX socket; its permissions say who may come.
            remote: a listening TCP socket, for clients that show the token.
            token: for clients of `remote`.
            tls: for clients of `remote`; None speaks plain HTTP.
            more: further routes, see `application`.
        """
        self._engine = engine
        self._local = local
        self._remote = remote
        self._token = token
        self._tls = tls
        self._more = more
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
        app = application(self._engine, more=self._more, news=news)
        servers = [_Server(_config(app), self._stopping).serve([self._local])]
        if self._remote is not None:
            config = _config(app, self._token, self._tls)
            servers.append(_Server(config, self._stopping).serve([self._remote]))
        self._ready.set()
        await asyncio.gather(*servers, self._end(news, self._stopping))

    async def _end(self, news: NewsStream, stopping: asyncio.Event) -> None:
        await stopping.wait()
        news.end()


class _Server(uvicorn.Server):
    """Waits for what is to come, where uvicorn looks ten times a second whether it has."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def main_loop(self) -> None:
        """Do nothing until it is over."""
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests; those that are served may go on for a moment."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = set(self.server_state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()


def _config(app: Any, token: str = "", tls: ssl.SSLContext | None = None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=partial(ControlConnection, token=token),  # type: ignore[arg-type]
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
    config.ssl = tls
    return config
