"""One listening TCP port: its connections, and the decision on their associations."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from engine.errors import CertificateUnusable, InvalidReceiver
from engine.model.whitelist import normalize_address
from engine.net.admission import PendingConnection
from engine.net.ports import listen_error, shown_address
from engine.net.tls import PortTls
from engine.reception.acceptance import Acceptance, AssociationRequest, Rejection, decide
from engine.reception.association import IncomingAssociation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.dimse.acse import AssociateRQ
    from engine.events import Event
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.model.receiver import Receiver
    from engine.model.tls import PeerCertificate, TlsSettings
    from engine.model.whitelist import Address
    from engine.net.admission import PendingConnections
    from engine.net.ports import InheritedSockets
    from engine.reception.acceptance import EngineLoad
    from engine.reception.association import Decision, SharedServices
    from engine.reception.associations import Associations
    from engine.reception.live_association import Report

BACKLOG = 256
EXHAUSTED_SECONDS = 0.1
"""How long to wait for free descriptors before the next `accept`."""
ACCEPTED_AT_ONCE = 16
"""The most connections accepted before the open ones have their turn again.

That takes 0.4 ms: 27 µs each (2026).
"""
_STOP_SECONDS = 10
# accept(2): no descriptor or memory is left, and the connection stays in the backlog.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CANNOT_DECIDE = Rejection(2, 1, 1, "internal error")
"""A-ASSOCIATE-RJ: transient, no reason given."""

_logger = logging.getLogger(__name__)


class AcceptedConnection(PendingConnection, Protocol):
    """A connection that a port has accepted: of this process, or handed over to another one."""

    address: Address
    peer: str
    certificate: PeerCertificate | None

    def begin(self) -> None:
        """Let it be served, with the limits that are set now."""
        ...

    def report(self, report: Report) -> None:
        """Send a report of storage commitment between two messages."""
        ...

    def abort(self) -> None:
        """Abort the association; an object that is being stored is answered first."""
        ...

    def close(self) -> None:
        """Close it at once; an object that is being stored is recorded when that is done."""
        ...

    def describe_end(self) -> str:
        """Return how the connection ended, if it ended before an A-ASSOCIATE-RQ was answered."""
        ...


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """The objects that all ports of an engine share."""

    services: SharedServices
    associations: Associations
    pending: PendingConnections
    load: Callable[[], EngineLoad]
    clock: Clock
    journal: Journal
    inherited: InheritedSockets | None = None
    hand_over: Callable[[socket.socket, Address, str, PortListener], AcceptedConnection] | None = (
        None
    )
    """Gives a connection to another process; None if this one serves all."""
    closing: threading.Condition = field(default_factory=threading.Condition)
    """Notified when a connection is closed."""


class PortListener:
    """Listens on one port for all its receivers, which may be replaced meanwhile."""

    def __init__(
        self,
        address: str,
        port: int,
        listener_context: ListenerContext,
        tls: TlsSettings | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.receivers: Mapping[str, Receiver] = {}
        """The enabled receivers by AE title; replaced as a whole."""
        self._context = listener_context
        self._services = listener_context.services
        self._reactor = listener_context.services.reactor
        self.tls = PortTls(tls, listener_context.clock, self._report) if tls else None
        self._socket: socket.socket | None = None
        self._connections: set[AcceptedConnection] = set()

    def start(self) -> None:
        """Bind the port and accept connections.

        Raises:
            ListenError: with the reason and, if it can be known, the process that holds the port.
        """
        if self.tls is not None:
            self._load_certificate(self.tls)
        inherited = self._context.inherited
        listening = inherited.take(self.address, self.port) if inherited else None
        try:
            self._socket = listening or _bound(self.address, self.port)
        except OSError as error:
            raise listen_error(error, self.address, self.port) from error
        # The caller may be gone between the report of epoll and `accept`, which would block then.
        self._socket.setblocking(False)
        self._reactor.register(self._socket.fileno(), self._accept)

    def _load_certificate(self, tls: PortTls) -> None:
        try:
            tls.load()
        except InvalidReceiver as error:
            raise CertificateUnusable(
                self.address, self.port, f"TLS: {error.detail}", error.remedy
            ) from error

    def stop(self) -> None:
        """Stop accepting and free the port; open associations continue."""
        listening, self._socket = self._socket, None
        if listening is None:
            return
        # On the loop's thread, which may be just accepting.
        if not self._reactor.call_and_wait(partial(self._unlisten, listening), _STOP_SECONDS):
            self._unlisten(listening)  # the loop has ended

    def _unlisten(self, listening: socket.socket) -> None:
        with suppress(KeyError):  # not registered now, see `_rest`
            self._reactor.forget(listening.fileno())
        listening.close()

    def connections(self) -> tuple[AcceptedConnection, ...]:
        """Return the open connections."""
        # `copy` is one step, so the loop can't change the set during it.
        return tuple(self._connections.copy())

    # On the loop's thread.

    def _accept(self, _: int) -> None:
        listening = self._socket
        for _ in range(ACCEPTED_AT_ONCE):
            if listening is None:
                return  # it is being stopped
            try:
                connected, place = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(listening)
                    return
                continue  # the caller is gone already
            try:
                self._take(connected, str(place[0]), int(place[1]))
            except OSError:
                connected.close()  # the caller is gone already
            except Exception:
                # The border: one connection that can't be served must not end the listener.
                _logger.exception("a connection on port %d could not be served", self.port)
                connected.close()

    def _rest(self, listening: socket.socket) -> None:
        """Stop accepting for a moment, until descriptors are free; callers stay in the backlog.

        epoll would report the waiting connection again and again, and the loop would spin.
        """
        self._reactor.forget(listening.fileno())

        def resume() -> None:
            if self._socket is listening:
                self._reactor.register(listening.fileno(), self._accept)

        self._reactor.call_at(self._reactor.now() + EXHAUSTED_SECONDS, resume)

    def _take(self, connected: socket.socket, host: str, peer_port: int) -> None:
        address = normalize_address(host)
        if not self._context.pending.allows(address, self.port):
            connected.close()
            return
        connected.setblocking(False)
        # Without it an answer may wait for the peer's delayed acknowledgement of the one before,
        # about 40 ms: Debian's storescp takes 23 objects a second for that reason (2026).
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shown = shown_address(str(address), peer_port)
        connection = self._connection(connected, address, shown)
        # Counted before the first byte is read: a connection that sends nothing counts as well.
        self._context.pending.add(connection, address)
        self._connections.add(connection)
        try:
            connection.begin()
        except Exception:
            connection.why = "it could not be served"
            connection.close()
            raise

    def _connection(
        self, connected: socket.socket, address: Address, peer: str
    ) -> AcceptedConnection:
        if self._context.hand_over is not None:
            return self._context.hand_over(connected, address, peer, self)
        return IncomingAssociation(self._services, self, connected, address, peer)

    def admit(
        self, connection: AcceptedConnection, proposal: AssociateRQ, _: object = None
    ) -> Decision:
        """Decide on an association; if accepted, it counts as open from now on."""
        request = AssociationRequest(
            called_ae_title=proposal.called_ae_title,
            calling_ae_title=proposal.calling_ae_title,
            address=connection.address,
            application_context=proposal.application_context,
            protocol_version=proposal.protocol_version,
            is_rate_limited=connection.is_rate_limited,
            certificate=connection.certificate,
        )
        try:
            return self._decide(connection, request)
        except Exception:
            _logger.exception("an association request on port %d could not be decided", self.port)
            return _CANNOT_DECIDE
        finally:
            # Only now, so that a caller always counts: here, or as an open association.
            self._context.pending.remove(connection)

    def _decide(self, connection: AcceptedConnection, request: AssociationRequest) -> Decision:
        associations = self._context.associations
        # One lock over the decision and the counting: two requests at once can't both have the last
        # place. `Receivers.apply` takes it too, so that no association begins by old settings after
        # they have changed.
        with associations.admission:
            load = self._context.load()
            decision = decide(request, self.port, self.receivers, load)
            if isinstance(decision, Acceptance):
                abort = partial(self._reactor.call_soon, connection.abort)
                live = associations.open(
                    *(decision, request, connection.peer, abort),
                    lambda one: self._reactor.call_soon(partial(connection.report, one)),
                )
                return live, decision.receiver.limits_within(load.site)
        # The titles of such requests may be guesses, each a different one: they get no row.
        if request.is_rate_limited:
            self._context.pending.failed.record(request.address, self.port, decision.why)
        else:
            associations.rejected(request, decision, self.port, connection.peer)
        return decision

    def heard(self) -> None:
        """Do nothing: a connection of this process says itself whether it is silent."""

    def refused(
        self, connection: AcceptedConnection, why: str, called: str = "", calling: str = ""
    ) -> None:
        """Record that a connection is refused before its A-ASSOCIATE-RQ was decided."""
        connection.request_received = True
        receiver = self.receivers.get(called)
        label = receiver.label if receiver is not None else ""
        failed = self._context.pending.failed
        failed.record(connection.address, self.port, why, label, calling)

    def closed(self, connection: AcceptedConnection) -> None:
        """Forget a closed connection, and report it if it sent no request."""
        self._connections.discard(connection)
        self._context.pending.remove(connection)
        if not connection.request_received:
            failed = self._context.pending.failed
            failed.record(connection.address, self.port, connection.describe_end())
        with self._context.closing:
            self._context.closing.notify_all()

    def _report(self, make: Callable[..., Event]) -> None:
        for receiver in self.receivers.values():
            self._context.journal.record(make(receiver=receiver.label))


def _bound(address: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: if the port can't be bound.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # For a restart: connections of the last run may be in TIME_WAIT for a minute.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening
