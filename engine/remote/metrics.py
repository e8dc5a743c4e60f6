"""Metrics and health over HTTP: as routes of the control API, and by a server of their own.

The server has its own thread, loop and limits, so that monitoring works while the control API is
busy. It only reads. On the loopback anybody may; beyond it, clients show a token of its own, or are
in a network that is allowed.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.errors import ConfigurationError
from engine.events.monitoring import MetricsUnavailable
from engine.model.peer import MetricsAddress, metrics_networks
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
from engine.remote.tokens import token_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    import uvicorn
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn.server import ServerState

    from engine.api import EngineView
    from engine.events import Event
    from engine.net.admission import TableEntry
    from engine.remote.callers import ApiCaller
    from engine.settings import EngineSettings

REQUESTS_AT_ONCE = 4
REQUEST_SECONDS = 5.0
"""From accept to the last byte of a request, and again for a peer that does not read."""
_BACKLOG = 128
_PROBES = frozenset({"/alive", "/ready"})
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")


def metrics_routes() -> tuple[BaseRoute, ...]:
    """Return the routes; they ask ``request.app.state.engine``."""
    return (
        Route("/metrics", _metrics),
        Route("/health", _health),
        Route("/alive", _alive),
        Route("/ready", _ready),
    )


async def _metrics(request: Request) -> Response:
    engine: EngineView = request.app.state.engine
    text = await run_in_threadpool(engine.monitoring.metrics)
    # As a header, because Starlette would add a character set to `media_type`.
    return Response(text, headers={"Content-Type": CONTENT_TYPE})


async def _health(request: Request) -> Response:
    engine: EngineView = request.app.state.engine
    health = await run_in_threadpool(engine.monitoring.health)
    status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps({"ok": health.ok, **asdict(health)}) + "\n"
    return Response(body, status, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read."""

    token: str = ""
    """What other clients show; empty on the loopback, where nobody needs it."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Whose clients need no token."""

    def admits(self, client: IPv4Address | IPv6Address, authorization: bytes) -> bool:
        """Tell whether a client may read, by its address or its Authorization header."""
        if not self.token or client.is_loopback or any(client in one for one in self.networks):
            return True
        # In constant time, so that the answer's delay says nothing of the token.
        return hmac.compare_digest(authorization, f"Bearer {self.token}".encode())


async def _alive(request: Request) -> Response:
    """Answer a supervisor that restarts an engine; a full storage, say, is no reason for that."""
    return await _probed(request, "alive")


async def _ready(request: Request) -> Response:
    """Answer a balancer, which leads callers to another dock while this one rejects them all."""
    return await _probed(request, "ready")


async def _probed(request: Request, word: Literal["alive", "ready"]) -> Response:
    engine: EngineView = request.app.state.engine
    health = await run_in_threadpool(engine.monitoring.health)
    is_so = health.alive if word == "alive" else health.ready
    status = HTTPStatus.OK if is_so else HTTPStatus.SERVICE_UNAVAILABLE
    return PlainTextResponse(f"{word}\n" if is_so else f"not {word}\n", status)


def serve_metrics(
    engine: EngineView,
    settings: EngineSettings,
    report: Callable[[Event], object] = lambda _event: None,
) -> Callable[[], None]:
    """Serve metrics and health as the settings say; return the function that ends it.

    If that is not possible, it is an event and no error: reception must not depend on it.

    Args:
        engine: is asked for metrics and health.
        settings: where, and to whom.
        report: records the event.

    Raises:
        ConfigurationError: if the address or a network is none.
    """
    if not settings.metrics:
        return lambda: None
    place, access = MetricsAddress.parse(settings.metrics), Access()
    networks = metrics_networks(settings.metrics_allow)
    try:
        if not place.is_loopback:
            access = Access(token_of(settings.metrics_token_file), networks)
        listening = listen_on(place)
    except ConfigurationError as error:
        report(MetricsUnavailable(address=settings.metrics, why=error.detail))
        return lambda: None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        report(MetricsUnavailable(address=settings.metrics, why=why))
        return lambda: None
    server = MetricsServer(engine, listening, access)
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

    def __init__(
        self, engine: EngineView, listening: socket.socket, access: Access | None = None
    ) -> None:
        """Take the engine, a listening socket, and who may read; None is for the loopback."""
        super().__init__("metrics", [listening])
        self._access = access or Access()
        self._engine = engine
        self._listening = listening

    def _listen(self, state: ServerState, ending: ExitStack) -> None:
        app = Starlette(routes=metrics_routes())
        app.router.redirect_slashes = False
        app.state.engine = self._engine
        config = configure(_Guarded(app, self._access))
        table = ConnectionTable(ConnectionLimits(*(REQUESTS_AT_ONCE,) * 4))
        listener = ControlListener(self._listening, table, partial(_connection, config, state))
        ending.callback(listener.close)


class _Connection(ControlConnection):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Buffer nothing, so that the deadline applies to each peer that does not read."""
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)


def _connection(
    config: uvicorn.Config, state: ServerState, peer: ApiCaller, entry: TableEntry
) -> _Connection:
    deadlines = Deadlines(REQUEST_SECONDS, REQUEST_SECONDS)
    return _Connection(config, state, {}, peer=peer, entry=entry, deadlines=deadlines)


class _Guarded:
    """Rejects all other requests; each connection gets one answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        # Beside the table of connections: a peer that disconnects leaves it while the work goes on.
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
        """Return the answer that rejects a request; None if it is to be served."""
        if scope["method"] not in {"GET", "HEAD"}:
            return PlainTextResponse("only GET and HEAD are answered\n", HTTPStatus.NOT_IMPLEMENTED)
        headers, client = dict(scope["headers"]), ip_address(scope["client"][0])
        # Probes have no token, and learn no more than the port tells anybody.
        if scope["path"] not in _PROBES and not self._access.admits(
            client, headers.get(b"authorization", b"")
        ):
            asked = {"WWW-Authenticate": "Bearer"}
            wanted = "show the token of metrics.token: Authorization: Bearer ...\n"
            return PlainTextResponse(wanted, HTTPStatus.UNAUTHORIZED, asked)
        if self._answering.locked() or not admitted(scope):
            many = "too many connections are open\n"
            return PlainTextResponse(many, HTTPStatus.SERVICE_UNAVAILABLE)
        if client.is_loopback and not _is_ours(headers.get(b"host")):
            # Against DNS rebinding: a web page must not read here under a name of its own.
            return PlainTextResponse("this host is not served\n", HTTPStatus.MISDIRECTED_REQUEST)
        if scope["path"] not in {"/metrics", "/health", *_PROBES}:
            there = "see /metrics, /health, /alive, /ready\n"
            return PlainTextResponse(there, HTTPStatus.NOT_FOUND)
        return None


def _is_ours(host: bytes | None) -> bool:
    """Tell whether a Host header names this machine; HTTP/1.0 may have none."""
    if host is None:
        return True
    found = _HOST.fullmatch(host.decode("latin-1"))
    if not found:
        return False
    with suppress(ValueError):
        return found[1] == "localhost" or ip_address(found[1].strip("[]")).is_loopback
    return False
