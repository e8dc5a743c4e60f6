"""The straight line: one received object, from its bytes to its final file and its one outcome.

An object comes from `engine.reception.storage_scp`: it is opened with `begin`, its bytes go to a
part while they arrive, and `finish` takes it down this file: header → identity → processors →
anonymization → session → place → published file. Nothing is queued on the way. Once the peer has
its answer, `record_outcome` cleans up: it removes the part's name and adds one row and one count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import (
    DuplicateInstance,
    IntakeError,
    OutOfResources,
    SopClassMismatch,
    UnreadableObject,
)
from engine.events import EditedOnDisk, SessionOpened
from engine.index.store import SessionOrigin
from engine.index.writer import REPLACES, ObjectRow
from engine.intake.filing import DuplicateFinder
from engine.intake.object import AssociationContext, IncomingObject, ObjectArrival
from engine.model.identity import UNASSIGNED
from engine.model.session import ObjectState, ProjectScript, SessionArea
from engine.sessions.object_changes import ALREADY_HERE
from engine.settings import Durability
from engine.storage.folders import FlushedFolders, OpenFolders
from engine.storage.held import MOST_HEADER_BYTES, HeldPart, on_disk
from engine.storage.incoming import publish
from engine.storage.placement import ObjectFiltered, distinct_name
from engine.workers.scripts import Anonymizer, MustWait

if TYPE_CHECKING:
    from engine.dicom.header import HeaderView
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.identification.caches import SeriesDestination
    from engine.index.store import Copy, SessionKey, SessionPlace
    from engine.intake.dock import ObjectDock
    from engine.intake.label_processing import CustomProcessing
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.intake.rules import ObjectRouter
    from engine.model.identity import Identity
    from engine.model.receiver import Receiver
    from engine.storage.guard import StorageGuard
    from engine.storage.incoming import IncomingArea, PartFile, Published
    from engine.storage.quarantine import Quarantine

SUCCESS = 0x0000
ABANDONED = 0xC000
"""The status in the row of an object that never was complete, and so was never answered."""
LONGEST_AT_ONCE_BYTES = 1024 * 1024
"""An object of this size is compared with a copy that is here already in 0.8 ms (2026, tmpfs)."""
COMMENT_CHARACTERS = 64
"""Longest Error Comment (0000,0902), an LO element."""


class ObjectOutcome(NamedTuple):
    """How an object ended: its state, its status, and its file."""

    state: ObjectState
    status: int
    """The C-STORE status (PS3.4 B.2.3)."""
    reason: str = ""
    session: int | None = None
    file: str = ""
    """Relative to the session's folder."""

    @property
    def comment(self) -> str:
        """The Error Comment (0000,0902) that the peer gets with a failure status."""
        if self.status == SUCCESS:
            return ""
        # A command set has no Specific Character Set (PS3.7 E.1), so its texts are ASCII.
        return self.reason.encode("ascii", "replace").decode()[:COMMENT_CHARACTERS]


@dataclass(frozen=True, slots=True)
class StorageAreas:
    """Incoming area, both trees and quarantine; all on one file system, for files are linked."""

    incoming: IncomingArea
    prearchive_fd: int
    archive_fd: int
    quarantine: Quarantine
    durability: Durability
    guard: StorageGuard
    held_header_bytes: int = MOST_HEADER_BYTES
    """How long a header may be that is kept from the disk until it is edited."""


