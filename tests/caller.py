"""A caller that only asks and echoes, fast and byte by byte, and waits wherever it is told to."""

from __future__ import annotations

import socket
from functools import cache
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Self

from tests.running import LOOPBACK

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

ANSWER_SECONDS = 20
SERVER_NAME = "dock.hospital.example"
VERIFICATION = "1.2.840.10008.1.1"

_ACCEPT, _REJECT, _DATA, _RELEASE, _RELEASED, _ABORT = 2, 3, 4, 5, 6, 7  # PS3.8 9.3.1


class Caller:
    """One connection and what is said on it."""

    def __init__(
        self,
        port: int,
        address: str = LOOPBACK,
        *,
        source: str = "",
        tls: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.socket = socket.create_connection((address, port), ANSWER_SECONDS, (source, 0))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=SERVER_NAME, session=session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(self, called: str, calling: str = "CALLER") -> tuple[int, int, int] | None:
        """Ask for an association; return the reason if it is rejected."""
        self.ask(called, calling)
        return self._answer()

    def is_accepted(self) -> bool:
        """Wait for the answer to a request; tell whether it accepts."""
        return self._answer() is None

    def _answer(self) -> tuple[int, int, int] | None:
        kind, body = self._read_pdu()
        assert kind in {_ACCEPT, _REJECT}, f"PDU {kind}"
        return None if kind == _ACCEPT else (body[1], body[2], body[3])

    def ask(self, called: str, calling: str = "CALLER", *, more: bytes = b"") -> None:
        """Ask for an association, with more user items, without waiting for the answer."""
        self.socket.sendall(_association_request(called, calling, more))

    def await_acceptance(self) -> None:
        """Wait until the association that was asked for is accepted."""
        kind, _ = self._read_pdu()
        assert kind == _ACCEPT, f"PDU {kind}"

    def echo(self) -> None:
        """Send a C-ECHO and wait for its answer."""
        self._ask(_fragment(3, _ECHO_REQUEST))

    def echo_and_begin(self) -> None:
        """Send a C-ECHO together with the beginning of another command, and wait for its answer."""
        self._ask(_fragment(3, _ECHO_REQUEST) + _fragment(1, bytes(8)))

    def send_echo_in_two_parts(self, between: Callable[[], object]) -> None:
        """Send a C-ECHO in two PDUs, do something between them, and wait for its answer."""
        self.socket.sendall(_pdu(_DATA, _fragment(1, _ECHO_REQUEST[:8])))
        between()
        self._ask(_fragment(3, _ECHO_REQUEST[8:]))

    def send_echo(self) -> None:
        """Send a C-ECHO without waiting for its answer."""
        self.socket.sendall(_pdu(_DATA, _fragment(3, _ECHO_REQUEST)))

    def send_release(self) -> None:
        """Ask for the end of the association without waiting for it."""
        self.socket.sendall(_pdu(_RELEASE, bytes(4)))

    def _ask(self, fragments: bytes) -> None:
        self.socket.sendall(_pdu(_DATA, fragments))
        kind, _ = self._read_pdu()
        assert kind == _DATA, f"PDU {kind}"

    def release(self) -> None:
        """End the association in good order."""
        self.socket.sendall(_pdu(_RELEASE, bytes(4)))
        kind, _ = self._read_pdu()
        assert kind == _RELEASED, f"PDU {kind}"

    def send_part_of_a_command(self) -> None:
        """Send one more part of a command set that has no end yet."""
        self.socket.sendall(_pdu(_DATA, _fragment(1, bytes(8))))

    def stall(self) -> None:
        """Begin a PDU and say no more."""
        self.socket.sendall(b"\4\0\0\1\0\0half a PDU")

    def is_aborted(self) -> bool:
        """Wait for what comes next; tell whether it is an A-ABORT or the connection's end."""
        try:
            return self._read_pdu()[0] == _ABORT
        except ConnectionError:
            return True

    def is_gone(self) -> bool:
        """Read on until the connection ends, however it does."""
        try:
            while True:
                self._read_pdu()
        except ConnectionError:
            return True

    def _read_pdu(self) -> tuple[int, bytes]:
        kind, length = unpack_from(">BxI", self._read(6))
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            more = self.socket.recv(length - len(content))
            if not more:
                raise ConnectionResetError("the connection has ended")
            content += more
        return content


def call(
    port: int,
    called: str,
    calling: str = "CALLER",
    address: str = LOOPBACK,
    *,
    tls: ssl.SSLContext | None = None,
) -> str:
    """Call, send a C-ECHO and release; return how it went in one word."""
    try:
        with Caller(port, address, tls=tls) as caller:
            rejected = caller.associate(called, calling)
            if rejected:
                return "/".join(map(str, rejected))
            caller.echo()
            caller.release()
    except ConnectionRefusedError:
        return "closed"
    return "answered"


def echo_bytes(called: str) -> tuple[bytes, bytes]:
    """Return an association request and a C-ECHO as they go over the network."""
    return _association_request(called, "CALLER"), _pdu(_DATA, _fragment(3, _ECHO_REQUEST))


def _pdu(kind: int, body: bytes) -> bytes:
    return pack(">BxI", kind, len(body)) + body


def _fragment(control: int, content: bytes) -> bytes:
    return pack(">IBB", len(content) + 2, 1, control) + content


def _item(kind: int, body: bytes) -> bytes:
    return pack(">BxH", kind, len(body)) + body


@cache
def _association_request(called: str, calling: str, more: bytes = b"") -> bytes:
    """Return an A-ASSOCIATE-RQ that proposes verification (PS3.8 9.3.2)."""
    syntaxes = _item(0x30, VERIFICATION.encode()) + _item(0x40, b"1.2.840.10008.1.2")
    items = [
        _item(0x10, b"1.2.840.10008.3.1.1.1"),
        _item(0x20, bytes([1, 0, 0, 0]) + syntaxes),
        _item(0x50, _item(0x51, pack(">I", 16_384)) + _item(0x52, b"1.2.3.4") + more),
    ]
    names = called.ljust(16).encode() + calling.ljust(16).encode()
    return _pdu(1, b"\0\1\0\0" + names + bytes(32) + b"".join(items))


def _elements(*elements: tuple[int, bytes]) -> bytes:
    return b"".join(pack("<HHI", 0, number, len(value)) + value for number, value in elements)


_ECHO_ELEMENTS = _elements(
    (0x0002, VERIFICATION.encode() + b"\0"),
    (0x0100, b"\x30\x00"),
    (0x0110, b"\x01\x00"),
    (0x0800, b"\x01\x01"),
)
_ECHO_REQUEST = _elements((0x0000, pack("<I", len(_ECHO_ELEMENTS)))) + _ECHO_ELEMENTS
"""The command set of a C-ECHO request (PS3.7 9.3.5.1)."""
