"""The snapshot of an engine: receivers, associations and storage, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from engine.metrics import Counters, Latency, Throughput, Totals

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.alerts import AlertTarget
    from engine.model.receiver import Receiver
    from engine.model.tls import Certificate


class ReceiverState(StrEnum):
    """What a receiver does, which may differ from what is configured."""

    DISABLED = "disabled"
    LISTENING = "listening"
    FAILED = "failed"
    NOT_ALLOWED = "not allowed"
    """Enabled, but the site's switch over all receivers is off."""
    DRAINING = "draining"
    """Accepts no new associations; open ones may finish."""


@dataclass(frozen=True, slots=True)
class PortHolder:
    """The process that holds a port, as far as this user may know."""

    pid: int | None = None
    program: str = "another process"
    user: str = ""
    since: datetime | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return self.program
        user = f", user {self.user}" if self.user else ""
        return f"{self.program} (pid {self.pid}{user})"


@dataclass(frozen=True, slots=True)
class ListenFailure:
    """Why an enabled receiver does not listen."""

    reason: str
    remedy: str
    since: datetime
    attempts: int = 1
    holder: PortHolder | None = None
    retry_at: datetime | None = None
    """When the engine retries by itself; None if it does not."""


@dataclass(frozen=True, slots=True)
class ReceiverStatus:
    """One receiver: its configuration, its state and what it received."""

    receiver: Receiver
    state: ReceiverState
    since: datetime
    """When the state began."""
    address: str = ""
    """Where it listens, such as ``[::]:8104``; empty while it does not."""
    failure: ListenFailure | None = None
    open_associations: int = 0
    objects_today: int = 0
    bytes_today: int = 0
    failed_today: int = 0
    last_object_at: datetime | None = None
    throughput: Throughput = Throughput()
    certificate: Certificate | None = None
    """The certificate that new TLS handshakes use; None without TLS."""
    certificate_problem: str = ""
    """Why a changed certificate file is not in force; empty if it is."""


class AssociationEnd(StrEnum):
    """How an association ended."""

    RELEASED = "released"
    ABORTED = "aborted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class RefusedContext:
    """A presentation context that was proposed and not accepted (PS3.8 9.3.3.2)."""

    sop_class: str
    """Name of the SOP class, or its UID if it has no name."""
    transfer_syntaxes: tuple[str, ...]
    """The proposed transfer syntaxes, by name."""
    reason: str


