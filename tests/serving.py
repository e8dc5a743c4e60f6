"""An engine behind its control socket, and ways to speak to it: as a client of ours, or badly."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.remote.client import RemoteEngine
from engine.remote.server import ControlServer
from engine.remote.sockets import listen_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.routing import BaseRoute

    from engine.api import EngineView

UNHURRIED_SECONDS = 20.0


@contextmanager
def served(
    engine: Any, socket_file: Path, more: Sequence[BaseRoute] = ()
) -> Iterator[ControlServer]:
    """Serve an engine until the block ends."""
    server = ControlServer(engine, listen_at(socket_file), more=more)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def remote(socket_file: Path) -> Iterator[RemoteEngine]:
    """Reach an engine until the block ends, with all the patience of a busy machine."""
    engine = RemoteEngine(socket_file, patience_seconds=UNHURRIED_SECONDS)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def attached(engine: Any, socket_file: Path) -> Iterator[EngineView]:
    """Serve an engine and reach it as a console would."""
    with served(engine, socket_file), remote(socket_file) as reached:
        yield reached.view


def connect(socket_file: Path) -> socket.socket:
    """Open a connection to a control socket."""
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(UNHURRIED_SECONDS)
    connected.connect(str(socket_file))
    return connected


def send(
    socket_file: Path,
    verb: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Send one request over a control socket; return status and JSON."""
    connection = http.client.HTTPConnection("dicomdock")
    connection.sock = connect(socket_file)
    with connection.sock:
        connection.request(verb, path, body, {"content-type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        content = response.read()
    return response.status, json.loads(content) if content else None


def ask_tcp(port: int, token: str) -> int:
    """Ask over the TCP port with a token, or without one; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=UNHURRIED_SECONDS)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", "/v1/projects", headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status
