"""Watches the messages of one association for size and duration while they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom.pdu import P_DATA_TF

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.model.limits import Limits

_COMMAND, _LAST = 1, 2  # message control header, PS3.8 E.2


class MessageGuard:
    """Counts one association's fragments; called on the thread that reads its connection."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._data_set_bytes = 0
        self._began: float | None = None

    def breach(self, pdu: object) -> str:
        """Take in a PDU and say which limit its message has gone beyond; nothing if none."""
        if not isinstance(pdu, P_DATA_TF):
            return ""
        now = self._clock.monotonic()
        began = self._began = now if self._began is None else self._began
        for item in pdu.presentation_data_value_items:
            self._count(item.presentation_data_value or b"\x01")
        if self._data_set_bytes > self._limits.data_set_bytes:
            return f"a data set is longer than {self._limits.data_set_bytes:,} bytes"
        if now - began > self._limits.message_seconds:
            return f"a message takes longer than {self._limits.message_seconds} s"
        return ""

    def _count(self, fragment: bytes) -> None:
        control = fragment[0]
        if control & _COMMAND:
            return
        self._data_set_bytes += len(fragment) - 1
        if control & _LAST and self._data_set_bytes <= self._limits.data_set_bytes:
            self._data_set_bytes = 0
            self._began = None
