"""Events of receivers' ports, associations, connections and TLS certificates."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity, and_left_out, by_now, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationEstablished(
    Event,
    topic="associate",
    template="association established from {self.address}, "
    "{self.contexts_accepted} of {self.contexts_proposed} contexts accepted",
):
    """An association was accepted."""

    address: str
    contexts_accepted: int
    contexts_proposed: int
    whitelist_line: str = ""
    """The line that allowed the caller; empty while the whitelist is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledFromNewAddress(
    Event,
    topic="associate",
    template="calls from a new address, {self.address}; until now from {self.before}",
):
    """A known AE title called from an address that it never called from before."""

    address: str
    before: str
    """Where it called from before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRejected(Event, severity=Severity.WARNING, topic="associate"):
    """An association was refused (PS3.8 9.3.4)."""

    called_ae_title: str
    address: str
    port: int
    result: int
    source: int
    reason: int
    why: str
    times: int = 1
    """How often so far from this address with these numbers; reported at 10, 100, 1000 …"""
    left_out: int = 0
    """How many such reports were left out before, because there were too many in a minute."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        triple = f"{self.result}/{self.source}/{self.reason}"
        what = f"association rejected ({triple}){by_now(self.times)}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDropped(Event, severity=Severity.WARNING, topic="connect"):
    """A connection ended before it was an association."""

    address: str
    port: int
    why: str
    """The reason in our own words; it contains nothing that the peer sent."""
    times: int = 1
    """How often lately; repetitions are reported at 10, 100, 1000 …"""
    left_out: int = 0
    """How many such reports were left out before, because there were too many in a minute."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        where = f"from {self.address} to port {self.port}"
        what = f"connection {where} ended without an association{by_now(self.times)}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextsRefused(Event, severity=Severity.WARNING, topic="associate"):
    """Some presentation contexts of an accepted association were refused."""

    contexts: tuple[str, ...]
    """Each context as a text with SOP class and reason."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"{counted(len(self.contexts), 'context')} refused: {'; '.join(self.contexts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationReleased(Event, topic="release"):
    """The caller released its association (PS3.8 7.2)."""

    objects: int
    bytes: int
    seconds: float

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"association released after {counted(self.objects, 'object')}, {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAborted(Event, severity=Severity.WARNING, topic="abort"):
    """An association ended without a release."""

    objects: int
    bytes: int
    seconds: float
    why: str = ""
    """The reason, if the engine aborted; empty if the caller did."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        after = f"after {counted(self.objects, 'object')}, {self.seconds:.1f} s"
        return f"association aborted {after}" + (f": {self.why}" if self.why else " by the caller")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverListening(Event, topic="listen", template="listening on {self.address}"):
    """The receiver accepts associations."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStopped(Event, topic="listen", template="stopped"):
    """The receiver was stopped and accepts no more associations."""


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
    """The receiver's certificate expires soon."""

    subject: str
    expires: str
    days_left: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
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
    """The revocation list of an authority expires soon."""

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
