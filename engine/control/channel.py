"""The client's way to an engine: HTTP over its UNIX socket, or over TCP with a token."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from engine import __version__
from engine.control.failures import EngineSilent, ReadOnly, load_error
from engine.control.headers import JSON, PREFIX, PROTOCOL_HEADER, VERSION_HEADER
from engine.control.protocol import fingerprint
from engine.control.sockets import reachable
from engine.control.stream_format import SILENT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.errors import EngineError

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 90.0
"""Longer than anything that an engine does while somebody waits for it."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
"""Between attempts to reach an engine that is gone."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """Which dicomdock is at the other end."""

    version: str
    protocol: str

    @property
    def mismatch(self) -> str:
        """Why nothing may be changed through this connection; empty if it may."""
        if not self.protocol or self.protocol == fingerprint():
            return ""
        return f"this is dicomdock {__version__}, the engine is another one, {self.version}"


class Channel:
    """Sends requests to one engine; every method may be called from any thread."""

    def __init__(self, socket_file: Path) -> None:
        """Take the engine's control socket; nothing is sent yet."""
        self._reached = reachable(socket_file)
        transport = httpx.HTTPTransport(uds=self._reached.__enter__())
        self._http = httpx.Client(
            transport=transport,
            base_url=f"http://dicomdock{PREFIX}",
            headers={VERSION_HEADER: __version__, PROTOCOL_HEADER: fingerprint()},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
        )
        self._lock = threading.Lock()
        self._pause = 0.0
        self._not_before = 0.0
        self.counterpart = Counterpart("", "")
        """As of the last answer."""

    def close(self) -> None:
        """Close every connection."""
        self._http.close()
        self._reached.__exit__(None, None, None)

    def ask(self, path: str, arguments: bytes, *, patient: bool = True) -> bytes:
        """Call a method and return its result as JSON.

        Args:
            path: of the method.
            arguments: as JSON.
            patient: whether to try at all so soon after an attempt that failed.

        Raises:
            EngineSilent: if there is no answer.
            EngineError: whatever the engine raised.
        """
        if not patient and time.monotonic() < self._not_before:
            raise EngineSilent("it can't be reached", "it is tried again by itself")
        with self._answering():
            response = self._http.post(path, content=arguments, headers={"content-type": JSON})
        self._hear(response)
        if response.is_success:
            return response.content
        raise _error_of(response)

    def greet(self) -> None:
        """Find out which dicomdock is at the other end.

        Raises:
            EngineSilent: if there is none.
        """
        with self._answering():
            self._hear(self._http.get("hello", timeout=CONNECT_SECONDS))
        if not self.counterpart.version:
            raise EngineSilent("what answers is no dicomdock", "see what listens on its socket")

    @contextmanager
    def stream(self, path: str) -> Iterator[httpx.Response]:
        """Open a stream of server-sent events.

        Raises:
            EngineSilent: if there is none.
        """
        timeout = httpx.Timeout(CONNECT_SECONDS, read=SILENT_SECONDS)
        with self._answering(), self._http.stream("GET", path, timeout=timeout) as response:
            yield response

    def require_same_protocol(self) -> None:
        """Refuse to change anything in an engine of another version.

        Raises:
            ReadOnly: if it is one.
        """
        if self.counterpart.mismatch:
            raise ReadOnly(self.counterpart.mismatch, "use the console of the engine's version")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            with self._lock:
                self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
                self._not_before = time.monotonic() + self._pause
            why = str(error) or type(error).__name__
            raise EngineSilent(
                f"no answer over its control socket: {why}",
                "see whether it runs: dicomdock status; look whether what you asked for was done",
            ) from error
        with self._lock:
            self._pause = self._not_before = 0.0

    def _hear(self, response: httpx.Response) -> None:
        headers = response.headers
        self.counterpart = Counterpart(
            headers.get(VERSION_HEADER, ""), headers.get(PROTOCOL_HEADER, "")
        )


def _error_of(response: httpx.Response) -> EngineError:
    try:
        return load_error(response.content)
    except (ValueError, TypeError):
        return EngineSilent(
            f"its answer is no dicomdock's (HTTP {response.status_code})",
            "see what listens on its control socket",
        )
