"""The straight line: one received object, from its bytes to its final file and its one outcome.

An object comes from `engine.dimse.reception`: it is opened with `begin`, its bytes go to a part
while they arrive, and `finish` takes it down this file: header → identity → session → place →
published file → one row, one count. Nothing is queued on the way.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import (
    DuplicateInstance,
    IntakeError,
    OutOfResources,
    SopClassMismatch,
    UnreadableObject,
)
from engine.events import SessionOpened
from engine.intake.filing import Filing
from engine.intake.filters import excluded_by, last_filter_tag
from engine.intake.header import DEFAULT_LAST_TAG, read_complete
from engine.intake.incoming import Arrival, IncomingObject
from engine.intake.placement import distinct_name, file_name, scan_folder
from engine.intake.write import publish
from engine.model.identity import UNASSIGNED
from engine.model.session import ObjectState
from engine.model.session_settings import SessionSettings
from engine.sessions.index import ObjectRow, SessionKey, SessionOrigin
from engine.sessions.traces import TRACED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.clock import Clock
    from engine.intake.filing import Filed
    from engine.intake.header import HeaderView
    from engine.intake.identify import Identifier
    from engine.intake.quarantine import Quarantine
    from engine.intake.storage_guard import StorageGuard
    from engine.intake.write import IncomingArea, Part, Published
    from engine.journal import Journal
    from engine.metrics import Metrics
    from engine.model.identity import Identity
    from engine.model.project import ProjectRegistry
    from engine.sessions.index import SessionIndex, SessionPlace
    from engine.sessions.traces import TraceBook
    from engine.settings import Durability

SUCCESS = 0x0000
ABANDONED = 0xC000
"""In the row of an object that was never answered, because it never was complete."""
COMMENT_CHARACTERS = 64
"""Longest Error Comment (0000,0902), an LO element."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What finally became of an object."""

    state: ObjectState
    status: int
    """The C-STORE status (PS3.4 B.2.3)."""
    reason: str = ""
    session: int | None = None
    file: str = ""
    """Relative to the session's folder."""

    @property
    def comment(self) -> str:
        """What the peer is told besides a failure status (0000,0902)."""
        if self.status == SUCCESS:
            return ""
        return self.reason.encode("ascii", "replace").decode()[:COMMENT_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Places:
    """Where objects go on the way and in the end; all on one file system."""

    incoming: IncomingArea
    prearchive_fd: int
    archive_fd: int
    quarantine: Quarantine
    durability: Durability
    guard: StorageGuard


class Pipeline:
    """Takes objects in; called on the thread of each association."""

    def __init__(
        self,
        places: Places,
        index: SessionIndex,
        journal: Journal,
        metrics: Metrics,
        clock: Clock,
        identifiers: Mapping[str, Identifier],
        projects: Callable[[], ProjectRegistry],
        settings: Callable[[], SessionSettings] = SessionSettings,
        traces: TraceBook | None = None,
    ) -> None:
        self._places = places
        self._index = index
        self._filing = Filing(index, places.prearchive_fd, places.archive_fd)
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._identifiers = identifiers
        self._projects = projects
        self._settings = settings
        self._traces = traces

    def begin(self, arrival: Arrival) -> IncomingObject:
        """Open the object that is about to arrive; a storage that is full shows at its end."""
        incoming = IncomingObject(arrival, self._clock.monotonic())
        try:
            self._places.guard.require()
            incoming.open(self._places.incoming.create_part())
        except OutOfResources as error:
            incoming.fail(error)
        return incoming

    def finish(self, incoming: IncomingObject) -> Outcome:
        """Store a complete object durably, or say why not; either way it has one row afterwards."""
        with ExitStack() as held:
            try:
                outcome = self._store(incoming, held)
            except DuplicateInstance as error:
                outcome = Outcome(ObjectState.REJECTED, error.status, error.detail)
            except IntakeError as error:
                outcome = Outcome(ObjectState.FAILED, error.status, error.detail)
            finally:
                incoming.discard()
            self.record(incoming, outcome)
        return outcome

    def abandon(self, incoming: IncomingObject, why: str) -> None:
        """Drop an object whose rest will not come; it has a row all the same."""
        incoming.discard()
        reason = f"{why} after {incoming.size_bytes:,} bytes"
        self.record(incoming, Outcome(ObjectState.FAILED, ABANDONED, reason))

    def record(self, incoming: IncomingObject, outcome: Outcome) -> None:
        """Give an object its one row and its one count."""
        arrival, size_bytes = incoming.arrival, incoming.size_bytes
        self._index.record(
            ObjectRow(
                at=self._clock.now().isoformat(timespec="microseconds"),
                receiver=arrival.receiver.label,
                calling_ae_title=arrival.calling_ae_title,
                address=arrival.address,
                association=arrival.association,
                sop_class_uid=arrival.sop_class_uid,
                sop_instance_uid=arrival.sop_instance_uid,
                transfer_syntax_uid=arrival.transfer_syntax_uid,
                state=outcome.state,
                status=outcome.status,
                reason=outcome.reason,
                session=outcome.session,
                file=outcome.file,
                bytes=size_bytes,
            )
        )
        seconds = self._clock.monotonic() - incoming.complete_at
        self._metrics.record_object(arrival.receiver.label, outcome.state, size_bytes, seconds)

    def _store(self, incoming: IncomingObject, held: ExitStack) -> Outcome:
        """Store an object; its session is held until its row is queued, so that nobody moves it."""
        arrival, part = incoming.arrival, incoming.complete(self._clock.monotonic())
        try:
            header = self._read(incoming)
        except (UnreadableObject, SopClassMismatch) as error:
            return self._refuse_content(part, arrival, error)
        identifier = self._identifiers[arrival.receiver.identifier]
        identity = identifier.identify(header, self._projects(), arrival.receiver.routing)
        unwanted = excluded_by(header, identity.project.value, self._settings(), self._projects())
        if unwanted:
            return Outcome(ObjectState.FILTERED, SUCCESS, unwanted)
        filed = self._session(arrival, header, identity)
        held.callback(self._index.holds.give_back, filed.place.id)
        if self._traces is not None:
            self._traces.note(filed.place.id, ((tag, header.text(tag)) for tag in TRACED))
        published = self._publish(part, header, filed, incoming)
        return _outcome(published, filed.place, identity.warning)

    def _read(self, incoming: IncomingObject) -> HeaderView:
        arrival = incoming.arrival
        settings = self._settings()
        last_tag = max(
            DEFAULT_LAST_TAG,
            arrival.receiver.routing.last_tag,
            settings.template.last_tag,
            last_filter_tag(settings, self._projects()),
        )
        with incoming.data_set() as data_set:
            header = read_complete(data_set, arrival.transfer_syntax_uid, last_tag=last_tag)
        _require_same_instance(header, arrival)
        return header

    def _refuse_content(self, part: Part, arrival: Arrival, error: IntakeError) -> Outcome:
        kept = self._places.quarantine.keep(
            part,
            {
                "at": self._clock.now().isoformat(),
                "receiver": arrival.receiver.label,
                "calling_ae_title": arrival.calling_ae_title,
                "address": arrival.address,
                "sop_class_uid": arrival.sop_class_uid,
                "sop_instance_uid": arrival.sop_instance_uid,
                "status": f"0x{error.status:04X}",
                "reason": error.detail,
            },
        )
        state = ObjectState.QUARANTINED if kept else ObjectState.FAILED
        return Outcome(state, error.status, error.detail)

    def _session(self, arrival: Arrival, header: HeaderView, identity: Identity) -> Filed:
        project = identity.project.value
        filed = self._filing.file(
            arrival.receiver,
            SessionKey(project, header.study_instance_uid or "", identity.session_label),
            SessionOrigin(
                subject=identity.subject.value,
                auto_archive=identity.auto_archive,
                receiver=arrival.receiver.label,
                calling_ae_title=arrival.calling_ae_title,
                at=self._clock.now(),
            ),
        )
        if filed.place.is_new:
            self._journal.record(
                SessionOpened(
                    receiver=arrival.receiver.label,
                    calling_ae_title=arrival.calling_ae_title,
                    association=arrival.association,
                    session=filed.place.id,
                    project=project or UNASSIGNED,
                )
            )
        return filed

    def _publish(
        self, part: Part, header: HeaderView, filed: Filed, incoming: IncomingObject
    ) -> Published:
        settings = self._settings()
        name = file_name(header, settings.template)
        return publish(
            part,
            filed.root_fd,
            (*filed.place.folder, "SCANS", scan_folder(header), "DICOM"),
            name,
            self._places.durability,
            body_offset=incoming.body_offset,
            duplicates=incoming.arrival.receiver.duplicates or settings.duplicates,
            otherwise="" if settings.has_default_template else distinct_name(header, name),
        )


def _require_same_instance(header: HeaderView, arrival: Arrival) -> None:
    if not header.sop_class_uid or not header.sop_instance_uid:
        raise UnreadableObject("the data set has no SOP class or instance UID")
    if header.sop_class_uid != arrival.sop_class_uid:
        raise SopClassMismatch("SOP class of data set and request differ")
    if header.sop_instance_uid != arrival.sop_instance_uid:
        raise SopClassMismatch("SOP instance of data set and request differ")


def _outcome(published: Published, place: SessionPlace, warning: str) -> Outcome:
    file = "/".join(published.path_parts[len(place.folder) :])
    if published.duplicate:
        return Outcome(ObjectState.DUPLICATE, SUCCESS, "already here", place.id, file)
    reason = "; ".join(filter(None, (warning, _beside(published))))
    return Outcome(ObjectState.STORED, SUCCESS, reason, place.id, file)


def _beside(published: Published) -> str:
    """Say what was there under an object's name already."""
    if published.replaced:
        return "replaces other content of the same SOP instance"
    if published.same_instance:
        return "other content of the same SOP instance is here, kept beside it"
    return (
        "another SOP instance has the same file name, kept beside it" if published.renamed else ""
    )
