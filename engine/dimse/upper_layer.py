"""The association's two threads: pynetdicom's state machine, waiting without polling.

C-STORE data never becomes a pynetdicom primitive: in state Sta6 it goes from the receive buffer
to the object's part and the response goes back from the same thread. Negotiation, release, abort,
collisions, C-ECHO and whatever is unusual take pynetdicom's own way, within the same deadlines.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import A_P_ABORT, P_DATA

from engine.dimse.command import Command, StoreRequest, read_command, store_response
from engine.dimse.fragments import PDU_HEAD_BYTES, FragmentParser, ProtocolViolation
from engine.dimse.timer import MonotonicTimer
from engine.dimse.transport import BufferedSocket, TooSlow, wait_for
from engine.errors import UnreadableObject
from engine.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pynetdicom.ae import ApplicationEntity

    from engine.dimse.reception import Receipt
    from engine.model.tls import PeerCertificate

_logger = logging.getLogger(__name__)

ESTABLISHED = "Sta6"
CLOSING = "Sta13"
ANSWERING = "Sta3"
NEGOTIATION_PDU_BYTES = 256 * 1024
SLACK_BYTES = 4096
"""How far a P-DATA-TF PDU may exceed what was negotiated."""
MIN_BYTES_PER_SECOND = 1000
MAX_OTHER_MESSAGE_BYTES = 1024 * 1024
_P_DATA, _LAST_KIND = 0x04, 0x07
_ABORT = bytes([0x07, 0, 0, 0, 0, 4, 0, 0, 2, 6])
"""A-ABORT by the service provider: invalid PDU parameter value (PS3.8 9.3.8)."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a peer may take."""

    negotiation_seconds: float = 10.0
    """From the connection to the complete A-ASSOCIATE-RQ."""
    pdu_seconds: float = 30.0
    """For one PDU, unless it comes at a kilobyte a second or more."""
    handshake_seconds: float = 10.0
    """From the connection to the end of the TLS handshake, where the port wants one."""


class ObjectPort(Protocol):
    """Where the objects of an association go; every method is called on its reading thread."""

    def welcome(self, association: ReceivingAssociation) -> bool:
        """Prepare a new connection, such as by a TLS handshake; False refuses it."""
        ...

    def begin(self, association: ReceivingAssociation, request: StoreRequest) -> Receipt:
        """Open the object that a C-STORE-RQ announces."""
        ...

    def violated(self, association: ReceivingAssociation, why: str) -> None:
        """Note why the association is being aborted."""
        ...

    def gone(self, association: ReceivingAssociation) -> None:
        """Note that the connection is closed."""
        ...


