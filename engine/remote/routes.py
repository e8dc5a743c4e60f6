"""The ASGI application: a route for each method of the view, urgent events, and further routes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import ValidationError as Refused
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine import __version__
from engine.errors import EngineError
from engine.events import ControlRefused, ControlUsed
from engine.events.repeats import Budget, Repetitions, should_report_repeat
from engine.host import terminal
from engine.remote.callers import actor_of, admitted, authorized, origin_of_request
from engine.remote.failures import ReadOnly, dump_error, status_of
from engine.remote.logins import Logins
from engine.remote.openapi import describe
from engine.remote.protocol import (
    ACTOR,
    BEAT,
    BEAT_SECONDS,
    JSON,
    PREFIX,
    PROTOCOL_HEADER,
    VERSION_HEADER,
    fingerprint,
    methods,
    written,
)
from engine.remote.schema import describe_problems
from engine.remote.snapshot_changes import SnapshotChangesView, SnapshotTracker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from engine.api import EngineView
    from engine.events import Event, RecordedEvent
    from engine.remote.protocol import Method


REFUSALS_PER_HOUR = 20
"""Most events about refused requests per hour: strangers must not fill the audit log."""
_HOUR_SECONDS = 3_600.0


class AccessLog:
    """Turns single requests into few events; used by one event loop."""

    def __init__(
        self, report: Callable[[Event], object], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the journal's `record`, and a clock in seconds."""
        self._report = report
        self._uses, self._refusals = Repetitions(monotonic), Repetitions(monotonic)
        self._budget = Budget(REFUSALS_PER_HOUR, _HOUR_SECONDS, monotonic)

    def used(self, name: str) -> None:
        """Note an admitted request; the first one after a while is reported."""
        if self._uses.count(name) == 1:
            self._report(ControlUsed(by=name))

    def refused(self, address: str, why: str) -> None:
        """Note a refused request; the 1st, 10th, 100th … of one address and reason is reported."""
        times = self._refusals.count((address, why))
        if not should_report_repeat(times):
            return
        left_out = self._budget.take()
        if left_out is not None:
            self._report(ControlRefused(address=address, why=why, times=times, left_out=left_out))


_logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024


class Fault(EngineError):
    """An unexpected failure of the engine (HTTP 500)."""

    http_status = 500

    def __init__(self, fault: EngineError) -> None:
        super().__init__(fault.detail, fault.remedy)


class RequestRefused(EngineError):
    """A request that is rejected before its method is called."""

    title = "The request is not valid"
    exit_code = 2

    def __init__(self, http_status: int, detail: str, remedy: str) -> None:
        super().__init__(detail, remedy)
        self.http_status = http_status


MAX_WAITING = 200
"""Events that wait for a slow reader; further ones are left out, `events_since` has them."""


class EventStream:
    """Streams the urgent events of an engine; lives in one event loop."""

    def __init__(self, engine: EngineView) -> None:
        self._engine = engine
        self._ended = asyncio.Event()
        self._streams: set[asyncio.Queue[RecordedEvent | None]] = set()

    async def respond(self, _request: Request) -> Response:
        """Answer with a stream that goes on until one side ends it."""
        headers = {"cache-control": "no-store"}
        return StreamingResponse(self._news(), media_type="text/event-stream", headers=headers)

    def end(self) -> None:
        """End all streams; called in the event loop."""
        self._ended.set()
        for waiting in self._streams:
            with contextlib.suppress(asyncio.QueueFull):
                waiting.put_nowait(None)

    async def _news(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[RecordedEvent | None] = asyncio.Queue(MAX_WAITING)

        def put(recorded: RecordedEvent) -> None:
            with contextlib.suppress(asyncio.QueueFull):
                waiting.put_nowait(recorded)

        def on_event(recorded: RecordedEvent) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(put, recorded)

        unsubscribe = self._engine.subscribe(on_event)
        self._streams.add(waiting)
        try:
            # At once, so that the client sees that the stream has begun.
            yield BEAT
            while not self._ended.is_set():
                yield await _next(waiting)
        finally:
            self._streams.discard(waiting)
            unsubscribe()


async def _next(waiting: asyncio.Queue[RecordedEvent | None]) -> bytes:
    try:
        async with asyncio.timeout(BEAT_SECONDS):
            recorded = await waiting.get()
    except TimeoutError:
        return BEAT
    return BEAT if recorded is None else written(recorded)


def application(
    engine: EngineView,
    *,
    more: Sequence[BaseRoute] = (),
    news: EventStream | None = None,
    report: Callable[[Event], object] = lambda _event: None,
) -> ASGIApp:
    """Return the application that serves an engine.

    Args:
        engine: serves the methods.
        more: further routes, such as those of another API; they find the engine in
            ``request.app.state.engine`` and who asks by `engine.remote.callers.actor_of`.
        news: the stream of urgent events, if there is to be one.
        report: records in the journal who uses the API and who is rejected.
    """
    changes = SnapshotTracker(engine)
    routes: list[BaseRoute] = [
        Route(f"{PREFIX}/hello", _hello),
        Route(f"{PREFIX}/openapi.json", _openapi),
        *(_route(engine, method) for method in methods().values()),
        *(_route(changes, method) for method in methods(SnapshotChangesView).values()),
        *more,
    ]
    if news is not None:
        routes.append(Route(f"{PREFIX}/news", news.respond))
    handlers: Any = {EngineError: _engine_error_response, HTTPException: _http_error_response}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.engine, app.state.access_log = engine, AccessLog(report)
    app.state.logins = Logins()
    return _Guarded(app, app.state.access_log, app.state.logins)


class _Guarded:
    """Checks token and limits of each request, and adds the version headers to each answer."""

    def __init__(self, app: ASGIApp, log: AccessLog, logins: Logins) -> None:
        self._app = app
        self._log = log
        self._logins = logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return

        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_stamps()]
            await send(message)

        refused = _refusal(scope, self._logins)
        if refused is None:
            self._log.used(actor_of(scope))
            await self._app(scope, receive, stamped)
        else:
            self._log.refused(origin_of_request(scope), refused.detail)
            await _response(refused)(scope, receive, stamped)


