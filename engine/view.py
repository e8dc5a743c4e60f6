"""What an engine shows and does for a console: the `EngineView` protocol and its frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from engine.metrics import Latency, Throughput, Totals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.events import EventPage, Listener
    from engine.model.identifier import IdentifierInfo
    from engine.model.identity import RoutingPreview
    from engine.model.project import Project
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings
    from engine.model.tls import Certificate


class ReceiverState(StrEnum):
    """What a receiver really does, as opposed to what is configured."""

    DISABLED = "disabled"
    LISTENING = "listening"
    FAILED = "failed"
    NOT_ALLOWED = "not allowed"
    """Enabled, but the site's switch over all receivers is off."""
    DRAINING = "draining"
    """Takes no new associations while open ones finish."""


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
    """Why a receiver that should listen does not."""

    reason: str
    remedy: str
    since: datetime
    attempts: int = 1
    holder: PortHolder | None = None
    retry_at: datetime | None = None
    """When listening is tried again by itself."""


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
    """The one that TLS handshakes use now; None without TLS."""
    certificate_problem: str = ""
    """Why a certificate file that changed is not in force, if so."""


class AssociationEnd(StrEnum):
    """How an association ended."""

    RELEASED = "released"
    ABORTED = "aborted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class RefusedContext:
    """A presentation context that was proposed and not accepted (PS3.8 9.3.3.2)."""

    sop_class: str
    """Its name, or the UID where it has none."""
    transfer_syntaxes: tuple[str, ...]
    """What was proposed for it, by name."""
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
    """Bytes per second over the last seconds; 0 once it has ended."""
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
    free_bytes: int

    @property
    def used_percent(self) -> int:
        """Used space, rounded to whole percent."""
        used = self.total_bytes - self.free_bytes
        return round(100 * used / self.total_bytes) if self.total_bytes else 0


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
    configuration_problem: str = ""
    """Why the configuration file is not in force, if so."""


@dataclass(frozen=True, slots=True)
class EchoResult:
    """The outcome of a C-ECHO to one of our own receivers."""

    ok: bool
    address: str
    detail: str
    """In words, such as ``answered in 12 ms`` or ``connection refused``."""


class PortState(StrEnum):
    """What is known about a port before a receiver is saved; the bind decides."""

    FREE = "free"
    OURS = "ours"
    """A receiver of this installation listens there; ports may be shared."""
    TAKEN = "taken"
    NOT_PERMITTED = "not permitted"


@dataclass(frozen=True, slots=True)
class PortStatus:
    """The state of a port, with words for it."""

    state: PortState
    detail: str


class EngineView(Protocol):
    """An engine as a console sees it, in this process or another.

    `snapshot` and `events_since` are cheap; every other method may block and belongs in a worker.
    Commands raise `EngineError` with title, detail and remedy.
    """

    def snapshot(self) -> EngineSnapshot:
        """Return what the dashboard shows; ten times a second is fine."""
        ...

    def events_since(self, sequence: int, limit: int = 500) -> EventPage:
        """Return journal events from `sequence` on, oldest first."""
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with urgent events from engine threads; return how to end that."""
        ...

    def identifiers(self) -> tuple[IdentifierInfo, ...]:
        """Return the installed identifiers, the default one first; broken ones with their error."""
        ...

    def site(self) -> SiteSettings:
        """Return the site settings in force."""
        ...

    def projects(self) -> tuple[Project, ...]:
        """Return the registered projects."""
        ...

    def save_receiver(
        self, receiver: Receiver, actor: str, *, replacing: Receiver | None = None
    ) -> Receiver:
        """Store a new (id 0) or changed receiver and bring it into force; return it with its id.

        Args:
            receiver: what is to be stored.
            actor: who changes it.
            replacing: the receiver as its editor saw it; None replaces whatever is there.

        Raises:
            InvalidReceiver: if it conflicts with the configuration as it is now.
            ChangedMeanwhile: if somebody else changed the receiver after its editor saw it.
            NotFound: if the receiver to change does not exist any more.
        """
        ...

    def set_enabled(self, receiver_id: int, enabled: bool, actor: str) -> Receiver:
        """Enable or disable a receiver; open associations may finish."""
        ...

    def delete_receiver(self, receiver_id: int, actor: str) -> None:
        """Remove a receiver; open associations may finish."""
        ...

    def save_project(
        self, project: Project, actor: str, *, replacing: Project | None = None
    ) -> Project:
        """Add a project, or replace one that its editor saw; return it as it is stored.

        Raises:
            InvalidProject: if its id or an alias names another project.
            ChangedMeanwhile: if somebody else changed the project after its editor saw it.
            NotFound: if the project to replace does not exist any more.
        """
        ...

    def delete_project(self, project_id: str, actor: str) -> None:
        """Remove a project; what was received for it stays where it is.

        Raises:
            NotFound: if it does not exist any more.
        """
        ...

    def set_site(self, site: SiteSettings, actor: str) -> None:
        """Replace the site settings and bring them into force.

        Raises:
            ConfigurationError: if a value is not acceptable, or a receiver not under the new ones.
        """
        ...

    def undo(self, actor: str) -> None:
        """Take back the newest change of the configuration, as a new revision.

        Raises:
            NotFound: if there is no earlier revision.
        """
        ...

    def retry_receiver(self, receiver_id: int) -> None:
        """Try again at once to listen for a failed receiver."""
        ...

    def echo(self, receiver_id: int) -> EchoResult:
        """Send a C-ECHO to the receiver as a peer would."""
        ...

    def preview_routing(
        self, receiver: Receiver, site: SiteSettings | None = None
    ) -> tuple[RoutingPreview, ...]:
        """Identify the last objects anew, as saved and as by settings that are not saved.

        The headers of each receiver's last 20 objects are kept in memory; they hold patient data.

        Args:
            receiver: a receiver as it might be saved; a new one (id 0) is tried on the objects of
                all receivers.
            site: site settings as they might be saved; None means those in force.

        Returns:
            The objects, newest first; none if nothing arrived since the engine started.
        """
        ...

    def port_status(self, port: int) -> PortStatus:
        """Tell whether a receiver could listen on a port now."""
        ...
