"""Stand-ins for the engine and the clock, with scenarios that look like a day in a hospital."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from engine.api import (
    AssociationEnd,
    AssociationStatus,
    EchoResult,
    EngineSnapshot,
    ListenFailure,
    PortHolder,
    PortState,
    PortStatus,
    ReceiverState,
    ReceiverStatus,
    RefusedContext,
    StorageStatus,
)
from engine.api.status import AcceptedContext
from engine.errors import ChangedMeanwhile, EngineError, NotFound
from engine.events import (
    AssociationEstablished,
    AssociationRejected,
    AssociationReleased,
    ConfigurationApplied,
    ConfigurationRefused,
    EngineStarted,
    Event,
    EventPage,
    Listener,
    ObjectRefused,
    ObjectsStored,
    ReceiverFailed,
    ReceiverListening,
    RecordedEvent,
    SecretsShown,
)
from engine.events.event import UnknownEvent
from engine.metrics import WINDOW_SECONDS, Counters, Latency, Throughput, Totals
from engine.model.alerts import AlertSettings
from engine.model.peer import AETitle
from engine.model.plugins import DEFAULT_IDENTIFIERS, IdentifierInfo
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings
from engine.monitoring.exposition import render
from engine.monitoring.monitoring import judge
from tests.fake_forwarding import FakeForwarding
from tests.fake_groups import (
    FakeHistory,
    FakeObjects,
    FakeSenders,
    FakeStudyRoutes,
    hostile_senders,
)
from tests.fake_processors import FakeProcessors
from tests.fake_scripts import FakeScripts
from tests.fake_sessions import FakeSessions, hostile_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.api.status import Health
    from engine.model.alerts import AlertTarget
    from engine.model.plugins import FileNamerInfo
    from engine.model.processing import RoutingPreview
    from engine.model.project import Project

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
GIB = 1024**3
WAVE = (8, 9, 12, 15, 18, 23, 27, 31, 36, 41, 44, 41, 37, 34, 35, 40, 46, 52, 47, 41)


class FixedClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, at: datetime = NOW) -> None:
        self._now = at
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set only the time of day, as an administrator or NTP does."""
        self._now += timedelta(seconds=seconds)


def make_receiver(id: int, ae_title: str = "XNAT", port: int = 8104, **changes: Any) -> Receiver:
    """Return a receiver; AE titles are taken as they are, valid or not."""
    return Receiver(id, AETitle(ae_title), port, **changes)


def make_throughput(megabytes: float, objects: float = 0.0, shift: int = 0) -> Throughput:
    """Return a minute of traffic that ends near the given rates."""
    if not megabytes:
        return Throughput()
    shape = [WAVE[(i + shift) % len(WAVE)] / 41 for i in range(WINDOW_SECONDS)]
    return Throughput(
        tuple(int(megabytes * 1e6 * s) for s in shape),
        tuple(int(objects * s) for s in shape),
        float(objects),
        megabytes * 1e6,
    )


def make_status(
    receiver: Receiver, state: ReceiverState = ReceiverState.LISTENING, **changes: Any
) -> ReceiverStatus:
    """Return a receiver's status, listening since six in the morning."""
    listening = state is ReceiverState.LISTENING
    address = f"[::]:{receiver.port}" if listening else ""
    since = changes.pop("since", NOW.replace(hour=6, minute=0, second=11))
    return ReceiverStatus(receiver, state, since, address, **changes)


def make_association(number: int, caller: str, called: str = "XNAT", **changes: Any) -> Any:
    """Return an association from 10.4.7.21 that lives since 14:02:41."""
    values: dict[str, Any] = {
        "receiver": f"{called}:8104",
        "address": "10.4.7.21:50112",
        "since": NOW - timedelta(seconds=41),
        "implementation": "DCM4CHE_5_29",
        "contexts_accepted": 12,
        "contexts_proposed": 14,
    }
    return AssociationStatus(
        id=f"A-{number:04}",
        calling_ae_title=caller,
        called_ae_title=called,
        **(values | changes),
    )


