"""The Engine: builds the parts, starts and stops them, and is the `EngineView` of this process."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import uuid
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from engine import __version__, data_directory
from engine.alerting.dispatcher import AlertDispatcher
from engine.answers.history import HistoryAnswers
from engine.answers.objects import ObjectAnswers
from engine.answers.scripts import ScriptAnswers
from engine.answers.senders import SenderAnswers
from engine.answers.sessions import SessionAnswers
from engine.clock import SystemClock, local_midnight
from engine.config.store import ConfigurationStore
from engine.config.watcher import ConfigurationWatcher
from engine.descriptors import raise_limit
from engine.dimse import private_names
from engine.dimse.acceptance import Load
from engine.dimse.association_control import AssociationControl
from engine.dimse.associations import Associations
from engine.dimse.door import Door
from engine.dimse.echo import echo
from engine.dimse.inherited import InheritedSockets
from engine.dimse.ports import listening_address, probe
from engine.dimse.receivers import ObservedState, Receivers
from engine.dimse.receiving import Deadlines
from engine.dimse.reception import Reception
from engine.errors import ConfigurationError, CorruptConfiguration, Problem
from engine.events import (
    ConfigurationApplied,
    ConfigurationRefused,
    EngineStarted,
    EngineStopping,
    LeftoversSwept,
    ObjectsAdopted,
    OptionNotApplied,
)
from engine.forwarding.forwarding import Forwarding
from engine.intake.anonymizing import Anonymizer
from engine.intake.file_namers import file_namers_of, load_file_namers, templates_of
from engine.intake.identifier_faults import IdentifierFaults
from engine.intake.installed import infos_of, load_identifiers, usable
from engine.intake.installed_processors import load_processors, rules_of
from engine.intake.pipeline import Pipeline, Places
from engine.intake.quarantine import Quarantine
from engine.intake.router import Router
from engine.intake.script_runner import ScriptRunner
from engine.intake.storage_guard import StorageGuard
from engine.intake.write import IncomingArea
from engine.journal import Journal
from engine.lock import EngineLock
from engine.metrics import Metrics
from engine.metrics_listener import MetricsListener
from engine.model.configuration import Configuration
from engine.model.file_namer import file_namer_problems
from engine.model.metrics_address import MetricsAddress
from engine.monitoring import Monitoring
from engine.monitoring_events import MetricsUnavailable
from engine.processor_keeping import ConfigurationAccess, ProcessorKeeping
from engine.programs.programs import Programs
from engine.session_keeping import SessionKeeping, areas_of
from engine.sessions.index import SessionIndex
from engine.sessions.observed import ObservedReceiver
from engine.sessions.reader import IndexReader
from engine.sessions.studies import KnownStudies
from engine.sessions.traces import TraceBook, TraceKey
from engine.settings import Durability
from engine.unforeseen import LogToJournal
from engine.view import EngineSnapshot, ReceiverState, ReceiverStatus, StorageStatus
from engine.watch import SilenceWatch, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.clock import Clock
    from engine.events import EventPage, Listener
    from engine.model.file_namer import FileNamerInfo
    from engine.model.identifier import IdentifierInfo
    from engine.model.identity import RoutingPreview
    from engine.model.project import Project
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings
    from engine.settings import EngineSettings
    from engine.view import EchoResult, PortStatus
    from engine.view.forwarding import ForwardingView
    from engine.view.history import HistoryView
    from engine.view.objects import ObjectsView
    from engine.view.processors import ProcessorsView
    from engine.view.scripts import ScriptsView
    from engine.view.senders import SendersView
    from engine.view.sessions import SessionsView

QUARANTINE_BYTES = 1024**3
_ABORT_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
"""How long a stop waits for the requests of those who have connected already."""


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
        self._configuration_problem = ""
        self._plugins = load_identifiers()
        """What finds project, subject and session; the default one first."""
        self._processor_plugins = load_processors()
        self._file_namers = load_file_namers()
        self._started_at = self._clock.now()
        self._stopping = self._draining = False
        self._open = ExitStack()
        """Undoes, in reverse order, whatever `start` has set up."""

    def start(self) -> None:
        """Take the data directory, recover what a crash left, and listen.

        A port that can't be bound is a state of its receiver, not an error.

        Raises:
            AlreadyRunning: if another engine holds the data directory.
            ConfigurationError: if the configuration file is not acceptable.
            StorageUnusable: if the directory can't hold what must be kept there.
        """
        private_names.require()
        raise_limit()
        with ExitStack() as opened:
            self._open_storage(opened)
            self._build_parts(opened)
            self._build_answers(opened)
            self._recover()
            self._apply(self._configuration)
            self._keeping.start()
            opened.callback(self._keeping.stop)
            self._forwarding.start()
            opened.callback(self._forwarding.stop)
            self._programs.start()
            opened.callback(self._programs.stop)
            self._watcher = ConfigurationWatcher(self._settings.config_file, self._reload)
            self._watcher.start()
            opened.callback(self._watcher.stop)
            self._serve_metrics(opened)
            self._watch.start()
            opened.callback(self._watch.stop)
            self._reload()  # the file may have been changed since it was read
            self._open = opened.pop_all()
        enabled = [r for r in self._configuration.receivers if r.enabled]
        listening = [r for r in enabled if self._state(r) is ReceiverState.LISTENING]
        self._journal.record(
            EngineStarted(version=__version__, listening=len(listening), enabled=len(enabled))
        )

    def stop(self, drain_seconds: float | None = None) -> None:
        """Refuse new associations, let open ones finish until the deadline, abort the rest."""
        seconds = self._settings.drain_seconds if drain_seconds is None else drain_seconds
        self._stopping = True
        self._journal.record(EngineStopping(open_associations=len(self._associations.live())))
        self._watcher.stop()
        self._receivers.stop_accepting()
        # Whoever came in before that is served: with inherited sockets a restart refuses nobody.
        self._receivers.answer_the_waiting(min(seconds, _ANSWER_SECONDS))
        self._draining = True
        self._associations.wait_until_none(seconds)
        self._receivers.abort_all()
        self._associations.wait_until_none(_ABORT_SECONDS)
        self._open.close()

    @property
    def forwarding(self) -> ForwardingView:
        """Where stored objects are sent on to."""
        return self._forwarding.desk

    def snapshot(self) -> EngineSnapshot:
        """Return everything the dashboard shows."""
        associations = self._associations.statuses()
        open_by_receiver = Counter(association.receiver for association in associations)
        configuration = self._configuration
        usage = shutil.disk_usage(self._settings.data_dir)
        return EngineSnapshot(
            taken_at=self._clock.now(),
            started_at=self._started_at,
            version=__version__,
            host=socket.gethostname(),
            data_dir=str(self._settings.data_dir),
            durability=str(self._settings.durability),
            revision=configuration.revision,
            receivers=tuple(
                self._receiver_status(receiver, open_by_receiver[receiver.label])
                for receiver in configuration.receivers
            ),
            associations=associations,
            ended_associations=self._associations.ended(),
            maximum_associations=configuration.site.limits.associations,
            throughput=self._metrics.throughput(),
            totals=self._metrics.totals(),
            latency=self._metrics.latency(),
            storage=StorageStatus(str(self._settings.data_dir), usage.total, usage.free),
            sessions_receiving=self._index.receiving(),
            configuration_problem=self._configuration_problem,
        )

    @property
    def associations(self) -> AssociationControl:
        """Live associations and those that ended lately."""
        return AssociationControl(self._associations)

    def events_since(self, sequence: int, limit: int = 500) -> EventPage:
        """Return journal events from `sequence` on, oldest first."""
        return self._journal.events_since(sequence, limit)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with urgent events from engine threads; return how to end that."""
        return self._journal.subscribe(listener)

    def identifiers(self) -> tuple[IdentifierInfo, ...]:
        """Return the installed identifiers, the default one first."""
        return infos_of(self._plugins)

    def file_namers(self) -> tuple[FileNamerInfo, ...]:
        """Return the file namers that other distributions add."""
        return file_namers_of(self._file_namers)

    def site(self) -> SiteSettings:
        """Return the site settings in force."""
        return self._configuration.site

    def projects(self) -> tuple[Project, ...]:
        """Return the registered projects."""
        return self._configuration.projects.projects

    def save_receiver(
        self, receiver: Receiver, actor: str, *, replacing: Receiver | None = None
    ) -> Receiver:
        """Store a new (id 0) or changed receiver and bring it into force."""
        with self._changing() as store:
            configuration, saved = store.save_receiver(receiver, actor, replacing=replacing)
            self._apply(configuration)
        return saved

    def set_enabled(self, receiver_id: int, enabled: bool, actor: str) -> Receiver:
        """Enable or disable a receiver; open associations may finish."""
        with self._changing() as store:
            configuration, saved = store.set_enabled(receiver_id, enabled, actor)
            self._apply(configuration)
        return saved

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
        """Remove a project; what was received for it stays where it is."""
        with self._changing() as store:
            self._apply(store.delete_project(project_id, actor))

    def set_site(self, site: SiteSettings, actor: str) -> None:
        """Replace the site settings and bring them into force."""
        with self._changing() as store:
            self._apply(store.set_site(site, actor))

    def undo(self, actor: str) -> None:
        """Take back the newest change of the configuration, as a new revision."""
        with self._changing() as store:
            self._apply(store.undo(actor))

    @property
    def processors(self) -> ProcessorsView:
        """Custom processing: the processors and what they do."""
        return self._processors

    def retry_receiver(self, receiver_id: int) -> None:
        """Try again at once to listen for a failed receiver."""
        self._receivers.retry(self._configuration.receiver(receiver_id).port)

    def echo(self, receiver_id: int) -> EchoResult:
        """Send a C-ECHO to the receiver as a peer would."""
        receiver = self._configuration.receiver(receiver_id)
        address = listening_address(receiver.bind_address or self.site().bind_address)
        return echo(receiver, address, self._clock)

    def preview_routing(
        self, receiver: Receiver, site: SiteSettings | None = None
    ) -> tuple[RoutingPreview, ...]:
        """Identify the last objects anew, as saved and as by settings that are not saved."""
        return self._router.preview(receiver, site)

    def port_status(self, port: int) -> PortStatus:
        """Tell whether a receiver could listen on a port now."""
        return probe(port, self.site().bind_address, self._receivers.listening_on(port))

    def reload(self) -> None:
        """Look at the configuration file now, and try again to listen where that failed."""
        self._reload()
        self._receivers.retry_all()

    def _serve_metrics(self, opened: ExitStack) -> None:
        """Let metrics be read over HTTP, if that is wanted; no reception depends on it."""
        if not self._settings.metrics:
            return
        try:
            place = MetricsAddress.parse(self._settings.metrics)
            opened.callback(MetricsListener(place, self.monitoring).close)
        except OSError as error:
            why = error.strerror or str(error)
            self._journal.record(MetricsUnavailable(address=self._settings.metrics, why=why))

    def _open_storage(self, opened: ExitStack) -> None:
        """Take the data directory and everything in it that needs closing."""
        settings = self._settings
        data_directory.prepare(settings)
        lock = EngineLock.acquire(settings.lock_file, self._clock)
        opened.callback(lock.release)
        self._store = ConfigurationStore(
            settings.config_file,
            clock=self._clock,
            identifiers=self.identifiers(),
            processors=rules_of(self._processor_plugins),
            file_namers=file_namers_of(self._file_namers),
        )
        self._configuration = self._store.create_default("first start")
        self._journal = Journal(self._clock, settings.event_log, settings.log_level)
        opened.callback(self._journal.close)
        opened.callback(LogToJournal(self._journal).attach())
        self._prearchive_fd = os.open(settings.prearchive_dir, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, self._prearchive_fd)
        self._archive_fd = os.open(settings.archive_dir, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, self._archive_fd)
        self._incoming = IncomingArea(settings.incoming_dir, uuid.uuid4().hex[:12])
        opened.callback(self._incoming.close)
        data_directory.require_one_file_system(settings)
        durable = settings.durability is Durability.FULL
        self._index = SessionIndex(settings.index_file, durable=durable)
        opened.callback(self._index.close)
        self._runner = ScriptRunner(settings.uid_maps_file)
        opened.callback(self._runner.close)
        self._keeping = SessionKeeping(
            *(settings, self._index, self._journal, self._clock),
            *(lambda: self._configuration, self._runner),
        )
        opened.callback(self._keeping.close)
        self._forwarding = Forwarding(
            settings,
            self._index,
            areas_of(settings),
            self._journal,
            self._clock,
            lambda: self._configuration,
        )
        opened.callback(self._forwarding.close)
        self._programs = Programs(
            settings,
            self._index,
            self._keeping.ledger,
            areas_of(settings),
            self._journal,
            lambda: self._configuration,
        )
        opened.callback(self._programs.close)

    def _build_parts(self, opened: ExitStack) -> None:
        """Connect the parts, from the metrics up to the listeners."""
        settings = self._settings
        alerts = AlertDispatcher(
            self._journal, self._clock, lambda: self._configuration.site.alerts
        )
        alerts.start()
        opened.callback(alerts.stop)
        self._metrics = Metrics(self._clock)
        self._metrics.resume_today(self._index.today(local_midnight(self._clock.now())))
        quarantine = Quarantine(settings.quarantine_dir, QUARANTINE_BYTES, self._clock)
        opened.callback(quarantine.close)
        self._guard = StorageGuard(
            settings.data_dir,
            self._prearchive_fd,
            settings.marker,
            lambda: self._configuration.site.limits,
            lambda: self._metrics.throughput().bytes_rate,
            self._journal,
            self._clock,
        )
        places = Places(
            incoming=self._incoming,
            prearchive_fd=self._prearchive_fd,
            archive_fd=self._archive_fd,
            quarantine=quarantine,
            durability=settings.durability,
            guard=self._guard,
        )
        self._trace_key = TraceKey(settings.trace_key_file)
        self._processors = ProcessorKeeping(
            self._processor_plugins,
            self._incoming,
            settings.uid_maps_file,
            self._journal.record,
            self._clock,
            ConfigurationAccess(lambda: self._configuration, self._changing, self._apply),
            self._trace_key,
        )
        opened.callback(self._processors.close)
        self._router = self._build_router(opened)
        anonymizer = Anonymizer(self._incoming, self._runner, self._journal)
        pipeline = Pipeline(
            places,
            self._index,
            self._journal,
            self._metrics,
            self._clock,
            self._router,
            anonymizer,
            TraceBook(self._index, self._trace_key),
            self._processors.custom(self._router),
        )
        self._associations = Associations(
            self._clock, self._journal, self._index.record, self._metrics
        )
        door = Door(
            self._clock,
            self._journal,
            settings.unassociated_peers,
            settings.unassociated_peers_per_address,
        )
        self._receivers = Receivers(
            self._clock,
            self._journal,
            self._associations,
            Reception(pipeline, self._associations),
            self._load,
            Deadlines(
                settings.negotiation_seconds, settings.pdu_seconds, settings.handshake_seconds
            ),
            door,
            self._publish_states,
            self._inherited,
        )
        opened.callback(self._inherited.close)
        opened.callback(self._receivers.stop_accepting)
        self.monitoring = Monitoring(
            self._metrics,
            self._index,
            self._clock,
            self.snapshot,
            self._dead,
            self._guard.refusal,
            lambda: self.forwarding.destinations(),
        )
        silence = SilenceWatch(settings.sender_hours_file, self._journal)
        self._watch = Watch(
            self.monitoring, silence, self._clock, settings.metrics_file, self._guard.refusal
        )

    def _build_router(self, opened: ExitStack) -> Router:
        """Connect what identifies objects with what is known of their studies."""
        studies = KnownStudies(self._settings.study_routes_file, self._settings.index_file)
        opened.callback(studies.close)
        tell = self._journal.record
        self._faults = IdentifierFaults(self.identifiers(), self._clock, tell)
        identifiers = usable(self._plugins, tell, self._clock)
        return Router(
            identifiers,
            lambda: self._configuration,
            self._journal,
            self._clock,
            studies,
            self._processors.processing,
            templates_of(self._file_namers, tell),
        )

    def _build_answers(self, opened: ExitStack) -> None:
        """Connect what answers the console."""
        reader, in_force = IndexReader(self._settings.index_file), lambda: self._configuration
        opened.callback(reader.close)
        objects = ObjectAnswers(self._keeping, reader, self._router, self._journal, self._trace_key)
        opened.callback(objects.close)
        self.objects: ObjectsView = objects
        self.scripts: ScriptsView = ScriptAnswers(objects, self._router, in_force)
        self.sessions: SessionsView = SessionAnswers(self._keeping, reader, self._journal, in_force)
        self.history: HistoryView = HistoryAnswers(
            self._store, in_force, self._changing, self._apply
        )
        self.senders: SendersView = SenderAnswers(reader, self._associations, self._clock)

    def _recover(self) -> None:
        swept = self._incoming.sweep()
        if swept:
            self._journal.record(LeftoversSwept(files=swept))
        recovered = self._keeping.recover(clean=self._index.begin_run())
        if recovered is not None and recovered.objects:
            self._journal.record(
                ObjectsAdopted(objects=recovered.objects, sessions=recovered.sessions)
            )

    @contextmanager
    def _changing(self) -> Iterator[ConfigurationStore]:
        """Hold off other changes, and refuse while the file on disk is not the one in force."""
        with self._lock:
            problem = self._configuration_problem or self._missing()
            if problem:
                raise CorruptConfiguration(
                    Problem(
                        "config.json",
                        self._settings.config_file.name,
                        problem,
                        "repair the file or restore one of its backups; changes are possible then",
                    )
                )
            yield self._store

    def _apply(self, configuration: Configuration) -> None:
        self._processors.processing.apply(configuration)
        before, self._configuration = self._configuration, configuration
        served = self._faults.sort_out(configuration.receivers)
        self._receivers.apply(served, configuration.site)
        self._publish_states()
        self._forwarding.apply(configuration)
        self._programs.ring()
        self._keeping.ring()
        enabled = sum(receiver.enabled for receiver in configuration.receivers)
        self._journal.record(
            ConfigurationApplied(
                revision=configuration.revision,
                receivers=len(configuration.receivers),
                enabled=enabled,
                by=configuration.changed_by,
            )
        )
        namers = file_namers_of(self._file_namers)
        known = set() if before is configuration else set(_not_applied(before, namers))
        for receiver, option, instead in _not_applied(configuration, namers):
            if (receiver, option, instead) not in known:
                self._journal.record(
                    OptionNotApplied(receiver=receiver.label, option=option, instead=instead)
                )

    def _reload(self) -> None:
        """Apply the configuration file after it changed on disk; called by the watcher."""
        with self._lock:
            try:
                configuration = self._reread()
                problem = self._missing()
            except ConfigurationError as error:
                configuration, problem = self._configuration, error.detail
            if problem and problem != self._configuration_problem:
                self._journal.record(ConfigurationRefused(reason=problem))
            self._configuration_problem = problem
            if not problem and configuration != self._configuration:
                self._apply(configuration)

    def _reread(self) -> Configuration:
        """Return what the file says; a change by hand becomes a revision first."""
        if not self._settings.config_file.exists():
            return self._configuration
        return self._store.adopt()

    def _missing(self) -> str:
        """Say that there is no configuration file; a change would then begin with an empty one."""
        return "" if self._settings.config_file.exists() else "the file is missing"

    def _load(self) -> Load:
        site = self._configuration.site
        return Load(self._associations.open_ones(), site, self._draining, self._guard.refusal())

    def _dead(self) -> tuple[str, ...]:
        """Name the parts that should run and do not; waits for no disk."""
        if self._stopping:
            return ()
        parts = (
            ("the index", self._index.is_alive()),
            ("the care for sessions", self._keeping.is_alive()),
            ("the look at the configuration", self._watcher.is_alive()),
        )
        return (*self._receivers.dead(), *(name for name, alive in parts if not alive))

    def _state(self, receiver: Receiver) -> ReceiverState:
        return self._observed(receiver).state

    def _observed(self, receiver: Receiver) -> ObservedState:
        failure = self._faults.of(receiver)
        if failure is not None:
            return ObservedState(ReceiverState.FAILED, failure.since, failure=failure)
        return self._receivers.state_of(receiver)

    def _receiver_status(self, receiver: Receiver, open_associations: int) -> ReceiverStatus:
        observed = self._observed(receiver)
        drains = observed.state is ReceiverState.DISABLED and open_associations
        today = self._metrics.today(receiver.label)
        return ReceiverStatus(
            receiver=receiver,
            state=ReceiverState.DRAINING if drains else observed.state,
            since=observed.since,
            address=observed.address,
            failure=observed.failure,
            open_associations=open_associations,
            objects_today=today.objects,
            bytes_today=today.bytes,
            failed_today=today.failed,
            last_object_at=today.last_object_at,
            throughput=self._metrics.throughput(receiver.label),
            certificate=observed.certificate,
            certificate_problem=observed.certificate_problem,
        )

    def _publish_states(self) -> None:
        """Let `dicomdock status` know what the receivers really do."""
        observed = []
        for receiver in self._configuration.receivers:
            state = self._observed(receiver)
            reason = state.failure.reason if state.failure else ""
            observed.append(ObservedReceiver(receiver.label, state.state, reason, state.since))
        self._index.observe(tuple(observed))


def _not_applied(
    configuration: Configuration, file_namers: Sequence[FileNamerInfo]
) -> tuple[tuple[Receiver, str, str], ...]:
    """Return which receivers ask for what is not done, and what is done instead."""
    found = []
    for receiver in configuration.receivers:
        if receiver.custom_processing and not configuration.processors_of(receiver):
            found.append((receiver, "custom processing", "no processor sees the objects"))
        if any(file_namer_problems(receiver.file_namer, file_namers)):
            instead = "files are named by the site's template, for it can't be used"
            found.append((receiver, f"file namer {receiver.file_namer}", instead))
        nothing = configuration.site.anonymization is None
        if receiver.anonymization and nothing and not configuration.projects.anonymizations:
            instead = "no script is in force; objects are stored as received"
            found.append((receiver, "anonymization", instead))
    return tuple(found)
