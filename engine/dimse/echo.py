"""C-ECHO as a requestor: the console's "does it answer?" button."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from pynetdicom import AE
from pynetdicom.pdu_primitives import A_ASSOCIATE

from engine.certificates import own_caller
from engine.dimse.contexts import VERIFICATION
from engine.dimse.ports import calling_address, shown_address
from engine.model.tls import ClientCertificates
from engine.view import EchoResult

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.model.receiver import Receiver

CALLING_AE_TITLE = "DICOMDOCK"
TIMEOUT_SECONDS = 5


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
    try:
        with socket.create_connection((target, receiver.port), TIMEOUT_SECONDS) as connection:
            if context is not None:
                context.wrap_socket(connection).close()
    except ssl.SSLError as error:
        return _without_tls(receiver, shown, error)
    except OSError as error:
        return EchoResult(False, shown, f"no answer: {(error.strerror or str(error)).lower()}")
    ae = AE(ae_title=CALLING_AE_TITLE)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = TIMEOUT_SECONDS
    ae.add_requested_context(VERIFICATION)
    started = clock.monotonic()
    association = ae.associate(
        target,
        receiver.port,
        ae_title=str(receiver.ae_title),
        tls_args=(context, target) if context else None,
    )
    if association.is_established:
        status = association.send_c_echo()
        association.release()
        milliseconds = round((clock.monotonic() - started) * 1000)
        if "Status" in status and status.Status == 0x0000:
            return EchoResult(True, shown, f"answered in {milliseconds} ms")
        return EchoResult(False, shown, "accepted the association but not the echo")
    if association.is_rejected:
        answer = association.acceptor.primitive
        assert isinstance(answer, A_ASSOCIATE)
        return _rejected(receiver, shown, (answer.result_source or 0, answer.diagnostic or 0))
    return EchoResult(False, shown, "no answer to the association request")


def _without_tls(receiver: Receiver, shown: str, error: ssl.SSLError) -> EchoResult:
    asks = receiver.tls is not None and receiver.tls.client is ClientCertificates.REQUIRED
    if asks and "ALERT" in (error.reason or ""):
        detail = "answers; its authorities keep out dicomdock's own certificate, as configured"
        return EchoResult(True, shown, detail)
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    return EchoResult(False, shown, f"no TLS: {reason}")


def _rejected(receiver: Receiver, shown: str, source_and_reason: tuple[int, int]) -> EchoResult:
    if source_and_reason == (1, 3) and receiver.whitelist_enabled:
        detail = f"answers; its whitelist keeps out {CALLING_AE_TITLE}, as configured"
        return EchoResult(True, shown, detail)
    if source_and_reason == (1, 7):
        return EchoResult(False, shown, f"rejects the called AE title {receiver.ae_title}")
    source, reason = source_and_reason
    return EchoResult(False, shown, f"rejects the association (source {source}, reason {reason})")
