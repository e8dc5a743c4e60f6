"""The upper layer of an association: pynetdicom's state machine, waiting without polling.

DIMSE messages never become pynetdicom primitives: in state Sta6 data goes from the receive buffer
to the object's part and the response goes back from the same thread, in the order of the requests.
Release, abort and collisions take pynetdicom's own way, within the same deadlines; so does a
request, but for its answer, which is negotiated and encoded once for all who propose the same.

One thread does it all: it waits, lets the state machine act on what comes, and lets the association
act on what the state machine indicates, before it waits again.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import A_P_ABORT

from engine.dimse.fragments import PDU_HEAD_BYTES, ProtocolViolation
from engine.dimse.greeting import GREETING_BYTES
from engine.dimse.message_stream import Halt, Length, MessageStream
from engine.dimse.negotiation import proposal
from engine.dimse.request import ASSOCIATE_RQ
from engine.dimse.shared_reader import Served
from engine.dimse.strangers import departure
from engine.dimse.timer import MonotonicTimer
from engine.dimse.transport import BufferedSocket, TooSlow, wait_for
from engine.dimse.waiting import NotifyingQueue

if TYPE_CHECKING:
    from engine.dimse.receiving import ReceivingAssociation
    from engine.dimse.transport import Memory

_logger = logging.getLogger(__name__)

ESTABLISHED = "Sta6"
CLOSING = "Sta13"
UNBORN = "Sta2"
ANSWERING = frozenset({"Sta3", "Sta8"})
"""An A-ASSOCIATE-RQ or A-RELEASE-RQ has come, and its answer is being made."""
LONGEST_OTHER_PDU_BYTES = 256 * 1024 - PDU_HEAD_BYTES
"""Of any PDU but P-DATA-TF; with its head, it fits into the receive buffer."""
_SHORTEST_WAIT_SECONDS = 0.05
"""For the idle time to be over, which the shared reader may begin anew at any moment."""
_GOING_ON = frozenset({Halt.NOTHING_MORE, Halt.UNSENT})
_LAST_KIND = 0x07
_UNSPECIFIED, _UNRECOGNIZED_PDU, _UNEXPECTED_PDU, _INVALID_PARAMETER = 0, 1, 2, 6
"""Reasons of an A-ABORT by the service provider (PS3.8 9.3.8)."""
_PROVIDER = 2
_ABORT = bytes([0x07, 0, 0, 0, 0, 4, 0, 0, _PROVIDER, _INVALID_PARAMETER])


class ReceivingProvider(DULServiceProvider):
    """The upper layer of one association: reads its connection and drives the state machine.

    For pynetdicom it is a thread; here the association's own thread runs it.
    """

    def __init__(self, association: ReceivingAssociation) -> None:
        self._stand_as_provider(association)
        self._association = association
        self._wake_lock = threading.Lock()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stream: MessageStream | None = None
        """What is read once the association is established."""
        self._began = time.monotonic()
        """When the negotiation began."""
        self._unread = False
        """Whether the buffer holds what has not been looked at."""
        self._was_idle = False
        self._lent_as = Length.SHORT
        """How long the objects are that a shared reader reads."""
        self._trouble: Exception | None = None
        """What went wrong on a shared reader's thread."""
        self._first_bytes = b""
        """What the peer said first."""
        self._abort_reason = _UNEXPECTED_PDU

    def _stand_as_provider(self, association: ReceivingAssociation) -> None:
        """Set what pynetdicom's constructor sets, with queues and timers of our own."""
        threading.Thread.__init__(self)  # never started
        self._assoc = association
        self.socket = None
        self.event_queue, self._recv_pdu = queue.Queue(), queue.Queue()
        self.to_provider_queue = NotifyingQueue(self._wake)
        self.to_user_queue = queue.Queue()
        self._idle_timer = self._idle = MonotonicTimer(60)
        self.artim_timer = self._artim = MonotonicTimer(30)
        self.state_machine = StateMachine(self)
        self._kill_thread = False

    @property
    def connection(self) -> BufferedSocket:
        """The connection, also after it is closed."""
        return cast(BufferedSocket, self.socket)

    @property
    def has_begun(self) -> bool:
        """Whether the first PDU has come."""
        return bool(self._first_bytes)

    def run_reactor(self) -> None:
        """Serve the connection to its end, then clean up after it."""
        try:
            if self._association.port.welcome(self._association):
                self._began = time.monotonic()
                self._idle.start()
                self._drive()
        except Exception as error:
            # pynetdicom trips over values that a well-formed PDU may not have.
            self._give_up(error)
        finally:
            self.close()

    def close(self) -> None:
        """Give back all that the association holds: it has ended, or could not begin."""
        self._abandon()
        with self._wake_lock:
            wake_fd, self._wake_fd = self._wake_fd, -1
            os.close(wake_fd)
        self.connection.close()
        self._association.port.gone(self._association)

    def _drive(self) -> None:
        """Let the state machine act on one event after the other, until its work is done."""
        while not self._kill_thread:
            if self._artim.expired:
                self.event_queue.put("Evt18")
            if not self.event_queue.queue and not self._process_recv_primitive():
                self._listen()
            if self.event_queue.queue:
                self.state_machine.do_action(self.event_queue.get(block=False))
            while self.to_user_queue.queue:
                self._association.indicate(self.to_user_queue.get(block=False))

    def _give_up(self, error: Exception) -> None:
        association = self._association
        association.port.violated(association, _nonsense(error))
        self._abandon()
        if self.connection.socket is not None:
            with suppress(OSError):
                self.connection.socket.sendall(_ABORT)
        association.indicate(A_P_ABORT())

    def departure(self) -> str:
        """Say how the connection ended, if it did before its A-ASSOCIATE-RQ was complete."""
        connection, seconds = self.connection, self._association.deadlines.negotiation_seconds
        unread = bytes(connection.view[connection.low : connection.high][:GREETING_BYTES])
        is_late = time.monotonic() - self._began >= seconds
        first = self._first_bytes or unread
        return departure(first, LONGEST_OTHER_PDU_BYTES, seconds if is_late else None)

    def idle_timer_expired(self) -> bool:
        """Tell whether the peer was silent for too long; it stays so, for an abort follows."""
        self._was_idle = self._was_idle or super().idle_timer_expired()
        return self._was_idle

    def kill_dul(self) -> None:
        """End the thread, wherever it waits."""
        super().kill_dul()
        self._wake()

    def _wake(self) -> None:
        if threading.current_thread() is self._association:
            return  # it is awake, and looks at what there is before it sleeps
        with self._wake_lock:  # a descriptor that is closed meanwhile may be somebody else's
            if self._wake_fd >= 0:
                os.eventfd_write(self._wake_fd, 1)

    def _listen(self) -> None:
        """Wait for the peer, or for something else to do, and read what comes."""
        state = self.state_machine.current_state
        if state == CLOSING:
            self.connection.discard()
            self.connection.close()
            return
        # What a hasty peer sends before it has our answer waits until we have given it.
        reads = state not in ANSWERING and self.connection.socket is not None
        if reads and (self._unread or self.connection.wait(self._patience(), self._wake_fd)):
            self._read_pdu_data()
            self._idle.restart()
            return
        if not reads:
            wait_for(self._wake_fd, self._artim)
        self._drain_wake_ups()
        if self._is_too_slow():
            self._end("the peer stopped in the middle of a PDU", _UNSPECIFIED)
        else:
            self._end_silence()

    def _end_silence(self) -> bool:
        """Abort the association if nothing has come for too long; tell whether it is so."""
        is_silent = self._association.is_established and self.idle_timer_expired()
        if is_silent:
            self._association.abort(block=False)
        return is_silent

    def _drain_wake_ups(self) -> bool:
        """Tell whether it was woken since the last time."""
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return False
        return True

    def _patience(self) -> float | None:
        """Return how long nothing may happen; None for any time."""
        waits = []
        if self._artim.is_running:
            waits.append(self._artim.remaining)
        if self._association.is_established:
            waits.append(max(_SHORTEST_WAIT_SECONDS, self._idle.remaining))
        if self._is_inside_pdu():
            waits.append(max(0.1, self._pdu_deadline() - time.monotonic()))
        return min(waits, default=None)

    def _is_inside_pdu(self) -> bool:
        if self._stream is not None:
            return self._stream.is_inside_pdu
        return self.connection.low < self.connection.high

    def _pdu_deadline(self) -> float:
        if self._stream is not None:
            return self._stream.deadline
        return self._began + self._association.deadlines.pdu_seconds

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
            self._lose()
        except Exception as error:
            _logger.exception("an association failed while it was read")
            self._end(f"internal error ({type(error).__name__})", _UNSPECIFIED)
        finally:
            self._idle_timer.restart()

    def _read_messages(self) -> None:
        """Take in messages until something else than P-DATA, or a primitive of ours, comes."""
        fd = self.connection.fileno()
        try:
            self._read_in_turn()
        finally:
            self._association.port.reader.forget(fd)

    def _read_in_turn(self) -> None:
        """Read here, or let it be read, whichever is better for the next message."""
        stream, is_ready = self._ready_stream(), True
        while (halt := stream.read(is_ready=is_ready)) in _GOING_ON:
            is_ready = halt is Halt.NOTHING_MORE
            if halt is Halt.UNSENT:
                self.connection.flush()
            elif not (self._lend(stream) if self._may_be_lent(stream) else self._wait_for_more()):
                return
        if halt is Halt.OTHER_PDU:
            self._read_other_pdu()
        elif halt is Halt.CLOSED:
            self._lose()

    def _ready_stream(self) -> MessageStream:
        if self._stream is None:
            self._stream = MessageStream(self._association, self.connection, self._is_interrupted)
        return self._stream

    def _is_interrupted(self) -> bool:
        return bool(self.to_provider_queue.queue) or self._kill_thread

    def _wait_for_more(self) -> bool:
        """Wait for the peer; False if there is something else to do first."""
        self._idle.start()
        while not (ready := self.connection.wait(self._patience(), self._wake_fd)):
            if self._drain_wake_ups() or self._end_silence() or self._is_too_slow():
                break
        self._idle.hold()
        return ready

    def _may_be_lent(self, stream: MessageStream) -> bool:
        """Tell whether a shared reader may wait for the next object, and take it in."""
        return (
            stream.is_series
            and not stream.is_inside_message
            and self.connection.is_plain
            and self._association.port.reader.is_ready()
            and self._association.port.is_quick(self._association)
            and self._is_for_shared_reader(stream.length)
        )

    def _is_for_shared_reader(self, length: Length) -> bool:
        reader, fd = self._association.port.reader, self.connection.fileno()
        if length is Length.LONG:
            return reader.is_for_long(fd)
        reader.forget(fd)
        return length is Length.SHORT

    def _lend(self, stream: MessageStream) -> bool:
        """Sleep while a shared reader reads; False if there is something else to do first."""
        self._lent_as = stream.length
        is_long = self._lent_as is Length.LONG
        self._idle.start()
        with self._association.port.reader.lending(
            self.connection.fileno(), self._serve, self._wake, is_long=is_long
        ):
            self._sleep()
        self._idle.hold()
        self._drain_wake_ups()
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble
        return not self._is_interrupted()

    def _sleep(self) -> None:
        """Sleep until woken, or until nothing has come for too long."""
        waking = select.poll()
        waking.register(self._wake_fd, select.POLLIN)
        while not self._end_silence():
            waking.poll(1000 * max(_SHORTEST_WAIT_SECONDS, self._idle.remaining))
            if self._drain_wake_ups():
                return

    def _serve(self, memory: Memory) -> Served:
        """Take in what has come, on a shared reader's thread and through its memory."""
        stream = self._stream
        if stream is None or not self._association.port.is_quick(self._association):
            return Served.GIVE_BACK
        self._idle.hold()
        self.connection.use(memory)
        try:
            halt = stream.take()
        except Exception as error:  # for our own thread to deal with
            self._trouble = error
            return Served.GIVE_BACK
        finally:
            self.connection.use(None)
        self._idle.start()
        if halt not in {None, Halt.NOTHING_MORE} or stream.length > self._lent_as:
            return Served.GIVE_BACK
        if stream.is_inside_message:
            return Served.WAIT_INSIDE
        return Served.WAIT if stream.length is self._lent_as else Served.GIVE_BACK

    def _lose(self) -> None:
        """Note that the connection is closed; what was arriving never will have."""
        self._abandon()
        self.event_queue.put("Evt17")

    def _abandon(self) -> None:
        if self._stream is not None:
            self._stream.abandon()

    def _read_other_pdu(self) -> None:
        """Read one PDU the stock way, if its type and length are acceptable."""
        self._abandon()  # no object goes on behind a PDU that is no P-DATA-TF
        connection, deadlines = self.connection, self._association.deadlines
        if self._stream is None:
            connection.deadline = self._began + deadlines.negotiation_seconds
        else:
            connection.deadline = time.monotonic() + deadlines.pdu_seconds
        try:
            if self._has_come(PDU_HEAD_BYTES) and not self._is_refused():
                length = int.from_bytes(
                    connection.view[connection.low + 2 : connection.low + 6], "big"
                )
                if self._has_come(PDU_HEAD_BYTES + length):
                    super()._read_pdu_data()
                    self._unread = connection.low < connection.high
        except OSError as error:
            self._end(str(error) if isinstance(error, TooSlow) else "", _UNSPECIFIED)

    def _has_come(self, size: int) -> bool:
        """Wait until so many bytes can be read; False if the connection ends before that."""
        connection = self.connection
        while connection.high - connection.low < size:
            if not connection.fill_by_deadline():
                self.event_queue.put("Evt17")
                return False
        return True

    def _is_refused(self) -> bool:
        """Look at the type and length of a PDU; end the association if they are impossible."""
        connection = self.connection
        if not self._first_bytes:
            first = connection.view[connection.low : connection.high][:GREETING_BYTES]
            self._first_bytes = bytes(first)
        kind = connection.buffer[connection.low]
        length = int.from_bytes(connection.view[connection.low + 2 : connection.low + 6], "big")
        is_known = 1 <= kind <= _LAST_KIND
        if is_known and length <= LONGEST_OTHER_PDU_BYTES:
            return False
        connection.low = connection.high
        reason = _INVALID_PARAMETER if is_known else _UNRECOGNIZED_PDU
        self._end(f"a PDU of type 0x{kind:02X} says it has {length:,} bytes", reason)
        return True

    def _decode_pdu(self, bytestream: bytearray) -> tuple[Any, str]:
        """Decode a PDU, an A-ASSOCIATE-RQ without what we have no use for."""
        association, self._abort_reason = self._association, _INVALID_PARAMETER
        try:
            if bytestream[0] == ASSOCIATE_RQ:
                association.proposal = proposal(bytes(bytestream), association.limits)
                decoded: tuple[Any, str] = association.proposal, "Evt6"
            else:
                decoded = super()._decode_pdu(bytestream)
        except ProtocolViolation as violation:
            association.port.violated(association, str(violation))
            raise
        except Exception as error:
            association.port.violated(association, _nonsense(error))
            raise
        self._abort_reason = _UNEXPECTED_PDU
        return decoded

    def _send(self, pdu: Any) -> None:
        """Send a PDU: an acceptance as negotiated, and an A-ABORT of the state machine with why."""
        if isinstance(pdu, A_ASSOCIATE_AC):
            self.connection.send(self._association.negotiated.encoded)
            return
        if isinstance(pdu, A_ABORT_RQ) and pdu.source == _PROVIDER:
            pdu.reason_diagnostic = self._abort_reason
        super()._send(pdu)

    def _end(self, why: str, reason: int = _INVALID_PARAMETER) -> None:
        """Let the state machine abort the association, or just close an unborn one."""
        self._abort_reason = reason
        if why and self.state_machine.current_state != UNBORN:
            self._association.port.violated(self._association, why)
            self._abandon()
        # Evt19: invalid PDU, answered with an A-ABORT; Evt17: the connection is closed.
        if self.state_machine.current_state == ESTABLISHED or why.startswith("a PDU of type"):
            self.event_queue.put("Evt19")
        else:
            self.connection.close()


def _nonsense(error: Exception) -> str:
    return f"a PDU makes no sense ({type(error).__name__})"
