"""The service class user (SCU): calls a peer over one socket, and sends C-ECHO and C-STORE.

`OutgoingAssociation` drives a `requestor.RequestorConnection`. It waits for the peer, with a
deadline for each answer. Files are sent as they are encoded.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from engine.api import EchoResult
from engine.certificates.tls_context import caller, own_caller
from engine.dimse import acse
from engine.dimse.commands import SUCCESS, status_in_words
from engine.dimse.contexts import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    VERIFICATION,
)
from engine.dimse.pdata import ReceiveBuffer
from engine.dimse.requestor import (
    MAX_PDU_BYTES,
    REMEDY,
    Aborted,
    Accepted,
    ProtocolError,
    Rejected,
    ReleaseRequested,
    ReportReceived,
    RequestorConnection,
    ResponseReceived,
)
from engine.dimse.state_table import State
from engine.errors import (
    AssociationBroken,
    AssociationRefused,
    ContextRefused,
    PeerUnreachable,
)
from engine.model.peer import OWN_AE_TITLE, Peer, PeerDeadlines
from engine.model.tls import ClientCertificates
from engine.net.ports import calling_address, shown_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine.dicom.part10 import Sendable
    from engine.dimse.acse import Context
    from engine.dimse.commands import Response
    from engine.dimse.requestor import Event
    from engine.host.clock import Clock
    from engine.model.receiver import Receiver

_BUFFER_BYTES = 2 * MAX_PDU_BYTES
"""Room for the longest PDU wherever it begins; only pages that are used take memory."""


_CLOSED = "closed the connection"


class OutgoingAssociation:
    """An accepted association; used by one thread, in a `with` block that releases it.

    Other threads may call `hang_up` and `is_open` only.
    """

    def __init__(
        self,
        peer: Peer,
        contexts: Sequence[Context],
        deadlines: PeerDeadlines,
        tls: ssl.SSLContext | None = None,
        provided: Sequence[str] = (),
    ) -> None:
        """Connect and associate.

        Args:
            peer: the peer to call.
            contexts: the contexts to propose, at most 128.
            deadlines: how long the peer may take.
            tls: the context for TLS; None for a plain connection.
            provided: the SOP classes that we provide, in place of using them.

        Raises:
            PeerUnreachable: if connection or TLS handshake fail.
            AssociationRefused: if the peer rejects the association.
            AssociationBroken: if the peer does not answer, or violates the protocol.
        """
        self._seconds = deadlines.answer_seconds
        self._connection = RequestorConnection(peer, contexts, provided)
        self._reports: list[ReportReceived] = []
        """Reports of storage commitment that came while something else was waited for."""
        self._received = ReceiveBuffer(_BUFFER_BYTES)
        self._socket = _connect(peer, deadlines, tls)
        try:
            self._associate(peer)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A context that was not accepted: nothing was sent, and the association is in order.
        if kind is None or issubclass(kind, ContextRefused):
            self.release()
        self._abort()

    @property
    def contexts(self) -> Mapping[Context, int]:
        """The context id of each accepted pair of SOP class and transfer syntax."""
        return self._connection.accepted.contexts

    @property
    def address(self) -> str:
        """Our own address and port, as the peer sees them unless something is between us."""
        host, port = self._socket.getsockname()[:2]
        return shown_address(host, port)

    @property
    def is_open(self) -> bool:
        """Whether the association is established, as far as is known without reading."""
        return self._connection.state is State.ESTABLISHED

    def echo(self) -> Response:
        """Send a C-ECHO and return the answer.

        Raises:
            ContextRefused: if the peer has not accepted verification.
            AssociationBroken: if the peer does not answer.
        """
        self._require_open()
        self._send(self._connection.echo())
        return self._response()

    def store(
        self,
        context: Context,
        sop_instance_uid: str,
        data_set: Iterable[memoryview],
        size_bytes: int,
    ) -> Response:
        """Send one object as it is encoded and return the answer.

        Args:
            context: SOP class and transfer syntax of the object.
            sop_instance_uid: of the object.
            data_set: its encoded bytes, in pieces of any size.
            size_bytes: the number of bytes of all pieces.

        Raises:
            ContextRefused: if the peer has not accepted its context; nothing was sent.
            AssociationBroken: if the peer stops reading, or does not answer. Any error of
                `data_set` ends the association, too, and is raised.
        """
        self._require_open()
        pdus = self._connection.store(context, sop_instance_uid, data_set, size_bytes)
        try:
            for pdu in pdus:
                self._send(pdu)
        except BaseException:
            # Half a message was sent: nothing but an A-ABORT may follow it.
            self._abort()
            raise
        return self._response()

    def ask_commitment(
        self, field: int, type_id: int, data_set: Callable[[str], bytes]
    ) -> Response:
        """Send a request of storage commitment and return the answer.

        Args:
            field: `N_ACTION`, or `N_EVENT_REPORT` if we provide it.
            type_id: the type of the action or event.
            data_set: makes the data set for a transfer syntax.

        Raises:
            ContextRefused: if the peer has not accepted storage commitment; nothing was sent.
            AssociationBroken: if the peer does not answer.
        """
        self._require_open()
        encoded = data_set(self._connection.commitment_syntax)
        for pdu in self._connection.ask_commitment(field, type_id, encoded):
            self._send(pdu)
        return self._response()

    def next_report(self, seconds: float) -> ReportReceived | None:
        """Return the next report of storage commitment, which is answered; None if none comes.

        Raises:
            AssociationBroken: if the peer ends the association.
        """
        if not self._reports and self.is_open:
            event = self._poll_event(time.monotonic() + seconds)
            if isinstance(event, ReportReceived):
                self._take_report(event)
            elif event is not None:
                raise self._failed(event)
        return self._reports.pop(0) if self._reports else None

    def _take_report(self, report: ReportReceived) -> None:
        self._send(self._connection.answer_report(report, SUCCESS))
        self._reports.append(report)

    def is_quiet(self) -> bool:
        """Tell whether nothing has arrived unasked, such as the end of the association."""
        if not self.is_open or self._received.low < self._received.high:
            return False
        # Not `select`, which fails for descriptors from 1024 on.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def release(self) -> None:
        """Release the association; if the peer does not answer, close all the same (PS3.8 7.2)."""
        if not self.is_open:
            return
        with suppress(AssociationBroken):
            self._send(self._connection.release())
            event = self._next_event()
            # A report that was on its way: it may not be answered any more (PS3.8 7.2.2).
            while isinstance(event, ReportReceived):
                event = self._next_event()
            # Both sides at once, a release collision: PS3.8 7.2.2.6.
            if isinstance(event, ReleaseRequested):
                self._send(self._connection.answer_release())
                self._next_event()
        self._close()

    def hang_up(self) -> None:
        """End the connection from another thread; a waiting thread gets `AssociationBroken`."""
        # Not `SSLSocket.shutdown`: it drops the TLS layer first, and a thread that sends at that
        # moment would go on in plain text.
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _associate(self, peer: Peer) -> None:
        self._send(self._connection.associate())
        event = self._next_event()
        if isinstance(event, Rejected):
            raise acse.rejection(event.encoded, peer)
        if not isinstance(event, Accepted):
            raise self._failed(event)

    def _require_open(self) -> None:
        if not self.is_open:
            raise AssociationBroken("the association has ended", REMEDY)

    def _response(self) -> Response:
        event = self._next_event()
        while isinstance(event, ReportReceived):
            self._take_report(event)
            event = self._next_event()
        if isinstance(event, ResponseReceived):
            return event.response
        raise self._failed(event)

    def _failed(self, event: Event) -> AssociationBroken:
        """Close after an event other than the expected answer; return the error for it."""
        if isinstance(event, ProtocolError):
            with suppress(OSError):
                self._send_at_once(event.response)
            self._close()
            return AssociationBroken(event.why, event.remedy)
        if isinstance(event, Aborted):
            return self._broken("aborted the association")
        return self._broken("released the association in the middle of it")

    def _next_event(self) -> Event:
        """Wait for the next event, at most for the time of an answer."""
        until = time.monotonic() + self._seconds
        while True:
            event = self._connection.next_event(self._received)
            if event is not None:
                return event
            self._receive(until)

    def _poll_event(self, until: float) -> Event | None:
        """Return the next event, None if there is none until then."""
        # Not `select`, which fails for descriptors from 1024 on.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while (event := self._connection.next_event(self._received)) is None:
            left = until - time.monotonic()
            # The TLS library may hold bytes that poll does not report.
            pending = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
            if not pending and not (left > 0 and poll.poll(left * 1000)):
                return None
            self._receive(time.monotonic() + self._seconds)
        return event

    def _receive(self, until: float) -> None:
        data = self._received
        if data.low == data.high or data.high == len(data.view):
            data.begin(data.rest())
        try:
            # A timeout of 0 would make the socket non-blocking, without a `TimeoutError`.
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            # A peer that writes an answer in two pieces, with Nagle's algorithm on, waits for our
            # acknowledgment of the first. The kernel resets this option, so it is set each time.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            size = self._socket.recv_into(data.view[data.high :])
        except TimeoutError as error:
            raise self._broken(f"did not answer within {self._seconds:g} s") from error
        except OSError as error:
            raise self._broken(_words(error)) from error
        if not size:
            raise self._broken(_CLOSED)
        data.high += size

    def _send(self, pdu: bytes) -> None:
        try:
            self._socket.settimeout(self._seconds)
            self._socket.sendall(pdu)
        except TimeoutError as error:
            raise self._broken(f"took nothing for {self._seconds:g} s") from error
        except OSError as error:
            raise self._broken(_words(error)) from error

    def _send_at_once(self, pdu: bytes) -> None:
        # The association is over: a peer that does not read is not waited for.
        self._socket.settimeout(0)
        self._socket.sendall(pdu)

    def _broken(self, what: str) -> AssociationBroken:
        self._abort()
        return AssociationBroken(f"the peer {what}", REMEDY)

    def _abort(self) -> None:
        pdu = self._connection.abort()
        if pdu:
            with suppress(OSError):
                self._send_at_once(pdu)
        self._close()

    def _close(self) -> None:
        self._connection.close()
        with suppress(OSError):
            self._socket.close()


def _connect(peer: Peer, deadlines: PeerDeadlines, tls: ssl.SSLContext | None) -> socket.socket:
    try:
        connection = socket.create_connection((peer.host, peer.port), deadlines.connect_seconds)
    except OSError as error:
        words = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        remedy = "check host, port, network and firewall, and whether the peer runs"
        raise PeerUnreachable(f"{peer}: {words.lower()}", remedy) from error
    # Otherwise the end of a message waits for the peer's acknowledgment, 40 ms for each object.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return connection
    try:
        return tls.wrap_socket(connection, server_hostname=peer.host)
    except OSError as error:
        connection.close()
        remedy = "check that the port speaks TLS, and the certificates of both sides"
        raise PeerUnreachable(f"{peer}: no TLS: {_tls_words(error)}", remedy) from error


def _tls_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "the handshake was not answered"
    if isinstance(error, ssl.SSLError):
        return _reason(error)
    return (error.strerror or type(error).__name__).lower()


def _words(error: OSError) -> str:
    return f"ended TLS ({_reason(error)})" if isinstance(error, ssl.SSLError) else _CLOSED


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "no reason given").replace("_", " ").lower()


def call(
    peer: Peer,
    contexts: Sequence[Context],
    deadlines: PeerDeadlines,
    context: ssl.SSLContext | None = None,
    provided: Sequence[str] = (),
) -> OutgoingAssociation:
    """Associate with a peer, over TLS if the peer is configured so.

    Args:
        peer: the peer to call.
        contexts: the contexts to propose.
        deadlines: how long the peer may take.
        context: a TLS context, in place of the one that `peer` configures.
        provided: the SOP classes that we provide, in place of using them.
    """
    tls = caller(peer.tls) if context is None and peer.tls is not None else context
    return OutgoingAssociation(peer, contexts, deadlines, tls, provided)


def echo_peer(peer: Peer, deadlines: PeerDeadlines) -> int:
    """Send a C-ECHO and return the status of the answer.

    Raises:
        PeerError: if there is no answer.
    """
    contexts = [(str(VERIFICATION), syntax) for syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE)]
    with call(peer, contexts, deadlines) as association:
        return association.echo().status


_OWN_DEADLINES = PeerDeadlines(connect_seconds=5, answer_seconds=5)


def echo(receiver: Receiver, address: str, clock: Clock) -> EchoResult:
    """Send a C-ECHO to a receiver of this host.

    A rejection by the receiver's whitelist or authorities counts as success: the receiver works as
    configured.

    Raises:
        InvalidReceiver: if the receiver's certificate, which the caller shows, can't be read.
    """
    context = own_caller(receiver.tls) if receiver.tls else None
    target = calling_address(address)
    shown = shown_address(target, receiver.port)
    peer = Peer(target, receiver.port, str(receiver.ae_title))
    started = clock.monotonic()
    try:
        proposed = [(str(VERIFICATION), str(IMPLICIT_LITTLE))]
        with OutgoingAssociation(peer, proposed, _OWN_DEADLINES, context) as association:
            status = association.echo().status
    except PeerUnreachable as error:
        return _unreachable(receiver, shown, error)
    except AssociationRefused as error:
        return _rejected(receiver, shown, (error.source, error.reason))
    except (AssociationBroken, ContextRefused) as error:
        return EchoResult(False, shown, error.detail)
    if status != SUCCESS:
        return EchoResult(False, shown, "accepted the association but not the echo")
    milliseconds = round((clock.monotonic() - started) * 1000)
    return EchoResult(True, shown, f"answered in {milliseconds} ms")


def _unreachable(receiver: Receiver, shown: str, error: PeerUnreachable) -> EchoResult:
    cause = error.__cause__
    if not isinstance(cause, ssl.SSLError):
        words = (getattr(cause, "strerror", None) or str(cause)).lower()
        return EchoResult(False, shown, f"no answer: {words}")
    asks = receiver.tls is not None and receiver.tls.client is ClientCertificates.REQUIRED
    # TLS reports a refused certificate as an alert of the other side.
    if asks and "ALERT" in (cause.reason or ""):
        detail = "answers; its authorities reject dicomdock's own certificate, as configured"
        return EchoResult(True, shown, detail)
    return EchoResult(False, shown, f"no TLS: {_reason(cause)}")


def _rejected(receiver: Receiver, shown: str, source_and_reason: tuple[int, int]) -> EchoResult:
    if source_and_reason == (1, 3) and receiver.whitelist_enabled:
        detail = f"answers; its whitelist rejects {OWN_AE_TITLE}, as configured"
        return EchoResult(True, shown, detail)
    if source_and_reason == (1, 7):
        return EchoResult(False, shown, f"rejects the called AE title {receiver.ae_title}")
    source, reason = source_and_reason
    return EchoResult(False, shown, f"rejects the association (source {source}, reason {reason})")


def store_one(association: OutgoingAssociation, sendable: Sendable) -> tuple[int, str]:
    """Send one open object; return the status, and a sentence if it is not success.

    Raises:
        ContextRefused: if the peer has not accepted its context; nothing was sent.
        AssociationBroken: if the peer stops reading, or does not answer.
        UnreadableObject: if the file became shorter while it was sent.
        OSError: if the file can't be read.
    """
    answer = association.store(
        sendable.context, sendable.sop_instance_uid, sendable.pieces(), sendable.size_bytes
    )
    if answer.status == SUCCESS:
        return answer.status, ""
    comment = f": {answer.comment}" if answer.comment else ""
    return answer.status, f"the peer answers {status_in_words(answer.status)}{comment}"
