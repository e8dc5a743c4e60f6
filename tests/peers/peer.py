"""A scripted peer on a plain socket; what it does not expect fails the test."""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.dicom import CT_IMAGE_STORAGE
from tests.peers.pdus import (
    ABORT,
    AC,
    C_ECHO,
    C_STORE_RQ,
    FIELD,
    INSTANCE,
    LAST,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    RESPONSE,
    RJ,
    STATUS,
    abort_pdu,
    associate_rq,
    c_store_rq,
    command,
    message,
    pdu,
    us,
)
from tests.running import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WITHIN_SECONDS = 20.0
"""How long a peer waits for what it expects, unless a test says otherwise."""


@dataclass(frozen=True)
class Ended:
    """What the engine said when it ended an association: nothing, or an A-ABORT."""

    source: int | None = None
    reason: int | None = None


class Peer:
    """One connection to the engine; what it does not expect fails the test."""

    def __init__(self, port: int, *, address: str = LOOPBACK, is_deaf: bool = False) -> None:
        self._socket = socket.socket()
        self._socket.bind((address, 0))
        if is_deaf:  # as little as possible fits into the buffers of either side
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self._socket.settimeout(WITHIN_SECONDS)
        self._socket.connect((LOOPBACK, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._unanswered: deque[bytes] = deque()
        self.is_cut = False
        """Whether the engine has closed the connection while this peer was sending."""
        self.accepted: dict[int, str] = {}
        """Transfer syntax by context."""
        self.refused: dict[int, int] = {}
        """Result by context (PS3.8 table 9-18)."""
        self.rejection: tuple[int, int, int] | None = None
        self.user_items: dict[int, bytes] = {}
        self.statuses: list[int] = []
        self.confirmed = 0
        """How many C-STORE responses said success."""
        self.succeeded: list[bytes] = []
        """The data sets that were answered with success."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether this side still has its socket."""
        return self._socket.fileno() >= 0

    def send(self, data: bytes, *, segment_bytes: int = 0) -> Self:
        """Send bytes, at once or in small segments, unless the engine cuts the connection."""
        step = segment_bytes or len(data) or 1
        self._socket.settimeout(WITHIN_SECONDS)
        for position in range(0, len(data), step):
            if self.is_cut:
                break
            self._send(data[position : position + step])
        return self

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise AssertionError("the engine neither reads nor cuts the connection") from None
        except OSError:
            self.is_cut = True

    def flood(self, data: bytes, at_most_bytes: int, within: float = WITHIN_SECONDS) -> int:
        """Send the same bytes until the engine cuts the connection; return how many that were."""
        sent, deadline = 0, time.monotonic() + within
        while not self.is_cut:
            left = deadline - time.monotonic()
            assert sent < at_most_bytes and left > 0, f"{sent:,} bytes were taken"
            self._socket.settimeout(left)
            self._send(data)
            sent += len(data)
        return sent

    def drip(self, data: bytes, every_seconds: float, within: float) -> Self:
        """Send byte by byte until the engine says something or closes, which it must."""
        deadline = time.monotonic() + within
        for byte in data:
            if self.stall(every_seconds):
                break
            assert time.monotonic() < deadline, f"bytes are still taken after {within} s"
            self.send(bytes([byte]))
        return self

    def stall(self, seconds: float) -> bool:
        """Send nothing for so long; return early, with True, once the engine says something."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def request(self, called: str | bytes = "XNAT", **what: Any) -> Self:
        """Send an A-ASSOCIATE-RQ as `associate_rq` makes it."""
        return self.send(associate_rq(called, **what))

    def echo(self, context_id: int = 3) -> Self:
        """Send a C-ECHO and expect its success."""
        self.send(message(C_ECHO, context_id=context_id))
        return self.expect_status(0x0000)

    def store(
        self,
        data_set: bytes,
        sop_instance: str | bytes = INSTANCE,
        *,
        sop_class: str | bytes = CT_IMAGE_STORAGE,
        changes: Mapping[int, bytes | None] | None = None,
        segment_bytes: int = 0,
        **how: Any,
    ) -> Self:
        """Send a C-STORE; `changes` replaces elements of its command set."""
        elements = c_store_rq(sop_class, sop_instance) | dict(changes or {})
        sent = message(command(elements), data_set, **how)
        self.expects_answer_to(data_set)
        return self.send(sent, segment_bytes=segment_bytes)

    def expects_answer_to(self, data_set: bytes) -> Self:
        """Note that the next unanswered C-STORE is the one of this data set."""
        self._unanswered.append(data_set)
        return self

    def abort(self) -> Self:
        """Abort the association."""
        return self.send(abort_pdu())

    def rst(self) -> None:
        """Reset the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def half_close(self) -> Self:
        """Say that nothing more will come, and stay to listen."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        return self

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def release(self) -> None:
        """Release the association and hang up."""
        self.send(pdu(RELEASE_RQ)).expect_released()

    def expect_released(self) -> None:
        """Expect the A-RELEASE-RP, and hang up as the requestor does."""
        kind, _ = self._pdu(WITHIN_SECONDS)
        assert kind == RELEASE_RP, f"PDU type {kind} instead of A-RELEASE-RP"
        self.close()

    def is_released(self, within: float = WITHIN_SECONDS) -> bool:
        """Wait for the end of the association; tell whether it was by an A-RELEASE-RP."""
        received = self._read(within)
        assert received is None or received[0] in {RELEASE_RP, ABORT}
        self.close()
        return received is not None and received[0] == RELEASE_RP

    def expect_accept(self) -> Self:
        """Expect an A-ASSOCIATE-AC and read what was negotiated."""
        kind, body = self._pdu(WITHIN_SECONDS)
        assert kind == AC, f"PDU type {kind}, {body[:4].hex()}, instead of A-ASSOCIATE-AC"
        self._read_acceptance(body)
        return self

    def is_accepted(self, within: float) -> bool:
        """Wait for the answer to a request that may as well be rejected or aborted."""
        received = self._read(within)
        if received is None or received[0] != AC:
            assert received is None or received[0] in {RJ, ABORT}
            if received is not None and received[0] == RJ:
                result, source, reason = received[1][1:4]
                self.rejection = (result, source, reason)
            return False
        self._read_acceptance(received[1])
        return True

    def _read_acceptance(self, body: bytes) -> None:
        for kind, value in _items(body[68:]):
            if kind == 0x21:
                result, syntaxes = value[2], dict(_items(value[4:]))
                if result == 0:
                    self.accepted[value[0]] = syntaxes[0x40].decode()
                else:
                    self.refused[value[0]] = result
            elif kind == 0x50:
                self.user_items = dict(_items(value))

    def expect_reject(self, result: int, source: int, reason: int) -> Self:
        """Expect an A-ASSOCIATE-RJ."""
        kind, body = self._pdu(WITHIN_SECONDS)
        assert kind == RJ, f"PDU type {kind} instead of A-ASSOCIATE-RJ"
        assert tuple(body[1:4]) == (result, source, reason)
        return self

    def expect_status(self, *allowed: int) -> Self:
        """Expect the response to the oldest unanswered request to have one of these statuses."""
        status = self.response(WITHIN_SECONDS)
        assert status in allowed, f"status 0x{status:04X}"
        return self

    def response(self, within: float) -> int:
        """Expect a DIMSE response and return its status."""
        received = bytearray()
        while True:
            kind, body = self._pdu(within)
            assert kind == P_DATA, f"PDU type {kind}, {body[:4].hex()}, instead of a response"
            if _take_in(body, received):
                return self._note(_elements(bytes(received)))

    def _note(self, elements: Mapping[int, bytes]) -> int:
        status = int.from_bytes(elements[STATUS], "little")
        self.statuses.append(status)
        if elements[FIELD] == us(RESPONSE | C_STORE_RQ):
            self.confirmed += status == 0x0000
            data_set = self._unanswered.popleft() if self._unanswered else b""
            if status == 0x0000:
                self.succeeded.append(data_set)
        return status

    def expect_abort(
        self, source: int | None = None, reason: int | None = None, within: float = WITHIN_SECONDS
    ) -> Self:
        """Expect an A-ABORT (PS3.8 9.3.8), after responses that were on the way."""
        ended = self.ending(within)
        assert ended.source is not None, "closed without an A-ABORT"
        wanted = (ended.source if source is None else source, reason)
        assert (ended.source, ended.reason if reason is not None else None) == wanted, ended
        return self

    def expect_end(self, within: float = WITHIN_SECONDS) -> Self:
        """Expect an A-ABORT or the end of the connection."""
        self.ending(within)
        return self

    def expect_closed(self, within: float = WITHIN_SECONDS) -> Self:
        """Expect the end of the connection, whatever is said before."""
        deadline = time.monotonic() + within
        while self._read(deadline - time.monotonic()) is not None:
            pass
        return self

    def ending(self, within: float) -> Ended:
        """Wait for the engine to end the association and return how it did."""
        deadline = time.monotonic() + within
        while received := self._read(deadline - time.monotonic()):
            kind, body = received
            if kind == ABORT:
                return Ended(body[2], body[3])
            assert kind in {AC, P_DATA}, f"PDU type {kind}"
        return Ended()

    def outcome(self, within: float = WITHIN_SECONDS) -> int | None:
        """Return the status of the next response, None if the association ends instead."""
        received = bytearray()
        while (answer := self._read(within)) and answer[0] == P_DATA:
            if _take_in(answer[1], received):
                return self._note(_elements(bytes(received)))
        return None

    def drain(self, within: float = WITHIN_SECONDS) -> Self:
        """Take in everything that the engine says until it ends the connection."""
        received, deadline = bytearray(), time.monotonic() + within
        while answer := self._read(deadline - time.monotonic()):
            if answer[0] == P_DATA and _take_in(answer[1], received):
                if STATUS in (elements := _elements(bytes(received))):
                    self._note(elements)
                received.clear()
        return self

    def _pdu(self, within: float) -> tuple[int, bytes]:
        received = self._read(within)
        assert received is not None, "the engine has closed the connection"
        return received

    def _read(self, within: float) -> tuple[int, bytes] | None:
        """Return type and body of the next PDU, None at the end of the connection."""
        deadline = time.monotonic() + within
        while not (received := self._complete()):
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                raise AssertionError(f"the engine says nothing for {within:.1f} s") from None
            except OSError:
                return None
            if not data:
                return None
            self._received += data
        return received

    def _complete(self) -> tuple[int, bytes] | None:
        if len(self._received) < 6:
            return None
        kind, length = struct.unpack_from(">BxI", self._received)
        if len(self._received) < 6 + length:
            return None
        body = bytes(self._received[6 : 6 + length])
        del self._received[: 6 + length]
        return kind, body


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from(">BxH", data, position)
        yield kind, data[position + 4 : position + 4 + length]
        position += 4 + length


def _take_in(body: bytes, received: bytearray) -> bool:
    """Collect the fragments of a response; return whether its last one was among them."""
    position = 0
    while position + 6 <= len(body):
        size, control = struct.unpack_from(">IxB", body, position)
        received += body[position + 6 : position + 4 + size]
        position += 4 + size
        if control & LAST:
            return True
    return False


def _elements(command_set: bytes) -> dict[int, bytes]:
    found, position = {}, 0
    while position + 8 <= len(command_set):
        number, length = struct.unpack_from("<2xHI", command_set, position)
        found[number] = command_set[position + 8 : position + 8 + length]
        position += 8 + length
    return found
