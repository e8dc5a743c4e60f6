"""One TCP port: bind, accept, decide by acceptance, hand C-STORE requests to reception."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from pynetdicom import AE, _config, evt

from engine.dimse.acceptance import AssociationRequest, Load, Rejection, decide
from engine.dimse.contexts import (
    refused_contexts,
    storage_services,
    supported_contexts,
    verification_context,
)
from engine.dimse.ports import listen_error, shown_address
from engine.dimse.server import ReceivingServer
from engine.dimse.upper_layer import ReceivingAssociation
from engine.model.whitelist import normalize_address
from engine.view import AssociationEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.uid import UID
    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation

    from engine.dimse.associations import Associations, LiveAssociation
    from engine.dimse.command import StoreRequest
    from engine.dimse.reception import Receipt, Reception
    from engine.dimse.server import UnassociatedPeers
    from engine.dimse.upper_layer import Deadlines
    from engine.model.limits import Limits
    from engine.model.receiver import Receiver

_ABORT_SECONDS = 2

# pynetdicom logs what its peers send; what matters goes to the journal instead.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
_config.LOG_HANDLER_LEVEL = "none"


class PortListener:
    """Listens on one port for all its receivers, which may be replaced while it listens."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        associations: Associations,
        reception: Reception,
        load: Callable[[], Load],
        deadlines: Deadlines,
        unassociated: UnassociatedPeers,
    ) -> None:
        self.address = address
        self.port = port
        self.receivers: Mapping[str, Receiver] = {}
        """The enabled receivers by AE title; replaced as a whole."""
        self._associations = associations
        self._reception = reception
        self._load = load
        self._deadlines = deadlines
        self._unassociated = unassociated
        self._lock = threading.Lock()
        self._live: dict[ReceivingAssociation, LiveAssociation] = {}
        self._server: ReceivingServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port and accept associations.

        Raises:
            ListenError: with the reason and, where it may be known, the process in the way.
        """
        ae = AE()
        ae.maximum_associations = 1_000_000  # the limit is acceptance's, which can say why
        ae.acse_timeout = self._deadlines.negotiation_seconds
        bind_to = (
            (self.address, self.port, 0, 0) if ":" in self.address else (self.address, self.port)
        )
        try:
            server = ae.make_server(
                bind_to,
                contexts=[verification_context()],
                evt_handlers=self._handlers(),
                server_class=ReceivingServer,
            )
        except OSError as error:
            raise listen_error(error, self.address, self.port) from error
        assert isinstance(server, ReceivingServer)
        server.port, server.deadlines = self, self._deadlines
        server.unassociated = self._unassociated
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
        """Abort what is still open, and end the threads that serve it."""
        for association in list(self._live):
            aborter = threading.Thread(target=association.abort, daemon=True)
            aborter.start()
            aborter.join(_ABORT_SECONDS)
            association.hang_up()
            association.dul.kill_dul()

    def _handlers(self) -> list[EventHandlerType]:
        return [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_SOP_COMMON, _on_sop_common),
            (evt.EVT_ESTABLISHED, self._on_established),
            (evt.EVT_C_ECHO, _on_c_echo),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
        ]

    def _on_requested(self, event: Event) -> None:
        """Decide on an A-ASSOCIATE-RQ; on acceptance, prepare what is negotiated next."""
        association = event.assoc
        assert isinstance(association, ReceivingAssociation)
        self._unassociated.remove(association)
        request = _request(association)
        peer = association.requestor
        shown = shown_address(str(request.address), peer.port or 0)
        load = self._load()
        decision = decide(request, self.port, self.receivers, load)
        if isinstance(decision, Rejection):
            self._associations.rejected(request, decision, self.port, shown)
            association.acse.send_reject(decision.result, decision.source, decision.reason)
            # Waits until the A-ASSOCIATE-RJ is out; the socket is closed right after this.
            association.kill()
            return
        self._prepare(association, decision.receiver.limits_within(load.site))
        live = self._associations.open(
            decision.receiver, request, shown, association, partial(association.abort, block=False)
        )
        with self._lock:
            self._live = {a: known for a, known in self._live.items() if a.is_alive()}
            self._live[association] = live

    def _prepare(self, association: ReceivingAssociation, limits: Limits) -> None:
        """Set what is negotiated next, and what holds from then on."""
        acceptor = association.acceptor
        acceptor.supported_contexts = supported_contexts(association.requestor.requested_contexts)
        acceptor.maximum_length = limits.pdu_bytes
        association.network_timeout = limits.idle_seconds
        association.limits = limits

    def _on_established(self, event: Event) -> None:
        association = event.assoc
        proposed = association.requestor.requested_contexts
        self._associations.established(
            self._live[association],
            len(association.accepted_contexts),
            refused_contexts(association.rejected_contexts, proposed),
            association.requestor.implementation_version_name or "",
        )

    # ObjectPort: called on the reading thread of the association.

    def begin(self, association: ReceivingAssociation, request: StoreRequest) -> Receipt:
        """Open the object that a C-STORE request announces, with the receiver as it is now."""
        live = self._live[association]
        receiver = self.receivers.get(str(live.receiver.ae_title), live.receiver)
        syntax = association.transfer_syntax_of(request.context_id)
        return self._reception.begin(request, syntax, live, receiver)

    def violated(self, association: ReceivingAssociation, why: str) -> None:
        """Note why an association is about to be aborted."""
        live = self._live.get(association)
        if live is not None and not live.why:
            live.why = why

    def gone(self, association: ReceivingAssociation) -> None:
        """Forget a connection that is closed."""
        self._unassociated.remove(association)

    def _on_released(self, event: Event) -> None:
        self._close(event.assoc, AssociationEnd.RELEASED)

    def _on_aborted(self, event: Event) -> None:
        self._close(event.assoc, AssociationEnd.ABORTED)

    def _close(self, association: Association, end: AssociationEnd) -> None:
        with self._lock:
            live = self._live.pop(association, None)
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


def _on_sop_common(event: Event) -> dict[UID, SOPClassCommonExtendedNegotiation]:
    return storage_services(event.assoc.requestor.requested_contexts)


def _on_c_echo(_event: Event) -> int:
    return 0x0000
