"""An association as acceptor: what holds for it, where its objects go, how it is broken off."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from pynetdicom import evt
from pynetdicom.association import Association

from engine.dimse.fragments import ProtocolViolation
from engine.dimse.transport import BufferedSocket
from engine.dimse.upper_layer import ReceivingProvider
from engine.dimse.waiting import Gate
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
    """An acceptor whose objects go to a port and whose threads sleep until there is work."""

    def __init__(
        self, ae: ApplicationEntity, mode: str, port: ObjectPort, deadlines: Deadlines
    ) -> None:
        super().__init__(ae, mode)
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
        self._transfer_syntaxes: dict[int, str] = {}
        self.certificate: PeerCertificate | None = None
        """What the caller showed in the TLS handshake."""
        self.gate = Gate(self._idle_seconds)
        self._reactor_checkpoint = self.gate
        self.dul = ReceivingProvider(self)
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

    def _bind_defaults(self) -> None:
        """Bind nothing: all associations of a server share its handlers."""

    def _run_reactor(self) -> None:
        """Wait for the end, by either side or by silence; objects are the other thread's work."""
        while not self._kill:
            self.gate.wait()
            if self.is_established and self.acse.is_release_requested():
                self.acse.send_release(is_response=True)
                self.is_released, self.is_established = True, False
                evt.trigger(self, evt.EVT_RELEASED, {})
            elif self.acse.is_aborted():
                self.dul.receive_pdu(wait=False)
                self.is_aborted, self.is_established = True, False
                evt.trigger(self, evt.EVT_ABORTED, {})
            elif not cast(ReceivingProvider, self.dul).has_ended:
                if not self.dul.idle_timer_expired():
                    continue
                self.abort()
            self.kill()

    def _idle_seconds(self) -> float:
        return self.dul._idle_timer.remaining