class Pipeline:
    """Stores objects; for all threads, each object on one thread at a time."""

    def __init__(
        self,
        places: StorageAreas,
        dock: ObjectDock,
        journal: Journal,
        clock: Clock,
        router: ObjectRouter,
        anonymizer: Anonymizer,
        custom: CustomProcessing | None = None,
    ) -> None:
        self._places = places
        self._trees = {
            # Shared by all associations: a folder that one of them has flushed needs no second
            # flush.
            SessionArea.PREARCHIVE: (places.prearchive_fd, FlushedFolders()),
            SessionArea.ARCHIVE: (places.archive_fd, FlushedFolders()),
        }
        self._dock = dock
        self._journal = journal
        self._clock = clock
        self._router = router
        self._anonymizer = anonymizer
        self._resent = DuplicateFinder(anonymizer, places.durability)
        self._custom = custom

    def source(
        self, receiver: Receiver, calling_ae_title: str, address: str, association: str
    ) -> AssociationContext:
        """Make the context of one association's objects; the caller closes it."""
        folders = {area: OpenFolders(fd, flushed) for area, (fd, flushed) in self._trees.items()}
        return AssociationContext(receiver, calling_ae_title, address, association, folders)

    def may_block(self, incoming: IncomingObject) -> bool:
        """Tell whether `finish` may wait: for a process, a plug-in, a flush or much to be read."""
        source = incoming.arrival.source
        policy = self._router.receiver_policy(source.receiver)
        return (
            self._places.durability is not Durability.NONE
            or incoming.size_bytes > LONGEST_AT_ONCE_BYTES
            # What a script has done to an object may be known for the next one.
            or not (policy.never_blocks or (policy.only_site_script and source.edits.has_edits))
            or self._dock.may_wait
        )

    def finish_at_once(self, incoming: IncomingObject) -> ObjectOutcome | None:
        """Do as `finish` does if that waits for nothing; else do nothing and return None."""
        if self.may_block(incoming):
            return None
        source = incoming.arrival.source
        source.may_not_wait = True
        try:
            return self.finish(incoming)
        except MustWait:
            return None
        finally:
            source.may_not_wait = False

    def write_back_due(self, incoming: IncomingObject) -> bool:
        """Tell whether `incoming.part` should now start to go to the disk, while more arrives."""
        return incoming.write_back_due() and self._places.durability is not Durability.NONE

    def begin(self, arrival: ObjectArrival) -> IncomingObject:
        """Open the object that is about to arrive; a full storage is reported at its end."""
        now, guard = self._clock.monotonic(), self._places.guard
        incoming = IncomingObject(arrival, now)
        try:
            # The guard looks at the file system at intervals. In between its last answer is read
            # here without a call, for this runs for each object.
            refused = guard.refused if now < guard.next_check_at else guard.refusal()
            if refused:
                raise OutOfResources(refused)
            area = self._places.incoming
            # What is still to be anonymized must not reach the disk, not even for a moment: blocks
            # of a file that is gone can be read for months.
            policy = self._router.receiver_policy(arrival.source.receiver)
            incoming.open(self._held(policy, arrival) if policy.holds else area.create_part())
        except IntakeError as error:
            # Not raised: the data set follows the request in any case, and the answer comes at its
            # end.
            incoming.fail(error)
        return incoming

    def _held(self, policy: ReceiverPolicy, arrival: ObjectArrival) -> HeldPart:
        """Return a part in memory for an object that may be edited before it is stored."""

        def report(why: str) -> None:
            source = arrival.source
            make = partial(
                EditedOnDisk,
                receiver=source.receiver_label,
                calling_ae_title=source.calling_ae_title,
                association=source.association,
                why=why,
            )
            kind = EditedOnDisk, policy.revision, policy.receiver.id, why
            self._journal.record_repeated(make, kind, once=True)

        return HeldPart(
            self._places.incoming,
            needs_whole=policy.needs_whole,
            keeps_unreadable=policy.keeps_unreadable,
            shift=arrival.source.pixel_shift,
            report=report,
            most_header_bytes=self._places.held_header_bytes,
        )

    def finish(self, incoming: IncomingObject) -> ObjectOutcome:
        """Store a complete object durably, or say why not; `record_outcome` follows the answer."""
        try:
            return self._store(incoming)
        # XNAT 8.4: what a filter, processor or script drops is answered with success.
        except ObjectFiltered as dropped:
            return ObjectOutcome(ObjectState.FILTERED, SUCCESS, dropped.reason)
        except DuplicateInstance as error:
            return ObjectOutcome(ObjectState.REJECTED, error.status, error.detail)
        except IntakeError as error:
            return ObjectOutcome(ObjectState.FAILED, error.status, error.detail)

    def record_outcome(self, incoming: IncomingObject, outcome: ObjectOutcome) -> None:
        """Clean up after an object that was answered, and give it its one row and one count."""
        try:
            self._record(incoming, outcome)
        finally:
            # After the row is queued: whoever moves the session waits for this, then flushes the
            # rows, and so sees every object.
            if incoming.hold is not None:
                self._dock.release(incoming.hold)

    def abandon(self, incoming: IncomingObject, why: str) -> None:
        """Discard an object whose rest will not come, and add its row."""
        reason = f"{why} after {incoming.size_bytes:,} bytes"
        self.record_outcome(incoming, ObjectOutcome(ObjectState.FAILED, ABANDONED, reason))

    def _record(self, incoming: IncomingObject, outcome: ObjectOutcome) -> None:
        source, sop_class_uid, sop_instance_uid, transfer_syntax_uid = incoming.arrival
        size_bytes, now = incoming.size_bytes, self._clock.now()
        self._dock.record(
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
                project_script=incoming.project_script,
            ),
            self._clock.monotonic() - incoming.complete_at,
            # After the answer: the peer does not wait for this system call.
            incoming.discard,
        )

    def _store(self, incoming: IncomingObject) -> ObjectOutcome:
        arrival, part = incoming.arrival, incoming.complete(self._clock.monotonic())
        receiver_policy = self._router.receiver_policy(arrival.source.receiver)
        try:
            # The whole data set is checked before anything is decided: a truncated object must not
            # be stored in a session.
            header = self._read(incoming, receiver_policy)
        except (UnreadableObject, SopClassMismatch) as error:
            return self._refuse_content(
                *(part, arrival, error),
                keep=receiver_policy.keeps_unreadable,
            )
        header, series = self._identified(incoming, header, receiver_policy)
        # As soon as the project is known, for it may have filters of its own: an unwanted object
        # costs no anonymization.
        if receiver_policy.filters.are_any:
            unwanted = receiver_policy.filters.excluded_by(header, series.identity.project.value)
            if unwanted:
                raise ObjectFiltered(unwanted)
        # Before the script: processors see names and labels as they came (XNAT 8.2).
        if receiver_policy.chain is not None and self._custom is not None:
            header, series = self._custom.apply_label_processors(
                incoming, header, receiver_policy, receiver_policy.chain, series
            )
        source, identity = arrival.source, series.identity
        directly = self._may_archive_directly(source.receiver, series.key, receiver_policy)
        # Before the search for duplicates: stored objects were anonymized, so only the anonymized
        # object can be compared with them.
        part = self._anonymized(incoming, identity, receiver_policy, directly=directly)
        # From here on the object is edited, and can't be stored anew by another thread.
        source.may_not_wait = False
        filed = self._known_session(series.key, directly=directly)
        # `known_place` holds the session, before copies are looked up in it: it must not move
        # between that look and the publishing. It is noted here for the release.
        if filed is not None:
            incoming.hold = filed.hold
        copies: tuple[Copy, ...] = ()
        if filed is None or filed.has_history:  # else it can only be where it arrives
            copies = self._dock.copies(series.key, arrival.sop_instance_uid)
            same = self._resent.same(incoming, identity, receiver_policy, copies)
            if same is not None:
                return ObjectOutcome(
                    ObjectState.DUPLICATE, SUCCESS, ALREADY_HERE, same.session, same.file
                )
        # As late as possible: an object that is rejected, filtered or a duplicate leaves no empty
        # session.
        if filed is None:
            filed = self._new_session(series.key, source, identity, directly=directly)
            incoming.hold = filed.hold
        if source.traced != (filed.id, series.traced):
            self._dock.trace(filed.id, series.traced)
            source.traced = filed.id, series.traced
        published = self._publish(incoming, part, header, filed, receiver_policy, series, copies)
        return _outcome(published, filed, identity.warning)

    def _identified(
        self, incoming: IncomingObject, header: HeaderView, receiver_policy: ReceiverPolicy
    ) -> tuple[HeaderView, SeriesDestination]:
        """Return the header as the first processors leave it, and where the object belongs."""
        if receiver_policy.chain is not None and self._custom is not None:
            return self._custom.identified(incoming, header, receiver_policy, receiver_policy.chain)
        return header, self._router.series(header, receiver_policy, incoming.arrival.source)

    def _read(self, incoming: IncomingObject, receiver_policy: ReceiverPolicy) -> HeaderView:
        arrival = incoming.arrival
        header = incoming.read(receiver_policy.last_tag)
        _require_same_instance(header, arrival)
        return header

    def _refuse_content(
        self, part: PartFile, arrival: ObjectArrival, error: IntakeError, *, keep: bool
    ) -> ObjectOutcome:
        """Put an object into quarantine if it may be kept without anonymization."""
        kept = keep and self._places.quarantine.keep(
            on_disk(self._places.incoming, part),
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
        return ObjectOutcome(state, error.status, error.detail)

    def _may_archive_directly(
        self, receiver: Receiver, key: SessionKey, receiver_policy: ReceiverPolicy
    ) -> bool:
        """Decide before anonymization whether the object goes directly into the archive."""
        # The script runs before the session is known, and only for objects that go into the
        # archive. So the answer must be certain here. Otherwise `Filing.file` finds out.
        if key.project in receiver_policy.project_steps:
            return self._dock.archives_directly(receiver, key)
        return receiver.direct_archive

    def _anonymized(
        self,
        incoming: IncomingObject,
        identity: Identity,
        receiver_policy: ReceiverPolicy,
        *,
        directly: bool,
    ) -> PartFile:
        """Return the part after the scripts that must run before it is stored."""
        project = identity.project.value
        if not incoming.arrival.source.receiver.anonymization:
            # XNAT: `anonymizationEnabled=false` switches off the project script too, and that is
            # kept with the object, for its session may be archived after the receiver has changed.
            incoming.project_script = ProjectScript.EXEMPT
        elif directly and project in receiver_policy.project_steps:
            incoming.project_script = ProjectScript.DONE
        steps = (
            receiver_policy.steps(project, directly=directly) if receiver_policy.anonymizes else ()
        )
        if not steps:
            if incoming.part.is_held:
                incoming.replace_file(on_disk(self._places.incoming, incoming.part))
            return incoming.part
        source = incoming.arrival.source
        return incoming.replace_file(
            self._anonymizer.edit(incoming.part, steps, identity.labels, source)
        )

    def _known_session(self, key: SessionKey, *, directly: bool) -> SessionPlace | None:
        """Hold the session if it has objects already; None if this may be its first one."""
        if directly and key.project is not None:
            key = key._replace(area=SessionArea.ARCHIVE)
        return self._dock.known_place(key)

    def _new_session(
        self, key: SessionKey, source: AssociationContext, identity: Identity, *, directly: bool
    ) -> SessionPlace:
        filed = self._dock.file(
            key,
            SessionOrigin(
                subject=identity.subject.value,
                auto_archive=identity.auto_archive,
                receiver=source.receiver_label,
                calling_ae_title=source.calling_ae_title,
                at=self._clock.now(),
            ),
            directly=directly,
        )
        if filed.is_new:
            self._journal.record(
                SessionOpened(
                    receiver=source.receiver_label,
                    calling_ae_title=source.calling_ae_title,
                    association=source.association,
                    session=filed.id,
                    project=key.project or UNASSIGNED,
                )
            )
        return filed

    def _publish(
        self,
        incoming: IncomingObject,
        part: PartFile,
        header: HeaderView,
        filed: SessionPlace,
        receiver_policy: ReceiverPolicy,
        series: SeriesDestination,
        copies: tuple[Copy, ...],
    ) -> Published:
        name = series.template.name(header.text)
        parts = ["SCANS", series.scan, "DICOM"]
        # The policy for duplicates is about the copy in this session, which may have another name
        # or scan by now.
        here = next((copy for copy in copies if copy.session == filed.id), None)
        if here is not None:
            *parts, name = here.file.split("/")
        return publish(
            part,
            incoming.arrival.source.folders[filed.area],
            (*filed.folder, *parts),
            name,
            self._places.durability,
            body_offset=incoming.body_offset,
            duplicates=receiver_policy.duplicates,
            otherwise="" if receiver_policy.has_default_template else distinct_name(header, name),
        )


def _require_same_instance(header: HeaderView, arrival: ObjectArrival) -> None:
    # PS3.4 B.2.3 has a status for it (0xA9xx). The answer is about the instance of the request,
    # the file would be another one.
    sop_class_uid, sop_instance_uid = header.sop_class_uid, header.sop_instance_uid
    if not sop_class_uid or not sop_instance_uid:
        raise UnreadableObject("the data set has no SOP class or instance UID")
    if sop_class_uid != arrival.sop_class_uid:
        raise SopClassMismatch("SOP class of data set and request differ")
    if sop_instance_uid != arrival.sop_instance_uid:
        raise SopClassMismatch("SOP instance of data set and request differ")


def _outcome(published: Published, place: SessionPlace, warning: str) -> ObjectOutcome:
    file = "/".join(published.path_parts[len(place.folder) :])
    if published.duplicate:
        return ObjectOutcome(ObjectState.DUPLICATE, SUCCESS, ALREADY_HERE, place.id, file)
    beside = _note_about_copy(published)
    reason = f"{warning}; {beside}" if warning and beside else warning or beside
    return ObjectOutcome(ObjectState.STORED, SUCCESS, reason, place.id, file)


def _note_about_copy(published: Published) -> str:
    """Describe the file that already had the object's name."""
    if published.replaced:
        return REPLACES
    if published.same_instance:
        return "other content of the same SOP instance is here, kept beside it"
    if published.renamed:
        return "another SOP instance has the same file name, kept beside it"
    return ""
