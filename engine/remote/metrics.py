"""Metrics and health over HTTP: routes of the control API, and a server of them alone.

That server, on the loopback, has a thread, a loop and limits of its own, so that monitoring works
while the control API is busy. Nobody is asked who they are: it reads, and can change nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.events.monitoring import MetricsUnavailable
from engine.model.peer import MetricsAddress
from engine.monitoring.exposition import CONTENT_TYPE
from engine.net.admission import ConnectionLimits, ConnectionTable
from engine.remote.callers import admitted
from engine.remote.server import (
    ControlConnection,
    ControlListener,
    Deadlines,
    HttpServer,
    configure,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    import uvicorn
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn.server import ServerState

    from engine.api import EngineView
    from engine.events import Event
    from engine.net.admission import TableEntry
    from engine.remote.callers import ApiCaller

REQUESTS_AT_ONCE = 4
REQUEST_SECONDS = 5.0
"""From accept to the last byte of a request, and again for a peer that leaves its answer."""
_BACKLOG = 128
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")


def metrics_routes() -> tuple[BaseRoute, ...]:
    """Return ``/metrics`` and ``/health``; they ask ``request.app.state.engine``."""
    return (Route("/metrics", _metrics), Route("/health", _health))


async def _metrics(request: Request) -> Response:
    engine: EngineView = request.app.state.engine
    text = await run_in_threadpool(engine.monitoring.metrics)
    # Said in full, for Starlette would add a character set of its own.
    return Response(text, headers={"Content-Type": CONTENT_TYPE})


async def _health(request: Request) -> Response:
    engine: EngineView = request.app.state.engine
    health = await run_in_threadpool(engine.monitoring.health)
    status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps({"ok": health.ok, **asdict(health)}) + "\n"
    return Response(body, status, media_type="application/json")


def serve_metrics(
    engine: EngineView, address: str, report: Callable[[Event], object] = lambda _event: None
) -> Callable[[], None]:
    """Serve metrics and health; return how to end that. No reception depends on it.

    Args:
        engine: what is asked.
        address: on the loopback, such as ``127.0.0.1:9404``; empty for none.
        report: records an event if nobody can listen there.

    Raises:
        ConfigurationError: if it is no such address.
    """
    if not address:
        return lambda: None
    try:
        listening = listen_on(MetricsAddress.parse(address))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        report(MetricsUnavailable(address=address, why=why))
        return lambda: None
    server = MetricsServer(engine, listening)
    server.start()
    return server.stop


def listen_on(place: MetricsAddress) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: if the address can't be had.
    """
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    return socket.create_server(place, family=family, backlog=_BACKLOG)


class MetricsServer(HttpServer):
    """Answers a few clients at a time; if more connect, the oldest silent one is closed."""

    def __init__(self, engine: EngineView, listening: socket.socket) -> None:
        """Take what is asked, and a listening socket on the loopback."""
        super().__init__("metrics", [listening])
        self._engine = engine
        self._listening = listening

    def _listen(self, state: ServerState, ending: ExitStack) -> None:
        app = Starlette(routes=metrics_routes())
        app.router.redirect_slashes = False
        app.state.engine = self._engine
        config = configure(_Guarded(app))
        table = ConnectionTable(ConnectionLimits(*(REQUESTS_AT_ONCE,) * 4))
        listener = ControlListener(self._listening, table, partial(_connection, config, state))
        ending.callback(listener.close)


class _Connection(ControlConnection):
    """One connection on the loopback."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the time of whoever leaves even a part of an answer: it holds one of few places."""
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)


def _connection(
    config: uvicorn.Config, state: ServerState, peer: ApiCaller, entry: TableEntry
) -> _Connection:
    deadlines = Deadlines(REQUEST_SECONDS, REQUEST_SECONDS)
    return _Connection(config, state, {}, peer=peer, entry=entry, deadlines=deadlines)


class _Guarded:
    """Refuses what is not answered; each connection has one answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # Beside the table: who goes away before the answer leaves that, and the work goes on.
        self._answering = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return None

        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                only = (b"cache-control", b"no-store"), (b"connection", b"close")
                message["headers"] = [*message["headers"], *only]
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            return await refused(scope, receive, stamped)
        async with self._answering:
            return await self._app(scope, receive, stamped)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return why a request is not answered, if it is not."""
        if scope["method"] not in {"GET", "HEAD"}:
            return PlainTextResponse("only GET and HEAD are answered\n", HTTPStatus.NOT_IMPLEMENTED)
        if self._answering.locked() or not admitted(scope):
            many = "too many connections are open\n"
            return PlainTextResponse(many, HTTPStatus.SERVICE_UNAVAILABLE)
        if not _is_ours(dict(scope["headers"]).get(b"host")):
            # A page that a browser loaded elsewhere must not read here under another name.
            return PlainTextResponse("this host is not served\n", HTTPStatus.MISDIRECTED_REQUEST)
        if scope["path"] not in {"/metrics", "/health"}:
            return PlainTextResponse("see /metrics and /health\n", HTTPStatus.NOT_FOUND)
        return None


def _is_ours(host: bytes | None) -> bool:
    """Tell whether a request means this machine; HTTP/1.0 may leave open whom it means."""
    if host is None:
        return True
    found = _HOST.fullmatch(host.decode("latin-1"))
    if not found:
        return False
    with suppress(ValueError):
        return found[1] == "localhost" or ip_address(found[1].strip("[]")).is_loopback
    return False
