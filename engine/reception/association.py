"""One TCP connection that came in, from its first byte to its end: bytes in, events, answers out.

    accept → [TLS] → A-ASSOCIATE-RQ → admission → messages → A-RELEASE or A-ABORT → closed

`acceptor` decodes the bytes, the port decides who may associate, `storage_scp` stores the objects.
This module has the socket, the deadlines and the order of these steps. Everything runs on the
loop's thread and never waits. Only an object whose storing may block is finished by a thread of the
pool; meanwhile its connection is not read.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from engine.api import AssociationEnd
from engine.dimse.acceptor import (
    LONGEST_OTHER_PDU_BYTES,
    Aborted,
    AcceptorConnection,
    AssociateRequested,
    DataReceived,
    NormalizedRequested,
    OtherRequestEnded,
    ProtocolError,
    ReleaseRequested,
    ReportAnswered,
    StoreEnded,
    StoreStarted,
)
from engine.dimse.acse import (
    INVALID_PARAMETER,
    UNSPECIFIED,
    Service,
    encode_associate_rj,
    negotiate,
)
from engine.dimse.commands import store_response
from engine.model.limits import Limits
from engine.net.admission import describe_end
from engine.net.protocols import SNIFFED_BYTES, ae_titles, is_plain_dicom
from engine.net.reactor import READABLE, WRITABLE
from engine.net.stream import Stream, TlsSetup
from engine.net.tls import handshake_words
from engine.reception.acceptance import Rejection
from engine.reception.deadlines import MessageTimes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from engine.dimse.acse import AssociateRQ
    from engine.dimse.commands import StoreRequest
    from engine.dimse.pdata import ReceiveBuffer
    from engine.intake.pipeline import ObjectOutcome
    from engine.model.tls import PeerCertificate
    from engine.model.whitelist import Address
    from engine.net.reactor import Reactor, Timer
    from engine.net.tls import PortTls, TlsRefused
    from engine.reception.commitment_scp import CommitmentSCP
    from engine.reception.deadlines import Deadlines
    from engine.reception.dock import AssociationDock
    from engine.reception.live_association import LiveAssociation, Report
    from engine.reception.storage_scp import StorageSCP, StoreOperation

    Decision = tuple[LiveAssociation, Limits] | Rejection
    """The accepted association with its limits, or why there is none."""

LINGER_SECONDS = 1.0
"""How long a peer may take to read our last PDU and close.

Closing at once could destroy the PDU: unread bytes of the peer would reset the connection.
"""
MAX_DISCARDED_BYTES = 16 * 1024 * 1024
"""More than socket buffers can hold of a sender that has not read our last PDU yet."""
_UNIDENTIFIED_REJECTION = (1, 2, 1)
"""For plain DICOM on a TLS port: permanent, by the provider (ACSE), no reason (PS3.8 9.3.4)."""
_FOREVER = float("inf")

_logger = logging.getLogger(__name__)


class ListeningPort(Protocol):
    """The part of a listening port that its connections use."""

    port: int
    tls: PortTls | None

    def admit(
        self,
        connection: IncomingAssociation,
        proposal: AssociateRQ,
        decided: Callable[[Decision], object],
    ) -> Decision | None:
        """Decide on an association; if accepted, it counts as open from now on.

        Returns:
            The decision. None if it takes a while: then `decided` is called with it later, on the
            loop's thread.
        """
        ...

    def heard(self) -> None:
        """Record that the first bytes of a request have come, but not all of it."""
        ...

    def refused(
        self, connection: IncomingAssociation, why: str, called: str = "", calling: str = ""
    ) -> None:
        """Record that a connection is refused before its A-ASSOCIATE-RQ was decided."""
        ...

    def closed(self, connection: IncomingAssociation) -> None:
        """Record that a connection is closed."""
        ...


@dataclass(frozen=True, slots=True)
class SharedServices:
    """The objects that all connections of a loop share."""

    reactor: Reactor
    buffer: ReceiveBuffer
    """All connections receive into this one buffer, so it stays in the processor's cache."""
    dock: AssociationDock
    storage: StorageSCP
    commitment: CommitmentSCP
    deadlines: Deadlines


