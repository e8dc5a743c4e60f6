"""One TCP port: bind, accept, decide by acceptance, hand C-STORE requests to reception."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from pynetdicom import AE, _config, evt

from engine.dimse.acceptance import (
    Accepted,
    AssociationRequest,
    Load,
    Rejection,
    decide,
)
from engine.dimse.contexts import verification_context
from engine.dimse.fragments import ProtocolViolation
from engine.dimse.greeting import ae_titles, is_plain_dicom
from engine.dimse.ports import listen_error, shown_address
from engine.dimse.receiving import ReceivingAssociation
from engine.dimse.server import ReceivingServer
from engine.dimse.tls import PortTls, Refused, TlsConnection, reject_in_plain
from engine.errors import CertificateUnusable, InvalidReceiver
from engine.model.whitelist import normalize_address
from engine.view import AssociationEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pynetdicom.events import Event, EventHandlerType

    from engine.clock import Clock
    from engine.dimse.associations import Associations, LiveAssociation
    from engine.dimse.command import StoreRequest
    from engine.dimse.door import Door
    from engine.dimse.inherited import InheritedSockets
    from engine.dimse.receiving import Deadlines
    from engine.dimse.reception import Receipt, Reception
    from engine.dimse.shared_reader import SharedReader
    from engine.events import Event as JournalEvent
    from engine.journal import Journal
    from engine.model.receiver import Receiver
    from engine.model.tls import TlsSettings

_ABORT_SECONDS = 2
_UID_CHARACTERS = 64
_CANNOT_DECIDE = (2, 1, 1)  # A-ASSOCIATE-RJ: transient, no reason given

_logger = logging.getLogger(__name__)

# pynetdicom logs what its peers send; what matters goes to the journal instead.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
_config.LOG_HANDLER_LEVEL = "none"
# What comes from a peer has been looked at in `request.legible`, character by character.
_config.VALIDATORS["UI"] = lambda uid: (len(uid) <= _UID_CHARACTERS, "it is too long")


class PortListener:
    """Listens on one port for all its receivers, which may be replaced while it listens."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        associations: Associations,
        reception: Reception,
        reader: SharedReader,
        load: Callable[[], Load],
        deadlines: Deadlines,
        door: Door,
        clock: Clock,
        journal: Journal,
        tls: TlsSettings | None = None,
        inherited: InheritedSockets | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.receivers: Mapping[str, Receiver] = {}
        """The enabled receivers by AE title; replaced as a whole."""
        self._associations = associations
        self._reception = reception
        self.reader = reader
        self._load = load
        self._deadlines = deadlines
        self._door = door
        self._journal = journal
        self._inherited = inherited
        self.tls = PortTls(tls, clock, self._tell) if tls else None
        self._lock = threading.Lock()
        self._live: dict[ReceivingAssociation, LiveAssociation] = {}
        self._server: ReceivingServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port and accept associations.

        Raises:
            ListenError: with the reason and, where it may be known, the process in the way.
        """
        if self.tls is not None:
            self._load_certificate(self.tls)
        server = self._bound()
        server.port, server.deadlines = self, self._deadlines
        server.door = self._door
        thread = threading.Thread(target=server.serve, name=f"listener-{self.port}", daemon=True)
        self._server, self._thread = server, thread
        thread.start()

    def _bound(self) -> ReceivingServer:
        ae = AE()
        ae.maximum_associations = 1_000_000  # the limit is acceptance's, which can say why
        ae.acse_timeout = self._deadlines.negotiation_seconds
        bind_to = (
            (self.address, self.port, 0, 0) if ":" in self.address else (self.address, self.port)
        )
        inherited = self._inherited.take(self.address, self.port) if self._inherited else None
        try:
            server = ae.make_server(
                bind_to,
                contexts=[verification_context()],
                evt_handlers=self._handlers(),
                server_class=ReceivingServer,
                inherited=inherited,
            )
        except OSError as error:
            raise listen_error(error, self.address, self.port) from error
        assert isinstance(server, ReceivingServer)
        return server

    def _load_certificate(self, tls: PortTls) -> None:
        try:
            tls.load()
        except InvalidReceiver as error:
            raise CertificateUnusable(
                self.address, self.port, f"TLS: {error.detail}", error.remedy
            ) from error

    def stop(self) -> None:
        """Accept nothing more and free the port; open associations go on."""
        if self._server is not None and self._thread is not None:
            self._server.stop(self._thread)
        self._server = self._thread = None

    def is_dead(self) -> bool:
        """Tell whether it should accept associations and its thread is gone."""
        thread = self._thread
        return thread is not None and not thread.is_alive()

    def has_associations(self) -> bool:
        """Tell whether associations accepted here are still open."""
        return any(association.is_alive() for association in list(self._live))

    def abort_all(self) -> None:
        """Abort what is still open, and return when the threads that serve it have ended."""
        open_ones = list(self._live)
        for association in open_ones:
            association.abort(block=False)
        for association in open_ones:
            association.join(_ABORT_SECONDS)
            if association.is_alive():
                association.hang_up()
                association.dul.kill_dul()
                association.join(_ABORT_SECONDS)

    def _handlers(self) -> list[EventHandlerType]:
        return [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ESTABLISHED, self._on_established),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
        ]

    def _on_requested(self, event: Event) -> None:
        """Decide on an A-ASSOCIATE-RQ, which would be accepted if this failed."""
        association = _of(event)
        association.is_heard = True
        try:
            self._answer(association)
        except Exception:
            _logger.exception("an association request on port %d could not be decided", self.port)
            _reject(association, _CANNOT_DECIDE)
        finally:
            # Only now, so that a caller is always counted: here, or as an open association.
            self._door.leave(association)

    def _answer(self, association: ReceivingAssociation) -> None:
        request = _request(association)
        shown = shown_address(str(request.address), association.requestor.port or 0)
        with self._associations.admission:
            load = self._load()
            decision = decide(request, self.port, self.receivers, load)
            if isinstance(decision, Accepted):
                self._open(association, decision, request, shown)
        if isinstance(decision, Rejection):
            self._note_rejection(request, decision, shown)
            _reject(association, (decision.result, decision.source, decision.reason))
        else:
            association.limits = decision.receiver.limits_within(load.site)
            association.network_timeout = association.limits.idle_seconds

    def _note_rejection(
        self, request: AssociationRequest, rejection: Rejection, shown: str
    ) -> None:
        if request.is_hasty:  # whose AE titles may be guesses, each another one
            self._door.strangers.dropped(request.address, self.port, rejection.why)
        else:
            self._associations.rejected(request, rejection, self.port, shown)

    def _open(
        self,
        association: ReceivingAssociation,
        accepted: Accepted,
        request: AssociationRequest,
        shown: str,
    ) -> None:
        live = self._associations.open(
            accepted, request, shown, association, partial(association.abort, block=False)
        )
        association.live = live
        with self._lock:
            self._live = {a: known for a, known in self._live.items() if a.is_alive()}
            self._live[association] = live

    def _on_established(self, event: Event) -> None:
        association = _of(event)
        live, negotiated = self._live.get(association), association.negotiated
        if live is None:
            return  # aborted while it was negotiated
        self._associations.established(
            live,
            len(negotiated.accepted),
            negotiated.refused,
            association.requestor.implementation_version_name or "",
            str(association.requestor.implementation_class_uid or ""),
            negotiated.accepted,
        )

    # ObjectPort: called on the reading thread of the association.

    def welcome(self, association: ReceivingAssociation) -> bool:
        """Shake hands if this port speaks TLS; tell of a caller that can't."""
        if self.tls is None:
            return True
        connection, deadlines = association.connection, self._deadlines
        try:
            association.certificate = self.tls.secure(
                connection, deadlines.handshake_seconds, deadlines.pdu_seconds
            )
        except Refused as refused:
            called, calling = ae_titles(refused.head)
            self._refuse(association, refused.why, called, calling)
            if is_plain_dicom(refused.head) and connection.socket is not None:
                reject_in_plain(connection.socket)
            return False
        assert isinstance(connection.socket, TlsConnection)
        connection.socket.on_failure = partial(self._tls_failed, association)
        return True

    def begin(self, association: ReceivingAssociation, request: StoreRequest) -> Receipt:
        """Open the object that a C-STORE request announces, with the receiver as it is now."""
        live = association.live
        if live is None or not live.is_open:
            raise ProtocolViolation("the association has ended")
        syntax = association.transfer_syntax_of(request.context_id)
        return self._reception.begin(request, syntax, live)

    def is_quick(self, association: ReceivingAssociation) -> bool:
        """Tell whether filing its next object will wait for nothing but the file system."""
        return association.live is not None and self._reception.is_quick(association.live)

    def violated(self, association: ReceivingAssociation, why: str) -> None:
        """Note why an association is about to be aborted."""
        live = self._live.get(association)
        if live is not None and not live.why:
            live.why = why
        association.why = association.why or why

    def gone(self, association: ReceivingAssociation) -> None:
        """Forget a connection that is closed, and tell of one that brought no request."""
        self._door.leave(association)
        if not association.is_heard:
            address = normalize_address(association.requestor.address or "0.0.0.0")
            self._door.strangers.dropped(address, self.port, association.departure())
        live = association.live
        if live is not None and live.source is not None:
            self._reception.end(live)

    def _tls_failed(self, association: ReceivingAssociation, why: str) -> None:
        live = self._live.get(association)
        if live is not None:
            live.why = live.why or why
        else:
            self._refuse(association, why)

    def _refuse(
        self, association: ReceivingAssociation, why: str, called: str = "", calling: str = ""
    ) -> None:
        if not why:
            return  # closed without a word, which `gone` knows about
        association.is_heard = True
        host = normalize_address(association.requestor.address or "0.0.0.0")
        receiver = self.receivers.get(called)
        label = receiver.label if receiver is not None else ""
        self._door.strangers.dropped(host, self.port, why, label, calling)

    def _tell(self, make: Callable[..., JournalEvent]) -> None:
        for receiver in self.receivers.values():
            self._journal.record(make(receiver=receiver.label))

    def _on_released(self, event: Event) -> None:
        self._close(_of(event), AssociationEnd.RELEASED)

    def _on_aborted(self, event: Event) -> None:
        """Note an abort by either side, and by pynetdicom after too long a silence."""
        association = _of(event)
        live = self._live.get(association)
        if live is not None and not live.why and association.dul.idle_timer_expired():
            live.why = f"nothing arrived for {association.network_timeout} s"
        self._close(association, AssociationEnd.ABORTED)

    def _close(self, association: ReceivingAssociation, end: AssociationEnd) -> None:
        with self._lock:
            live = self._live.pop(association, None)
        if live is not None:
            self._associations.close(live, end)


def _of(event: Event) -> ReceivingAssociation:
    association = event.assoc
    assert isinstance(association, ReceivingAssociation)
    return association


def _reject(association: ReceivingAssociation, rejection: tuple[int, int, int]) -> None:
    """Let an A-ASSOCIATE-RJ be sent next, and the connection be closed then."""
    association.acse.send_reject(*rejection)


def _request(association: ReceivingAssociation) -> AssociationRequest:
    primitive = association.requestor.primitive
    assert primitive is not None
    return AssociationRequest(
        called_ae_title=str(primitive.called_ae_title).strip(" \0"),
        calling_ae_title=str(primitive.calling_ae_title).strip(" \0"),
        address=normalize_address(association.requestor.address or "0.0.0.0"),
        application_context=str(primitive.application_context_name),
        is_hasty=association.is_hasty,
        certificate=association.certificate,
    )
