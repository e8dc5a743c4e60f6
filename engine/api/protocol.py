"""The `EngineView` protocol: all queries and commands of a console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.commitments import CommitmentsView
    from engine.api.forwarding import ForwardingView
    from engine.api.history import HistoryView
    from engine.api.objects import ObjectsView
    from engine.api.peers import PeersView
    from engine.api.processors import ProcessorsView
    from engine.api.scripts import ScriptsView
    from engine.api.senders import SendersView
    from engine.api.sessions import SessionsView
    from engine.api.status import (
        AssociationsView,
        EchoResult,
        EngineSnapshot,
        MonitoringView,
        PortStatus,
    )
    from engine.api.study_routes import StudyRoutesView
    from engine.events import EventPage, Listener, RecordedEvent
    from engine.model.file_sample import FileSample
    from engine.model.plugins import FileNamerInfo, IdentifierInfo
    from engine.model.processing import RoutingPreview
    from engine.model.project import Project
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings


class EngineView(Protocol):
    """An engine as a console sees it, in this process or another.

    `snapshot` and `events_since` are cheap. Every other method may block: call it in a worker.
    Commands raise `EngineError` with title, detail and remedy.
    """

    @property
    def sessions(self) -> SessionsView:
        """The sessions in prearchive, archive and trash."""
        ...

    @property
    def history(self) -> HistoryView:
        """The revisions of the configuration."""
        ...

    @property
    def senders(self) -> SendersView:
        """Senders, with their volumes and failures."""
        ...

    @property
    def objects(self) -> ObjectsView:
        """Single objects: headers, thumbnails and trails."""
        ...

    @property
    def scripts(self) -> ScriptsView:
        """Anonymization scripts: checked, and tried on objects."""
        ...

    @property
    def study_routes(self) -> StudyRoutesView:
        """The routes of announced studies."""
        ...

    @property
    def forwarding(self) -> ForwardingView:
        """The destinations of forward copies, and their queues."""
        ...

    @property
    def commitments(self) -> CommitmentsView:
        """Requests for storage commitment, and their results."""
        ...

    @property
    def peers(self) -> PeersView:
        """The AEs that the engine may call by their AE title."""
        ...

    @property
    def monitoring(self) -> MonitoringView:
        """Counters, metrics and health."""
        ...

    @property
    def associations(self) -> AssociationsView:
        """Live associations and recently ended ones."""
        ...

    def snapshot(self) -> EngineSnapshot:
        """Return everything that the dashboard shows; cheap enough for ten calls a second."""
        ...

    def events_since(self, sequence: int, limit: int = 500) -> EventPage:
        """Return journal events from `sequence` on, oldest first."""
        ...

    def audited(self, limit: int = 1000) -> tuple[RecordedEvent, ...]:
        """Return the newest events of the audit log, oldest first.

        Events of earlier runs are included; sequence numbers begin anew with each run. Each
        event is an `UnknownEvent` with its sentence.

        Args:
            limit: how many events at most; 5,000 is the maximum.
        """
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with urgent events, from engine threads; the result ends that."""
        ...

    def identifiers(self) -> tuple[IdentifierInfo, ...]:
        """Return the installed identifiers, the default one first; broken ones with their error."""
        ...

    def file_namers(self) -> tuple[FileNamerInfo, ...]:
        """Return the file namers that other distributions add; broken ones with their error."""
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
            receiver: the receiver to store.
            actor: who changes it.
            replacing: the receiver as its editor saw it; None replaces whatever is there.

        Raises:
            InvalidReceiver: if it conflicts with the configuration as it is now.
            ChangedMeanwhile: if somebody else changed the receiver after its editor saw it.
            NotFound: if the receiver to change does not exist any more.
        """
        ...

    def receiver_notes(self, receiver_id: int) -> tuple[str, ...]:
        """Return warnings about a receiver's TLS files, which are read for that.

        Such as: a certificate expires soon, or one of the authorities is a single device.

        Raises:
            NotFound: if the receiver does not exist any more.
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
        """Remove a project; its sessions stay where they are.

        Raises:
            NotFound: if it does not exist any more.
        """
        ...

    def set_site(
        self, site: SiteSettings, actor: str, *, replacing: SiteSettings | None = None
    ) -> None:
        """Replace the site settings and bring them into force.

        Args:
            site: the new settings.
            actor: who changes them.
            replacing: the settings as their editor saw them; None replaces whatever is there.

        Raises:
            ConfigurationError: if a value is invalid, or a receiver becomes invalid by it.
            ChangedMeanwhile: if somebody else changed them after their editor saw them.
        """
        ...

    def undo(self, actor: str) -> None:
        """Take back the newest change of the configuration, as a new revision.

        Raises:
            NotFound: if there is no earlier revision.
        """
        ...

    @property
    def processors(self) -> ProcessorsView:
        """Custom processing: the processors and their results."""
        ...

    def retry_receiver(self, receiver_id: int, actor: str) -> None:
        """Retry listening for a failed receiver at once; the audit log records who asked."""
        ...

    def echo(self, receiver_id: int, actor: str) -> EchoResult:
        """Send a C-ECHO to the receiver as a peer would; the audit log records who asked."""
        ...

    def preview_routing(
        self,
        receiver: Receiver,
        site: SiteSettings | None = None,
        file: FileSample | None = None,
    ) -> tuple[RoutingPreview, ...]:
        """Identify the last objects again, by the saved settings and by drafted ones.

        Identifying values are masked. The headers are the last 20 of each receiver, which are
        kept in memory only. If they are fewer, as after a restart, one stored object of each of
        the newest sessions follows: as stored, and without processors.

        Args:
            receiver: a drafted receiver; a new one (id 0) is tried on the objects of all
                receivers.
            site: drafted site settings; None means those in force.
            file: what is identified instead, as if it were sent to the receiver.

        Returns:
            The objects: first those that arrived, then those from sessions, each newest first.

        Raises:
            UnreadableObject: if `file` is no DICOM file, or its header is too long.
        """
        ...

    def shown_routing(
        self,
        receiver: Receiver,
        actor: str,
        site: SiteSettings | None = None,
        file: FileSample | None = None,
    ) -> tuple[RoutingPreview, ...]:
        """Return what `preview_routing` does, unmasked; the journal records that `actor` saw it."""
        ...

    def port_status(self, port: int) -> PortStatus:
        """Tell whether a receiver could listen on a port now."""
        ...