@dataclass(frozen=True, slots=True)
class AssociationStatus:
    """One association, live or recently ended."""

    id: str
    """Its number since the engine started, such as ``A-0412``."""
    receiver: str
    """``AE:port``; for a rejected association the called AE title and port."""
    calling_ae_title: str
    called_ae_title: str
    address: str
    """Peer address and port, such as ``10.4.7.21:50112``."""
    since: datetime
    implementation: str = ""
    contexts_accepted: int = 0
    contexts_proposed: int = 0
    objects: int = 0
    failed: int = 0
    bytes: int = 0
    bytes_rate: float = 0.0
    """Bytes per second, the mean of the last full seconds; of an ended one those it was open in."""
    ended_at: datetime | None = None
    end: AssociationEnd | None = None
    why: str = ""
    """For a rejected association: the reason in words."""
    repeats: int = 1
    """For a rejected association: how often the same caller was refused for the same reason."""
    contexts_refused: tuple[RefusedContext, ...] = ()


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """The file system that objects go to."""

    path: str
    total_bytes: int
    """Used and free space; without what the file system reserves for root, as in ``df``."""
    free_bytes: int
    refusal: str = ""
    """Why every caller is rejected and no object is stored; empty if objects are stored."""
    reserve_bytes: int = 0
    """With less free space than that every caller is rejected; 0 if that is not known yet."""

    @property
    def used_percent(self) -> int:
        """Used space in whole percent, rounded up as in ``df``."""
        used = self.total_bytes - self.free_bytes
        return -(-100 * used // self.total_bytes) if self.total_bytes else 0


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One receiving process, and what it uses."""

    number: int
    """From 1 on; a process that takes the place of another one has its number."""
    pid: int
    associations: int
    """How many are open."""
    objects: int
    """How many it has received."""
    cpu_seconds: float
    memory_bytes: int
    """Of its own, without what it shares with the others (USS)."""


@dataclass(frozen=True, slots=True)
class RecoveryStatus:
    """How far the recovery of sessions is that were open when the last engine was killed."""

    recovered: int
    sessions: int
    """How many there are in all."""

    def __str__(self) -> str:
        return f"recovering {self.recovered} of {self.sessions} sessions"


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """Everything the dashboard shows, taken at one moment."""

    taken_at: datetime
    started_at: datetime
    version: str
    host: str
    data_dir: str
    durability: str
    revision: int
    """Revision of the configuration in force."""
    receivers: tuple[ReceiverStatus, ...]
    """In the order of the configuration."""
    associations: tuple[AssociationStatus, ...]
    """Live ones, oldest first."""
    ended_associations: tuple[AssociationStatus, ...]
    """Recently ended or rejected ones, newest first."""
    maximum_associations: int
    throughput: Throughput
    totals: Totals
    latency: Latency
    storage: StorageStatus
    sessions_receiving: int
    has_anonymization: bool = True
    """Whether the site or any project has a script or profile that runs."""
    projects: int = 0
    """How many projects are configured."""
    configuration_problem: str = ""
    """Why the configuration file is not in force; empty if it is."""
    read_only: str = ""
    """Why nothing can be changed through this view; empty if changes are possible."""
    processes: tuple[ProcessStatus, ...] = ()
    """The receiving processes; none if the engine's own process receives."""
    sessions_waiting: int = 0
    """Sessions that are to be built, or that a request waits for."""
    recovery: RecoveryStatus | None = None
    """None once all sessions are recovered."""
    declared_by: str = ""
    """The document that declares the configuration, which is read-only; empty if there is none."""
    pid: int = 0
    """The engine's process; 0 if there is none, as in a demonstration."""


@dataclass(frozen=True, slots=True)
class EchoResult:
    """The outcome of a C-ECHO to one of our own receivers."""

    ok: bool
    address: str
    detail: str
    """In words, such as ``answered in 12 ms`` or ``connection refused``."""


class PortState(StrEnum):
    """A port's state before a receiver is saved; only the bind itself is certain."""

    FREE = "free"
    OURS = "ours"
    """A receiver of this installation listens there; ports may be shared."""
    TAKEN = "taken"
    NOT_PERMITTED = "not permitted"


@dataclass(frozen=True, slots=True)
class PortStatus:
    """The state of a port, with a sentence about it."""

    state: PortState
    detail: str


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context that was accepted (PS3.8 9.3.3.2)."""

    id: int
    sop_class: str
    """Name of the SOP class, or its UID if it has no name."""
    transfer_syntax: str
    """The accepted one, by name."""


class AssociationsView(Protocol):
    """The live associations of an engine and recently ended ones."""

    def contexts(self, association_id: str) -> tuple[AcceptedContext, ...]:
        """Return the accepted presentation contexts; none before negotiation or if rejected.

        Raises:
            NotFound: if the association is not known (any more).
        """
        ...

    def abort(self, association_id: str, actor: str) -> None:
        """Abort a live association without waiting; what it stored stays.

        Raises:
            NotFound: if it has ended.
        """
        ...


@dataclass(frozen=True, slots=True)
class Advice:
    """Something unwise about an installation that is no problem now."""

    about: str
    """Such as ``backup``, ``clock`` or ``disk``."""
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the engine for a monitoring system."""

    alive: bool
    """Whether every part that must run does; restart the engine otherwise."""
    listening: int
    enabled: int
    """How many receivers listen, and how many should."""
    problems: tuple[str, ...] = ()
    """Why objects are refused or work fails, as sentences; empty if all is well."""
    notes: tuple[str, ...] = ()
    """What goes on that is no problem, such as a recovery."""
    advice: tuple[Advice, ...] = ()
    """What is unwise."""
    ready: bool = True
    """Whether new callers are served; else a balancer leads them to another dock."""

    @property
    def ok(self) -> bool:
        """Tell whether the engine is alive and has no problems."""
        return self.alive and not self.problems


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """How many files of an import had which outcome."""

    stored: int
    duplicates: int
    filtered: int
    failed: int


class MonitoringView(Protocol):
    """Counters, health and alerts of an engine; counting sessions reads the index."""

    def counters(self) -> Counters:
        """Return the counters since the engine started, and the session counts of the index."""
        ...

    def metrics(self) -> bytes:
        """Return all metrics in the Prometheus text format, of the type that `exposition` names."""
        ...

    def health(self) -> Health:
        """Return whether the engine is alive, and its problems."""
        ...

    def note_secrets_shown(self, what: str, actor: str) -> None:
        """Record in the journal that somebody saw secrets of the configuration file.

        Args:
            what: the command that shows them.
            actor: who sees them.
        """
        ...

    def note_import(
        self, receiver: str, calling_ae_title: str, actor: str, counts: ImportCounts | None
    ) -> None:
        """Record in the journal that somebody imports files.

        Args:
            receiver: the receiver that gets the objects, as ``AE:port``.
            calling_ae_title: what the objects' associations are called with.
            actor: who imports them.
            counts: what became of the files; None at the beginning.
        """
        ...

    def try_alert(self, target: AlertTarget, actor: str) -> None:
        """Send a test alert to a target, saved or not; the journal records who did.

        Raises:
            InvalidSite: if the target could not be saved.
            NotDelivered: if the alert did not arrive, with the reason; after 30 s at most.
        """
        ...
