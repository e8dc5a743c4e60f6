"""The DIMSE messages of one association: a C-STORE to its part, any request to its answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.dimse.command import read_command, store_response
from engine.dimse.fragments import ProtocolViolation
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.dimse.command import Command, StoreRequest
    from engine.dimse.receiving import ReceivingAssociation
    from engine.dimse.reception import Receipt
    from engine.dimse.transport import BufferedSocket

MAX_OTHER_MESSAGE_BYTES = 1024 * 1024


class Messages:
    """Takes what the parser finds; called on the association's reading thread only."""

    def __init__(self, association: ReceivingAssociation, connection: BufferedSocket) -> None:
        self._association = association
        self._connection = connection
        self._limits = association.limits
        self._request: StoreRequest | None = None
        self._incoming: Receipt | None = None
        self._answer = b""
        self._other_bytes = 0
        """Of the data set of a message that is no C-STORE."""
        self._began: float | None = None
        self.objects = 0
        """How many have been complete."""
        self._last_bytes = 0
        """The size of the last object."""

    @property
    def object_bytes(self) -> int:
        """The size of the present object so far, or else of the last one."""
        return self._last_bytes if self._incoming is None else self._incoming.size_bytes

    def command(self, context_id: int, encoded: bytes) -> bool:
        """Take a command; open the object if it announces one."""
        self._association.check_age()
        command = self._read(context_id, encoded)
        self._other_bytes = 0
        self._request, self._answer = command.store, command.answer
        if command.store is not None:
            self._incoming = self._association.port.begin(self._association, command.store)
        if not command.has_data_set:
            self.data_end()
        return command.has_data_set

    def data(self, segments: Sequence[memoryview]) -> None:
        """Take the next bytes of a data set."""
        size_bytes, incoming = sum(map(len, segments)), self._incoming
        if incoming is None:
            self._other_bytes += size_bytes
            if self._other_bytes > MAX_OTHER_MESSAGE_BYTES:
                raise ProtocolViolation("a message that is no C-STORE is too long")
        elif incoming.size_bytes + size_bytes > self._limits.data_set_bytes:
            raise ProtocolViolation(
                f"a data set is longer than {self._limits.data_set_bytes:,} bytes"
            )
        else:
            incoming.write(segments, size_bytes)

    def data_end(self) -> None:
        """File the object, if it is one, and answer."""
        self._began = None
        incoming, self._incoming = self._incoming, None
        if incoming is not None and self._request is not None:
            self._finish(incoming, self._request)
        elif self._answer:
            self._connection.answer(self._answer)

    def _finish(self, incoming: Receipt, request: StoreRequest) -> None:
        self._last_bytes = incoming.size_bytes
        self.objects += 1
        outcome = incoming.finish()
        try:
            self._connection.answer(store_response(request, outcome.status, outcome.comment))
        finally:  # also if the peer is gone, which changes nothing about the object
            incoming.settle(outcome)

    def abandon(self) -> None:
        """Forget what was arriving."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.abandon()

    def check_duration(self, inside_message: bool) -> None:
        """Note the passing of time; a message may take only so long."""
        if not inside_message:
            self._began = None
            return
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        if now - self._began > self._limits.message_seconds:
            raise ProtocolViolation(f"a message takes longer than {self._limits.message_seconds} s")

    def _read(self, context_id: int, encoded: bytes) -> Command:
        if not self._association.accepts(context_id):
            raise ProtocolViolation(
                f"a message uses presentation context {context_id}, not accepted"
            )
        try:
            command = read_command(encoded, context_id)
        except UnreadableObject as error:
            raise ProtocolViolation(error.detail) from error
        store = command.store
        if store is not None and not (store.sop_class_uid and store.sop_instance_uid):
            raise ProtocolViolation("a C-STORE request lacks SOP class or instance UID")
        return command