class NotifyingQueue(queue.Queue[Any]):
    """A queue that calls back after every put."""

    def __init__(self, notify: Callable[[], None]) -> None:
        super().__init__()
        self._notify = notify

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Append an item and tell so."""
        super().put(item, block, timeout)
        self._notify()


class Gate(threading.Event):
    """What the association's own thread waits at, once per turn, until there is work for it."""

    def __init__(self, idle_seconds: Callable[[], float]) -> None:
        super().__init__()
        self._work = threading.Event()
        self._idle_seconds = idle_seconds
        super().set()

    def work(self) -> None:
        """Let the thread make one turn."""
        self._work.set()

    def set(self) -> None:
        """Open the gate, and let the thread look."""
        super().set()
        self._work.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the gate is open and there is work, or the idle time may be over."""
        opened = super().wait(timeout)
        self._work.wait(max(0.05, self._idle_seconds()))
        self._work.clear()
        return opened


class ReceivingProvider(DULServiceProvider):
    """The upper layer of one association: reads its connection and drives the state machine."""

    def __init__(self, association: ReceivingAssociation) -> None:
        super().__init__(association)
        self._association = association
        self._wake_lock = threading.Lock()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._run_loop_delay = 0
        self._idle: MonotonicTimer = MonotonicTimer(60)
        self._idle_timer = self._idle
        self._artim = self.artim_timer = MonotonicTimer(30)
        self.to_provider_queue = NotifyingQueue(self._wake)
        self.to_user_queue = NotifyingQueue(association.gate.work)
        self._messages: Messages | None = None
        self._parser: FragmentParser | None = None
        self._began = time.monotonic()
        """When the present PDU, or the negotiation, began."""
        self._unread = False
        """Whether the buffer holds what has not been looked at."""
        self._pdus = 0
        self._received = 0
        """Bytes of the present PDU."""

    @property
    def connection(self) -> BufferedSocket:
        """The connection, also after it is closed."""
        return cast(BufferedSocket, self.socket)

    def run_reactor(self) -> None:
        """Serve the connection to its end, then clean up after it."""
        try:
            if self._association.port.welcome(self._association):
                self._began = time.monotonic()
                super().run_reactor()
        except Exception as error:
            # pynetdicom trips over values that a well-formed PDU may not have.
            self._give_up(error)
        finally:
            self._association._dul_ready.set()  # waited for, also if the connection was refused
            if self._messages is not None:
                self._messages.abandon()
            with self._wake_lock:
                wake_fd, self._wake_fd = self._wake_fd, -1
                os.close(wake_fd)
            self.connection.close()
            self._association.port.gone(self._association)
            if not self._association.is_established:
                self.to_user_queue.put(None)  # ends the wait for an A-ASSOCIATE-RQ
            self._association.gate.work()

    def _give_up(self, error: Exception) -> None:
        association = self._association
        association.port.violated(association, f"a PDU makes no sense ({type(error).__name__})")
        if self.connection.socket is not None:
            with suppress(OSError):
                self.connection.socket.sendall(_ABORT)
        if association.is_established:
            self.to_user_queue.put(A_P_ABORT())

    def kill_dul(self) -> None:
        """End the thread, wherever it waits."""
        super().kill_dul()
        self._wake()

    def stop_dul(self) -> bool:
        """End the thread if the connection is closed; return whether it is."""
        if self.state_machine.current_state != "Sta1":
            return False
        self._kill_thread = True
        self._wake()
        self.join(5)
        return True

    def _wake(self) -> None:
        with self._wake_lock:  # a descriptor that is closed meanwhile may be somebody else's
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def _is_transport_event(self) -> bool:
        if self.event_queue.queue or self._kill_thread:
            return False
        state = self.state_machine.current_state
        if state == CLOSING:
            self.connection.discard()
            self.connection.close()
            return True
        # What a hasty peer sends before it has our answer waits until we have given it.
        reads = state != ANSWERING and self.connection.socket is not None
        if reads and (self._unread or self.connection.wait(self._patience(), self._wake_fd)):
            self._read_pdu_data()
            return True
        if not reads:
            wait_for(self._wake_fd, self._artim)
        self._drain_wake_ups()
        if self._is_too_slow():
            self._end("the peer stopped in the middle of a PDU")
        return False

    def _drain_wake_ups(self) -> None:
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return

    def _patience(self) -> float | None:
        """Return how long nothing may happen; None for as long as the idle timer lets it."""
        waits = []
        if self._artim.is_running:
            waits.append(self._artim.remaining)
        if self._is_inside_pdu():
            waits.append(max(0.1, self._pdu_deadline() - time.monotonic()))
        return min(waits, default=None)

    def _is_inside_pdu(self) -> bool:
        inside = self._parser is not None and self._parser.inside_pdu
        return inside or self.connection.low < self.connection.high

    def _pdu_deadline(self) -> float:
        return self._began + max(
            self._association.deadlines.pdu_seconds, self._received / MIN_BYTES_PER_SECOND
        )

    def _is_too_slow(self) -> bool:
        return self._is_inside_pdu() and time.monotonic() > self._pdu_deadline()

    def _read_pdu_data(self) -> None:
        self._unread = False
        if self.state_machine.current_state != ESTABLISHED:
            self._read_other_pdu()
            return
        self._idle.hold()  # while we work, it is the peer that waits
        try:
            self._read_messages()
        except ProtocolViolation as violation:
            self._end(str(violation))
        except OSError:
            self.event_queue.put("Evt17")
        except Exception as error:
            _logger.exception("an association failed while it was read")
            self._end(f"internal error ({type(error).__name__})")
        finally:
            self._idle_timer.restart()

    def _read_messages(self) -> None:
        """Take in what there is, until something else than P-DATA or a primitive of ours comes."""
        parser, connection = self._ready_parser(), self.connection
        while True:
            if connection.low < connection.high:
                connection.low, other = parser.parse(
                    connection.buffer, connection.view, connection.low, connection.high
                )
                if other:
                    self._read_other_pdu()
                    return
            self._note_progress(parser)
            if self.to_provider_queue.queue or self._kill_thread:
                return
            received = connection.fill()
            if received < 0:
                return
            if received == 0:
                self.event_queue.put("Evt17")
                return
            self._received += received

    def _ready_parser(self) -> FragmentParser:
        if self._parser is None:
            limits = self._association.limits
            self._messages = Messages(self._association, self.connection)
            self._parser = FragmentParser(limits.pdu_bytes + SLACK_BYTES, self._messages)
        return self._parser

    def _note_progress(self, parser: FragmentParser) -> None:
        if parser.pdus != self._pdus or not self._is_inside_pdu():
            self._pdus = parser.pdus
            self._began, self._received = time.monotonic(), 0
        elif self._is_too_slow():
            raise ProtocolViolation("the peer sends a PDU too slowly")
        assert self._messages is not None
        self._messages.check_duration(parser.inside_message)

    def _read_other_pdu(self) -> None:
        """Read one PDU the stock way, if its type and length are acceptable."""
        connection, deadlines = self.connection, self._association.deadlines
        if self._parser is None:
            connection.deadline = self._began + deadlines.negotiation_seconds
        else:
            connection.deadline = time.monotonic() + deadlines.pdu_seconds
        try:
            while connection.high - connection.low < PDU_HEAD_BYTES:
                if not connection.fill_by_deadline():
                    self.event_queue.put("Evt17")
                    return
        except OSError as error:
            self._end(str(error) if isinstance(error, TooSlow) else "")
            return
        kind = connection.buffer[connection.low]
        length = int.from_bytes(connection.view[connection.low + 2 : connection.low + 6], "big")
        longest = self._association.limits.pdu_bytes if kind == _P_DATA else NEGOTIATION_PDU_BYTES
        if not 1 <= kind <= _LAST_KIND or length > longest + SLACK_BYTES:
            connection.low = connection.high
            self._end(f"a PDU of type 0x{kind:02X} says it has {length:,} bytes")
            return
        super()._read_pdu_data()
        self._unread = connection.low < connection.high

    def _end(self, why: str) -> None:
        """Let the state machine abort the association, or just close an unborn one."""
        if why:
            self._association.port.violated(self._association, why)
        # Evt19: invalid PDU, answered with an A-ABORT; Evt17: the connection is closed.
        if self.state_machine.current_state == ESTABLISHED or why.startswith("a PDU of type"):
            self.event_queue.put("Evt19")
        else:
            self.connection.close()


class Messages:
    """The DIMSE messages of one association: C-STORE to its part, others to pynetdicom."""

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
        self._data_set_bytes += sum(map(len, segments))
        if self._incoming is None:
            self._take_other(segments)
        elif self._data_set_bytes > self._limits.data_set_bytes:
            raise ProtocolViolation(
                f"a data set is longer than {self._limits.data_set_bytes:,} bytes"
            )
        else:
            self._incoming.write(segments)

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


class ReceivingAssociation(Association):
    """An acceptor whose objects go to a port and whose threads sleep until there is work."""

    def __init__(
        self, ae: ApplicationEntity, mode: str, port: ObjectPort, deadlines: Deadlines
    ) -> None:
        super().__init__(ae, mode)
        self.port = port
        self.deadlines = deadlines
        self.limits = Limits()
        """Set when the association is accepted."""
        self.certificate: PeerCertificate | None = None
        """What the caller showed in the TLS handshake."""
        self.gate = Gate(self._idle_seconds)
        self._reactor_checkpoint = self.gate
        self.dul = ReceivingProvider(self)
        self.dimse.msg_queue = NotifyingQueue(self.gate.work)
        # The setters hand these to the timers of the new provider.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    @property
    def connection(self) -> BufferedSocket:
        """The connection, also after it is closed."""
        return cast(BufferedSocket, self.dul.socket)

    def hang_up(self) -> None:
        """Break the connection, whatever its threads are doing; callable from any thread."""
        connection = self.dul.socket.socket if self.dul.socket is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def accepts(self, context_id: int) -> bool:
        """Tell whether messages may use a presentation context."""
        return context_id in self._accepted_cx

    def transfer_syntax_of(self, context_id: int) -> str:
        """Return what was negotiated for an accepted presentation context."""
        return str(self._accepted_cx[context_id].transfer_syntax[0])

    def _idle_seconds(self) -> float:
        return self.dul._idle_timer.remaining
