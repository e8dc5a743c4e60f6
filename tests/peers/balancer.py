"""What stands before several docks: HAProxy if it is installed, else a small TCP proxy like it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import threading
import zlib
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.running import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONFIGURATION = Path(__file__).parents[2] / "packaging/haproxy/haproxy.cfg"
HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def balancer(port: int, docks: Sequence[str], dock_port: int, metrics_port: int) -> Iterator[None]:
    """Pass connections to `port` of the loopback on to docks, each sender's always to the same."""
    if HAPROXY is not None:
        with _haproxy(HAPROXY, port, docks, dock_port, metrics_port):
            yield
    else:
        with _StandIn(port, docks, dock_port, metrics_port):
            yield


@contextmanager
def _haproxy(
    command: str, port: int, docks: Sequence[str], dock_port: int, metrics_port: int
) -> Iterator[None]:
    text = CONFIGURATION.read_text("utf-8")
    text = re.sub(r"bind :\d+", f"bind {LOOPBACK}:{port}", text)
    text = text.replace("port 9404 inter 2s", f"port {metrics_port} inter 200ms")
    for dock in docks:
        text = re.sub(r"(server dock-\d) 10\.[\d.]+:104", rf"\1 {dock}:{dock_port}", text, count=1)
    # -db: in the foreground; a hyphen: the configuration comes through standard input.
    running = subprocess.Popen(
        [command, "-db", "-f", "/dev/stdin"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdin is not None
    running.stdin.write(text.encode())
    running.stdin.close()
    try:
        _wait_until_listening(port)
        yield
    finally:
        running.terminate()
        running.wait(20)


def _wait_until_listening(port: int) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection((LOOPBACK, port)):
            return
        threading.Event().wait(0.05)
    raise AssertionError("HAProxy does not listen")


class _StandIn:
    """A TCP proxy in a thread: the source address chooses the dock, else the next ready one."""

    def __init__(self, port: int, docks: Sequence[str], dock_port: int, metrics_port: int) -> None:
        self._port, self._docks, self._dock_port = port, docks, dock_port
        self._metrics_port = metrics_port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()))
        self._listens = threading.Event()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._listens.wait(20)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _listen(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, LOOPBACK, self._port)
        self._listens.set()
        await self._ended.wait()
        server.close()

    async def _serve(self, caller: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        source: str = back.get_extra_info("peername")[0]
        with closing(back), suppress(OSError):
            answers, dock = await self._connect(source)
            with closing(dock):
                # Whichever side ends first ends both, as HAProxy does for a dock that is down.
                ways = [
                    asyncio.ensure_future(_pass_on(*ends))
                    for ends in ((caller, dock), (answers, back))
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()

    async def _connect(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = zlib.crc32(source.encode()) % len(self._docks)
        for dock in (*self._docks[first:], *self._docks[:first]):
            with suppress(OSError):
                if await self._is_ready(dock):
                    return await asyncio.open_connection(dock, self._dock_port)
        raise ConnectionRefusedError("no dock is ready")

    async def _is_ready(self, dock: str) -> bool:
        answer, asking = await asyncio.open_connection(dock, self._metrics_port)
        with closing(asking):
            asking.write(b"GET /ready HTTP/1.0\r\n\r\n")
            return (await answer.readline()).split()[1:2] == [b"200"]


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await source.read(65_536):
            target.write(part)
            await target.drain()
