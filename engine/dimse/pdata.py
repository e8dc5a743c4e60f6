"""Parses P-DATA-TF PDUs in place in the receive buffer (PS3.8 9.3.5, annex E).

The parser copies no bytes of a data set: it returns views of the buffer.
"""

from __future__ import annotations

import mmap
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# PS3.8 9.3.1: a PDU begins with its type, a reserved byte, and its length in four bytes, which does
# not count these six.
P_DATA_TF = 0x04
PDU_HEAD_BYTES = 6
# The command set of a C-STORE has a few hundred bytes. Without a limit, a peer that never sends the
# last command fragment could fill the memory.
MAX_COMMAND_BYTES = 64 * 1024
BUFFER_BYTES = 640 * 1024
"""Holds a CT image with the heads of its PDUs, which is written with one call then.

With 64 KiB a CT image takes a tenth more CPU time (705 instead of 635 µs; 2026, 2 cores, tmpfs).
"""

# Head of the PDU and of its first PDV, read by one call: length of the PDU, length of the PDV,
# presentation context, message control header (PS3.8 9.3.5, E.2).
_PDU_AND_PDV = Struct(">BxIIBB")
_PDU_LENGTH = Struct(">I")
_PDV = Struct(">IBB")
_PDV_LENGTH_BYTES = 4
_COMMAND, _LAST = 1, 2  # message control header, PS3.8 E.2


class ProtocolViolation(Exception):
    """The peer violated the protocol; the association must be aborted."""


class ReceiveBuffer:
    """Memory for received bytes; those between `low` and `high` are not consumed yet.

    The kernel allocates its pages when they are first written to.
    """

    __slots__ = ("buffer", "high", "low", "view")

    def __init__(self, size_bytes: int) -> None:
        self.buffer = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self.buffer)
        self.low = self.high = 0

    def begin(self, rest: bytes = b"") -> None:
        """Empty the buffer, and begin with bytes that another use of a buffer has left."""
        self.low, self.high = 0, len(rest)
        if rest:
            self.view[: len(rest)] = rest

    def rest(self) -> bytes:
        """Return a copy of the bytes that are not consumed."""
        return bytes(self.view[self.low : self.high])

    def pdu_head(self) -> tuple[int, int] | None:
        """Return type and length of the next PDU (PS3.8 9.3.1); None if more bytes are needed."""
        if self.high - self.low < PDU_HEAD_BYTES:
            return None
        length = self.view[self.low + 2 : self.low + PDU_HEAD_BYTES]
        return self.buffer[self.low], int.from_bytes(length, "big")

    def take_pdu(self, length: int) -> bytes | None:
        """Consume a PDU and return it with its head; None if more bytes are needed."""
        end = self.low + PDU_HEAD_BYTES + length
        if end > self.high:
            return None
        encoded = bytes(self.view[self.low : end])
        self.low = end
        return encoded


class CommandSet(NamedTuple):
    """A complete command set; the caller must set `expects_data` before the next call."""

    context_id: int
    encoded: bytes


class Fragments(NamedTuple):
    """The next bytes of a data set; valid until the next call."""

    segments: list[memoryview]
    is_last: bool


