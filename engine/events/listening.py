"""Where the engine listens, and with which certificates."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverListening(Event, topic="listen", template="listening on {self.address}"):
    """The receiver accepts associations."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStopped(Event, topic="listen", template="stopped"):
    """The receiver accepts no associations any more, on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverFailed(
    Event,
    severity=Severity.ERROR,
    topic="listen",
    urgent=True,
    template="can't listen: {self.reason}; {self.remedy}",
):
    """The receiver should listen but can't."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketUnused(
    Event,
    severity=Severity.WARNING,
    topic="listen",
    template="inherited socket {self.name} is closed unused: {self.why}",
):
    """A listening socket that this process inherited belongs to no receiver and was closed."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReplaced(
    Event,
    topic="tls",
    template="new handshakes use the changed TLS files; the certificate {self.subject} is valid "
    "to {self.expires}",
):
    """New handshakes use TLS files that changed."""

    subject: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRefused(
    Event,
    severity=Severity.ERROR,
    topic="tls",
    urgent=True,
    template="changed TLS files refused, the certificate before stays in force: {self.reason}",
):
    """A certificate file changed and can't be used; the certificate before stays in force."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExpiring(Event, severity=Severity.WARNING, topic="tls"):
    """The receiver's certificate has to be renewed soon."""

    subject: str
    expires: str
    days_left: int

    def sentence(self) -> str:
        """Say what happened."""
        within = counted(self.days_left, "day")
        return f"the certificate {self.subject} expires in {within}, at {self.expires}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExpired(
    Event,
    severity=Severity.ERROR,
    topic="tls",
    urgent=True,
    template="the certificate {self.subject} expired at {self.expires}; callers will refuse it",
):
    """The receiver's certificate is no longer valid; callers will refuse it."""

    subject: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationListExpiring(
    Event,
    severity=Severity.WARNING,
    topic="tls",
    template="the revocation list of {self.issuer} expires at {self.expires}; "
    "from then on callers with its certificates are rejected",
):
    """The revocation list of an authority has to be replaced soon."""

    issuer: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationListExpired(
    Event,
    severity=Severity.ERROR,
    topic="tls",
    urgent=True,
    template="the revocation list of {self.issuer} expired at {self.expires}: callers with its "
    "certificates are rejected; replace the file in tls_crl",
):
    """The revocation list of an authority is no longer valid, so its certificates are rejected."""

    issuer: str
    expires: str
