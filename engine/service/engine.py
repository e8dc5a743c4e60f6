"""The `Engine`: builds, starts and stops the parts, and is the `EngineView` of this process."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from engine import __version__
from engine.api import EngineSnapshot, ReceiverState, StorageStatus
from engine.config.masking import (
    masked_configuration,
    revealed_receiver,
    revealed_site,
)
from engine.dimse.scu import echo
from engine.errors import ConfigurationError, CorruptConfiguration, Problem, ReadOnlyConfiguration
from engine.events import (
    ConfigurationApplied,
    ConfigurationRefused,
    EchoAsked,
    EngineStarted,
    EngineStopping,
    ReceiverRetryAsked,
)
from engine.host.clock import SystemClock
from engine.host.open_files import raise_limit
from engine.identification.caches import HEADERS_PER_RECEIVER
from engine.inspection.showings import audited
from engine.model.configuration import Configuration, descriptor_note, require_descriptors
from engine.net.ports import InheritedSockets, listening_address, probe
from engine.queries.tls_files import tls_notes
from engine.reception.acceptance import EngineLoad
from engine.reception.associations import AssociationControl
from engine.service.intake import Intake
from engine.service.peers import PeerService
from engine.service.processors import ConfigurationAccess
from engine.service.queries import ViewGroups
from engine.service.reception import (
    HeadersOfProcesses,
    associations_of,
    commitments_of,
    processes_of,
    receivers_of,
)
from engine.service.states import ReceiverStates, settings_without_effect
from engine.service.storage import Plugins, open_storage
from engine.service.workers import MonitoringService, PostStoreWorkers, start_alerts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.api import EchoResult, PortStatus
    from engine.api.commitments import CommitmentsView
    from engine.api.forwarding import ForwardingView
    from engine.api.history import HistoryView
    from engine.api.objects import ObjectsView
    from engine.api.peers import PeersView
    from engine.api.processors import ProcessorsView
    from engine.api.scripts import ScriptsView
    from engine.api.senders import SendersView
    from engine.api.sessions import SessionsView
    from engine.api.study_routes import StudyRoutesView
    from engine.config.store import ConfigurationStore
    from engine.events import Event, EventPage, Listener, RecordedEvent
    from engine.host.clock import Clock
    from engine.identification.caches import StoredFile
    from engine.model.file_sample import FileSample
    from engine.model.plugins import FileNamerInfo, IdentifierInfo
    from engine.model.processing import RoutingPreview
    from engine.model.project import Project
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings
    from engine.reception.receivers import Receivers
    from engine.service.storage import Storage
    from engine.settings import EngineSettings


_logger = logging.getLogger(__name__)

_ABORT_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
"""How long a stop waits for the A-ASSOCIATE-RQ of connections that are open already."""


class Engine:
    """One engine on one data directory; public methods may be called from any thread."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        clock: Clock | None = None,
        inherited: InheritedSockets | None = None,
    ) -> None:
        """Take the settings, and the listening sockets that the parent process handed over."""
        self._settings = settings
        self._inherited = inherited or InheritedSockets()
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        """Guards changes of the configuration."""
        self._configuration = Configuration()
        self._shown = Configuration()
        """The same with secrets masked, for clients."""
        self._configuration_problem = ""
        self._plugins = Plugins.load()
        # Called for every object: `partial` of `getattr` needs no frame of Python.
        current = partial(getattr, self, "_configuration")
        self._access = ConfigurationAccess(
            current, self._changing, self._apply, partial(self._changing, repairs=True)
        )
        self._started_at = self._clock.now()
        self._stopping = self._draining = False
        self._open = ExitStack()
        """Undoes, in reverse order, whatever `start` has set up."""

    def start(self) -> None:
        """Take the data directory, recover what a crash left, and listen.

        A port that can't be bound is a state of its receiver, not an error.

        Raises:
            AlreadyRunning: if another engine holds the data directory.
            ConfigurationError: if the configuration file is not acceptable, or its ports need more
                files and connections than may be open at once.
            StorageUnusable: if the directory can't hold what must be kept there.
        """
        self._descriptors = raise_limit()
        # Before the configuration can be read: too few for that would be reported as a broken file.
        self._check_descriptors(Configuration())
        with ExitStack() as resources:
            self._build(resources)
            # Before the ports are open: what is moved must not get new objects meanwhile. What was
            # open when the last engine was killed is recovered behind.
            self._follow_ups.recover()
            self._apply(self._configuration, at_start=True)
            self._follow_ups.start(resources)
            self._commitment_service.start()
            resources.callback(self._commitment_service.stop)
            self._source.watch(self._reload)
            resources.callback(self._source.stop)
            self._watching.start(resources)
            self._reload()  # the file may have been changed since it was read
            # Last: a start that fails before this leaves the note of a crash to the next one.
            self._index.confirm_run()
            self._open = resources.pop_all()
        enabled = [r for r in self._configuration.receivers if r.enabled]
        states = [observed.state for observed in self._states.observed(enabled)]
        self._journal.record(
            EngineStarted(
                version=__version__,
                listening=states.count(ReceiverState.LISTENING),
                enabled=len(enabled),
            )
        )

    def stop(self, drain_seconds: float | None = None) -> None:
        """Refuse new associations, let open ones finish until the deadline, abort the rest."""
        seconds = self._settings.drain_seconds if drain_seconds is None else drain_seconds
        self._stopping = True
        self._journal.record(EngineStopping(open_associations=len(self._associations.live())))
        self._source.stop()
        self._receivers.stop_accepting()
        # Connections accepted before that are served: with inherited sockets a restart loses none.
        self._receivers.answer_pending(min(seconds, _ANSWER_SECONDS))
        # From here on a request is rejected with 2/3/1.
        self._draining = True
        self._associations.wait_until_none(seconds)
        self._receivers.abort_all()
        self._associations.wait_until_none(_ABORT_SECONDS)
        self._open.close()

    def before_closing(self, end: Callable[[], None]) -> None:
        """Let `stop` call `end` after the drain and before any part of the engine closes."""
        self._open.callback(end)

    @property
    def forwarding(self) -> ForwardingView:
        """Destinations to which stored objects are forwarded."""
        return self._follow_ups.forwarding.desk

    def snapshot(self) -> EngineSnapshot:
        """Return the state of the engine at this moment, with secrets masked."""
        associations = self._associations.statuses()
        open_by_receiver = Counter(association.receiver for association in associations)
        configuration = self._configuration
        return EngineSnapshot(
            taken_at=self._clock.now(),
            started_at=self._started_at,
            version=__version__,
            host=socket.gethostname(),
            data_dir=str(self._settings.data_dir),
            durability=str(self._settings.durability),
            revision=configuration.revision,
            receivers=self._states.statuses(self._shown.receivers, open_by_receiver),
            associations=associations,
            ended_associations=self._associations.ended(),
            maximum_associations=configuration.site.limits.associations,
            throughput=self._metrics.throughput(),
            totals=self._metrics.totals(),
            latency=self._metrics.latency(),
            storage=self._storage(),
            sessions_receiving=self._index.receiving(),
            has_anonymization=configuration.has_anonymization,
            projects=len(configuration.projects.projects),
            configuration_problem=self._configuration_problem,
            processes=self._processes.statuses() if self._processes is not None else (),
            sessions_waiting=self.monitoring.work_waiting().sessions,
            recovery=self._session_service.recovery.status(),
            declared_by=str(self._settings.config_source or ""),
            pid=os.getpid(),
        )

    def _storage(self) -> StorageStatus:
        usage = shutil.disk_usage(self._settings.data_dir)
        return StorageStatus(
            str(self._settings.data_dir),
            usage.used + usage.free,
            usage.free,
            self._guard.refusal(),
            self._guard.reserve_bytes,
        )

    @property
    def associations(self) -> AssociationControl:
        """Live associations and those that ended lately."""
        return AssociationControl(self._associations, self._journal.record)

    def events_since(self, sequence: int, limit: int = 500) -> EventPage:
        """Return journal events from `sequence` on, oldest first."""
        return self._journal.events_since(sequence, limit)

    def record(self, event: Event) -> None:
        """Add an event to the journal; for servers of this engine, such as the control API."""
        self._journal.record(event)

    def audited(self, limit: int = 1000) -> tuple[RecordedEvent, ...]:
        """Return the newest events of the audit log, oldest first."""
        return audited(self._settings.audit_log, limit)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with urgent events from engine threads; return how to end that."""
        return self._journal.subscribe(listener)

    def identifiers(self) -> tuple[IdentifierInfo, ...]:
        """Return the installed identifiers, the default one first."""
        return self._plugins.identifier_infos

    def file_namers(self) -> tuple[FileNamerInfo, ...]:
        """Return the file namers that other distributions add."""
        return self._plugins.file_namer_infos

    def site(self) -> SiteSettings:
        """Return the site settings in force, without secrets."""
        return self._shown.site

    def projects(self) -> tuple[Project, ...]:
        """Return the registered projects."""
        return self._configuration.projects.projects

    def save_receiver(
        self, receiver: Receiver, actor: str, *, replacing: Receiver | None = None
    ) -> Receiver:
        """Store a new (id 0) or changed receiver and bring it into force."""
        with self._changing() as store:
            # Clients have masks in place of secrets; the file has the secrets.
            meant = revealed_receiver(receiver, self._configuration)
            seen = replacing and revealed_receiver(replacing, self._configuration)
            configuration, saved = store.save_receiver(meant, actor, replacing=seen)
            self._apply(configuration)
            return self._shown.receiver(saved.id)

    def receiver_notes(self, receiver_id: int) -> tuple[str, ...]:
        """Return hints for the administrator about a receiver, such as an expiring certificate."""
        notes = tls_notes(self._configuration.receiver(receiver_id), self._clock.now())
        return tuple(filter(None, (*notes, self._descriptor_note(self._configuration))))

    def set_enabled(self, receiver_id: int, enabled: bool, actor: str) -> Receiver:
        """Enable or disable a receiver; open associations may finish."""
        with self._changing() as store:
            configuration, saved = store.set_enabled(receiver_id, enabled, actor)
            self._apply(configuration)
            return self._shown.receiver(saved.id)

    def delete_receiver(self, receiver_id: int, actor: str) -> None:
        """Remove a receiver; open associations may finish."""
        with self._changing() as store:
            self._apply(store.delete_receiver(receiver_id, actor))

    def save_project(
        self, project: Project, actor: str, *, replacing: Project | None = None
    ) -> Project:
        """Add a project, or replace one that its editor saw."""
        with self._changing() as store:
            configuration, saved = store.save_project(project, actor, replacing=replacing)
            self._apply(configuration)
        return saved

    def delete_project(self, project_id: str, actor: str) -> None:
        """Remove a project; its sessions stay where they are."""
        with self._changing() as store:
            self._apply(store.delete_project(project_id, actor))

    def set_site(
        self, site: SiteSettings, actor: str, *, replacing: SiteSettings | None = None
    ) -> None:
        """Replace the site settings and bring them into force."""
        with self._changing() as store:
            meant = revealed_site(site, self._configuration.site)
            seen = replacing and revealed_site(replacing, self._configuration.site)
            self._apply(store.set_site(meant, actor, replacing=seen))

    def undo(self, actor: str) -> None:
        """Undo the newest change of the configuration, as a new revision."""
        with self._changing() as store:
            self._apply(store.undo(actor))

    @property
    def processors(self) -> ProcessorsView:
        """Custom processing: the processors and what they do."""
        return self._intake.processors

    def retry_receiver(self, receiver_id: int, actor: str) -> None:
        """Try again at once to listen for a failed receiver."""
        receiver = self._configuration.receiver(receiver_id)
        self._journal.record(ReceiverRetryAsked(receiver=receiver.label, by=actor))
        self._receivers.retry(receiver.port)

    def echo(self, receiver_id: int, actor: str) -> EchoResult:
        """Send a C-ECHO to the receiver as a peer would."""
        receiver = self._configuration.receiver(receiver_id)
        self._journal.record(EchoAsked(receiver=receiver.label, by=actor))
        address = listening_address(receiver.bind_address or self.site().bind_address)
        return echo(receiver, address, self._clock)

    def preview_routing(
        self,
        receiver: Receiver,
        site: SiteSettings | None = None,
        file: FileSample | None = None,
    ) -> tuple[RoutingPreview, ...]:
        """Identify objects by the saved settings and by unsaved ones; values are masked."""
        return self._previews(receiver, site, file, shown=False)

    def shown_routing(
        self,
        receiver: Receiver,
        actor: str,
        site: SiteSettings | None = None,
        file: FileSample | None = None,
    ) -> tuple[RoutingPreview, ...]:
        """Return the same with nothing masked, and record the access in the audit log."""
        previews = self._previews(receiver, site, file, shown=True)
        self._intake.phi_access_log.note_all(actor, (one.sop_instance_uid for one in previews))
        return previews

    def _previews(
        self,
        receiver: Receiver,
        site: SiteSettings | None,
        file: FileSample | None,
        *,
        shown: bool,
    ) -> tuple[RoutingPreview, ...]:
        router, revealed = self._intake.router, self._revealed(receiver)
        if file is not None:
            return (router.preview_file(revealed, site, file, shown=shown),)
        stored = self._stored_samples(receiver)
        return router.preview(revealed, site, stored=stored, shown=shown)

    def _stored_samples(self, receiver: Receiver) -> Sequence[StoredFile]:
        """Return stored objects of the receiver as it is called now; of all if it is new."""
        saved = (r.label for r in self._configuration.receivers if r.id == receiver.id)
        return self._stored_objects.first_of_sessions(next(saved, ""), HEADERS_PER_RECEIVER)

    def _revealed(self, receiver: Receiver) -> Receiver:
        return revealed_receiver(receiver, self._configuration)

    def port_status(self, port: int) -> PortStatus:
        """Tell whether a receiver could listen on a port now."""
        return probe(port, self.site().bind_address, self._receivers.listening_on(port))

    def reload(self) -> None:
        """Read the configuration file now, and retry the receivers that failed to listen."""
        self._reload()
        self._receivers.retry_all()

    def _build(self, resources: ExitStack) -> None:
        """Take the data directory and connect the parts, from the storage up to the listeners."""
        settings, clock, access = self._settings, self._clock, self._access
        storage = open_storage(settings, clock, self._plugins, resources, self._check_descriptors)
        self._configuration = storage.configuration
        self._store, self._source = storage.store, storage.source
        self._journal, self._index = storage.journal, storage.index
        self._runner = storage.runner
        self._follow_ups = PostStoreWorkers(settings, storage, clock, access.current, resources)
        self._session_service = self._follow_ups.session_service
        start_alerts(settings, self._journal, clock, access.current, resources)
        recent = HeadersOfProcesses() if settings.receiving_processes else None
        self._intake = Intake(
            *(settings, storage, clock, self._plugins, access),
            *(self._session_service.recovery, resources, recent),
        )
        self._metrics, self._guard = self._intake.metrics, self._intake.guard
        self._associations = associations_of(storage, self._intake, clock)
        self._processes = (
            processes_of(
                *(settings, storage, self._intake, self._associations),
                *(self._session_service.adopt_soon, recent, resources),
            )
            if recent is not None
            else None
        )
        self._commitment_service = commitments_of(
            *(settings, storage, self._intake.metrics, self._associations),
            *(self._processes, clock, access.current),
            *(self._session_service.require_rows, resources),
        )
        self._receivers = self._build_receivers(storage, resources)
        self._states = ReceiverStates(
            self._receivers, self._intake.faults, self._metrics, self._index
        )
        self._watching = MonitoringService(
            *(settings, storage, self._intake, self._follow_ups, clock),
            *(self.snapshot, self._dead, access.current, self._commitment_service.waiting),
        )
        self.monitoring = self._watching.monitoring
        self._build_answers(storage, resources)

    def _build_receivers(self, storage: Storage, resources: ExitStack) -> Receivers:
        return receivers_of(
            *(self._settings, storage, self._intake, self._associations, self._clock),
            *(self._load, self._publish_states, self._inherited, self._processes, resources),
        )

    def _build_answers(self, storage: Storage, resources: ExitStack) -> None:
        """Connect what answers the console."""
        answers = ViewGroups(
            *(self._settings, storage, self._intake, self._session_service, self._associations),
            *(self._clock, self._access, self._commitment_service.notify, resources),
        )
        self._stored_objects = answers.objects
        self.objects: ObjectsView = answers.objects
        self.scripts: ScriptsView = answers.scripts
        self.sessions: SessionsView = answers.sessions
        self.history: HistoryView = answers.history
        self.senders: SendersView = answers.senders
        self.study_routes: StudyRoutesView = answers.study_routes
        self.commitments: CommitmentsView = answers.commitments
        self.peers: PeersView = PeerService(self._access, storage.journal.record, self._clock)

    @contextmanager
    def _changing(self, *, repairs: bool = False) -> Iterator[ConfigurationStore]:
        """Take the lock of the configuration, to change it.

        Args:
            repairs: whether a file that can't be read is allowed, as it is going to be replaced.

        Raises:
            ConfigurationError: if only a document may change it, or the file on disk is invalid.
        """
        with self._lock:
            if self._settings.config_source is not None:
                raise ReadOnlyConfiguration(str(self._settings.config_source))
            if self._configuration_problem and not (repairs and self._store.is_broken()):
                raise CorruptConfiguration(
                    Problem(
                        "config.json",
                        self._settings.config_file.name,
                        self._configuration_problem,
                        "correct the file, or restore it with: config recover; "
                        "changes are possible then",
                    )
                )
            yield self._store
            if repairs and not self._store.is_broken():
                self._configuration_problem = ""

    def _apply(self, configuration: Configuration, *, at_start: bool = False) -> None:
        """Bring a configuration into force; a part that it does not change is left alone."""
        # At the start the configuration is set already, and everything is still to be applied.
        before = None if at_start else self._configuration
        if before is None or before.processors != configuration.processors:
            # First, so that the next object finds them prepared.
            self._intake.processors.processing.apply(configuration)
        if self._processes is not None:
            # Before the ports accept callers by it: every process has said that it is applied.
            self._processes.apply(configuration)
        self._configuration = configuration
        self._shown = masked_configuration(configuration)
        served = self._intake.faults.sort_out(configuration.receivers)
        self._receivers.apply(served, configuration.site)
        self._publish_states()
        self._follow_ups.apply(before, configuration)
        if before is not None and _peers(before) != _peers(configuration):
            self._commitment_service.apply()
        if before != configuration:
            self._journal.record(
                ConfigurationApplied(
                    revision=configuration.revision,
                    receivers=len(configuration.receivers),
                    enabled=sum(receiver.enabled for receiver in configuration.receivers),
                    by=configuration.changed_by,
                )
            )
        note = self._descriptor_note(configuration)
        if note and (before is None or self._descriptor_note(before) != note):
            _logger.warning(note)
        for event in settings_without_effect(before, configuration, self._plugins.file_namer_infos):
            self._journal.record(event)
        self._intake.start_ahead(configuration)

    def _reload(self) -> None:
        """Apply the configuration file after it changed on disk; called by the watcher.

        A change by hand becomes a revision first.
        """
        with self._lock:
            configuration, problem = self._configuration, ""
            try:
                adopted = self._source.read()
                self._check_descriptors(adopted)
                configuration = adopted
            except ConfigurationError as error:
                problem = error.detail
                if problem != self._configuration_problem:
                    # Events go into logs and alerts; a broken value may be half of a secret.
                    reason = f"{error.without_values()}; {error.remedy_without_values}"
                    self._journal.record(ConfigurationRefused(reason=reason))
            self._configuration_problem = problem
            if configuration != self._configuration:
                self._apply(configuration)

    def _check_descriptors(self, configuration: Configuration) -> None:
        require_descriptors(configuration, self._descriptors)

    def _descriptor_note(self, configuration: Configuration) -> str:
        return descriptor_note(configuration, self._descriptors)

    def _load(self) -> EngineLoad:
        site = self._configuration.site
        return EngineLoad(
            self._associations.open_ones(), site, self._draining, self._guard.refusal()
        )

    def _dead(self) -> tuple[str, ...]:
        """Return the names of threads that have died; reads nothing from disk."""
        if self._stopping:
            return ()
        parts = (
            ("the index", self._index.is_alive()),
            ("the care for sessions", self._session_service.is_alive()),
            ("the look at the configuration", self._source.is_watching()),
        )
        processes = self._processes.dead() if self._processes is not None else ()
        names = (name for name, alive in parts if not alive)
        return (*self._receivers.dead(), *processes, *names)

    def _publish_states(self) -> None:
        """Write the states of the receivers to the index, for `dicomdock status`."""
        self._states.publish(self._configuration.receivers)


def _peers(configuration: Configuration) -> tuple[object, ...]:
    """Return all that says whom the engine may call: a destination of copies is a peer too."""
    return configuration.peers, configuration.processors
