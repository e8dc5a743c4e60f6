"""C-ECHO as a requestor: the console's "does it answer?" button."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from engine.certificates import own_caller
from engine.dimse.contexts import IMPLICIT_LITTLE, VERIFICATION
from engine.dimse.ports import calling_address, shown_address
from engine.dimse.requestor import OutgoingAssociation
from engine.errors import AssociationBroken, AssociationRefused, ContextRefused, PeerUnreachable
from engine.model.peer import OWN_AE_TITLE, Peer, PeerDeadlines
from engine.model.store_status import SUCCESS
from engine.model.tls import ClientCertificates
from engine.view import EchoResult

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.model.receiver import Receiver

_DEADLINES = PeerDeadlines(connect_seconds=5, answer_seconds=5)


def echo(receiver: Receiver, address: str, clock: Clock) -> EchoResult:
    """Call a receiver of this host and ask for an echo.

    A refusal by the receiver's own whitelist, or by its own authorities, counts as an answer: it
    is what was configured.

    Raises:
        InvalidReceiver: if the receiver's own certificate, which is shown, can't be read.
    """
    context = own_caller(receiver.tls) if receiver.tls else None
    target = calling_address(address)
    shown = shown_address(target, receiver.port)
    peer = Peer(target, receiver.port, str(receiver.ae_title))
    started = clock.monotonic()
    try:
        proposed = [(str(VERIFICATION), str(IMPLICIT_LITTLE))]
        with OutgoingAssociation(peer, proposed, _DEADLINES, context) as association:
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
    if asks and "ALERT" in (cause.reason or ""):
        detail = "answers; its authorities keep out dicomdock's own certificate, as configured"
        return EchoResult(True, shown, detail)
    reason = (cause.reason or "no reason given").replace("_", " ").lower()
    return EchoResult(False, shown, f"no TLS: {reason}")


def _rejected(receiver: Receiver, shown: str, source_and_reason: tuple[int, int]) -> EchoResult:
    if source_and_reason == (1, 3) and receiver.whitelist_enabled:
        detail = f"answers; its whitelist keeps out {OWN_AE_TITLE}, as configured"
        return EchoResult(True, shown, detail)
    if source_and_reason == (1, 7):
        return EchoResult(False, shown, f"rejects the called AE title {receiver.ae_title}")
    source, reason = source_and_reason
    return EchoResult(False, shown, f"rejects the association (source {source}, reason {reason})")
