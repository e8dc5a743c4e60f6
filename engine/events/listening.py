"""Where the engine listens, and with which certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.events.event import Event, Severity, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverListening(Event):
    """The receiver accepts associations."""

    topic: ClassVar[str] = "listen"

    address: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"listening on {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStopped(Event):
    """The receiver accepts no associations any more, on purpose."""

    topic: ClassVar[str] = "listen"

    def sentence(self) -> str:
        """Say what happened."""
        return "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverFailed(Event):
    """The receiver should listen but can't."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "listen"
    urgent: ClassVar[bool] = True

    reason: str
    remedy: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"can't listen: {self.reason}; {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketUnused(Event):
    """A listening socket that this process inherited belongs to no receiver and was closed."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "listen"

    name: str
    why: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"inherited socket {self.name} is closed unused: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReplaced(Event):
    """New handshakes use TLS files that changed."""

    topic: ClassVar[str] = "tls"

    subject: str
    expires: str

    def sentence(self) -> str:
        """Say what happened."""
        return (
            f"new handshakes use the changed TLS files; the certificate {self.subject} is valid "
            f"to {self.expires}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRefused(Event):
    """A certificate file changed and can't be used; the certificate before stays in force."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "tls"
    urgent: ClassVar[bool] = True

    reason: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"changed TLS files refused, the certificate before stays in force: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExpiring(Event):
    """The receiver's certificate has to be renewed soon."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "tls"

    subject: str
    expires: str
    days_left: int

    def sentence(self) -> str:
        """Say what happened."""
        within = counted(self.days_left, "day")
        return f"the certificate {self.subject} expires in {within}, at {self.expires}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExpired(Event):
    """The receiver's certificate is no longer valid; callers will refuse it."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "tls"
    urgent: ClassVar[bool] = True

    subject: str
    expires: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"the certificate {self.subject} expired at {self.expires}; callers will refuse it"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationListExpiring(Event):
    """The revocation list of an authority has to be replaced soon."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "tls"

    issuer: str
    expires: str

    def sentence(self) -> str:
        """Say what happened."""
        return (
            f"the revocation list of {self.issuer} expires at {self.expires}; "
            "from then on callers with its certificates are rejected"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationListExpired(Event):
    """The revocation list of an authority is no longer valid, so its certificates are rejected."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "tls"
    urgent: ClassVar[bool] = True

    issuer: str
    expires: str

    def sentence(self) -> str:
        """Say what happened."""
        return (
            f"the revocation list of {self.issuer} expired at {self.expires}: callers with its "
            "certificates are rejected; replace the file in tls_crl"
        )