class PDataParser:
    """Parses the P-DATA stream of one association; not thread-safe."""

    def __init__(self, max_pdu_bytes: int) -> None:
        self._max_pdu_bytes = max_pdu_bytes
        self._pdu_left = 0
        self._pdv_left = 0
        self._in_pdv = False
        self._control = 0
        self._context_id = 0
        self._message_context_id = 0
        """The presentation context that the message began on; all its fragments must be on it."""
        self._command = bytearray()
        self.expects_data = False
        """Whether a data set must follow; set by the caller after each command set."""
        self.pdus = 0
        """How many PDUs have begun."""

    @property
    def inside_pdu(self) -> bool:
        """Whether the next bytes belong to a PDU that has begun."""
        return self._pdu_left > 0

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self.inside_pdu or self.expects_data or bool(self._command)

    def next(self, data: ReceiveBuffer) -> CommandSet | Fragments | None:
        """Consume bytes up to the end of a command set, of a data set, or of the buffer.

        Returns:
            None if nothing can be consumed: more bytes are needed, or a PDU of another type is
            next.

        Raises:
            ProtocolViolation: with the reason.
        """
        segments: list[memoryview] = []
        buffer, view, high = data.buffer, data.view, data.high
        while True:
            if not self._in_pdv:
                # The fast way, which leaves all other PDUs to the code below.
                if self._pdu_left == 0 and high - data.low >= _PDU_AND_PDV.size:
                    ended = self._take_whole_pdus(data, segments)
                    if ended is not None:
                        return ended
                following = self._begin_pdv(buffer, data.low, high)
                if following < 0:
                    break
                data.low = following
            taken = min(high - data.low, self._pdv_left)
            # An empty PDV is complete without a byte: it may be the last fragment (PS3.8 E.2).
            if taken == 0 and self._pdv_left:
                break
            segment = view[data.low : data.low + taken]
            data.low += taken
            self._pdv_left -= taken
            self._pdu_left -= taken
            if self._control & _COMMAND:
                self._take_command(segment)
            elif self.expects_data:
                segments.append(segment)
            else:
                # PS3.8 annex E: a message is a command set, then its data set.
                raise ProtocolViolation("a data set fragment came where a command must follow")
            if self._pdv_left == 0:
                self._in_pdv = False
                if self._control & _LAST:
                    return self._end(segments)
        return Fragments(segments, False) if segments else None

    def _take_whole_pdus(
        self, data: ReceiveBuffer, segments: list[memoryview]
    ) -> CommandSet | Fragments | None:
        """Take PDUs that are complete and hold one fragment, as nearly all PDUs are."""
        unpack, longest = _PDU_AND_PDV.unpack_from, self._max_pdu_bytes
        buffer, view, low, high = data.buffer, data.view, data.low, data.high
        while high - low >= _PDU_AND_PDV.size:
            kind, length, pdv_length, context_id, control = unpack(buffer, low)
            end = low + PDU_HEAD_BYTES + length
            # The least length is that of an empty PDV: its head has six bytes, too. Any other PDU
            # is not an error here: the slower way reads it, or finds the fault.
            whole = kind == P_DATA_TF and end <= high and PDU_HEAD_BYTES <= length <= longest
            if not whole or pdv_length != length - _PDV_LENGTH_BYTES:
                break
            fragment = view[low + _PDU_AND_PDV.size : end]
            if self.expects_data:
                # A change of context is a violation, a command fragment too, and reserved bits are
                # to be ignored (PS3.8 E.2): all three are for the slower way.
                if context_id != self._message_context_id or control & ~_LAST:
                    break
                segments.append(fragment)
                self.pdus += 1
                if control:
                    data.low, self.expects_data = end, False
                    return Fragments(segments, True)
                low = self._take_equal_pdus(data, end - low, end, segments)
            # A command set in one fragment; one in several is put together the slower way.
            elif control == _COMMAND | _LAST and not self._command:
                self.pdus += 1
                data.low, self._message_context_id = end, context_id
                return self._complete(bytes(fragment))
            else:
                break
        data.low = low
        return None

    def _take_equal_pdus(
        self, data: ReceiveBuffer, size: int, end: int, segments: list[memoryview]
    ) -> int:
        """Take complete PDUs with the same head as the one of `size` before `end`."""
        buffer, view, high = data.buffer, data.view, data.high
        # Equal heads mean equal length, context and control header. All that was checked for the
        # first PDU holds for these as well, and none of them is the last of its data set.
        head = buffer[end - size : end - size + _PDU_AND_PDV.size]
        while high - end >= size and buffer[end : end + len(head)] == head:
            segments.append(view[end + _PDU_AND_PDV.size : end + size])
            end += size
            self.pdus += 1
        return end

    def _begin_pdv(self, buffer: mmap.mmap, low: int, high: int) -> int:
        """Read the head of the next PDV; return the position after it, -1 if bytes are missing."""
        available = high - low
        if self._pdu_left == 0:
            if available < PDU_HEAD_BYTES or buffer[low] != P_DATA_TF:
                return -1
            (length,) = _PDU_LENGTH.unpack_from(buffer, low + 2)
            # Checked before anything is kept for the PDU: the peer may claim up to 4 GiB.
            if not PDU_HEAD_BYTES <= length <= self._max_pdu_bytes:
                raise ProtocolViolation(f"a P-DATA-TF PDU announces {length:,} bytes")
            if available < _PDU_AND_PDV.size:
                return -1
            _, length, pdv_length, self._context_id, self._control = _PDU_AND_PDV.unpack_from(
                buffer, low
            )
            self._pdu_left = length - _PDV.size
            self.pdus += 1
            low += _PDU_AND_PDV.size
        else:
            if self._pdu_left < _PDV.size:
                raise ProtocolViolation("a P-DATA-TF PDU ends inside a PDV's head")
            if available < _PDV.size:
                return -1
            pdv_length, self._context_id, self._control = _PDV.unpack_from(buffer, low)
            self._pdu_left -= _PDV.size
            low += _PDV.size
        # PS3.8 annex E: all fragments of a message are on one presentation context. Otherwise the
        # data set of one context could be stored with the transfer syntax of another.
        if self._context_id != self._message_context_id and (self.expects_data or self._command):
            raise ProtocolViolation("a message changes its presentation context")
        # PS3.8 9.3.5: a PDV's length counts its context ID and its control header.
        self._pdv_left = pdv_length - 2
        if not 0 <= self._pdv_left <= self._pdu_left:
            raise ProtocolViolation(f"a PDV announces {pdv_length:,} bytes")
        self._in_pdv = True
        return low

    def _end(self, segments: list[memoryview]) -> CommandSet | Fragments:
        if self._control & _COMMAND:
            encoded, self._command = bytes(self._command), bytearray()
            return self._complete(encoded)
        self.expects_data = False
        return Fragments(segments, True)

    def _complete(self, encoded: bytes) -> CommandSet:
        if len(encoded) > MAX_COMMAND_BYTES:
            raise _too_long_command()
        return CommandSet(self._message_context_id, encoded)

    def _take_command(self, segment: memoryview) -> None:
        if self.expects_data:
            raise ProtocolViolation("a command fragment came where a data set must follow")
        if not self._command:
            self._message_context_id = self._context_id
        self._command += segment
        # Here as well as at the end: the end may never come.
        if len(self._command) > MAX_COMMAND_BYTES:
            raise _too_long_command()


