"""A wire between a caller and a receiver that is thin, and stands still for a while."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

from tests.running import LOOPBACK

SECONDS = 20


class SlowWire:
    """Takes one connection and passes its bytes on, a few at a time.

    After a number of bytes to the receiver it sets `stands` and waits for `go_on`.
    """

    def __init__(self, port: int, *, part_bytes: int, stands_after_bytes: int) -> None:
        """Take the receiver's port and how bad the wire is."""
        self._to = port
        self._part_bytes = part_bytes
        self._before_it_stands = stands_after_bytes
        self.stands, self.go_on = threading.Event(), threading.Event()
        self._door = socket.create_server((LOOPBACK, 0))
        self.port: int = self._door.getsockname()[1]
        self._threads = [threading.Thread(target=self._take)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        for thread in self._threads:
            thread.join(SECONDS)
        self._door.close()

    def _take(self) -> None:
        caller, _ = self._door.accept()
        receiver = socket.create_connection((LOOPBACK, self._to))
        back = threading.Thread(target=self._pass_on, args=(receiver, caller))
        self._threads.append(back)
        back.start()
        with caller, receiver:
            self._pass_on(caller, receiver, self._before_it_stands)
            back.join(SECONDS)

    def _pass_on(self, source: socket.socket, target: socket.socket, stands_after: int = 0) -> None:
        passed = 0
        with suppress(OSError):
            while part := source.recv(self._part_bytes):
                target.sendall(part)
                passed += len(part)
                if passed >= stands_after > 0 and not self.stands.is_set():
                    self.stands.set()
                    self.go_on.wait(SECONDS)
            target.shutdown(socket.SHUT_WR)
