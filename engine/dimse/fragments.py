"""P-DATA-TF PDUs, taken apart where they lie in the receive buffer (PS3.8 9.3.5, annex E).

The parser keeps no bytes of a data set: their place in the buffer goes to the sink at once.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Protocol

from engine.dimse.command import MAX_COMMAND_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    Bytes = bytearray | mmap

P_DATA_TF = 0x04
PDU_HEAD_BYTES = 6

_PDU_AND_PDV = Struct(">BxIIBB")
_PDU_LENGTH = Struct(">I")
_PDV = Struct(">IBB")
_PDV_LENGTH_BYTES = 4
_COMMAND, _LAST = 1, 2  # message control header, PS3.8 E.2


class ProtocolViolation(Exception):
    """The peer sent what no association allows; the association ends with an A-ABORT."""


class MessageSink(Protocol):
    """Takes the messages of one association."""

    def command(self, context_id: int, encoded: bytes) -> bool:
        """Take a complete command set; return whether a data set must follow."""
        ...

    def data(self, segments: Sequence[memoryview]) -> None:
        """Take the next bytes of the data set; the memory is reused after the call."""
        ...

    def data_end(self) -> None:
        """Note that the data set is complete."""
        ...


class FragmentParser:
    """Parses the P-DATA stream of one association; not thread-safe."""

    def __init__(self, max_pdu_bytes: int, sink: MessageSink) -> None:
        self._max_pdu_bytes = max_pdu_bytes
        self._sink = sink
        self._pdu_left = 0
        self._pdv_left = 0
        self._in_pdv = False
        self._control = 0
        self._context_id = 0
        self._message_context_id = 0
        """The presentation context that the message began on; all its fragments must be on it."""
        self._command = bytearray()
        self._expects_data = False
        self.pdus = 0
        """How many PDUs have begun."""

    @property
    def inside_pdu(self) -> bool:
        """Whether the bytes that come next belong to a PDU that has begun."""
        return self._in_pdv or self._pdu_left > 0

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self.inside_pdu or self._expects_data or bool(self._command)

    def parse(self, buffer: Bytes, view: memoryview, low: int, high: int) -> tuple[int, bool]:
        """Consume what can be consumed between two positions of the buffer.

        Returns:
            The new low position, and whether a PDU of another type stands there.

        Raises:
            ProtocolViolation: saying what is wrong with the stream.
        """
        segments: list[memoryview] = []
        while True:
            if not self._in_pdv:
                if self._pdu_left == 0 and high - low >= _PDU_AND_PDV.size:
                    low = self._take_whole_pdus(buffer, view, low, high, segments)
                following = self._begin_pdv(buffer, low, high)
                if following < 0:
                    break
                low = following
            taken = min(high - low, self._pdv_left)
            if taken == 0 and self._pdv_left:
                break
            segment = view[low : low + taken]
            low += taken
            self._pdv_left -= taken
            self._pdu_left -= taken
            if self._control & _COMMAND:
                self._take_command(segment)
            else:
                segments.append(segment)
            if self._pdv_left == 0:
                self._end_pdv(segments)
        if segments:
            self._take_data(segments)
        other = not self.inside_pdu and high - low >= 1 and buffer[low] != P_DATA_TF
        return low, other

    def _take_whole_pdus(
        self, buffer: Bytes, view: memoryview, low: int, high: int, segments: list[memoryview]
    ) -> int:
        """Take PDUs that are here whole and hold one fragment: what nearly all PDUs are."""
        unpack, longest = _PDU_AND_PDV.unpack_from, self._max_pdu_bytes
        while high - low >= _PDU_AND_PDV.size:
            kind, length, pdv_length, context_id, control = unpack(buffer, low)
            end = low + PDU_HEAD_BYTES + length
            whole = kind == P_DATA_TF and end <= high and PDU_HEAD_BYTES <= length <= longest
            if not whole or pdv_length != length - _PDV_LENGTH_BYTES:
                break
            fragment = view[low + _PDU_AND_PDV.size : end]
            if self._expects_data:
                if context_id != self._message_context_id or control & ~_LAST:
                    break
                segments.append(fragment)
                if control:
                    self._end_data(segments)
                else:
                    end = self._take_alike(buffer, view, end - low, end, high, segments)
            elif control == _COMMAND | _LAST and not self._command:
                self._message_context_id = context_id
                self._end_command(bytes(fragment))
            else:
                break
            self.pdus += 1
            low = end
        return low

    def _take_alike(
        self,
        buffer: Bytes,
        view: memoryview,
        size: int,
        end: int,
        high: int,
        segments: list[memoryview],
    ) -> int:
        """Take whole PDUs that begin just as the one of `size` before `end`: often many do."""
        head = buffer[end - size : end - size + _PDU_AND_PDV.size]
        while high - end >= size and buffer[end : end + len(head)] == head:
            segments.append(view[end + _PDU_AND_PDV.size : end + size])
            end += size
            self.pdus += 1
        return end

    def _begin_pdv(self, buffer: Bytes, low: int, high: int) -> int:
        """Read the next PDV's head; return the position after it, or -1 if it is not there yet."""
        available = high - low
        if self._pdu_left == 0:
            if available < PDU_HEAD_BYTES or buffer[low] != P_DATA_TF:
                return -1
            (length,) = _PDU_LENGTH.unpack_from(buffer, low + 2)
            if not PDU_HEAD_BYTES <= length <= self._max_pdu_bytes:
                raise ProtocolViolation(f"a P-DATA-TF PDU says it has {length:,} bytes")
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
        if self._context_id != self._message_context_id and (self._expects_data or self._command):
            raise ProtocolViolation("a message changes its presentation context")
        self._pdv_left = pdv_length - 2
        if not 0 <= self._pdv_left <= self._pdu_left:
            raise ProtocolViolation(f"a PDV says it has {pdv_length:,} bytes")
        self._in_pdv = True
        return low

    def _end_pdv(self, segments: list[memoryview]) -> None:
        self._in_pdv = False
        if not self._control & _LAST:
            return
        if self._control & _COMMAND:
            encoded, self._command = bytes(self._command), bytearray()
            self._end_command(encoded)
        else:
            self._end_data(segments)

    def _end_command(self, encoded: bytes) -> None:
        if len(encoded) > MAX_COMMAND_BYTES:
            raise _too_long_command()
        self._expects_data = self._sink.command(self._message_context_id, encoded)

    def _end_data(self, segments: list[memoryview]) -> None:
        self._take_data(segments)
        segments.clear()
        self._expects_data = False
        self._sink.data_end()

    def _take_command(self, segment: memoryview) -> None:
        if self._expects_data:
            raise ProtocolViolation("a command fragment stands where a data set is due")
        if not self._command:
            self._message_context_id = self._context_id
        self._command += segment
        if len(self._command) > MAX_COMMAND_BYTES:
            raise _too_long_command()

    def _take_data(self, segments: list[memoryview]) -> None:
        if not self._expects_data:
            raise ProtocolViolation("a data set fragment stands where a command is due")
        self._sink.data(segments)


def _too_long_command() -> ProtocolViolation:
    return ProtocolViolation(f"a command set is longer than {MAX_COMMAND_BYTES:,} bytes")
