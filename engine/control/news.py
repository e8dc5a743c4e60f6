"""Urgent events from an engine elsewhere: a thread that hears its stream, and finds it again."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic_core import ValidationError as Refused

from engine.control.failures import EngineSilent
from engine.control.stream_format import NEWS, event_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpcore

    from engine.control.channel import Channel
    from engine.events import Listener

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
JOIN_SECONDS = 2.0
MAX_LINE_BYTES = 1024 * 1024

_logger = logging.getLogger(__name__)


class News:
    """One subscription; the listener is called from its thread."""

    def __init__(self, channel: Channel, listener: Listener) -> None:
        """Begin to hear."""
        self._channel = channel
        self._listener = listener
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._connected: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Hear no more."""
        self._ended.set()
        with self._lock, suppress(OSError):
            if self._connected is not None:
                self._connected.shutdown(socket.SHUT_RDWR)
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._ended.is_set():
            try:
                with self._channel.stream("news") as response:
                    pause = FIRST_PAUSE_SECONDS
                    self._hear(response)
            except EngineSilent:
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._ended.wait(pause)

    def _hear(self, response: httpcore.Response) -> None:
        with self._lock:
            self._connected = response.extensions["network_stream"].get_extra_info("socket")
        try:
            for line in _lines_of(response):
                if self._ended.is_set():
                    return
                self._tell(line)
        finally:
            with self._lock:
                self._connected = None

    def _tell(self, line: bytes) -> None:
        data = event_of(line)
        if data is None:
            return
        try:
            self._listener(NEWS.load(data))
        except Refused:
            _logger.debug("news of an unknown kind", exc_info=True)


def _lines_of(response: httpcore.Response) -> Iterator[bytes]:
    begun = b""
    for part in response.iter_stream():
        *lines, begun = (begun + part).split(b"\n")
        yield from lines
        if len(begun) > MAX_LINE_BYTES:
            return
