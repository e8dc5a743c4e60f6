"""How the control API's listening socket treats its connections, one by one."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

from engine.net.admission import ConnectionLimits, ConnectionTable
from engine.remote.server import ControlListener, _resolve
from tests.running import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Listening:
    """A listener in an event loop; what it hands its connections to only notes that it does."""

    def __init__(self, tls: object = None) -> None:
        self.socket = socket.create_server((LOOPBACK, 0))
        self.place = self.socket.getsockname()
        self.has_served, self.has_connected = asyncio.Event(), asyncio.Event()
        self.how: dict[str, Any] = {}
        loop = asyncio.get_running_loop()
        loop.connect_accepted_socket = self._connect  # type: ignore[assignment, method-assign]
        table = ConnectionTable(ConnectionLimits())
        self.listener = ControlListener(
            self.socket, table, self._serve, token="secret", tls=cast("Any", tls)
        )

    def _serve(self, *_: object) -> Any:
        self.has_served.set()

    async def _connect(self, _: object, connected: socket.socket, **how: Any) -> Any:
        self.how = how | {"blocking": connected.getblocking()}
        connected.close()
        self.has_connected.set()
        raise OSError


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_listener_that_is_closed_leaves_its_port() -> None:
    async def test() -> None:
        listening = Listening()
        listening.listener.close()
        assert listening.socket.fileno() == -1

    in_a_loop(test)


def test_no_connection_can_hold_up_the_others() -> None:
    async def test() -> None:
        listening = Listening()
        with socket.create_connection(listening.place):
            await listening.has_connected.wait()
        assert listening.how == {"blocking": False, "ssl": None, "ssl_handshake_timeout": None}
        listening.listener.close()

    in_a_loop(test)


def test_tls_begins_with_the_first_byte() -> None:
    async def test() -> None:
        listening = Listening(tls="a context")
        with socket.create_connection(listening.place) as caller:
            await listening.has_served.wait()
            assert not listening.has_connected.is_set()
            caller.send(b"\x16")
            await listening.has_connected.wait()
        assert listening.how["ssl"] == "a context"
        assert 0 < listening.how["ssl_handshake_timeout"] <= 5
        listening.listener.close()

    in_a_loop(test)


def test_a_byte_that_comes_when_its_time_is_over_is_ignored() -> None:
    async def test() -> None:
        over = asyncio.get_running_loop().create_future()
        over.cancel()
        _resolve(over)
        assert over.cancelled()

    in_a_loop(test)