class Phase(Enum):
    """The phase of a connection."""

    SECURING = auto()
    """TLS handshake: see `engine.net.stream`."""
    TALKING = auto()
    """PDUs are exchanged: see `acceptor` for the states of PS3.8 within this phase."""
    LEAVING = auto()
    """Our last PDU is sent, and the peer must close (PS3.8: Sta13)."""
    CLOSED = auto()


class IncomingAssociation:
    """The accepting side of one connection; other threads may call `hang_up` only."""

    def __init__(
        self,
        services: SharedServices,
        port: ListeningPort,
        connected: socket.socket,
        address: Address,
        peer: str,
    ) -> None:
        """Use a non-blocking socket; `peer` is its address and port as shown to people."""
        self.address, self.peer = address, peer
        self.limits = Limits()
        """The site's limits; those of the receiver once the association is accepted."""
        self.is_rate_limited = False
        """Whether its address requests associations too fast."""
        self.request_received = False
        """Whether its A-ASSOCIATE-RQ has arrived."""
        self.why = ""
        """Why it ends before it has an association; empty if the peer ends it."""
        self.certificate: PeerCertificate | None = None
        """The certificate that the caller showed in its TLS handshake."""
        self.live: LiveAssociation | None = None
        """The association, once it is accepted."""
        self._services, self._reactor, self._port = services, services.reactor, port
        self._deadlines = services.deadlines
        self._phase = Phase.TALKING
        self._stream = Stream(services.reactor, connected, self._on_ready)
        self._securing: TlsSetup | None = None
        if port.tls is not None:
            self._phase = Phase.SECURING
            self._securing = TlsSetup(
                services.reactor, self._stream, port.tls, self._on_secured, self._refuse
            )
        self._acceptor = AcceptorConnection(self.limits)
        self._operation: StoreOperation | None = None
        """The object that is arriving."""
        self._reports: list[Report] = []
        """Reports of storage commitment; the first one is sent if its answer is awaited."""
        self._is_paused = False
        """Whether it waits for a thread of the pool or for the engine; it is not read meanwhile."""
        self._is_unwanted = False
        """Whether it must be aborted once the object is stored."""
        self._rest = b""
        """Received bytes that are not consumed: the buffer is shared."""
        self._has_unread = False
        """Whether `_rest` may hold complete events, which were put off while we had to wait."""
        self._first_bytes = b""
        now = self._reactor.now()
        self._began = self._left = now
        self._times = MessageTimes(now, self._deadlines)
        self._discarded_bytes = 0
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Let the loop serve it, with the limits that are set now."""
        self._acceptor = AcceptorConnection(self.limits)
        self._stream.wait_for(READABLE)
        self._set_timer()

    def hang_up(self) -> None:
        """Break the connection; may be called from any thread, and returns at once."""
        self._stream.hang_up()

    def abort(self) -> None:
        """Abort the association; an object that is being stored is answered first."""
        if self._is_paused:
            self._is_unwanted = True
        elif self._phase is Phase.TALKING and self.live is not None:
            self._end(AssociationEnd.ABORTED, self._acceptor.abort())
        elif self._phase is not Phase.LEAVING:
            self.close()

    def close(self) -> None:
        """Close it at once; an object that is being stored is recorded when that is done."""
        if self._phase is Phase.CLOSED:
            return
        self._phase = Phase.CLOSED
        if self._timer is not None:
            self._timer.cancel()
        self._acceptor.close()
        self._stream.close()
        try:
            self._end_association(AssociationEnd.ABORTED)
            # A thread of the pool still uses the open folders: `_finished` closes them then.
            if not self._is_paused:
                self._end_source()
        finally:
            self._port.closed(self)

    @property
    def is_silent(self) -> bool:
        """Whether no byte of a request has arrived, not counting a TLS handshake."""
        return not self._first_bytes

    def describe_end(self) -> str:
        """Return how the connection ended, if it ended before an A-ASSOCIATE-RQ was answered."""
        seconds = self._deadlines.negotiation_seconds
        is_late = self._reactor.now() - self._began >= seconds
        longest = LONGEST_OTHER_PDU_BYTES
        return self.why or describe_end(self._first_bytes, longest, seconds if is_late else None)

    # Called by the loop.

    def _on_ready(self) -> None:
        """Continue: the socket can be read or written."""
        self._guarded(self._go_on)

    def _go_on(self) -> None:
        if self._phase is Phase.CLOSED:
            # Asked for before that, with `call_soon`.
            return
        if self._is_paused:
            self._stream.wait_for(0)
            return
        # Answers first: a peer that does not read them gets no more of its requests served.
        if self._stream.unsent:
            if not self._stream.flush():
                return
            if self._phase is Phase.LEAVING:
                self._stream.half_close()
        if self._phase is Phase.TALKING:
            self._read()
        elif self._phase is Phase.LEAVING:
            self._discard()
        elif self._securing is not None:
            self._securing.go_on()

    def _guarded(self, step: Callable[[], object]) -> None:
        """Run a step; an error ends this connection and no other."""
        try:
            step()
        except OSError as error:
            self._on_connection_lost(error)
        except Exception as error:
            _logger.exception("a connection failed while it was served")
            self._fail(f"internal error ({type(error).__name__})", UNSPECIFIED)

    # TLS.

    def _on_secured(self, certificate: PeerCertificate | None) -> None:
        self.certificate, self._phase = certificate, Phase.TALKING
        # The handshake had its own time: the A-ASSOCIATE-RQ gets the full one.
        self._began = self._reactor.now()
        self._set_timer()
        self._guarded(self._read)

    def _refuse(self, refused: TlsRefused) -> None:
        """End a connection without TLS; a caller that speaks plain DICOM gets an A-ASSOCIATE-RJ."""
        # A monitor that only connects: nothing to report.
        if not refused.why:
            self.close()
            return
        called, calling = ae_titles(refused.head)
        self._port.refused(self, refused.why, called, calling)
        is_dicom = is_plain_dicom(refused.head)
        self._leave(encode_associate_rj(*_UNIDENTIFIED_REJECTION) if is_dicom else b"")

    # Reading, and acting on events.

    def _read(self) -> None:
        """Serve put-off events, then receive up to one buffer full, and serve that.

        Once only: other connections of the loop have their turn before the next buffer.
        """
        data = self._services.buffer
        data.begin(self._rest)
        if self._has_unread:
            if not self._serve(data):
                return
            data.begin(self._rest)
        received = self._stream.receive(data.view[data.high :])
        if received == 0:
            self._on_connection_lost()
        elif received > 0:
            data.high += received
            was_silent = self.is_silent
            # Kept for a sentence about the peer, in case that no request follows.
            if not self.request_received:
                self._first_bytes = bytes(data.view[: min(data.high, SNIFFED_BYTES)])
            self._times.note_received(self._reactor.now(), received)
            # epoll does not report bytes that the TLS library has decrypted already.
            if self._serve(data) and self._stream.has_pending:
                self._reactor.call_soon(self._on_ready)
            if was_silent and not self.request_received and self._phase is Phase.TALKING:
                self._port.heard()

    def _serve(self, data: ReceiveBuffer) -> bool:
        """Act on the events in the buffer; return whether more may be received now."""
        acceptor = self._acceptor
        self._rest, self._has_unread = b"", False
        while (event := acceptor.next_event(data)) is not None:
            _ACTIONS[type(event)](self, event)
            if self._phase is not Phase.TALKING:
                return False
            # Not one event further: the answers must leave in the order of the requests, and what a
            # peer does not read must not grow in memory.
            if self._is_paused or self._stream.unsent:
                self._has_unread = True
                break
        # A copy of what is left: the next connection uses the same buffer.
        self._rest = data.rest()
        if self._reports:
            self._send_report()
        self._times.note_served(self._reactor.now(), acceptor, has_rest=bool(self._rest))
        return not self._has_unread

    def _associate(self, event: AssociateRequested) -> None:
        self.request_received = True
        decision = self._port.admit(self, event.proposal, partial(self._decided, event.proposal))
        if decision is None:
            self._pause()
        else:
            self._answer_request(event.proposal, decision)

    def _decided(self, proposal: AssociateRQ, decision: Decision) -> None:
        """Continue after the engine has decided; the connection may be closed by now."""
        self._is_paused = False
        if self._phase is not Phase.CLOSED:
            self._guarded(partial(self._answer_request, proposal, decision))
        elif not isinstance(decision, Rejection):
            self._services.dock.close(decision[0], AssociationEnd.ABORTED)
        self._read_again()

    def _answer_request(self, proposal: AssociateRQ, decision: Decision) -> None:
        if isinstance(decision, Rejection):
            self._leave(self._acceptor.reject(*decision.code))
            return
        live, self.limits = decision
        self.live = live
        commits = live.settings.storage_commitment
        service = Service.COMMITMENT if commits else Service.STORAGE
        negotiated = negotiate(proposal, self.limits.pdu_bytes, service)
        # Answered first, reported then: the peer waits for this PDU.
        self._stream.send(self._acceptor.accept(negotiated, self.limits))
        self._services.dock.established(
            live,
            len(negotiated.accepted),
            negotiated.refused,
            proposal.implementation_version,
            proposal.implementation_class_uid,
            negotiated.accepted,
        )
        self._set_timer()

    def _begin_object(self, event: StoreStarted) -> None:
        # Between messages only: an object that has begun may end.
        if self._is_too_old():
            return
        assert self.live is not None
        self._operation = self._services.storage.begin(
            event.request, event.transfer_syntax_uid, self.live
        )

    def _take_data(self, event: DataReceived) -> None:
        operation = self._operation
        assert operation is not None
        operation.write(event.segments, event.size_bytes)
        if operation.begins_write_back():
            self._reactor.run_in_pool(operation.write_back, operation.wrote_back)

    def _finish_object(self, event: StoreEnded) -> None:
        """Store the object and answer; on a thread of the pool if that may block."""
        operation, self._operation = self._operation, None
        assert operation is not None
        outcome = operation.finish_at_once()
        if outcome is not None:
            self._answer(event.request, operation, outcome)
            return
        # Not read meanwhile, so the sender waits: no queue of objects grows in memory.
        self._pause()
        self._reactor.run_in_pool(
            operation.finish, partial(self._finished, event.request, operation)
        )

    def _finished(
        self, request: StoreRequest, operation: StoreOperation, outcome: ObjectOutcome
    ) -> None:
        """Continue after an object was stored; the connection may have been closed meanwhile."""
        # First: a connection that breaks while it is answered closes its folders.
        self._is_paused = False
        if self._phase is Phase.CLOSED:
            operation.record(outcome)
            self._end_source()
            return
        self._guarded(partial(self._answer, request, operation, outcome))
        self._read_again()

    def _pause(self) -> None:
        """Read nothing until `_read_again`."""
        # The loop still waits for the socket, and stops when something comes. Most peers send
        # nothing until they have their answer, which saves two system calls for each object.
        self._is_paused = True

    def _read_again(self) -> None:
        if self._phase is Phase.TALKING:
            self._times.note_resumed(self._reactor.now())
            self._stream.wait_for(WRITABLE if self._stream.unsent else READABLE)
            if self._is_unwanted:
                self.abort()
            else:
                self._on_ready()

    def _answer(
        self, request: StoreRequest, operation: StoreOperation, outcome: ObjectOutcome
    ) -> None:
        response = store_response(request, outcome.status, outcome.comment)
        if not outcome.file:
            # Recorded first: a published file tells of its object if this process is killed before
            # the row is on its way, but nothing tells of this one.
            operation.record(outcome)
            self._stream.send(response)
            return
        try:
            self._stream.send(response)
        finally:
            # Also if the peer is gone: the object is stored all the same.
            operation.record(outcome)

    def _answer_other(self, event: OtherRequestEnded) -> None:
        if not self._is_too_old() and event.response:
            self._stream.send(event.response)

    def _take_normalized(self, event: NormalizedRequested) -> None:
        """Answer a request for storage commitment, on a thread of the pool: it is kept first."""
        if self._is_too_old():
            return
        assert self.live is not None
        self._pause()
        act = partial(self._services.commitment.act, event, self.live)
        self._reactor.run_in_pool(act, self._acted)

    def _acted(self, response: bytes) -> None:
        self._is_paused = False
        if self._phase is Phase.CLOSED:
            self._end_source()
            return
        self._guarded(partial(self._stream.send, response))
        self._read_again()
        self._send_report()

    def report(self, report: Report) -> None:
        """Send a report of storage commitment between two messages; on the loop's thread."""
        self._reports.append(report)
        self._send_report()

    def _send_report(self) -> None:
        """Send the next report, unless an answer is due or a message is arriving."""
        acceptor = self._acceptor
        is_free = self._phase is Phase.TALKING and not (self._is_paused or self._stream.unsent)
        if not self._reports or not is_free:
            return
        if acceptor.awaits_report_answer or acceptor.inside_message:
            return
        _, context_id, event_type, data_set = self._reports[0]
        pdus = acceptor.report(context_id, event_type, data_set)
        self._guarded(partial(self._stream.send, pdus))

    def _take_report_answer(self, event: ReportAnswered) -> None:
        assert self.live is not None
        report = self._reports.pop(0)
        self._services.dock.reported(self.live, report.number, event.status)

    def _release(self, _: ReleaseRequested) -> None:
        response = self._acceptor.release()
        # The answer follows when the association no longer counts: after a release its peer may
        # associate anew at once, and must not meet its own limit.
        self._end_association(AssociationEnd.RELEASED, partial(self._released, response))
        if self._phase is Phase.TALKING:
            self._pause()

    def _released(self, response: bytes) -> None:
        self._is_paused = False
        if self._phase is Phase.TALKING:
            self._leave(response)

    def _on_protocol_error(self, event: ProtocolError) -> None:
        self._note(event.why)
        self._end(AssociationEnd.ABORTED, event.response)

    # Deadlines.

    def _set_timer(self) -> None:
        """Set the timer to the first deadline, or to the shortest one that may begin meanwhile.

        So no timer has to be moved when bytes arrive, which would cost each read.
        """
        if self._timer is not None:
            self._timer.cancel()
        now, limits = self._reactor.now(), self.limits
        at, _ = self._due()
        shortest = min(self._deadlines.pdu_seconds, limits.idle_seconds, limits.message_seconds)
        self._timer = self._reactor.call_at(min(at, now + shortest), self._on_timer)

    def _on_timer(self) -> None:
        at, expire = self._due()
        if self._reactor.now() >= at:
            self._guarded(expire)
        if self._phase is not Phase.CLOSED:
            self._set_timer()

    def _due(self) -> tuple[float, Callable[[], object]]:
        """Return when the present deadline of the peer ends, and what to do then."""
        deadlines, limits = self._deadlines, self.limits
        if self._phase is Phase.LEAVING:
            return self._left + LINGER_SECONDS, self.close
        if self._is_paused:
            # The peer waits for us now.
            return _FOREVER, self.close
        if self._phase is not Phase.TALKING:
            return self._began + deadlines.handshake_seconds, self._fail_handshake
        if self.live is None:
            return self._began + deadlines.negotiation_seconds, self.close
        if self._stream.unsent:
            return self._stream.unsent_since + deadlines.pdu_seconds, self._on_connection_lost
        return self._times.overdue_at(limits), self._fail_overdue

    def _fail_handshake(self) -> None:
        seconds = self._deadlines.handshake_seconds
        self._port.refused(self, f"no complete TLS handshake within {seconds:g} s")
        self.close()

    def _fail_overdue(self) -> None:
        why = self._times.overdue(self._reactor.now(), self.limits)
        self._fail(why, UNSPECIFIED)

    def _is_too_old(self) -> bool:
        """Abort an association that has been open for too long; return whether it was."""
        longest = self.limits.association_seconds
        if self._reactor.now() - self._began <= longest:
            return False
        self._fail(f"the association has been open for {longest:,} s, as long as one may be")
        return True

    # Endings.

    def _fail(self, why: str, reason: int = INVALID_PARAMETER) -> None:
        """End the connection because of a deadline or an error of ours."""
        if self._phase is not Phase.TALKING:
            self.close()
        else:
            self._on_protocol_error(self._acceptor.fail(why, reason))

    def _on_connection_lost(self, error: OSError | None = None) -> None:
        """Close after the connection broke, or after the peer has closed its side."""
        if isinstance(error, ssl.SSLError) and self._phase is Phase.TALKING:
            self._note(handshake_words(error))
        self.close()

    def _note(self, why: str) -> None:
        if self.live is not None:
            # The first reason is the cause; what follows is its consequence.
            self.live.why = self.live.why or why
        else:
            self.why = self.why or why

    def _end(self, end: AssociationEnd, last_words: bytes) -> None:
        self._end_association(end)
        self._leave(last_words)

    def _end_association(
        self, end: AssociationEnd, ended: Callable[[], object] = lambda: None
    ) -> None:
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.abandon()
        if self.live is not None:
            self._services.dock.close(self.live, end, ended)

    def _end_source(self) -> None:
        if self.live is not None and self.live.source is not None:
            self._services.storage.end(self.live)

    def _leave(self, last_words: bytes) -> None:
        """Send the last PDU, then wait a moment for the peer to read it and to close (Sta13)."""
        self._phase, self._left = Phase.LEAVING, self._reactor.now()
        self._stream.wait_for(READABLE)
        self._set_timer()
        self._guarded(partial(self._reject_without_tls, last_words))

    def _reject_without_tls(self, last_words: bytes) -> None:
        if last_words:
            self._stream.send(last_words)
        if not self._stream.unsent:
            self._stream.half_close()

    def _discard(self) -> None:
        """Receive and discard what the peer still sends.

        With unread bytes, closing would reset the connection (RFC 1122 4.2.2.13).
        """
        received = self._stream.discard(self._services.buffer.view)
        self._discarded_bytes += max(0, received)
        if received == 0 or self._discarded_bytes > MAX_DISCARDED_BYTES:
            self.close()


_ACTIONS: dict[type, Callable[[IncomingAssociation, Any], None]] = {
    AssociateRequested: IncomingAssociation._associate,
    StoreStarted: IncomingAssociation._begin_object,
    DataReceived: IncomingAssociation._take_data,
    StoreEnded: IncomingAssociation._finish_object,
    NormalizedRequested: IncomingAssociation._take_normalized,
    ReportAnswered: IncomingAssociation._take_report_answer,
    OtherRequestEnded: IncomingAssociation._answer_other,
    ReleaseRequested: IncomingAssociation._release,
    Aborted: lambda association, _: association.close(),
    ProtocolError: IncomingAssociation._on_protocol_error,
}
