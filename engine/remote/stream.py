"""Urgent events as server-sent events: told when they happen, and nothing asked meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from engine.remote.protocol import BEAT, BEAT_SECONDS, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from engine.api import EngineView
    from engine.events import RecordedEvent

MAX_WAITING = 200
"""News that a slow reader has not taken yet; more are left out, `events_since` has them all."""


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
            with suppress(asyncio.QueueFull):
                waiting.put_nowait(None)

    async def _news(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[RecordedEvent | None] = asyncio.Queue(MAX_WAITING)

        def put(recorded: RecordedEvent) -> None:
            with suppress(asyncio.QueueFull):
                waiting.put_nowait(recorded)

        def on_event(recorded: RecordedEvent) -> None:
            with suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(put, recorded)

        unsubscribe = self._engine.subscribe(on_event)
        self._streams.add(waiting)
        try:
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
