"""TLS of one port: its certificate, checks of callers, and a connection that never blocks."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from engine.certificates import tls_context
from engine.certificates.callers import NotAccepted
from engine.certificates.files import stamp_of
from engine.errors import InvalidReceiver
from engine.events import (
    CertificateExpired,
    CertificateExpiring,
    CertificateRefused,
    CertificateReplaced,
    RevocationListExpired,
    RevocationListExpiring,
)
from engine.net.protocols import describe_protocol, is_client_hello, is_plain_dicom

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.certificates.files import Stamp
    from engine.certificates.tls_context import Credentials, TlsContents
    from engine.events import Event
    from engine.host.clock import Clock
    from engine.model.tls import Certificate, PeerCertificate, TlsSettings

WARNING_INTERVAL_SECONDS = 24 * 60 * 60

_VERIFY_WORDS = {  # X509_V_ERR_… of OpenSSL
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed and not among the authorities that are configured",
    19: "is from an authority that is not configured",
    20: "is from an authority that is not configured",
    21: "is from an authority that is not configured",
    23: "is revoked",
    26: "is not meant for clients",
}
_OURS = "the caller refuses our certificate"
_REASON_WORDS = {
    "NO_SHARED_CIPHER": "no cipher suite in common; ours are those of BCP 195",
    "NO_SHARED_GROUPS": "no key exchange group in common",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no signature algorithm in common",
    "UNSUPPORTED_PROTOCOL": "the caller's TLS is older than 1.2",
    "WRONG_SSL_VERSION": "the caller's TLS is older than 1.2",
    "VERSION_TOO_LOW": "the caller's TLS is older than 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the caller's TLS is older than 1.2",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the caller showed no certificate, which is required here",
    "TLSV1_ALERT_UNKNOWN_CA": f"{_OURS}: it does not know its authority",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_OURS}: it has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OURS,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OURS,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _OURS,
}


class TlsRefused(Exception):
    """TLS was refused; the text is the reason, empty if nothing is to be reported."""

    def __init__(self, why: str, head: bytes = b"") -> None:
        super().__init__(why)
        self.why = why
        self.head = head
        """The first bytes of the caller, if they are not a ClientHello."""


class EventRecorder(Protocol):
    """Records an event once for every receiver of a port."""

    def __call__(self, make: Callable[..., Event]) -> None:
        """Record what `make` returns when called with ``receiver=…``."""
        ...


class TlsConnection(ssl.SSLSocket):
    """A TLS connection that never blocks; one thread reads, writes and closes it."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Decrypt records until the buffer is full or no more are there; `flags` are ignored.

        Raises:
            ssl.SSLWantReadError: if no bytes are there now.
            ssl.SSLWantWriteError: if a key update must be answered first (RFC 8446 4.6.3).
        """
        received = 0
        # A record has 16 KiB at most. A call for each would bring little to write at once, so the
        # buffer is filled.
        while received < len(buffer):
            try:
                count = self.read(len(buffer) - received, buffer[received:])
            except OSError:
                if received:
                    # The error comes again at the next call.
                    break
                raise
            received += count  # type: ignore[operator]  # bytes only without a buffer
            if not count:
                break
        return received

    def send(self, data: Any, flags: int = 0) -> int:
        """Encrypt and send; returns 0 if nothing fits. Then send the same bytes, or more, again."""
        try:
            return super().send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0

    def shutdown(self, how: int) -> None:
        """Break the connection; the TLS layer stays, so that nothing is sent in plain text."""
        socket.socket.shutdown(self, how)


@dataclass(frozen=True, slots=True)
class Handshake:
    """Credentials and context of one handshake."""

    credentials: Credentials
    context: ssl.SSLContext

    def wrap(self, plain: socket.socket) -> TlsConnection:
        """Put the TLS layer around a non-blocking connection.

        Raises:
            OSError: if the connection is broken.
        """
        secured = self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        assert isinstance(secured, TlsConnection)
        return secured


class PortTls:
    """The TLS of one port; for all threads."""

    def __init__(self, settings: TlsSettings, clock: Clock, report: EventRecorder) -> None:
        self.settings = settings
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._seen: Stamp = ()
        self._warned: dict[tuple[object, ...], float] = {}
        self.problem = ""
        """Why changed files are not in force; empty if they are."""

    @property
    def certificate(self) -> Certificate | None:
        """The certificate in force."""
        return self._credentials.certificate if self._credentials else None

    def newer_than(self, stamp: Stamp) -> TlsContents | None:
        """Return what is in force now for another process; None if that has it already."""
        self.refresh()
        now = self._credentials
        return now.contents() if now is not None and now.stamp != stamp else None

    def load(self) -> None:
        """Read the files for the first time.

        Raises:
            InvalidReceiver: naming the file and what is wrong with it.
        """
        self._credentials = tls_context.load(self.settings, TlsConnection)
        self._seen = self._credentials.stamp

    def refresh(self) -> None:
        """Use changed files if they are valid; otherwise keep the old ones, and report it."""
        with self._lock:
            stamp = stamp_of(self.settings)
            # Stamps of the files, not their contents: this runs before every handshake.
            if stamp == self._seen:
                return
            # Noted before the files are read: files that are wrong are reported once, not at every
            # handshake.
            self._seen = stamp
            try:
                self._credentials = tls_context.load(self.settings, TlsConnection)
            except InvalidReceiver as error:
                self.problem = error.detail
                self._report(partial(CertificateRefused, reason=error.detail))
                return
            self.problem = ""
            found = self._credentials.certificate
            fields = {"subject": found.subject, "expires": _minute(found.not_after)}
            self._report(partial(CertificateReplaced, **fields))
        self.warn()

    def warn(self) -> None:
        """Report a certificate or revocation list that has expired or expires soon, once a day."""
        now = self._clock.now()
        found, callers = self.certificate, self._credentials and self._credentials.callers
        if found is not None and found.is_expired(now):
            self._warn(CertificateExpired, found.not_after, subject=found.subject)
        elif found is not None and found.expires_soon(now):
            days_left = found.days_left(now)
            self._warn(
                CertificateExpiring, found.not_after, subject=found.subject, days_left=days_left
            )
        lists = callers.revocations.described() if callers and callers.revocations else ()
        for one in lists:
            if one.is_expired(now):
                self._warn(RevocationListExpired, one.next_update, issuer=one.issuer)
            elif one.expires_soon(now):
                self._warn(RevocationListExpiring, one.next_update, issuer=one.issuer)

    def _warn(self, kind: Callable[..., Event], expires: datetime, **about: Any) -> None:
        now = self._clock.monotonic()
        self._warned = {
            k: at for k, at in self._warned.items() if now - at < WARNING_INTERVAL_SECONDS
        }
        # With the date: a new certificate that expires soon is another warning.
        same = (kind, expires, about.get("issuer"))
        if same not in self._warned:
            self._warned[same] = now
            self._report(partial(kind, expires=_minute(expires), **about))

    def prepare(self) -> Handshake | TlsRefused:
        """Return the context of one handshake; may read files, and raises nothing."""
        try:
            self.refresh()
            assert self._credentials is not None
            return Handshake(self._credentials, self._credentials.context())
        except Exception as error:
            # The border to one receiver's files: its callers are refused, the other ports work.
            return TlsRefused(f"there is no TLS at the moment ({error})")

    def caller_of(self, secured: TlsConnection, handshake: Handshake) -> PeerCertificate | None:
        """Return the caller's certificate, after checking it; None if none is required.

        Raises:
            TlsRefused: if the certificate is not accepted.
        """
        callers = handshake.credentials.callers
        if callers is not None:
            try:
                callers.check(secured, self._clock.now())
            except NotAccepted as error:
                raise TlsRefused(f"the caller's certificate {error}") from error
        return tls_context.identity_of(secured)


class HandedTls(PortTls):
    """The TLS of a port that another process of the engine owns, which reads the files."""

    def __init__(
        self,
        settings: TlsSettings,
        clock: Clock,
        newer_than: Callable[[Stamp], TlsContents | None],
    ) -> None:
        """Take what asks the owner for what is in force; it may block, and may raise."""
        super().__init__(settings, clock, lambda _: None)
        self._newer_than = newer_than

    def refresh(self) -> None:
        """Use what is in force now."""
        with self._lock:
            newer = self._newer_than(self._seen)
            if newer is not None:
                self._credentials = tls_context.load_contents(self.settings, newer, TlsConnection)
                self._seen = newer.stamp


def greeting_refusal(head: bytes) -> TlsRefused | None:
    """Return why a caller gets no TLS, by its first bytes; None if they begin a handshake."""
    if not head:
        # A monitoring system that only connects: not reported.
        return TlsRefused("")
    if is_plain_dicom(head):
        return TlsRefused("the caller speaks plain DICOM, and this port requires TLS", head)
    if not is_client_hello(head):
        return TlsRefused(
            f"this port requires TLS, and this looks like {describe_protocol(head)}", head
        )
    return None


def handshake_words(error: OSError) -> str:
    """Return why a handshake failed, in words an admin knows where there are some."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = _VERIFY_WORDS.get(error.verify_code, f"is refused ({error.verify_message})")
        return f"the caller's certificate {what}"
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
        return "the caller broke off the TLS handshake"
    reason = _reason(error)
    return _REASON_WORDS.get(reason, f"TLS failed: {reason.replace('_', ' ').lower()}")


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's name of a reason, from the text if Python's table lacks it."""
    text = str(error.args[-1]).partition("] ")[2].partition(" (_ssl")[0]
    return error.reason or text.replace(" ", "_").upper() or "NO_REASON_GIVEN"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
