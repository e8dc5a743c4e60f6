"""A wire between a caller and a receiver that is long and thin: late, a few bytes at a time."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self

from tests.running import LOOPBACK

JOIN_SECONDS = 20


class SlowWire:
    """Takes one connection and passes its bytes on, each way at its pace."""

    def __init__(self, port: int, *, bytes_per_second: int, delay_seconds: float) -> None:
        """Take the receiver's port and how bad the wire is."""
        self._to = port
        self._bytes = max(1, round(bytes_per_second * delay_seconds))
        self._delay_seconds = delay_seconds
        self._door = socket.create_server((LOOPBACK, 0))
        self.port: int = self._door.getsockname()[1]
        self._threads = [threading.Thread(target=self._take)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        self._door.close()

    def _take(self) -> None:
        caller, _ = self._door.accept()
        receiver = socket.create_connection((LOOPBACK, self._to))
        back = threading.Thread(target=self._pass_on, args=(receiver, caller))
        self._threads.append(back)
        back.start()
        with caller, receiver:
            self._pass_on(caller, receiver)
            back.join(JOIN_SECONDS)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(self._bytes):
                time.sleep(self._delay_seconds)
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