def _refusal(scope: Scope, logins: Logins) -> RequestRefused | None:
    """Return the reason to reject a request before it is read; None if there is none."""
    # RFC 9112 6.1: two lengths may be an attempt to smuggle a second request past a proxy.
    names = {name for name, _ in scope["headers"]}
    # RFC 9112 6.1: a proxy may read the one and we the other, and take a body for a request.
    if {b"content-length", b"transfer-encoding"} <= names:
        both = "Content-Length and Transfer-Encoding contradict each other"
        return RequestRefused(400, both, "send one of them")
    # Before the limits: a stranger's connection must not count as an admitted one.
    if not authorized(scope, logins):
        return RequestRefused(
            401,
            "a bearer token is required",
            "send the one of its file, or log in at /data/JSESSION",
        )
    if not admitted(scope):
        return RequestRefused(503, "too many connections are open", "close some, or try again")
    return None


def _stamps() -> tuple[tuple[bytes, bytes], ...]:
    return (
        (VERSION_HEADER.encode(), __version__.encode()),
        (PROTOCOL_HEADER.encode(), fingerprint().encode()),
    )


def _route(view: object, method: Method) -> Route:
    verbs = ["POST"] if method.signature.parameters else ["GET", "POST"]
    respond = partial(_respond, view, method)
    return Route(f"{PREFIX}/{method.path}", respond, methods=verbs, name=method.path)


async def _respond(view: object, method: Method, request: Request) -> Response:
    content = await read_body(request) if request.method == "POST" else b"{}"
    _require_same_protocol(method, request)
    try:
        arguments = method.arguments.load(content)
    except Refused as refused:
        raise describe_problems(refused) from None
    if method.changes:
        # Whatever the client says, the connection decides who is recorded.
        arguments[ACTOR] = actor_of(request.scope, arguments.get(ACTOR, ""))
    return Response(await run_in_threadpool(_call, view, method, arguments), media_type=JSON)


def _call(view: object, method: Method, arguments: dict[str, Any]) -> bytes:
    try:
        return method.result.dump(method.of(view)(**arguments))
    except EngineError:
        raise
    except Exception as error:  # the border: the server goes on
        _logger.exception("%s failed", method.path)
        raise Fault(terminal.fault(error)) from error


def _require_same_protocol(method: Method, request: Request) -> None:
    theirs = request.headers.get(PROTOCOL_HEADER, fingerprint())
    if method.changes and theirs != fingerprint():
        access_log: AccessLog = request.app.state.access_log
        access_log.refused(actor_of(request.scope), "it is another version of dicomdock")
        version = terminal.visible(request.headers.get(VERSION_HEADER, "")[:40])
        raise ReadOnly(
            f"the engine is dicomdock {__version__}, the console {version or 'another version'}",
            "use the version of the engine, or restart it with yours",
        )


async def read_body(request: Request) -> bytes:
    """Return a request's body; without one, an empty JSON object.

    Raises:
        RequestRefused: if it is no JSON, or too long.
    """
    content = await read_content(request)
    # After the body: a client whose body is not read may lose the answer. Only JSON, because a web
    # page can make a browser send other types here without asking first (CORS).
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise RequestRefused(415, f"Content-Type {kind[:80]!r} is not {JSON}", f"send {JSON}")
    return content or b"{}"


async def read_content(request: Request) -> bytes:
    """Return a request's body, whatever its type.

    Raises:
        RequestRefused: if it is too long.
    """
    content = bytearray()
    with contextlib.suppress(ClientDisconnect):
        async for part in request.stream():
            content += part
            if len(content) > MAX_BODY_BYTES:
                limit = f"the body is longer than {MAX_BODY_BYTES:,} bytes"
                raise RequestRefused(413, limit, "send less")
    return bytes(content)


async def _hello(_request: Request) -> Response:
    return JSONResponse(
        {
            "version": __version__,
            "protocol": fingerprint(),
            "pid": os.getpid(),
            "host": socket.gethostname(),
        }
    )


async def _openapi(_request: Request) -> Response:
    return JSONResponse(await run_in_threadpool(describe))


async def _engine_error_response(_request: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    return _response(error)


async def _http_error_response(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    remedy = f"see {PREFIX}/openapi.json for what there is"
    response = _response(RequestRefused(error.status_code, error.detail, remedy))
    response.headers.update(error.headers or {})
    return response


def _response(error: EngineError) -> Response:
    # The rest of the body of a rejected request is not read.
    headers = {"connection": "close"} if isinstance(error, RequestRefused) else None
    return Response(dump_error(error), status_of(error), headers, JSON)