def make_snapshot(**changes: Any) -> EngineSnapshot:
    """Return a snapshot of an engine without receivers."""
    values: dict[str, Any] = {
        "taken_at": NOW,
        "started_at": NOW.replace(hour=6, minute=0, second=10),
        "version": "0.1.0",
        "host": "archive01",
        "data_dir": "/var/lib/dicomdock",
        "durability": "full",
        "revision": 12,
        "receivers": (),
        "associations": (),
        "ended_associations": (),
        "maximum_associations": 200,
        "throughput": Throughput(),
        "totals": Totals(),
        "latency": Latency(),
        "storage": StorageStatus("/var/lib/dicomdock", 4_600 * GIB, 1_794 * GIB),
        "sessions_receiving": 0,
    }
    return EngineSnapshot(**(values | changes))


@dataclass
class FakeMonitoring:
    """The `MonitoringView` of a fake engine: what its snapshot and its counters mean."""

    engine: FakeEngine

    def counters(self) -> Counters:
        return self.engine.counted

    def metrics(self) -> bytes:
        return render(self.engine.current, self.engine.counted)

    def is_alive(self) -> bool:
        return True

    def note_secrets_shown(self, what: str, actor: str) -> None:
        self.engine._command("note_secrets_shown", what, actor)
        self.engine.record(SecretsShown(by=actor, what=what))

    def try_alert(self, target: AlertTarget, actor: str) -> None:
        self.engine._command("try_alert", target, actor)
        AlertSettings.parse({"targets": [target.to_record()]})

    def health(self) -> Health:
        return judge(self.engine.current, self.engine.counted, (), "")


