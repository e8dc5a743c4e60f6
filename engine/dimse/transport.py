"""The connection of one association: where its bytes go, deadlines, waiting without polling."""

from __future__ import annotations

import mmap
import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from pynetdicom.transport import AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from engine.dimse.timer import MonotonicTimer

BUFFER_BYTES = 640 * 1024
"""A CT image and the heads of its PDUs: what is here as a whole is written with one call."""
_DISCARDED_FILLS = 64


def wait_for(wake_fd: int, timer: MonotonicTimer) -> None:
    """Wait until woken, or until a running timer expires."""
    waiting = select.poll()
    waiting.register(wake_fd, select.POLLIN)
    waiting.poll(max(0.0, timer.remaining) * 1000 if timer.is_running else None)


class TooSlow(OSError):
    """The peer did not send, or take, what was due within the deadline."""


class Memory:
    """Where what is received lies; the system gives it page by page, as it is written to."""

    def __init__(self, size_bytes: int) -> None:
        self.buffer = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self.buffer)


class BufferedSocket(AssociationSocket):
    """Reads a connection through one reusable buffer; no read outlasts its deadline."""

    def __init__(
        self, assoc: Association, client_socket: socket.socket, send_seconds: float
    ) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._own_memory = Memory(BUFFER_BYTES)
        self.buffer, self.view = self._own_memory.buffer, self._own_memory.view
        self.low = self.high = 0
        """What has been received and not been consumed lies between the two."""
        self.deadline = float("inf")
        """Monotonic time by which `recv` must have what it was asked for."""
        self.unsent = b""
        """Responses that the peer has not taken yet."""
        self._waiting: dict[int, select.poll] = {}
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        microseconds = round(send_seconds * 1_000_000)
        timeout = struct.pack("ll", *divmod(microseconds, 1_000_000))
        client_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)

    @property
    def ready(self) -> bool:
        """Whether a read would find something, if only the end of the stream."""
        return self.low < self.high or self.wait(0.0, -1)

    def wait(self, seconds: float | None, wake_fd: int) -> bool:
        """Wait for input; return whether there is some, False also when woken through `wake_fd`."""
        if self.socket is None:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        waiting = self._waiting.get(wake_fd)
        if waiting is None:
            waiting = self._waiting[wake_fd] = select.poll()
            waiting.register(self.socket, select.POLLIN)
            if wake_fd >= 0:
                waiting.register(wake_fd, select.POLLIN)
        ready = waiting.poll(None if seconds is None else max(0.0, seconds) * 1000)
        return len(ready) == 1 and ready[0][0] != wake_fd

    def recv(self, nr_bytes: int) -> bytearray:
        """Return as many bytes as asked for; fewer at the end of the stream.

        Raises:
            TooSlow: if they have not come by the deadline.
        """
        wanted = bytearray()
        while len(wanted) < nr_bytes:
            if self.low == self.high and not self.fill_by_deadline():
                break
            taken = min(nr_bytes - len(wanted), self.high - self.low)
            wanted += self.view[self.low : self.low + taken]
            self.low += taken
        return wanted

    def use(self, memory: Memory | None) -> None:
        """Go on in another memory, None for its own; what is not consumed comes along."""
        if memory is None:
            memory = self._own_memory
        rest = self.high - self.low
        if rest:
            memory.view[:rest] = self.view[self.low : self.high]
        self.low, self.high = 0, rest
        self.buffer, self.view = memory.buffer, memory.view

    def fill_by_deadline(self) -> bool:
        """Wait for more input and read it; False at the end of the stream."""
        while True:
            received = self.fill()
            if received >= 0:
                return received > 0
            if not self.wait(self.deadline - time.monotonic(), -1):
                raise TooSlow("the peer stopped in the middle of a PDU")

    def fill(self) -> int:
        """Read what is there: its size, 0 at the end of the stream, -1 if nothing is there now."""
        if self.low == self.high:
            self.low = self.high = 0
        elif self.low:
            rest = self.high - self.low
            self.buffer[:rest] = self.buffer[self.low : self.high]
            self.low, self.high = 0, rest
        connection = cast(socket.socket, self.socket)
        try:
            received = connection.recv_into(self.view[self.high :], 0, socket.MSG_DONTWAIT)
        except (BlockingIOError, ssl.SSLWantReadError):
            return -1
        self.high += received
        return received

    @property
    def is_plain(self) -> bool:
        """Whether it is open, and what the kernel has is all there is, as it is not with TLS."""
        return self.socket is not None and not isinstance(self.socket, ssl.SSLSocket)

    def fileno(self) -> int:
        """Return the descriptor of the open connection."""
        return cast(socket.socket, self.socket).fileno()

    def answer(self, response: bytes) -> None:
        """Send a response; what a peer does not take at once stays `unsent`.

        Raises:
            OSError: if the connection is broken.
        """
        connection = self.socket
        if connection is None:
            return
        if isinstance(connection, ssl.SSLSocket):
            connection.sendall(response)
            return
        if not self.unsent:
            try:
                sent = connection.send(response, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            response = response[sent:]
        self.unsent += response

    def flush(self) -> None:
        """Send what is unsent, however long the peer takes within its deadline.

        Raises:
            OSError: if it takes too long, or the connection is broken.
        """
        unsent, self.unsent = self.unsent, b""
        cast(socket.socket, self.socket).sendall(unsent)

    def discard(self) -> None:
        """Read and forget what the peer has sent, so that closing does not reset the connection."""
        try:
            for _ in range(_DISCARDED_FILLS):
                self.low = self.high
                if self.socket is None or self.fill() <= 0:
                    return
        except OSError:
            return

    def close(self) -> None:
        """Close the connection, also one that the peer has broken already."""
        connection: Any = self.socket
        if isinstance(connection, ssl.SSLSocket):
            with suppress(OSError, ValueError):  # the peer need not answer our close_notify
                connection.unwrap()
        super().close()
        if connection is not None:
            connection.close()
