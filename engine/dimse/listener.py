"""One TCP port: bind, accept, decide by acceptance, hand C-STORE requests to reception."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, _config, evt
from pynetdicom.pdu_primitives import A_ABORT
from pynetdicom.transport import ThreadedAssociationServer

from engine.dimse.acceptance import AssociationRequest, Load, Rejection, decide
from engine.dimse.contexts import (
    refused_contexts,
    storage_services,
    supported_contexts,
    verification_context,
)
from engine.dimse.guard import MessageGuard
from engine.dimse.ports import listen_error, shown_address
from engine.model.whitelist import normalize_address
from engine.view import AssociationEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.dataset import Dataset
    from pydicom.uid import UID
    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation

    from engine.clock import Clock
    from engine.dimse.associations import Associations, LiveAssociation
    from engine.dimse.reception import Reception
    from engine.model.limits import Limits
    from engine.model.receiver import Receiver

BACKLOG = 128
ACSE_SECONDS = 10
_ABORT_SECONDS = 2
_CANNOT_DECIDE = (2, 1, 1)  # A-ASSOCIATE-RJ: transient, no reason given
_ENDED = 0x0110  # C-STORE status: processing failure

_logger = logging.getLogger(__name__)

# pynetdicom logs what its peers send; what matters goes to the journal instead.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
_config.LOG_HANDLER_LEVEL = "none"


class _Server(ThreadedAssociationServer):
    """Accepts connections until stopped, without polling."""

    request_queue_size = BACKLOG
    daemon_threads = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.socket is not None
        self.socket.setblocking(False)
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC)

    def service_actions(self) -> None:
        """Leave garbage to Python's own collector: a full collection here stalls reception."""

    def serve(self) -> None:
        """Accept connections until `stop` is called from another thread."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._stop_fd, selectors.EVENT_READ)
            while self._stop_fd not in {key.fileobj for key, _ in selector.select()}:
                self.handle_request()

    def stop(self, thread: threading.Thread) -> None:
        """End `serve` and close the listening socket; open associations go on."""
        os.eventfd_write(self._stop_fd, 1)
        thread.join()
        self.server_close()
        os.close(self._stop_fd)


class PortListener:
    """Listens on one port for all its receivers, which may be replaced while it listens."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        associations: Associations,
        reception: Reception,
        clock: Clock,
        load: Callable[[], Load],
    ) -> None:
        self.address = address
        self.port = port
        self.receivers: Mapping[str, Receiver] = {}
        """The enabled receivers by AE title; replaced as a whole."""
        self._associations = associations
        self._reception = reception
        self._clock = clock
        self._load = load
        self._lock = threading.Lock()
        self._live: dict[Association, LiveAssociation] = {}
        self._guards: dict[Association, MessageGuard] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port and accept associations.

        Raises:
            ListenError: with the reason and, where it may be known, the process in the way.
        """
        ae = AE()
        ae.maximum_associations = 1_000_000  # the limit is acceptance's, which can say why
        ae.acse_timeout = ACSE_SECONDS
        bind_to = (
            (self.address, self.port, 0, 0) if ":" in self.address else (self.address, self.port)
        )
        try:
            server = ae.make_server(
                bind_to,
                contexts=[verification_context()],
                evt_handlers=self._handlers(),
                server_class=_Server,
            )
        except OSError as error:
            raise listen_error(error, self.address, self.port) from error
        assert isinstance(server, _Server)
        thread = threading.Thread(target=server.serve, name=f"listener-{self.port}", daemon=True)
        self._server, self._thread = server, thread
        thread.start()

    def stop(self) -> None:
        """Accept nothing more and free the port; open associations go on."""
        if self._server is not None and self._thread is not None:
            self._server.stop(self._thread)
        self._server = self._thread = None

    def has_associations(self) -> bool:
        """Tell whether associations accepted here are still open."""
        return any(association.is_alive() for association in list(self._live))

    def abort_all(self) -> None:
        """Abort what is still open, and return when the threads that serve it have ended."""
        open_ones = list(self._live)
        for association in open_ones:
            _abort(association)
        for association in open_ones:
            association.dul.join(2 * _ABORT_SECONDS)

    def _handlers(self) -> list[EventHandlerType]:
        return [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_SOP_COMMON, _on_sop_common),
            (evt.EVT_ESTABLISHED, self._on_established),
            (evt.EVT_C_ECHO, _on_c_echo),
            (evt.EVT_PDU_RECV, self._on_pdu),
            (evt.EVT_C_STORE, self._on_c_store),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
        ]

    def _on_requested(self, event: Event) -> None:
        """Answer an A-ASSOCIATE-RQ; pynetdicom would accept it if this failed."""
        try:
            self._answer(event.assoc)
        except Exception:
            _logger.exception("an association request on port %d could not be decided", self.port)
            _reject(event.assoc, _CANNOT_DECIDE)

    def _answer(self, association: Association) -> None:
        request = _request(association)
        shown = shown_address(str(request.address), association.requestor.port or 0)
        with self._associations.admission:
            load = self._load()
            decision = decide(request, self.port, self.receivers, load)
            if not isinstance(decision, Rejection):
                self._open(association, decision.receiver, request, shown)
        if isinstance(decision, Rejection):
            self._associations.rejected(request, decision, self.port, shown)
            _reject(association, (decision.result, decision.source, decision.reason))
        else:
            self._prepare(association, decision.receiver.limits_within(load.site))

    def _open(
        self, association: Association, receiver: Receiver, request: AssociationRequest, shown: str
    ) -> None:
        live = self._associations.open(
            receiver, request, shown, association, partial(_abort, association)
        )
        with self._lock:
            self._live = {a: known for a, known in self._live.items() if a.is_alive()}
            self._live[association] = live

    def _prepare(self, association: Association, limits: Limits) -> None:
        """Set what is negotiated next, and what holds from then on."""
        acceptor = association.acceptor
        acceptor.supported_contexts = supported_contexts(association.requestor.requested_contexts)
        acceptor.maximum_length = limits.pdu_bytes
        association.network_timeout = limits.idle_seconds
        with self._lock:
            self._guards = {a: guard for a, guard in self._guards.items() if a.is_alive()}
            self._guards[association] = MessageGuard(limits, self._clock)

    def _on_pdu(self, event: Event) -> None:
        """Abort an association whose message goes beyond a limit; on its reading thread."""
        guard, live = self._guards.get(event.assoc), self._live.get(event.assoc)
        breach = guard.breach(event.pdu) if guard is not None else ""
        if breach and live is not None and not live.why:
            self._associations.abort(live, breach)

    def _on_established(self, event: Event) -> None:
        association = event.assoc
        live = self._live.get(association)
        if live is None:
            return  # aborted while it was negotiated
        proposed = association.requestor.requested_contexts
        self._associations.established(
            live,
            len(association.accepted_contexts),
            refused_contexts(association.rejected_contexts, proposed),
            association.requestor.implementation_version_name or "",
        )

    def _on_c_store(self, event: Event) -> Dataset | int:
        live = self._live.get(event.assoc)
        if live is None:
            return _ENDED
        try:
            return self._reception.store(event, live, live.settings)
        finally:
            # All the time this took, the caller was waiting for us.
            event.assoc.dul._idle_timer.restart()

    def _on_released(self, event: Event) -> None:
        self._close(event.assoc, AssociationEnd.RELEASED)

    def _on_aborted(self, event: Event) -> None:
        """Note an abort by either side, and by pynetdicom after too long a silence."""
        association = event.assoc
        live = self._live.get(association)
        if live is not None and not live.why and association.dul.idle_timer_expired():
            live.why = f"nothing arrived for {association.network_timeout} s"
        self._close(association, AssociationEnd.ABORTED)
        threading.Thread(target=_see_off, args=(association,), name="abort", daemon=True).start()

    def _close(self, association: Association, end: AssociationEnd) -> None:
        with self._lock:
            live = self._live.pop(association, None)
            self._guards.pop(association, None)
        if live is not None:
            self._associations.close(live, end)


def _request(association: Association) -> AssociationRequest:
    primitive = association.requestor.primitive
    assert primitive is not None
    return AssociationRequest(
        called_ae_title=str(primitive.called_ae_title).strip(" \0"),
        calling_ae_title=str(primitive.calling_ae_title).strip(" \0"),
        address=normalize_address(association.requestor.address or "0.0.0.0"),
        application_context=str(primitive.application_context_name),
    )


def _reject(association: Association, rejection: tuple[int, int, int]) -> None:
    """Send an A-ASSOCIATE-RJ and wait until it is out; the socket is closed right after this."""
    association.acse.send_reject(*rejection)
    association.kill()


def _abort(association: Association) -> None:
    """Begin to abort an association; its threads end soon after, if need be by `_see_off`."""
    send = association.dul.send_pdu

    def send_aborts_only(primitive: Any) -> None:
        # pynetdicom trips over an answer, such as to the object in flight, that comes after it.
        if isinstance(primitive, A_ABORT):
            send(primitive)

    association.dul.send_pdu = send_aborts_only  # type: ignore[method-assign]
    association.abort(block=False)


def _see_off(association: Association) -> None:
    """Cut the connection of an aborted association whose peer keeps it from ending by itself."""
    association.dul.join(_ABORT_SECONDS)
    transport = association.dul.socket
    if association.dul.is_alive() and transport is not None and transport.socket is not None:
        association.dul.kill_dul()
        with suppress(OSError):
            transport.socket.shutdown(socket.SHUT_RDWR)


def _on_sop_common(event: Event) -> dict[UID, SOPClassCommonExtendedNegotiation]:
    return storage_services(event.assoc.requestor.requested_contexts)


def _on_c_echo(_event: Event) -> int:
    return 0x0000
