"""An association as acceptor: what holds for it, where its objects go, how it is broken off."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR, MODE_REQUESTOR
from pynetdicom.acse import ACSE
from pynetdicom.association import Association, ServiceUser
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE

from engine.dimse.fragments import ProtocolViolation
from engine.dimse.negotiation import ACCEPTANCE, Negotiated, Proposal, negotiated
from engine.dimse.transport import BufferedSocket
from engine.dimse.upper_layer import ReceivingProvider
from engine.model.limits import Limits

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity

    from engine.dimse.associations import LiveAssociation
    from engine.dimse.command import StoreRequest
    from engine.dimse.reception import Receipt
    from engine.dimse.shared_reader import SharedReader
    from engine.model.tls import PeerCertificate


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
    """Where the objects of an association go; called on whatever thread reads it."""

    reader: SharedReader
    """Reads short objects."""

    def welcome(self, association: ReceivingAssociation) -> bool:
        """Prepare a new connection, such as by a TLS handshake; False refuses it."""
        ...

    def begin(self, association: ReceivingAssociation, request: StoreRequest) -> Receipt:
        """Open the object that a C-STORE-RQ announces."""
        ...

    def is_quick(self, association: ReceivingAssociation) -> bool:
        """Tell whether filing its next object will wait for nothing but the file system."""
        ...

    def violated(self, association: ReceivingAssociation, why: str) -> None:
        """Note why the association is being aborted."""
        ...

    def gone(self, association: ReceivingAssociation) -> None:
        """Note that the connection is closed."""
        ...


class ReceivingAssociation(Association):
    """An acceptor whose objects go to a port, on one thread that sleeps until there is work."""

    def __init__(
        self, ae: ApplicationEntity, handlers: Any, port: ObjectPort, deadlines: Deadlines
    ) -> None:
        """Begin with a connection still to be set.

        Args:
            ae: has the settings that all associations of a listener share.
            handlers: are told what happens; shared as well.
            port: takes the objects.
            deadlines: for the peer.
        """
        # No object is cut short by the end of the program: this is no daemon.
        threading.Thread.__init__(self, target=self.serve, daemon=False)
        self._stand_as_acceptor(ae, handlers)
        self.port = port
        self.deadlines = deadlines
        self.limits = Limits()
        """The site's; those of the receiver once the association is accepted."""
        self.live: LiveAssociation | None = None
        """What is counted of it, from then on."""
        self.is_hasty = False
        """Whether its address asks for associations too fast."""
        self.is_heard = False
        """Whether its A-ASSOCIATE-RQ has come and is being answered."""
        self.why = ""
        """Why the connection is ended before that."""
        self.since = time.monotonic()
        """When the connection was accepted."""
        self.proposal: Proposal | None = None
        """What it was asked for with, once that has come."""
        self.negotiated = Negotiated()
        """What was agreed on, once it is accepted."""
        self._transfer_syntaxes: dict[int, str] = {}
        self.certificate: PeerCertificate | None = None
        """What the caller showed in the TLS handshake."""

    def _stand_as_acceptor(self, ae: ApplicationEntity, handlers: Any) -> None:
        """Set what pynetdicom's constructor sets, as far as an acceptor uses it.

        It would make an upper layer, too, which is thrown away, and what a requestor needs; that
        took as long as everything else that is done to accept a connection.
        """
        self._ae, self._mode, self._handlers = ae, MODE_ACCEPTOR, handlers
        self.is_established = self.is_rejected = self.is_aborted = self.is_released = False
        self._sent_abort = self._sent_release = False
        self._accepted_cx = {}
        self._reactor_checkpoint = threading.Event()
        self.requestor = ServiceUser(self, MODE_REQUESTOR)
        self.acceptor = ServiceUser(self, MODE_ACCEPTOR)
        self.acse, self.dimse = ACSE(self), DIMSEServiceProvider(self)
        self.dul = ReceivingProvider(self)
        # The setters hand these to the timers of the upper layer.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    @property
    def connection(self) -> BufferedSocket:
        """The connection, also after it is closed."""
        return cast(BufferedSocket, self.dul.socket)

    def hang_up(self) -> None:
        """Break the connection, whatever its thread is doing; callable from any thread."""
        connection = self.dul.socket.socket if self.dul.socket is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def is_silent(self) -> bool:
        """Whether nothing of a request has come yet, not counting a TLS handshake."""
        return self.connection.high == 0 and not cast(ReceivingProvider, self.dul).has_begun

    def departure(self) -> str:
        """Say how the connection ended, if it did before an A-ASSOCIATE-RQ was answered."""
        return self.why or cast(ReceivingProvider, self.dul).departure()

    def check_age(self) -> None:
        """Let no message begin in an association that has been open for too long.

        Raises:
            ProtocolViolation: which ends the association.
        """
        if time.monotonic() - self.since > self.limits.association_seconds:
            raise ProtocolViolation(
                f"the association has been open for {self.limits.association_seconds:,} s, "
                "as long as one may be"
            )

    def accepts(self, context_id: int) -> bool:
        """Tell whether messages may use a presentation context."""
        return context_id in self._accepted_cx

    def transfer_syntax_of(self, context_id: int) -> str:
        """Return what was negotiated for an accepted presentation context."""
        known = self._transfer_syntaxes.get(context_id)
        if known is None:
            known = str(self._accepted_cx[context_id].transfer_syntax[0])
            self._transfer_syntaxes[context_id] = known
        return known

    def begin(self) -> None:
        """Start the thread; without one, say so and close the connection."""
        try:
            self.start()
        except RuntimeError:
            self.why = "there is no thread to serve it"
            cast(ReceivingProvider, self.dul).close()

    def serve(self) -> None:
        """Serve the connection to its end, on this one thread."""
        self.dul.run_reactor()

    def indicate(self, primitive: Any) -> None:
        """Act on what the upper layer has to say; its answer is sent once this has returned."""
        if isinstance(primitive, A_ASSOCIATE):
            self.requestor.primitive = primitive
            evt.trigger(self, evt.EVT_REQUESTED, {})
            if not (self.is_aborted or self.is_rejected):
                self._accept()
        elif self.is_established:
            is_release = isinstance(primitive, A_RELEASE)
            if is_release:
                self.acse.send_release(is_response=True)
            self.is_released, self.is_aborted = is_release, not is_release
            self.is_established = False
            evt.trigger(self, evt.EVT_RELEASED if is_release else evt.EVT_ABORTED, {})

    def _accept(self) -> None:
        assert self.proposal is not None
        self.negotiated = negotiated(self.proposal, self.limits.pdu_bytes)
        self._accepted_cx = self.negotiated.contexts
        self.dul.send_pdu(ACCEPTANCE)
        self.is_established = True
        evt.trigger(self, evt.EVT_ESTABLISHED, {})
