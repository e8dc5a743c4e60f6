"""A relay between a sender and the engine that keeps what the sender really sent."""

from __future__ import annotations

import socket
import threading
from struct import unpack_from

_P_DATA = 0x04


class Relay:
    """Passes one connection after another to a port and records what comes from the caller."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.recorded: list[bytes] = []
        """What each connection's caller sent, complete once the connection has ended."""
        self._thread = threading.Thread(target=self._serve, name="relay")
        self._thread.start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def data_sets(self) -> list[bytes]:
        """Return the data sets of all messages sent so far, in order."""
        return [data_set for stream in self.recorded for data_set in data_sets_of(stream)]

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller, socket.create_connection(self._target) as called:
                back = threading.Thread(target=_pump, args=(called, caller))
                back.start()
                self.recorded.append(_pump(caller, called))
                back.join()


def data_sets_of(stream: bytes) -> list[bytes]:
    """Return the data sets in one side of an association (PS3.8 9.3.5, annex E)."""
    found, current, position = [], bytearray(), 0
    while position + 6 <= len(stream):
        kind, length = unpack_from(">BxI", stream, position)
        position += 6
        end = position + length
        while kind == _P_DATA and position < end:
            size, _context, control = unpack_from(">IBB", stream, position)
            fragment = stream[position + 6 : position + 4 + size]
            position += 4 + size
            is_command, is_last = control & 1, control & 2
            if not is_command:
                current += fragment
                if is_last:
                    found.append(bytes(current))
                    current = bytearray()
        position = end
    return found


def _pump(source: socket.socket, sink: socket.socket) -> bytes:
    """Pass on everything until the source ends; return what was passed."""
    passed = bytearray()
    try:
        while data := source.recv(65536):
            passed += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    return bytes(passed)
