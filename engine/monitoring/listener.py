"""A small read-only HTTP listener on the loopback, for ``/metrics`` and ``/health`` alone."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from engine.model.addresses import MetricsAddress, origin_of
from engine.monitoring.exposition import CONTENT_TYPE
from engine.net.connection_table import ConnectionLimits, ConnectionTable, TableEntry

if TYPE_CHECKING:
    from engine.monitoring.monitoring import Monitoring

REQUESTS_AT_ONCE = 4
REQUEST_SECONDS = 5.0
"""From accept to the last byte of a request, and again for its answer."""
REST_SECONDS = 1.0
"""How long nobody is accepted after there was no descriptor for it."""
OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")


class MetricsListener:
    """Serves the metrics until it is closed."""

    def __init__(self, place: MetricsAddress, monitoring: Monitoring) -> None:
        """Bind the address.

        Raises:
            OSError: if that can't be done.
        """
        self._server = _Server(place, monitoring)
        self._thread = threading.Thread(target=self._server.serve, name="metrics", daemon=True)
        self._thread.start()

    @property
    def place(self) -> MetricsAddress:
        """Where it listens."""
        address, port = self._server.server_address[:2]
        return MetricsAddress(str(address), int(port))

    def close(self) -> None:
        """Stop listening."""
        self._server.stop(self._thread)


class _Server(ThreadingHTTPServer):
    """Answers a few clients at a time; if more connect, the oldest silent one is closed."""

    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, place: MetricsAddress, monitoring: Monitoring) -> None:
        self.address_family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
        self.monitoring = monitoring
        self._is_exhausted = False
        self._table = ConnectionTable(ConnectionLimits(*(REQUESTS_AT_ONCE,) * 4))
        self._entries: dict[socket.socket, TableEntry] = {}
        super().__init__(place, _Handler)
        self.socket.setblocking(False)
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC)

    def serve(self) -> None:
        """Answer clients until `stop` is called from another thread."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._stop_fd, selectors.EVENT_READ)
            while self._stop_fd not in {key.fileobj for key, _ in selector.select()}:
                self.handle_request()
                if self._is_exhausted:
                    self._rest(selector)

    def _rest(self, selector: selectors.BaseSelector) -> None:
        """Wait until there may be descriptors again: who waits to be accepted keeps waiting."""
        self._is_exhausted = False
        selector.unregister(self)
        selector.select(REST_SECONDS)
        selector.register(self, selectors.EVENT_READ)

    def stop(self, thread: threading.Thread) -> None:
        """End `serve` and close the listening socket."""
        os.eventfd_write(self._stop_fd, 1)
        thread.join()
        self.server_close()
        os.close(self._stop_fd)

    def get_request(self) -> Any:
        """Accept a connection, which blocks as its time limit says."""
        try:
            request, address = super().get_request()
        except OSError as error:
            self._is_exhausted = error.errno in OUT_OF_RESOURCES
            raise
        request.setblocking(True)
        return request, address

    def server_bind(self) -> None:
        """Bind without asking anybody for our name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own."""

        def close() -> None:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)  # its thread notices, and closes it

        self._entries[request] = self._table.enter(origin_of(ip_address(client_address[0])), close)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one request and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._entries.pop(request).leave()

    def admits(self, request: socket.socket) -> bool:
        """Tell whether a request that was read is answered."""
        return self._entries[request].admit()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    """One request; its body, if it has one, is not read."""

    server_version = "dicomdock"
    sys_version = ""

    def setup(self) -> None:
        """Begin to count the time of the request."""
        super().setup()
        self.rfile = io.BufferedReader(_TimedReader(self.connection, REQUEST_SECONDS))

    def do_GET(self) -> None:
        """Answer with metrics or health."""
        server = cast("_Server", self.server)
        if not server.admits(self.connection):
            return self._say(HTTPStatus.SERVICE_UNAVAILABLE, b"too many connections are open\n")
        monitoring = server.monitoring
        if not _is_ours(self.headers.get("Host")):
            # A page that a browser loaded elsewhere must not read here under another name.
            return self._say(HTTPStatus.MISDIRECTED_REQUEST, b"this host is not served\n")
        path = self.path.partition("?")[0]
        if path == "/metrics":
            return self._say(HTTPStatus.OK, monitoring.metrics(), CONTENT_TYPE)
        if path != "/health":
            return self._say(HTTPStatus.NOT_FOUND, b"see /metrics and /health\n")
        health = monitoring.health()
        status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps({"ok": health.ok, **asdict(health)}).encode() + b"\n"
        return self._say(status, body, "application/json")

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _say(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.connection.settimeout(REQUEST_SECONDS)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: what clients send is not ours to repeat."""


class _TimedReader(io.RawIOBase):
    """Reads a connection until a deadline, however slowly its bytes come."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """Say that there is something to read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is.

        Raises:
            TimeoutError: if nothing came before the deadline.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def _is_ours(host: str | None) -> bool:
    """Tell whether a request means this machine; HTTP/1.0 may leave open whom it means."""
    if host is None:
        return True
    found = _HOST.fullmatch(host)
    if not found:
        return False
    try:
        return found[1] == "localhost" or ip_address(found[1].strip("[]")).is_loopback
    except ValueError:
        return False
