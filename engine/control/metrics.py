"""Metrics and health over the control socket, at the paths where monitoring systems look."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.exposition import CONTENT_TYPE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from engine.view import EngineView


def metrics_routes() -> tuple[BaseRoute, ...]:
    """Return ``/metrics`` and ``/health``, as `engine.metrics_listener` serves them too."""
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
    return JSONResponse({"ok": health.ok, **asdict(health)}, status)
