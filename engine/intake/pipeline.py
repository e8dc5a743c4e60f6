"""The straight line: one received object, from its bytes to its final file and its one outcome.

An object comes from `engine.dimse.reception`: it is opened with `begin`, its bytes go to a part
while they arrive, and `finish` takes it down this file: header → identity → site script →
session → place → published file → one row, one count. Nothing is queued on the way.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import IntakeError, OutOfResources, SopClassMismatch, UnreadableObject
from engine.events import SessionOpened
from engine.intake.anonymizing import REJECTED
from engine.intake.folders import OpenFolders
from engine.intake.incoming import Arrival, IncomingObject, Source
from engine.intake.placement import file_name, scan_folder, session_folder, timestamp
from engine.intake.write import free_bytes, publish
from engine.model.identity import UNASSIGNED
from engine.model.session import ObjectState
from engine.sessions.index import ObjectRow, SessionKey, SessionOrigin

if TYPE_CHECKING:
    from datetime import datetime

    from engine.clock import Clock
    from engine.intake.anonymizing import Anonymizer
    from engine.intake.header import HeaderView
    from engine.intake.quarantine import Quarantine
    from engine.intake.router import Router, Ruling
    from engine.intake.write import IncomingArea, Part, Published
    from engine.journal import Journal
    from engine.metrics import Metrics
    from engine.model.identity import Identity
    from engine.model.receiver import Receiver
    from engine.sessions.index import SessionIndex, SessionPlace
    from engine.settings import Durability

SUCCESS = 0x0000
ABANDONED = 0xC000
"""In the row of an object that was never answered, because it never was complete."""
COMMENT_CHARACTERS = 64
"""Longest Error Comment (0000,0902), an LO element."""
_TIMESTAMP_TRIES = 10_000


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
    quarantine: Quarantine
    durability: Durability
    reserve_bytes: int


class Pipeline:
    """Takes objects in; called on the thread of each association."""

    def __init__(
        self,
        places: Places,
        index: SessionIndex,
        journal: Journal,
        metrics: Metrics,
        clock: Clock,
        router: Router,
        anonymizer: Anonymizer,
    ) -> None:
        self._places = places
        self._index = index
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._router = router
        self._anonymizer = anonymizer

    def source(
        self, receiver: Receiver, calling_ae_title: str, address: str, association: str
    ) -> Source:
        """Return what the objects of one association have in common; its user closes it."""
        folders = OpenFolders(self._places.prearchive_fd)
        return Source(receiver, calling_ae_title, address, association, folders)

    def begin(self, arrival: Arrival) -> IncomingObject:
        """Open the object that is about to arrive; a storage that is full shows at its end."""
        incoming = IncomingObject(arrival, self._clock.monotonic())
        try:
            self._require_space()
            incoming.open(self._places.incoming.create_part())
        except IntakeError as error:
            incoming.fail(error)
        return incoming

    def finish(self, incoming: IncomingObject) -> Outcome:
        """Store a complete object durably, or say why not; either way it has one row afterwards."""
        try:
            outcome = self._store(incoming)
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
        source, sop_class_uid, sop_instance_uid, transfer_syntax_uid = incoming.arrival
        size_bytes, now = incoming.size_bytes, self._clock.now()
        self._index.record(
            ObjectRow(
                at=now.isoformat(timespec="microseconds"),
                receiver=source.receiver_label,
                calling_ae_title=source.calling_ae_title,
                address=source.address,
                association=source.association,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                state=outcome.state,
                status=outcome.status,
                reason=outcome.reason,
                session=outcome.session,
                file=outcome.file,
                bytes=size_bytes,
            )
        )
        seconds = self._clock.monotonic() - incoming.complete_at
        self._metrics.record_object(source.receiver_label, outcome.state, size_bytes, seconds)

    def _store(self, incoming: IncomingObject) -> Outcome:
        arrival, part = incoming.arrival, incoming.complete(self._clock.monotonic())
        ruling = self._router.ruling(arrival.source.receiver)
        try:
            header = self._read(incoming, ruling)
        except (UnreadableObject, SopClassMismatch) as error:
            return self._refuse_content(part, arrival, error, keep=ruling.script is None)
        identity = self._router.identify(header, ruling, arrival.source)
        if ruling.script is not None:
            edited = self._anonymizer.edit(part, ruling.script, identity.labels, arrival.source)
            if edited is None:
                return Outcome(ObjectState.FILTERED, SUCCESS, REJECTED)
            part = incoming.become(edited)
        place = self._session(arrival.source, header, identity)
        published = self._publish(part, incoming, header, place)
        return _outcome(published, place, identity.warning)

    def _publish(
        self, part: Part, incoming: IncomingObject, header: HeaderView, place: SessionPlace
    ) -> Published:
        """Give a part its final name, which is that of the header as it came (XNAT 9.3)."""
        return publish(
            part,
            incoming.arrival.source.folders,
            (*place.folder, "SCANS", scan_folder(header), "DICOM"),
            file_name(header),
            self._places.durability,
            body_offset=incoming.body_offset,
        )

    def _read(self, incoming: IncomingObject, ruling: Ruling) -> HeaderView:
        arrival = incoming.arrival
        header = incoming.read(ruling.last_tag)
        _require_same_instance(header, arrival)
        return header

    def _require_space(self) -> None:
        free = free_bytes(self._places.prearchive_fd)
        if free < self._places.reserve_bytes:
            raise OutOfResources(f"only {free // 1_000_000} MB free on the storage")

    def _refuse_content(
        self, part: Part, arrival: Arrival, error: IntakeError, *, keep: bool
    ) -> Outcome:
        """Put an object into quarantine, unless it must not be kept as it came."""
        kept = keep and self._places.quarantine.keep(
            part,
            {
                "at": self._clock.now().isoformat(),
                "receiver": arrival.source.receiver_label,
                "calling_ae_title": arrival.source.calling_ae_title,
                "address": arrival.source.address,
                "sop_class_uid": arrival.sop_class_uid,
                "sop_instance_uid": arrival.sop_instance_uid,
                "status": f"0x{error.status:04X}",
                "reason": error.detail,
            },
        )
        state = ObjectState.QUARANTINED if kept else ObjectState.FAILED
        return Outcome(state, error.status, error.detail)

    def _session(self, source: Source, header: HeaderView, identity: Identity) -> SessionPlace:
        study = header.study_instance_uid or ""
        key = SessionKey(identity.project.value, study, identity.session_label)
        return self._index.place_of(key) or self._new_session(key, source, identity)

    def _new_session(self, key: SessionKey, source: Source, identity: Identity) -> SessionPlace:
        place = self._index.session_for(
            key,
            SessionOrigin(
                subject=identity.subject.value,
                auto_archive=identity.auto_archive,
                receiver=source.receiver_label,
                calling_ae_title=source.calling_ae_title,
                at=self._clock.now(),
            ),
            lambda at: self._new_folder(key.project, key.label, at),
        )
        if place.is_new:
            self._journal.record(
                SessionOpened(
                    receiver=source.receiver_label,
                    calling_ae_title=source.calling_ae_title,
                    association=source.association,
                    session=place.id,
                    project=key.project or UNASSIGNED,
                )
            )
        return place

    def _new_folder(self, project: str | None, label: str, at: datetime) -> tuple[str, ...]:
        """Name a session folder under a time stamp of its own (XNAT 9.1)."""
        for milliseconds in range(_TIMESTAMP_TRIES):
            stamp = timestamp(at + timedelta(milliseconds=milliseconds))
            folder = session_folder(project, stamp, label)
            with suppress(FileNotFoundError):
                os.stat("/".join(folder[:-1]), dir_fd=self._places.prearchive_fd)
                continue
            return folder
        raise OutOfResources("no free session folder name")


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
    beside = "other content under the same name, kept beside it" if published.renamed else ""
    reason = "; ".join(filter(None, (warning, beside)))
    return Outcome(ObjectState.STORED, SUCCESS, reason, place.id, file)
