"""Watches the messages of one association for size and duration while they arrive."""

from __future__ import annotations

from struct import unpack_from
from typing import TYPE_CHECKING

from pynetdicom.pdu import P_DATA_TF

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.model.limits import Limits

COMMAND_BYTES = 65_536
"""Longest command set; those of the standard take a few hundred bytes."""

_COMMAND, _LAST = 1, 2  # message control header, PS3.8 E.2
_DATA_SET_TYPE = 0x0800_0000  # (0000,0800) as one little-endian number
_NO_DATA_SET = b"\x01\x01"  # PS3.7 E.1


class MessageGuard:
    """Counts one association's fragments; called on the thread that reads its connection."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._forget()

    def breach(self, pdu: object) -> str:
        """Take in a PDU and say which limit its message has gone beyond; nothing if none."""
        if not isinstance(pdu, P_DATA_TF):
            return ""
        now = self._clock.monotonic()
        for item in pdu.presentation_data_value_items:
            breach = self._count(item.presentation_data_value or bytes([_COMMAND]), now)
            if breach:
                return breach
        return ""

    def _forget(self) -> None:
        """Begin with a message of which nothing has come yet."""
        self._command = bytearray()
        self._data_set_bytes = 0
        self._began: float | None = None

    def _count(self, fragment: bytes, now: float) -> str:
        is_command, is_last = fragment[0] & _COMMAND, fragment[0] & _LAST
        self._began = now if self._began is None else self._began
        if is_command:
            self._command += fragment[1:]
        else:
            self._data_set_bytes += len(fragment) - 1
        breach = self._judge(now - self._began)
        if is_last and not breach and not (is_command and _announces_data_set(self._command)):
            self._forget()
        return breach

    def _judge(self, seconds: float) -> str:
        limits = self._limits
        if self._data_set_bytes > limits.data_set_bytes:
            return f"a data set is longer than {limits.data_set_bytes:,} bytes"
        if len(self._command) > COMMAND_BYTES:
            return f"a command set is longer than {COMMAND_BYTES:,} bytes"
        if seconds > limits.message_seconds:
            return f"a message takes longer than {limits.message_seconds} s"
        return ""


def _announces_data_set(command: bytes | bytearray) -> bool:
    """Read the Command Data Set Type of a command set, which is implicit little endian."""
    position = 0
    while position + 8 <= len(command):
        tag, length = unpack_from("<II", command, position)
        position += 8
        if tag == _DATA_SET_TYPE:
            return bytes(command[position : position + 2]) != _NO_DATA_SET
        position += length
    return True
