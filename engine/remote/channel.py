"""The HTTP client of the control API, over the engine's UNIX socket.

It uses httpcore: httpx would also import the terminal libraries of its own command.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import httpcore

from engine import __version__
from engine.remote.failures import EngineSilent, ReadOnly, load_error
from engine.remote.protocol import (
    JSON,
    PREFIX,
    PROTOCOL_HEADER,
    SILENT_SECONDS,
    VERSION_HEADER,
    fingerprint,
)
from engine.remote.sockets import reachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.errors import EngineError


class SocketBackend(httpcore.NetworkBackend):
    """Opens connections to UNIX sockets, with paths of any length, and can cut them all."""

    def __init__(self) -> None:
        self._plain = httpcore.SyncBackend()
        self._lock = threading.Lock()
        # Weak: a connection that the pool has closed is forgotten by itself.
        self._opened: WeakSet[socket.socket] = WeakSet()

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Connect; called by httpcore."""
        with reachable(Path(path)) as short:
            stream = self._plain.connect_unix_socket(short, timeout, socket_options)
        with self._lock:
            self._opened.add(stream.get_extra_info("socket"))
        return stream

    def cut(self) -> None:
        """Shut down all connections; unlike a close, this wakes a thread that reads from one."""
        with self._lock:
            for opened in self._opened:
                with suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)


CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 90.0
"""Longer than the engine takes for any request."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
"""The longest pause between attempts to reach an engine that is gone."""

_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
)


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """The version of dicomdock at the other end."""

    version: str = ""
    protocol: str = ""

    @property
    def mismatch(self) -> str:
        """The reason to change nothing through this connection; empty if both ends are alike."""
        if not self.protocol or self.protocol == fingerprint():
            return ""
        other = "" if self.version == __version__ else f" {self.version}"
        return f"this is dicomdock {__version__}, the engine runs another version{other}"


class HttpChannel:
    """Sends requests to one engine; every method may be called from any thread."""

    def __init__(self, socket_file: Path) -> None:
        """Take the engine's control socket; nothing is sent yet."""
        self._wire = SocketBackend()
        self._pool = httpcore.ConnectionPool(uds=str(socket_file), network_backend=self._wire)
        self._headers: dict[bytes | str, bytes | str] = {
            "host": "dicomdock",
            "content-type": JSON,
            VERSION_HEADER: __version__,
            PROTOCOL_HEADER: fingerprint(),
        }
        self._lock = threading.Lock()
        self._pause = 0.0
        self._not_before = 0.0
        self.counterpart = EngineVersion()
        """As of the last answer."""

    def close(self) -> None:
        """End every connection; a thread that waits for an answer gets `EngineSilent`."""
        self._wire.cut()
        self._pool.close()

    def greet(self) -> None:
        """Check that an engine answers at the other end.

        Raises:
            EngineSilent: if there is none.
        """
        self._request("GET", "hello", b"", CONNECT_SECONDS)
        if not self.counterpart.version:
            raise EngineSilent("what answers is no dicomdock", "see what listens on its socket")

    def ask(self, path: str, arguments: bytes, *, patient: bool = True) -> bytes:
        """Call a method and return its result as JSON.

        Args:
            path: of the method.
            arguments: as JSON.
            patient: whether to try again even right after a failure.

        Raises:
            EngineSilent: if there is no answer.
            EngineError: the error that the engine raised.
        """
        if not patient and time.monotonic() < self._not_before:
            raise EngineSilent("it can't be reached", "it is tried again by itself")
        response = self._request("POST", path, arguments, ANSWER_SECONDS)
        if response.status == 200:
            return response.content
        raise _error_of(response)

    @contextmanager
    def stream(self, path: str) -> Iterator[httpcore.Response]:
        """Open a stream of server-sent events.

        Raises:
            EngineSilent: if there is none.
        """
        timeouts = _timeouts(SILENT_SECONDS)
        with (
            self._answering(),
            self._pool.stream("GET", _url(path), headers=self._headers, extensions=timeouts) as got,
        ):
            yield got

    def require_same_protocol(self) -> None:
        """Refuse changes in an engine of another version.

        Raises:
            ReadOnly: if it is one.
        """
        if self.counterpart.mismatch:
            raise ReadOnly(self.counterpart.mismatch, "use the console of the engine's version")

    def _request(self, verb: str, path: str, content: bytes, seconds: float) -> httpcore.Response:
        with self._answering():
            response = self._pool.request(
                verb,
                _url(path),
                headers=self._headers,
                content=content,
                extensions=_timeouts(seconds),
            )
        told = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        version, protocol = VERSION_HEADER.encode(), PROTOCOL_HEADER.encode()
        self.counterpart = EngineVersion(told.get(version, ""), told.get(protocol, ""))
        return response

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            with self._lock:
                self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
                self._not_before = time.monotonic() + self._pause
            why = str(error) or type(error).__name__
            asked = not isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout)
            remedy = (
                "check whether the request was carried out" if asked else "the request was not sent"
            )
            raise EngineSilent(
                f"no answer over its control socket: {why}",
                f"{remedy}; see whether the engine runs: dicomdock status",
            ) from error
        with self._lock:
            self._pause = self._not_before = 0.0


def _url(path: str) -> str:
    return f"http://dicomdock{PREFIX}/{path}"


def _timeouts(seconds: float) -> dict[str, Any]:
    connect = CONNECT_SECONDS
    return {"timeout": {"connect": connect, "read": seconds, "write": seconds, "pool": seconds}}


def _error_of(response: httpcore.Response) -> EngineError:
    try:
        return load_error(response.content)
    except (ValueError, TypeError):
        return EngineSilent(
            f"its answer is no dicomdock's (HTTP {response.status})",
            "see what listens on its control socket",
        )


def get_resource(socket_file: Path, path: str) -> tuple[int, bytes]:
    """Return status and body of a resource of the control API, such as one of XNAT's.

    Raises:
        EngineSilent: if the engine does not answer.
    """
    try:
        with httpcore.ConnectionPool(uds=str(socket_file), network_backend=SocketBackend()) as pool:
            timeouts = dict.fromkeys(("connect", "read", "write", "pool"), ANSWER_SECONDS)
            answer = pool.request(
                "GET", f"http://dicomdock{path}", extensions={"timeout": timeouts}
            )
    except (*_FAILURES, OSError) as error:
        raise EngineSilent(f"{socket_file.name} does not answer: {type(error).__name__}") from error
    return answer.status, answer.content
