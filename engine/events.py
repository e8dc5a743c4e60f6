"""Everything worth telling: frozen values that say what happened, to whom, and what it means.

Events carry AE titles, addresses and counts, never names, identifiers or labels of patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "INFO"
    WARNING = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has."""

    severity: ClassVar[Severity] = Severity.INFO
    topic: ClassVar[str] = "engine"
    """One word for the log's "what" column."""
    urgent: ClassVar[bool] = False
    """Whether a console should be told at once instead of at its next look."""

    receiver: str = ""
    """``AE:port``; empty when the event is not about one receiver."""
    calling_ae_title: str = ""
    association: str = ""
    """The association's number, such as ``A-0412``."""

    def sentence(self) -> str:
        """Say what happened, without repeating receiver and caller."""
        raise NotImplementedError

    def to_record(self) -> dict[str, object]:
        """Return the event as JSON values, with its kind and sentence."""
        record: dict[str, object] = {
            "kind": type(self).__name__,
            "severity": str(self.severity),
            "topic": self.topic,
            "message": self.sentence(),
        }
        record.update({f.name: getattr(self, f.name) for f in fields(self)})
        return record


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStarted(Event):
    """The engine is up and its listeners have been started."""

    version: str
    listening: int
    enabled: int

    def sentence(self) -> str:
        """Say what happened."""
        return f"engine {self.version} started: {self.listening} of {self.enabled} listening"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStopping(Event):
    """The engine takes no new associations and drains the open ones."""

    open_associations: int

    def sentence(self) -> str:
        """Say what happened."""
        return f"engine stops: {counted(self.open_associations, 'open association')} may finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyingValuesShown(Event):
    """Somebody saw values that tell who a patient is."""

    topic: ClassVar[str] = "privacy"

    by: str
    object: str
    """A keyed hash of its SOP Instance UID."""
    session: int | None = None

    def sentence(self) -> str:
        """Say what happened."""
        where = "" if self.session is None else f" of session {self.session}"
        return f"identifying values of object {self.object[:12]}{where} were shown to {self.by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationApplied(Event):
    """A configuration is in force."""

    topic: ClassVar[str] = "config"

    revision: int
    receivers: int
    enabled: int
    by: str
    """Who or what changed it: a login, or ``disk`` for an edited file."""

    def sentence(self) -> str:
        """Say what happened."""
        return (
            f"configuration revision {self.revision} applied, changed by {self.by}: "
            f"{counted(self.receivers, 'receiver')}, {self.enabled} enabled"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationRefused(Event):
    """The configuration file is not acceptable; the last good settings stay in force."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "config"
    urgent: ClassVar[bool] = True

    reason: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"configuration file refused, the last good settings stay in force: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionNotApplied(Event):
    """A receiver asks for something that is not done."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "config"

    option: str
    instead: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"{self.option} is on but not applied: {self.instead}"


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
    """New handshakes use another certificate, because its file changed."""

    topic: ClassVar[str] = "tls"

    subject: str
    expires: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"new handshakes use the changed certificate {self.subject}, valid to {self.expires}"


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
class AssociationEstablished(Event):
    """An association was accepted."""

    topic: ClassVar[str] = "associate"

    address: str
    contexts_accepted: int
    contexts_proposed: int
    whitelist_line: str = ""
    """The line that let the caller in; empty while the whitelist is off."""

    def sentence(self) -> str:
        """Say what happened."""
        return (
            f"association established from {self.address}, "
            f"{self.contexts_accepted} of {self.contexts_proposed} contexts accepted"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRejected(Event):
    """An association was refused (PS3.8 9.3.4)."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "associate"

    called_ae_title: str
    address: str
    port: int
    result: int
    source: int
    reason: int
    why: str
    times: int = 1
    """How often so far; repetitions are told at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        triple = f"{self.result}/{self.source}/{self.reason}"
        return f"association rejected ({triple}){again}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDropped(Event):
    """A connection ended before it was an association."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "connect"

    address: str
    port: int
    why: str
    """In words of ours; nothing that the peer sent is in it."""
    times: int = 1
    """How often lately; repetitions are told at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        where = f"from {self.address} to port {self.port}"
        return f"connection {where} ended without an association{again}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextsRefused(Event):
    """Some presentation contexts of an accepted association were refused."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "associate"

    contexts: tuple[str, ...]
    """Each with SOP class and reason."""

    def sentence(self) -> str:
        """Say what happened."""
        return f"{counted(len(self.contexts), 'context')} refused: {'; '.join(self.contexts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationReleased(Event):
    """The caller ended its association in good order."""

    topic: ClassVar[str] = "release"

    objects: int
    bytes: int
    seconds: float

    def sentence(self) -> str:
        """Say what happened."""
        return f"association released after {counted(self.objects, 'object')}, {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAborted(Event):
    """An association ended without a release."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "abort"

    objects: int
    bytes: int
    seconds: float
    why: str = ""
    """The reason, if the engine did it."""

    def sentence(self) -> str:
        """Say what happened."""
        after = f"after {counted(self.objects, 'object')}, {self.seconds:.1f} s"
        return f"association aborted {after}" + (f": {self.why}" if self.why else " by the caller")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsStored(Event):
    """How many objects an association brought since the last such event."""

    topic: ClassVar[str] = "c-store"

    objects: int
    duplicates: int
    bytes: int
    filtered: int = 0
    """Not wanted, and not kept."""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.duplicates} already here" if self.duplicates else ""
        dropped = f", {self.filtered} filtered" if self.filtered else ""
        size = f"{self.bytes / 1e6:.1f} MB"
        return f"stored {counted(self.objects, 'object')} ({size}){again}{dropped}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRefused(Event):
    """An object was answered with a failure status."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "c-store"

    status: int
    why: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"object refused with status 0x{self.status:04X}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymizationFailed(Event):
    """The site script could not be applied, so that objects are refused."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "script"
    urgent: ClassVar[bool] = True

    revision: int
    """That of the configuration that brought the script."""
    why: str
    """Names the line; holds no element values."""
    times: int
    """How often so far; repetitions are told at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        return f"an object is not stored{again}: {self.why} (script of revision {self.revision})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorFailed(Event):
    """A processor could not process an object, so that it is refused."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "processing"
    urgent: ClassVar[bool] = True

    processor: str
    """The instance's label."""
    why: str
    """Holds no element values."""
    times: int
    """How often so far; repetitions are told at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        return f"an object is not stored{again}: processor {self.processor}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorProblem(Event):
    """A processor can't work as it is configured, or can again."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "processing"

    processor: str
    """The instance's label."""
    problem: str
    """Empty once it is over."""

    def sentence(self) -> str:
        """Say what happened."""
        return f"processor {self.processor}: {self.problem or 'works as configured again'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFailed(Event):
    """A routing rule took too long, or failed otherwise; it is never taken for "no match"."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "routing"
    urgent: ClassVar[bool] = True

    attribute: str
    """What was to be decided, such as ``project``."""
    rule: str
    """Such as ``site rule in line 2, (0010,4000)``."""
    reason: str
    times: int
    """How often this rule failed since the configuration changed."""
    suspended: bool
    """Whether it is not asked any more."""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times} times by now" if self.times > 1 else ""
        said = f"the {self.attribute} decision failed at the {self.rule}{again}: {self.reason}"
        if not self.suspended:
            return said
        return f"{said}; the rule is suspended until the configuration changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierSlow(Event):
    """A plugin holds up senders: it needs long to say where an object belongs."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "routing"

    identifier: str
    seconds: float

    def sentence(self) -> str:
        """Say what happened."""
        return f"identifier {self.identifier} took {self.seconds:.1f} s for one object"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginBroken(Event):
    """A plugin is installed but can't be used."""

    severity: ClassVar[Severity] = Severity.ERROR
    topic: ClassVar[str] = "plugin"

    plugin: str
    """Its id and distribution."""
    error: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"plugin {self.plugin} can't be used: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(Event):
    """The first object of a session arrived."""

    topic: ClassVar[str] = "session"

    session: int
    project: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"session {self.session} opened in {self.project}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoversSwept(Event):
    """Half-received objects of an earlier engine were removed; their senders had no success."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "recovery"

    files: int

    def sentence(self) -> str:
        """Say what happened."""
        return f"{counted(self.files, 'half-received object')} of an earlier run removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsAdopted(Event):
    """Files that were stored but not indexed when an earlier engine died are indexed now."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "recovery"

    objects: int
    sessions: int

    def sentence(self) -> str:
        """Say what happened."""
        return (
            f"{counted(self.objects, 'stored object')} in {counted(self.sessions, 'session')} "
            "added to the index after a crash"
        )


def counted(number: int, thing: str) -> str:
    """Return a number with its noun, in the singular or plural."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event with its place in the journal."""

    sequence: int
    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class EventPage:
    """A stretch of the journal, oldest first."""

    events: tuple[RecordedEvent, ...]
    next_sequence: int
    """Pass this to the next question."""
    dropped: int
    """How many events between the question and the first answer are gone from memory."""


Listener = Callable[[RecordedEvent], None]
