"""The P-DATA stream of one association: from its connection to its messages, as fast as it comes.

It waits for nothing, so that it can be read on the association's own thread and on a shared one.
"""

from __future__ import annotations

import time
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING

from engine.dimse.fragments import FragmentParser, ProtocolViolation
from engine.dimse.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.dimse.receiving import ReceivingAssociation
    from engine.dimse.transport import BufferedSocket

SLACK_BYTES = 4096
"""How far a P-DATA-TF PDU may exceed what was negotiated."""
MIN_BYTES_PER_SECOND = 1000
MORE_BYTES = 16 * 1024
"""Whoever sent so much at once is sending more, which can be taken in together with it."""
SHORT_OBJECT_BYTES = 192 * 1024
"""Objects up to this length most often are in the receive buffer as a whole."""

LONG_OBJECT_BYTES = 1024 * 1024
"""Objects up to this length do not occupy a thread for long."""


class Length(IntEnum):
    """How long an object is, which decides about the thread that reads it."""

    SHORT = auto()
    LONG = auto()
    LARGE = auto()


class Halt(Enum):
    """Why there is nothing more to read now."""

    NOTHING_MORE = auto()
    OTHER_PDU = auto()
    """One that is no P-DATA-TF stands in the buffer."""
    CLOSED = auto()
    """The peer sends nothing any more."""
    UNSENT = auto()
    """The peer does not take its answers."""
    INTERRUPTED = auto()


class MessageStream:
    """What comes on one association; used by one thread at a time."""

    def __init__(
        self,
        association: ReceivingAssociation,
        connection: BufferedSocket,
        is_interrupted: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._is_interrupted = is_interrupted
        self._messages = Messages(association, connection)
        limits = association.limits
        self._parser = FragmentParser(limits.pdu_bytes + SLACK_BYTES, self._messages)
        self._pdu_seconds = association.deadlines.pdu_seconds
        self._began = time.monotonic()
        """When the present PDU began."""
        self._received = 0
        """Bytes of the present PDU."""
        self._pdus = 0

    @property
    def is_inside_pdu(self) -> bool:
        """Whether a PDU has begun and not ended."""
        return self._parser.inside_pdu or self._connection.low < self._connection.high

    @property
    def is_inside_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._parser.inside_message or self._connection.low < self._connection.high

    @property
    def length(self) -> Length:
        """That of the present object so far, or else of the last one."""
        size_bytes = self._messages.object_bytes
        if size_bytes <= SHORT_OBJECT_BYTES:
            return Length.SHORT
        return Length.LONG if size_bytes <= LONG_OBJECT_BYTES else Length.LARGE

    @property
    def is_series(self) -> bool:
        """Whether several objects have come, so that more may be expected."""
        return self._messages.objects > 1

    @property
    def deadline(self) -> float:
        """Monotonic time by which the present PDU must be complete."""
        seconds = max(self._pdu_seconds, self._received / MIN_BYTES_PER_SECOND)
        return self._began + seconds

    @property
    def is_too_slow(self) -> bool:
        """Whether the present PDU takes too long."""
        return self.is_inside_pdu and time.monotonic() > self.deadline

    def read(self, *, is_ready: bool = False) -> Halt:
        """Take in what there is.

        Args:
            is_ready: whether there may be something to read, so that a look is worth it.

        Raises:
            ProtocolViolation: saying what is wrong with what came.
            OSError: if the connection is broken.
        """
        is_parsed = self._connection.low == self._connection.high
        halt = None if is_ready and is_parsed else self._parse()
        while halt is None and (is_ready or self._parser.inside_message):
            halt, is_ready = self.take(), False
        return halt or Halt.NOTHING_MORE

    def take(self) -> Halt | None:
        """Take in one buffer full at most, for a thread that has others to serve as well.

        Returns:
            None if there may be more.

        Raises:
            ProtocolViolation: saying what is wrong with what came.
            OSError: if the connection is broken.
        """
        connection = self._connection
        if not self.is_inside_pdu:  # what comes now begins one, however long it was silent before
            self._began, self._received = time.monotonic(), 0
        received = more = connection.fill()
        if received <= 0:
            return Halt.CLOSED if received == 0 else Halt.NOTHING_MORE
        while more >= MORE_BYTES and connection.high < len(connection.buffer):
            more = connection.fill()
            received += max(0, more)
        self._received += received
        return self._parse()

    def abandon(self) -> None:
        """Forget what was arriving."""
        self._messages.abandon()

    def _parse(self) -> Halt | None:
        connection = self._connection
        if connection.low < connection.high:
            connection.low, other = self._parser.parse(
                connection.buffer, connection.view, connection.low, connection.high
            )
            if other:
                return Halt.OTHER_PDU
        self._note_progress()
        if connection.unsent:
            return Halt.UNSENT
        return Halt.INTERRUPTED if self._is_interrupted() else None

    def _note_progress(self) -> None:
        parser = self._parser
        if parser.pdus != self._pdus:
            self._pdus = parser.pdus
            self._began, self._received = time.monotonic(), 0
        elif self.is_too_slow:
            raise ProtocolViolation("the peer sends a PDU too slowly")
        self._messages.check_duration(parser.inside_message)
