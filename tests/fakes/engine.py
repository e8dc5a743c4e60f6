"""An `EngineView` that answers from memory and notes what it is told."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.api import (
    AssociationEnd,
    EchoResult,
    EngineSnapshot,
    PortState,
    PortStatus,
    ReceiverState,
    ReceiverStatus,
)
from engine.api.study_routes import StudyRoutePage
from engine.errors import ChangedMeanwhile, EngineError, NotFound
from engine.events import (
    Event,
    EventPage,
    ImportBegun,
    ImportEnded,
    Listener,
    RecordedEvent,
    SecretsShown,
)
from engine.events.event import UnknownEvent
from engine.metrics import Counters
from engine.model.alerts import AlertSettings
from engine.model.plugins import DEFAULT_IDENTIFIERS, IdentifierInfo
from engine.model.site import SiteSettings
from engine.monitoring.exposition import render
from engine.monitoring.monitoring import judge
from tests.fakes.history import FakeHistory
from tests.fakes.objects import FakeObjects
from tests.fakes.processing import (
    FakeCommitments,
    FakeForwarding,
    FakePeers,
    FakeProcessors,
    FakeScripts,
)
from tests.fakes.senders import FakeSenders
from tests.fakes.sessions import FakeSessions
from tests.fakes.values import NOW, make_snapshot, make_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.api.status import AcceptedContext, Health, ImportCounts
    from engine.model.alerts import AlertTarget
    from engine.model.file_sample import FileSample
    from engine.model.plugins import FileNamerInfo
    from engine.model.processing import RoutingPreview
    from engine.model.project import Project
    from engine.model.receiver import Receiver
    from engine.model.study_route import StudyRoute


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

    def note_import(
        self, receiver: str, calling_ae_title: str, actor: str, counts: ImportCounts | None
    ) -> None:
        self.engine._command("note_import", receiver, calling_ae_title, actor, counts)
        about = {"receiver": receiver, "calling_ae_title": calling_ae_title, "by": actor}
        ended = ImportEnded(**about, **asdict(counts)) if counts else None  # type: ignore[arg-type]
        self.engine.record(ended or ImportBegun(**about))

    def try_alert(self, target: AlertTarget, actor: str) -> None:
        self.engine._command("try_alert", target, actor)
        AlertSettings.parse({"targets": [target.to_record()]})

    def health(self) -> Health:
        return judge(self.engine.current, self.engine.counted, ())


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
    commitments: FakeCommitments = field(default_factory=FakeCommitments)
    peers: FakePeers = field(default_factory=FakePeers)
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
        self,
        receiver: Receiver,
        site: SiteSettings | None = None,
        file: FileSample | None = None,
    ) -> tuple[RoutingPreview, ...]:
        self._command("preview_routing", receiver, site)
        return tuple(preview.masked() for preview in self.previews)

    def shown_routing(
        self,
        receiver: Receiver,
        actor: str,
        site: SiteSettings | None = None,
        file: FileSample | None = None,
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


@dataclass
class FakeStudyRoutes:
    """A `StudyRoutesView` that answers from memory."""

    command: Callable[..., None]
    known: list[StudyRoute] = field(default_factory=list)

    def list(self, limit: int = 1_000) -> StudyRoutePage:
        return StudyRoutePage(tuple(self.known[:limit]), len(self.known))

    def save(
        self, route: StudyRoute, actor: str, *, replacing: StudyRoute | None = None
    ) -> StudyRoute:
        self.command("study_routes.save", route, actor, replacing)
        if replacing is not None and replacing not in self.known:
            raise ChangedMeanwhile("the route", "bert", NOW, ("subject: S1 → S2",))
        saved = replace(route, added_by=actor, added_at=NOW)
        self.known = [saved, *(r for r in self.known if r != replacing)]
        return saved

    def delete(self, study_instance_uid: str, actor: str) -> None:
        self.command("study_routes.delete", study_instance_uid, actor)
        if study_instance_uid not in {route.study_instance_uid for route in self.known}:
            raise NotFound(f"study {study_instance_uid} has no route", "look at the list again")
        self.known = [r for r in self.known if r.study_instance_uid != study_instance_uid]
