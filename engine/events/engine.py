"""Events of the engine, its configuration, its recovery, and the control API."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity, and_left_out, by_now, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStarted(
    Event,
    audited=True,
    template="engine {self.version} started: {self.listening} of {self.enabled} listening",
):
    """The engine is up and its listeners have been started."""

    version: str
    listening: int
    enabled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStopping(Event, audited=True):
    """The engine accepts no new associations; open ones may finish."""

    open_associations: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"engine stops: {counted(self.open_associations, 'open association')} may finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyingValuesShown(Event, topic="privacy"):
    """Somebody saw identifying values of a patient."""

    by: str
    object: str
    """A keyed hash of its SOP Instance UID."""
    session: int | None = None
    others: tuple[str, ...] = ()
    """The hashes of further objects that were shown with it."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        where = "" if self.session is None else f" of session {self.session}"
        more = f" and {counted(len(self.others), 'other')}" if self.others else ""
        return (
            f"identifying values of object {self.object[:12]}{where}{more} were shown to {self.by}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsShown(
    Event,
    topic="privacy",
    template="secrets of the configuration were shown to {self.by} by: {self.what}",
):
    """Somebody saw secrets of the configuration, such as passwords."""

    by: str
    what: str
    """The command that showed them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationApplied(Event, topic="config"):
    """A configuration is in force."""

    revision: int
    receivers: int
    enabled: int
    by: str
    """Who or what changed it: a login, or ``disk`` for an edited file."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            f"configuration revision {self.revision} applied, changed by {self.by}: "
            f"{counted(self.receivers, 'receiver')}, {self.enabled} enabled"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationSaved(
    Event,
    topic="config",
    template="configuration revision {self.revision} saved by {self.by}; no engine runs",
):
    """A command changed the configuration while no engine ran."""

    revision: int
    by: str
    """A login, or ``an editor`` for an edited file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationRefused(
    Event,
    severity=Severity.ERROR,
    topic="config",
    urgent=True,
    audited=True,
    template="configuration file refused, the last good settings stay in force: {self.reason}",
):
    """The configuration file is not acceptable; the last good settings stay in force."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionNotApplied(
    Event,
    severity=Severity.WARNING,
    topic="config",
    template="{self.option} is on but not applied: {self.instead}",
):
    """An option of a receiver is on, but the engine can't apply it."""

    option: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymizationNotApplied(Event, topic="config"):
    """Anonymization is on at receivers, but there is no script and no profile yet."""

    receivers: tuple[str, ...]
    """``AE:port`` each."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            f"anonymization is on at {counted(len(self.receivers), 'receiver')}, but no script "
            "is in force: objects are stored as received"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymizationOutOfForce(Event, severity=Severity.WARNING, topic="config"):
    """Anonymization is on at receivers, but the last script or profile was removed."""

    receivers: tuple[str, ...]
    """``AE:port`` each."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            "no anonymization script is in force any more: objects of "
            f"{counted(len(self.receivers), 'receiver')} are stored as received from now on"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoversSwept(Event, severity=Severity.WARNING, topic="recovery"):
    """Parts of objects that an earlier run left were removed; their senders got no success."""

    files: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"{counted(self.files, 'half-received object')} of an earlier run removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsAdopted(Event, severity=Severity.WARNING, topic="recovery"):
    """Files that were stored but not yet indexed at a crash are in the index now."""

    objects: int
    sessions: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            f"{counted(self.objects, 'stored object')} in {counted(self.sessions, 'session')} "
            "added to the index after a crash"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivingProcessEnded(Event, severity=Severity.ERROR, topic="recovery"):
    """A process that receives objects has ended by itself; another one takes its place."""

    number: int
    how: str
    associations: int
    sessions: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            f"receiving process {self.number} {self.how} and was replaced: "
            f"{counted(self.associations, 'association')} aborted, "
            f"{counted(self.sessions, 'session')} looked through"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlUsed(Event, topic="control", template="control API used by {self.by}"):
    """A user or address uses the control API for the first time, or again after a while."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRefused(Event, severity=Severity.WARNING, topic="control", audited=True):
    """A request to the control API was refused because its sender is not allowed."""

    address: str
    """Address or login of the client; of an IPv6 address its network."""
    why: str
    times: int = 1
    """How often lately; repetitions are reported at 10, 100, 1000 …"""
    left_out: int = 0
    """How many such reports were left out before, because there were too many in an hour."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        what = f"control request from {self.address} refused{by_now(self.times)}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAbortAsked(
    Event, topic="control", template="{self.by} asked to abort the association"
):
    """Somebody asked to abort an association."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverRetryAsked(Event, topic="control", template="{self.by} asked to listen again"):
    """Somebody asked the engine to retry listening for a receiver."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoAsked(Event, topic="control", template="{self.by} sent the receiver a C-ECHO"):
    """Somebody asked the engine to send a C-ECHO to one of its receivers."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEchoAsked(Event, topic="control", template="{self.by} sent peer {self.peer} a C-ECHO"):
    """Somebody asked the engine to send a C-ECHO to a peer."""

    by: str
    peer: str
    """Its AE title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRouteChanged(Event, topic="config"):
    """Somebody saved or deleted the routes of studies."""

    by: str
    project: str = ""
    """Empty if the route was deleted."""
    routes: int = 1

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        what = "a study route" if self.routes == 1 else counted(self.routes, "study route")
        verb, where = ("saved", f" to {self.project}") if self.project else ("deleted", "")
        return f"{self.by} {verb} {what}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSummed(Event, topic="log"):
    """Events of one kind that the event log has as a sum only; consoles have had each of them."""

    severity: Severity = Severity.INFO  # type: ignore[misc] # that of the kind
    of: str
    """The kind."""
    times: int
    seconds: int
    """From the first to now."""
    objects: int = 0
    """The sums of what these events say of objects and bytes."""
    bytes: int = 0
    callers: int = 1

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        by = f" by {counted(self.callers, 'other caller')}" if self.callers > 1 else ""
        held = f", with {counted(self.objects, 'object')}" if self.objects else ""
        within = counted(self.seconds, "second")
        return (
            f"{self.of} {self.times:,} times more{by}{held} in {within}; the log has the sum only"
        )