def _too_long_command() -> ProtocolViolation:
    return ProtocolViolation(f"a command set is longer than {MAX_COMMAND_BYTES:,} bytes")


LONGEST_SENT_PDU = 128 * 1024
"""The length of our PDUs to a peer that accepts any length, or a greater one."""
_LAST_DATA, _MORE_DATA = 0x02, 0x00  # PS3.8 E.2


def data_pdus(
    data_set: Iterable[memoryview], size_bytes: int, context_id: int, max_pdu_bytes: int
) -> Iterator[bytes]:
    """Yield the P-DATA-TF PDUs of a data set (PS3.8 9.3.5).

    Args:
        data_set: its encoded bytes, in pieces of any size.
        size_bytes: the number of bytes of all pieces.
        context_id: its presentation context.
        max_pdu_bytes: the longest that the peer accepts; 0 for any (PS3.8 D.1).
    """
    most = min(max_pdu_bytes or LONGEST_SENT_PDU, LONGEST_SENT_PDU) - PDU_HEAD_BYTES
    left = size_bytes
    for piece in data_set:
        for begin in range(0, len(piece), most):
            fragment = piece[begin : begin + most]
            left -= len(fragment)
            size = len(fragment) + PDU_HEAD_BYTES
            # PS3.8 E.2. By the bytes that are left, because the pieces do not say which is the
            # last.
            control = _MORE_DATA if left else _LAST_DATA
            head = _PDU_AND_PDV.pack(P_DATA_TF, size, size - 4, context_id, control)
            yield head + fragment