@dataclass
class FakeEngine:
    """An `EngineView` that answers from memory and notes every command in `calls`."""

    current: EngineSnapshot = field(default_factory=make_snapshot)
    events: list[RecordedEvent] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    error: EngineError | None = None
    """Raised by the next commands, until it is taken away."""
    silent: Exception | None = None
    """Raised by `snapshot` and `events_since`."""
    known_identifiers: tuple[IdentifierInfo, ...] = DEFAULT_IDENTIFIERS
    site_settings: SiteSettings = field(default_factory=SiteSettings)
    known_projects: tuple[Project, ...] = ()
    known_file_namers: tuple[FileNamerInfo, ...] = ()
    ports: dict[int, PortStatus] = field(default_factory=dict)
    echo_result: EchoResult = field(
        default_factory=lambda: EchoResult(True, "127.0.0.1:8104", "answered in 12 ms")
    )
    older_audited: tuple[RecordedEvent, ...] = ()
    """What the audit log has of earlier runs."""
    notes: tuple[str, ...] = ()
    """What there is to say of any receiver."""
    listeners: list[Listener] = field(default_factory=list)
    previews: tuple[RoutingPreview, ...] = ()
    processors: FakeProcessors = field(default_factory=FakeProcessors)
    sessions: FakeSessions = field(init=False)
    history: FakeHistory = field(init=False)
    senders: FakeSenders = field(default_factory=FakeSenders)
    objects: FakeObjects = field(init=False)
    study_routes: FakeStudyRoutes = field(init=False)
    scripts: FakeScripts = field(default_factory=FakeScripts)

    def __post_init__(self) -> None:
        self.sessions = FakeSessions(self._command)
        self.history = FakeHistory(self._command, restored=self._restored)
        self.objects = FakeObjects(self._command, self._has_session)
        self.study_routes = FakeStudyRoutes(self._command)

    forwarding: FakeForwarding = field(default_factory=FakeForwarding)
    counted: Counters = field(default_factory=Counters)
    contexts: dict[str, tuple[AcceptedContext, ...]] = field(default_factory=dict)

    @property
    def monitoring(self) -> FakeMonitoring:
        return FakeMonitoring(self)

    @property
    def associations(self) -> FakeAssociations:
        return FakeAssociations(self)

    def snapshot(self) -> EngineSnapshot:
        if self.silent is not None:
            raise self.silent
        return self.current

    def events_since(self, sequence: int, limit: int = 500) -> EventPage:
        if self.silent is not None:
            raise self.silent
        found = tuple(e for e in self.events if e.sequence >= sequence)[:limit]
        after = found[-1].sequence + 1 if found else sequence
        return EventPage(found, after, 0)

    def audited(self, limit: int = 1000) -> tuple[RecordedEvent, ...]:
        self._command("audited", limit)
        done = [one for one in self.events if one.event.is_audited()]
        told = [*self.older_audited, *map(_as_told, done)]
        return tuple(told[max(0, len(told) - limit) :])

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self.listeners.append(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self.listeners.remove(listener)

        return unsubscribe

    def identifiers(self) -> tuple[IdentifierInfo, ...]:
        return self.known_identifiers

    def file_namers(self) -> tuple[FileNamerInfo, ...]:
        return self.known_file_namers

    def site(self) -> SiteSettings:
        return self.site_settings

    def projects(self) -> tuple[Project, ...]:
        return self.known_projects

    def save_receiver(
        self, receiver: Receiver, actor: str, *, replacing: Receiver | None = None
    ) -> Receiver:
        self._command("save_receiver", receiver, actor, replacing)
        if receiver.id:
            now = self._status(receiver.id).receiver
            _require_unchanged(f"receiver {now.label}", now, replacing)
        known = [s.receiver.id for s in self.current.receivers]
        saved = receiver if receiver.id else replace(receiver, id=max(known, default=0) + 1)
        state = ReceiverState.LISTENING if saved.enabled else ReceiverState.DISABLED
        status = make_status(saved, state, since=NOW)
        kept = tuple(status if s.receiver.id == saved.id else s for s in self.current.receivers)
        self._show(kept if saved.id in known else (*kept, status))
        return saved

    def receiver_notes(self, receiver_id: int) -> tuple[str, ...]:
        self._status(receiver_id)
        return self.notes

    def set_enabled(self, receiver_id: int, enabled: bool, actor: str) -> Receiver:
        self._command("set_enabled", receiver_id, enabled, actor)
        status = self._status(receiver_id)
        receiver = replace(status.receiver, enabled=enabled)
        state = ReceiverState.LISTENING if enabled else ReceiverState.DISABLED
        if status.open_associations and not enabled:
            state = ReceiverState.DRAINING
        changed = replace(status, receiver=receiver, state=state, failure=None)
        self._show(changed if s is status else s for s in self.current.receivers)
        return receiver

    def delete_receiver(self, receiver_id: int, actor: str) -> None:
        self._command("delete_receiver", receiver_id, actor)
        status = self._status(receiver_id)
        self._show(s for s in self.current.receivers if s is not status)

    def save_project(
        self, project: Project, actor: str, *, replacing: Project | None = None
    ) -> Project:
        self._command("save_project", project, actor, replacing)
        now = next((known for known in self.known_projects if known.id == project.id), None)
        _require_unchanged(f"project {project.id}", now, replacing)
        others = (known for known in self.known_projects if known.id != project.id)
        self.known_projects = (*others, project)
        return project

    def delete_project(self, project_id: str, actor: str) -> None:
        self._command("delete_project", project_id, actor)
        if project_id not in {project.id for project in self.known_projects}:
            raise NotFound(f"project {project_id} does not exist", "look at the list again")
        self.known_projects = tuple(p for p in self.known_projects if p.id != project_id)

    def set_site(
        self, site: SiteSettings, actor: str, *, replacing: SiteSettings | None = None
    ) -> None:
        self._command("set_site", site, actor)
        _require_unchanged("the site", self.site_settings, replacing)
        self.site_settings = site
        states = {True: ReceiverState.LISTENING, False: ReceiverState.NOT_ALLOWED}
        state = states[site.receivers_allowed]
        self._show(
            make_status(s.receiver, state) if s.receiver.enabled else s
            for s in self.current.receivers
        )

    def undo(self, actor: str) -> None:
        self._command("undo", actor)
        self.history.add(actor, "as before")

    def _has_session(self, session_id: int) -> bool:
        return any(session.id == session_id for session in self.sessions.known)

    def _restored(self, number: int) -> None:
        self.current = replace(self.current, revision=number)

    def retry_receiver(self, receiver_id: int, actor: str) -> None:
        self._command("retry_receiver", receiver_id, actor)
        self._status(receiver_id)

    def echo(self, receiver_id: int, actor: str) -> EchoResult:
        self._command("echo", receiver_id, actor)
        self._status(receiver_id)
        return self.echo_result

    def preview_routing(
        self, receiver: Receiver, site: SiteSettings | None = None
    ) -> tuple[RoutingPreview, ...]:
        self._command("preview_routing", receiver, site)
        return tuple(preview.masked() for preview in self.previews)

    def shown_routing(
        self, receiver: Receiver, actor: str, site: SiteSettings | None = None
    ) -> tuple[RoutingPreview, ...]:
        self._command("shown_routing", receiver, actor, site)
        return self.previews

    def port_status(self, port: int) -> PortStatus:
        self._command("port_status", port)
        return self.ports.get(port, PortStatus(PortState.FREE, "free"))

    def record(self, *events: Event, step_seconds: float = 1.0) -> None:
        """Put events into the journal, the last one at the snapshot's time."""
        first = self.events[-1].sequence + 1 if self.events else 1
        for i, event in enumerate(events):
            at = self.current.taken_at - timedelta(seconds=step_seconds * (len(events) - 1 - i))
            self.events.append(RecordedEvent(first + i, at, event))

    def insert(self, *timed: tuple[float, Event]) -> None:
        """Put events so many seconds before the snapshot into the journal, in order of time."""
        now = self.current.taken_at
        known = [(e.at, e.event) for e in self.events]
        new = [(now - timedelta(seconds=ago), event) for ago, event in timed]
        ordered = sorted((*known, *new), key=lambda pair: pair[0])
        self.events = [RecordedEvent(i, at, e) for i, (at, e) in enumerate(ordered, start=1)]

    def emit(self, event: Event) -> None:
        """Record an event and tell it to all who listen, as the engine does with urgent ones."""
        self.record(event)
        for listener in list(self.listeners):
            listener(self.events[-1])

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of all calls of one command."""
        return [call[1:] for call in self.calls if call[0] == name]

    def _command(self, *call: Any) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    def _status(self, receiver_id: int) -> ReceiverStatus:
        for status in self.current.receivers:
            if status.receiver.id == receiver_id:
                return status
        raise NotFound(f"receiver {receiver_id} does not exist", "look at the list again")

    def _show(self, receivers: Iterable[ReceiverStatus]) -> None:
        self.current = replace(self.current, receivers=tuple(receivers))


def _require_unchanged(what: str, now: object, seen: object) -> None:
    """Refuse to replace what is not any more as its editor saw it."""
    if seen is not None and now is None:
        raise NotFound(f"{what} does not exist any more", "look at the list again")
    if seen is not None and now != seen:
        raise ChangedMeanwhile(what, "bert", NOW, ["limits.associations: 200 → 25"])


def _as_told(recorded: RecordedEvent) -> RecordedEvent:
    """Return an event as the audit log has it: by its words."""
    event = recorded.event
    told = UnknownEvent(
        severity=event.severity,
        topic=event.topic,
        message=event.sentence(),
        receiver=event.receiver,
        calling_ae_title=event.calling_ae_title,
        association=event.association,
    )
    return replace(recorded, event=told)


@dataclass
class FakeAssociations:
    """What the fake engine does with associations."""

    engine: FakeEngine

    def contexts(self, association_id: str) -> tuple[AcceptedContext, ...]:
        self.engine._command("contexts", association_id)
        current = self.engine.current
        if association_id not in {
            a.id for a in (*current.associations, *current.ended_associations)
        }:
            raise NotFound(f"association {association_id} is not known any more")
        return self.engine.contexts.get(association_id, ())

    def abort(self, association_id: str, actor: str) -> None:
        self.engine._command("abort", association_id, actor)
        current = self.engine.current
        found = [a for a in current.associations if a.id == association_id]
        if not found:
            raise NotFound(f"association {association_id} has ended", "nothing needs to be aborted")
        now, why = current.taken_at, f"aborted by {actor}"
        ended = replace(found[0], ended_at=now, end=AssociationEnd.ABORTED, why=why)
        self.engine.current = replace(
            current,
            associations=tuple(a for a in current.associations if a is not found[0]),
            ended_associations=(ended, *current.ended_associations),
        )


def empty() -> FakeEngine:
    """A fresh installation."""
    engine = FakeEngine(make_snapshot(revision=0))
    engine.sessions.known, engine.senders.known, engine.history.known = [], [], []
    engine.objects.known = ()
    engine.record(EngineStarted(version="0.1.0", listening=0, enabled=0))
    return engine


def idle() -> FakeEngine:
    """Receivers that listen while nobody sends."""
    statuses = tuple(
        replace(s, open_associations=0, throughput=Throughput())
        for s in _statuses()
        if s.state is ReceiverState.LISTENING
    )
    engine = FakeEngine(make_snapshot(receivers=statuses, totals=Totals(59392, 59392)))
    engine.record(
        EngineStarted(version="0.1.0", listening=3, enabled=3),
        *(ReceiverListening(receiver=s.receiver.label, address=s.address) for s in statuses),
        step_seconds=2,
    )
    return engine


def busy() -> FakeEngine:
    """A normal afternoon: traffic on two receivers, one stopped, one failed, one stranger."""
    engine = FakeEngine(
        make_snapshot(
            receivers=_statuses(),
            associations=_live(),
            ended_associations=_ended(),
            throughput=make_throughput(38.2, 142),
            totals=Totals(59_398, 59_311, 81, 4, 2, 17_900_000_000),
            latency=Latency(8, 31),
            sessions_receiving=2,
        )
    )
    engine.insert(*_events())
    engine.contexts["A-0412"] = _ACCEPTED_CONTEXTS
    return engine


def port_in_use() -> FakeEngine:
    """Another program holds the port of PET_STAGING; the only receiver that fails comes first."""
    engine = busy()
    failed = [s for s in engine.current.receivers if s.failure]
    others = [s for s in engine.current.receivers if not s.failure]
    engine.current = replace(engine.current, receivers=(*failed, *others))
    return engine


def shared_port_in_use() -> FakeEngine:
    """Another program holds a port that two receivers share."""
    engine = port_in_use()
    first = engine.current.receivers[0]
    twin = replace(first, receiver=make_receiver(6, "PET_RESEARCH", first.receiver.port))
    engine.current = replace(engine.current, receivers=(first, twin, *engine.current.receivers[1:]))
    return engine


def barred() -> FakeEngine:
    """The site allows no receivers; two associations go on until they end."""
    engine = busy()
    engine.set_site(replace(engine.site_settings, receivers_allowed=False), "anna")
    engine.calls.clear()
    engine.current = replace(
        engine.current, associations=engine.current.associations[:2], throughput=Throughput()
    )
    return engine


def disk_full() -> FakeEngine:
    """Objects are refused because the disk is below its reserve."""
    engine = busy()
    storage = StorageStatus("/var/lib/dicomdock", 4_600 * GIB, 150 * 1024**2)
    engine.current = replace(engine.current, storage=storage)
    engine.record(
        ObjectRefused(
            receiver="XNAT:8104",
            calling_ae_title="CT_SCANNER_1",
            association="A-0412",
            status=0xA700,
            why="157 MB free is below the reserve of 268 MB; free space on /var/lib/dicomdock",
        )
    )
    return engine


def whitelist_rejections() -> FakeEngine:
    """A workstation that is on no whitelist line keeps trying."""
    engine = busy()
    first, *others = (
        _rejected(425 - i, caller, "CT_INTAKE", f"10.4.2.{77 + i}:4100{i}", 3 + 29 * i, why)
        for i, (caller, why) in enumerate(_REJECTIONS)
    )
    since = NOW - timedelta(minutes=4)
    rejected = (replace(first, since=since, repeats=25), *others, _UNKNOWN_RECEIVER)
    engine.current = replace(engine.current, ended_associations=(*rejected, *_ended()))
    engine.insert(*((3 + 29 * i, _rejection(r)) for i, r in enumerate(rejected)))
    return engine


def hundred_associations() -> FakeEngine:
    """A morning when everybody sends."""
    engine = busy()
    callers = ("CT_SCANNER_1", "MR_PRISMA", "PACS_PUSH", "ER_CT", "US_ROOM3")
    live = tuple(
        make_association(
            500 + i,
            callers[i % len(callers)],
            address=f"10.4.{i // 50}.{i % 50 + 1}:{40_000 + i}",
            since=NOW - timedelta(seconds=300 - i),
            objects=13 * i,
            bytes=13 * i * 524_288,
            bytes_rate=1e5 * (i % 17),
        )
        for i in range(100)
    )
    engine.current = replace(engine.current, associations=live)
    return engine


HOSTILE_NAMES = (
    "[/x]",
    "[red]CT[/red]",
    "[@click=app.bell]",
    "[link=x]A[/link]",
    "A\x1b]52;c;QQ==\x07",
    "\x1b[2J\r\nEVIL",
    "abc\u202edcba",
    "zero\u200bwidth",
    "\udce9tude",
)


def hostile_names() -> FakeEngine:
    """Names that are markup, escape sequences or tricks with the direction of text."""
    engine = busy()
    statuses = tuple(
        make_status(
            make_receiver(i, name, 8104 + i, identifier=name), throughput=make_throughput(1.0, 4)
        )
        for i, name in enumerate(HOSTILE_NAMES, start=1)
    )
    live = tuple(
        make_association(100 + i, name, name, address=f"{name}:1", implementation=name)
        for i, name in enumerate(HOSTILE_NAMES)
    )
    rejected = tuple(
        _rejected(200 + i, name, name, "10.4.2.77:41000", i, f"calling AE title {name} is unknown")
        for i, name in enumerate(HOSTILE_NAMES)
    )
    engine.current = replace(
        engine.current, receivers=statuses, associations=live, ended_associations=rejected
    )
    engine.record(*(_rejection(association) for association in rejected))
    engine.sessions.known = hostile_sessions()
    engine.senders.known = hostile_senders(HOSTILE_NAMES)
    return engine


def config_problem() -> FakeEngine:
    """The configuration file was edited and is not acceptable."""
    engine = busy()
    reason = (
        "config.json line 14: receiver CT_INTAKE: port 'eighty' is not a port number; "
        "use a port from 1024 to 49151"
    )
    engine.current = replace(engine.current, configuration_problem=reason)
    engine.record(ConfigurationRefused(reason=reason))
    return engine


_REJECTIONS = (
    (
        "OLD_WS",
        "calling AE title OLD_WS from 10.4.2.77 is on no whitelist line of CT_INTAKE; "
        "nearest: OLD_WS1",
    ),
    (
        "CT_SCANNER_9",
        "calling AE title CT_SCANNER_9 from 10.4.2.78 is on no whitelist line of CT_INTAKE; "
        "nearest: CT_SCANNER_1@10.4.7.0/24",
    ),
    ("STORESCU", "calling AE title STORESCU from 10.4.2.79 is on no whitelist line of CT_INTAKE"),
)


_REFUSED_CONTEXTS = (
    RefusedContext(
        "Encapsulated PDF Storage",
        ("Deflated Explicit VR Little Endian",),
        "no common transfer syntax",
    ),
    RefusedContext(
        "Modality Performed Procedure Step",
        ("Implicit VR Little Endian", "Explicit VR Little Endian"),
        "not a storage class",
    ),
)


_ACCEPTED_CONTEXTS = (
    AcceptedContext(1, "CT Image Storage", "JPEG-LS Lossless Image Compression"),
    AcceptedContext(3, "CT Image Storage", "Explicit VR Little Endian"),
    AcceptedContext(5, "Enhanced CT Image Storage", "Explicit VR Little Endian"),
    AcceptedContext(7, "X-Ray Radiation Dose SR Storage", "Explicit VR Little Endian"),
    AcceptedContext(11, "1.3.46.670589.11.0.0.12.2", "Implicit VR Little Endian"),
    AcceptedContext(15, "Verification SOP Class", "Implicit VR Little Endian"),
)


def _statuses() -> tuple[ReceiverStatus, ...]:
    return (
        make_status(
            make_receiver(1, "XNAT", 8104),
            open_associations=3,
            objects_today=48_211,
            bytes_today=13_400_000_000,
            last_object_at=NOW,
            throughput=make_throughput(31.6, 118),
        ),
        make_status(
            make_receiver(
                2,
                "CT_INTAKE",
                8104,
                direct_archive=True,
                whitelist_enabled=True,
                whitelist=("CT_SCANNER_1@10.4.7.0/24", "ER_CT", "OLD_WS1"),
            ),
            open_associations=1,
            objects_today=9_804,
            bytes_today=3_900_000_000,
            failed_today=2,
            last_object_at=NOW - timedelta(seconds=1),
            throughput=make_throughput(6.6, 24, 7),
        ),
        make_status(
            make_receiver(
                3,
                "MR_RESEARCH",
                11112,
                whitelist_enabled=True,
                whitelist=("MR_PRISMA", "10.4.1.9"),
                routing_enabled=True,
                project_routing="(0008,1030):([A-Z]+-\\d+).*:1",
            ),
            objects_today=1_377,
            bytes_today=610_000_000,
            last_object_at=NOW - timedelta(minutes=4, seconds=42),
        ),
        make_status(
            make_receiver(4, "LEGACY_US", 8105, enabled=False, anonymization=False),
            ReceiverState.DISABLED,
            since=NOW - timedelta(days=2),
            last_object_at=NOW - timedelta(days=2),
        ),
        _pet_staging(),
    )


def _pet_staging() -> ReceiverStatus:
    since = NOW - timedelta(hours=1, seconds=24)
    return make_status(
        make_receiver(5, "PET_STAGING", 8106, routing_enabled=True),
        ReceiverState.FAILED,
        since=since,
        failure=ListenFailure(
            "address in use: port 8106 is held by storescp (pid 4127, user dicom)",
            "stop that program or choose another port",
            since,
            14,
            PortHolder(4127, "storescp", "dicom", NOW.replace(day=23, hour=9, minute=12)),
            NOW + timedelta(seconds=24),
        ),
    )


def _live() -> tuple[AssociationStatus, ...]:
    rows = (
        (412, "CT_SCANNER_1", "XNAT", "10.4.7.21:50112", 41, 1_204, 612.0, 22.1, 12, 14),
        (413, "MR_PRISMA", "XNAT", "10.4.7.33:41880", 20, 388, 88.2, 7.4, 14, 14),
        (414, "PACS_PUSH", "XNAT", "10.4.1.9:55710", 7, 41, 12.6, 2.1, 120, 138),
        (416, "ER_CT", "CT_INTAKE", "10.4.9.2:60122", 2, 57, 13.1, 6.6, 4, 4),
    )
    return tuple(
        make_association(
            number,
            caller,
            called,
            address=address,
            since=NOW - timedelta(seconds=seconds),
            objects=objects,
            bytes=int(megabytes * 1e6),
            bytes_rate=rate * 1e6,
            contexts_accepted=accepted,
            contexts_proposed=proposed,
            contexts_refused=_REFUSED_CONTEXTS if number == 412 else (),
        )
        for (
            number,
            caller,
            called,
            address,
            seconds,
            objects,
            megabytes,
            rate,
            accepted,
            proposed,
        ) in rows
    )


def _ended() -> tuple[AssociationStatus, ...]:
    return (
        make_association(
            411,
            "US_ROOM3",
            address="10.4.8.14:50201",
            since=NOW - timedelta(seconds=70),
            ended_at=NOW - timedelta(seconds=61),
            end=AssociationEnd.RELEASED,
            objects=64,
            bytes=21_000_000,
        ),
        make_association(
            410,
            "MR_PRISMA",
            "MR_RESEARCH",
            address="10.4.7.33:41802",
            since=NOW - timedelta(seconds=92),
            ended_at=NOW - timedelta(seconds=48),
            end=AssociationEnd.ABORTED,
            objects=320,
            bytes=98_000_000,
        ),
        _rejected(409, "OLD_WS", "CT_INTAKE", "10.4.2.77:41077", 110, _REJECTIONS[0][1]),
    )


def _rejected(
    number: int, caller: str, called: str, address: str, seconds_ago: float, why: str
) -> AssociationStatus:
    at = NOW - timedelta(seconds=seconds_ago)
    association: AssociationStatus = make_association(
        number,
        caller,
        called,
        address=address,
        since=at,
        ended_at=at,
        end=AssociationEnd.REJECTED,
        why=why,
        implementation="",
        contexts_accepted=0,
        contexts_proposed=0,
    )
    return association


_UNKNOWN_RECEIVER = _rejected(
    422,
    "MR_SKYRA",
    "XNAT_OLD",
    "10.4.7.35:40212",
    95,
    "called AE title XNAT_OLD is not an enabled receiver on port 8104; enabled there: "
    "CT_INTAKE, XNAT",
)


def _rejection(association: AssociationStatus) -> AssociationRejected:
    return AssociationRejected(
        receiver=association.receiver,
        calling_ae_title=association.calling_ae_title,
        called_ae_title=association.called_ae_title,
        address=association.address,
        port=8104,
        result=1,
        source=1,
        reason=3,
        why=association.why,
    )


def _established(receiver: str, caller: str, address: str, accepted: int, proposed: int) -> Event:
    return AssociationEstablished(
        receiver=receiver,
        calling_ae_title=caller,
        address=address,
        contexts_accepted=accepted,
        contexts_proposed=proposed,
    )


def _events() -> list[tuple[float, Event]]:
    """Return events with how many seconds ago they happened."""
    xnat = "XNAT:8104"
    failed = ReceiverFailed(
        receiver="PET_STAGING:8106",
        reason="address in use: port 8106 is held by storescp (pid 4127, user dicom)",
        remedy="stop that program or choose another port",
    )
    released = AssociationReleased(
        receiver=xnat, calling_ae_title="US_ROOM3", objects=64, bytes=21_000_000, seconds=9.1
    )
    stored = ObjectsStored(
        receiver=xnat, calling_ae_title="CT_SCANNER_1", objects=118, duplicates=3, bytes=61_800_000
    )
    return [
        (110, _rejection(_ended()[2])),
        (61, released),
        (41, _established(xnat, "CT_SCANNER_1", "10.4.7.21", 12, 14)),
        (25, ConfigurationApplied(revision=12, receivers=5, enabled=4, by="anna")),
        (24, failed),
        (20, _established(xnat, "MR_PRISMA", "10.4.7.33", 14, 14)),
        (7, _established(xnat, "PACS_PUSH", "10.4.1.9", 120, 138)),
        (2, _established("CT_INTAKE:8104", "ER_CT", "10.4.9.2", 4, 4)),
        (0, stored),
    ]


SCENARIOS: dict[str, Callable[[], FakeEngine]] = {
    scenario.__name__: scenario
    for scenario in (
        empty,
        idle,
        busy,
        port_in_use,
        shared_port_in_use,
        barred,
        disk_full,
        whitelist_rejections,
        hundred_associations,
        hostile_names,
        config_problem,
    )
}
