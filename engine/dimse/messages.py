"""The DIMSE messages of one association: C-STORE goes to its object, others to pynetdicom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pynetdicom.pdu_primitives import P_DATA

from engine.dimse.command import read_command, store_response
from engine.dimse.fragments import ProtocolViolation
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.dimse.command import Command, StoreRequest
    from engine.dimse.reception import Receipt
    from engine.dimse.transport import BufferedSocket
    from engine.dimse.upper_layer import ReceivingAssociation

MAX_OTHER_MESSAGE_BYTES = 1024 * 1024


class Messages:
    """Takes what the parser finds; called on the association's reading thread only."""

    def __init__(self, association: ReceivingAssociation, connection: BufferedSocket) -> None:
        self._association = association
        self._connection = connection
        self._limits = association.limits
        self._request: StoreRequest | None = None
        self._incoming: Receipt | None = None
        self._other = bytearray()
        self._context_id = 0
        self._data_set_bytes = 0
        self._began: float | None = None

    def command(self, context_id: int, encoded: bytes) -> bool:
        """Take a command; open the object if it announces one."""
        command = self._read(context_id, encoded)
        self._context_id, self._data_set_bytes = context_id, 0
        if command.store is not None:
            self._request = command.store
            self._incoming = self._association.port.begin(self._association, command.store)
            return True
        self._pass_on(context_id, b"\x03" + encoded)
        if not command.has_data_set:
            self._began = None
        return command.has_data_set

    def data(self, segments: Sequence[memoryview]) -> None:
        """Take the next bytes of a data set."""
        size_bytes = sum(map(len, segments))
        self._data_set_bytes += size_bytes
        if self._incoming is None:
            self._take_other(segments)
        elif self._data_set_bytes > self._limits.data_set_bytes:
            raise ProtocolViolation(
                f"a data set is longer than {self._limits.data_set_bytes:,} bytes"
            )
        else:
            self._incoming.write(segments, size_bytes)

    def data_end(self) -> None:
        """File the object, or pass the message on, and answer."""
        self._began = None
        if self._incoming is None:
            data_set, self._other = bytes(self._other), bytearray()
            self._pass_on(self._context_id, b"\x02" + data_set)
            return
        incoming, self._incoming = self._incoming, None
        outcome = incoming.finish()
        assert self._request is not None
        response = store_response(self._request, outcome.status, outcome.comment)
        connection = self._connection.socket
        if connection is not None:
            connection.sendall(response)

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
        if not command.field:
            raise ProtocolViolation("a command set says no command")
        store = command.store
        if store is not None and not (store.sop_class_uid and store.sop_instance_uid):
            raise ProtocolViolation("a C-STORE request lacks SOP class or instance UID")
        if command.starts_a_thread:
            raise ProtocolViolation("an N-EVENT-REPORT request, which no receiver serves")
        return command

    def _take_other(self, segments: Sequence[memoryview]) -> None:
        for segment in segments:
            self._other += segment
        if len(self._other) > MAX_OTHER_MESSAGE_BYTES:
            raise ProtocolViolation("a message that is no C-STORE is too long")

    def _pass_on(self, context_id: int, fragment: bytes) -> None:
        primitive = P_DATA()
        # Its check wants a list where its annotation says tuple.
        primitive.presentation_data_value_list = [[context_id, fragment]]  # type: ignore[list-item]
        self._association.dimse.receive_primitive(primitive)
