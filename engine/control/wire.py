"""The connections of a client, so that whoever waits at one of them can be woken."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import httpcore

from engine.control.sockets import reachable

if TYPE_CHECKING:
    from collections.abc import Iterable


class Wire(httpcore.NetworkBackend):
    """Opens connections to UNIX sockets, however deep these lie, and remembers them."""

    def __init__(self) -> None:
        self._plain = httpcore.SyncBackend()
        self._lock = threading.Lock()
        self._opened: WeakSet[socket.socket] = WeakSet()

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Connect, as httpcore asks for it."""
        with reachable(Path(path)) as short:
            stream = self._plain.connect_unix_socket(short, timeout, socket_options)
        with self._lock:
            self._opened.add(stream.get_extra_info("socket"))
        return stream

    def cut(self) -> None:
        """End all connections: to close one does not wake the thread that reads from it."""
        with self._lock:
            for opened in self._opened:
                with suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)
