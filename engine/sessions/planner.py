"""Plans archiving, moving and deleting of sessions: all steps, before the first is made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import NotFound, SessionConflict, SessionError
from engine.index.operations import OperationKind, Plan
from engine.model.identity import safe_part, timestamp
from engine.model.session import UNFINISHED, SessionArea, SessionStatus
from engine.sessions.folders.documents import BuiltSession
from engine.sessions.folders.transfer import with_free_names
from engine.sessions.rereading import require_rows
from engine.sessions.separation import pet_label, pet_scans
from engine.storage.areas import archive_folder
from engine.storage.scans import SCANS, free_name, free_scan_id, scans_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from engine.index.actions import Whereabouts
    from engine.index.operations import Request
    from engine.model.session import Session
    from engine.sessions.context import SessionContext
    from engine.sessions.folders.staging import Staged
    from engine.storage.scans import Entry, Resource, Scan, StoredObject


@dataclass(frozen=True, slots=True)
class Merge:
    """How the objects of one session are added to another, relative to the sessions' folders."""

    files: dict[str, str]
    """Where each object is, and where it goes."""
    replaced: tuple[str, ...]
    """Objects of the other session that make room."""


def conflicts_within(incoming: BuiltSession, *, overwrite: bool) -> Iterator[str]:
    """Yield the reasons against archiving a session that need no other session, in words."""
    if overwrite:
        return
    for scan in incoming.scans:
        for resource in scan.resources:
            counts = Counter(entry.stored.sop_instance_uid for entry in resource.entries)
            doubled = sum(count > 1 for count in counts.values())
            if doubled:
                yield (
                    f"scan {scan.id} has {doubled} SOP instance UIDs that several objects share; "
                    "overwrite to archive them all"
                )


def matching_files(incoming: BuiltSession, existing: BuiltSession) -> dict[str, list[str]]:
    """Return each file of a session whose SOP instance the other has too, and the other's files.

    What they hold may differ.
    """
    found: dict[str, list[str]] = {}
    for scan in incoming.scans:
        counterpart = _counterpart(scan, existing)
        known: dict[tuple[str, str], list[str]] = {}
        for stored in counterpart.objects if counterpart else ():
            known.setdefault(_instance(stored), []).append(stored.file)
        found |= {o.file: known[_instance(o)] for o in scan.objects if _instance(o) in known}
    return found


def without(session: BuiltSession, files: Collection[str]) -> BuiltSession:
    """Return a session without some of its files; its scans keep their names."""
    if not files:
        return session
    scans = []
    for scan in session.scans:
        resources = (
            replace(r, entries=tuple(e for e in r.entries if e.stored.file not in files))
            for r in scan.resources
        )
        scans.append(replace(scan, resources=tuple(r for r in resources if r.entries)))
    return replace(session, scans=tuple(scan for scan in scans if scan.resources))


def conflicts_between(
    incoming: BuiltSession,
    existing: BuiltSession,
    *,
    merge: bool,
    overwrite: bool,
    skipped: Collection[str] = (),
) -> Iterator[str]:
    """Yield every reason against adding a session to another, in words and without patient data.

    Args:
        incoming: the session that is to be archived.
        existing: the archived session of the same project and label.
        merge: whether it may be added to.
        overwrite: whether it may be added to, and objects that it has already may be replaced.
        skipped: files that are not added.
    """
    added = without(incoming, skipped)
    if added.scans and not (merge or overwrite):
        yield "session already exists, retry with merge or overwrite"
    # XNAT 9.6: subjects are matched ignoring case.
    if (incoming.subject or "").casefold() != (existing.subject or "").casefold():
        yield "the archived session belongs to another subject"
    if incoming.modality != existing.modality:
        yield f"the archived session is {existing.modality}, this one {incoming.modality}"
    if incoming.study_instance_uid != existing.study_instance_uid:
        yield "the archived session is another study: the Study Instance UIDs differ"
    if not overwrite:
        yield from _conflicts_of_scans(added, existing)


def plan_merge(incoming: BuiltSession, existing: BuiltSession) -> Merge:
    """Return where each object goes; the same SOP instances in the archive are replaced."""
    merge = Merge({}, ())
    taken = {scan.id for scan in existing.scans}
    for scan in incoming.scans:
        counterpart = _counterpart(scan, existing)
        scan_id = counterpart.id if counterpart else scan.id
        if counterpart is None and scan_id in taken:
            scan_id = free_scan_id(scan.number, scan.modality, taken)
        taken.add(scan_id)
        for resource in scan.resources:
            merge = _with_resource(merge, scan, resource, scan_id, counterpart)
    return merge


def _conflicts_of_scans(incoming: BuiltSession, existing: BuiltSession) -> Iterator[str]:
    for scan in incoming.scans:
        counterpart = _counterpart(scan, existing)
        if counterpart is None:
            continue
        if counterpart.number != scan.number:
            yield (
                f"scan {scan.id} is the archived scan {counterpart.id}: "
                "one series has two series numbers"
            )
        known = set(map(_instance, counterpart.objects))
        again = sum(_instance(stored) in known for stored in scan.objects)
        if again:
            yield f"session already exists with matching files: {again} in scan {counterpart.id}"


def _instance(stored: StoredObject) -> tuple[str, str]:
    return stored.sop_class_uid, stored.sop_instance_uid


def _counterpart(scan: Scan, existing: BuiltSession) -> Scan | None:
    """Return the archived scan of the same series."""
    return next(
        (
            other
            for other in existing.scans
            if other.series_instance_uid == scan.series_instance_uid
            # Series without a UID are told apart by their number.
            and (scan.series_instance_uid or other.number == scan.number)
        ),
        None,
    )


def _with_resource(
    merge: Merge, scan: Scan, resource: Resource, scan_id: str, counterpart: Scan | None
) -> Merge:
    """Add the objects of one resource to a plan."""
    others = _entries(counterpart, resource.label)
    wanted = {_instance(entry.stored) for entry in resource.entries}
    replaced = {entry.name for entry in others if _instance(entry.stored) in wanted}
    # Replaced objects go to the trash before the merge, so that their names are free.
    used = {entry.name for entry in others} - replaced
    files = dict(merge.files)
    for entry in resource.entries:
        name = free_name(entry.name, used)
        used.add(name)
        # The present place: a script may have given it to another scan since the session was built.
        files[entry.stored.file] = f"{SCANS}/{scan_id}/{resource.label}/{name}"
    gone = tuple(f"{SCANS}/{scan_id}/{resource.label}/{name}" for name in sorted(replaced))
    return Merge(files, (*merge.replaced, *gone))


def _entries(scan: Scan | None, label: str) -> tuple[Entry, ...]:
    resources = scan.resources if scan else ()
    return next((resource.entries for resource in resources if resource.label == label), ())


EMPTY = "Empty sessions cannot be archived."
BEING_MERGED = "another session is just being merged into the archived one, retry after it"
_FOLDER_TRIES = 1000


class Planner:
    """Makes plans; changes nothing."""

    def __init__(self, session_context: SessionContext) -> None:
        """Take where sessions and rows are, and what projects want just now."""
        self._context = session_context

    def plan(self, session: Session, request: Request, staged: Staged | None = None) -> Plan:
        """Decide on every step of a request.

        Args:
            session: the session's row.
            request: the operation.
            staged: for the archive, what its project's anonymization makes of its objects.

        Raises:
            SessionConflict: if the archive has a session that this one does not go together with.
            SessionError: if it can't be done at all.
            UnreadableObject: if an object can't be read back.
            OSError: if the storage fails.
        """
        if request.kind is OperationKind.ARCHIVE:
            return self._archive(session, request, staged)
        if request.kind is OperationKind.DELETE:
            folder = f"{self._trash(session)}/{session.folder.rpartition('/')[2]}"
            return Plan(SessionArea.TRASH, folder, SessionStatus.DELETED, session.project)
        if request.kind is OperationKind.RESTORE:
            return self._restore(session)
        if request.kind is OperationKind.UNDO:
            return self._undo(session, self._context.ledger.action(request.action).before)
        if request.kind is OperationKind.REMOVE_SCANS:
            return self._removal(session, request)
        if request.kind is OperationKind.SEPARATE:
            return self._separation(session)
        return self._to_prearchive(session, request)

    def preview(self, session: Session, request: Request) -> Plan | tuple[str, ...]:
        """Return the plan for the archive, or every reason against it; raises as `plan` does."""
        try:
            return self.plan(session, request)
        except SessionConflict as conflict:
            return tuple(conflict.reasons)

    def describe(self, session: Session, staged: Staged | None = None) -> BuiltSession:
        """Return what a session is, from the headers of its objects, or of their copies."""
        folder = self._context.areas.folder(session)
        files = self._context.ledger.stored_files(session.id)
        if staged is None:
            objects = [self._context.read(folder, file) for file in files]
        else:
            kept = (file for file in files if file not in staged.rejected)
            objects = [
                self._context.read(staged.folder if file in staged.edited else folder, file)
                for file in kept
            ]
        return BuiltSession(
            session.project,
            session.subject,
            session.label,
            session.study_instance_uid,
            scans_of(objects),
            self._context.pet_mr(session.project),
        )

    def _archive(self, session: Session, request: Request, staged: Staged | None) -> Plan:
        plan = self._into_archive(session, request, self.describe(session, staged), staged)
        if staged is None:
            return plan
        return replace(plan, edited=staged.edited, rejected=staged.rejected)

    def _into_archive(
        self, session: Session, request: Request, incoming: BuiltSession, staged: Staged | None
    ) -> Plan:
        assert session.project is not None
        if not incoming.scans:
            raise SessionError(EMPTY, "delete it")
        existing = self._context.ledger.archived_as(session.project, session.label)
        if existing is not None:
            return self._merge(incoming, existing, request, session, staged)
        reasons = list(conflicts_within(incoming, overwrite=request.overwrite))
        current = self._context.archive_folder(session.project)
        folder = "/".join(archive_folder(session.project, session.label, current))
        # A session is never moved into a folder without a row: it may hold anything.
        if self._context.areas.is_archived(session.project, session.label):
            reasons.append(self._folder_owner(folder))
        if reasons:
            raise SessionConflict(*reasons)
        return Plan(SessionArea.ARCHIVE, folder, SessionStatus.ARCHIVED, session.project)

    def _folder_owner(self, folder: str) -> str:
        """Return in words why a folder of the archive is taken, without an archived session."""
        if any(plan.folder == folder for plan in self._context.ledger.plans()):
            return "another session of this label is just being archived, retry after it"
        return "the archive has a folder of this name that the index does not know"

    def _merge(
        self,
        incoming: BuiltSession,
        existing: Session,
        request: Request,
        session: Session,
        staged: Staged | None,
    ) -> Plan:
        if existing.status is not SessionStatus.ARCHIVED:
            raise SessionConflict(f"the archived session is {existing.status} just now")
        # The other merge gives scans and names that this plan would have to know.
        if self._context.ledger.is_merged_into(existing.id):
            raise SessionConflict(BEING_MERGED)
        require_rows(self._context, existing.id)
        archived = self.describe(existing)
        skipped: dict[str, str] = {}
        for file, others in matching_files(incoming, archived).items():
            alike = (of for of in others if self._is_same(session, file, existing, of, staged))
            same = next(alike, "")
            if same or request.skip:
                skipped[file] = same
        added = without(incoming, skipped)
        merge, overwrite = request.merge, request.overwrite
        reasons = (
            *conflicts_within(added, overwrite=overwrite),
            *conflicts_between(
                incoming, archived, merge=merge, overwrite=overwrite, skipped=skipped
            ),
        )
        if reasons:
            raise SessionConflict(*reasons)
        found = plan_merge(added, archived)
        plan = Plan(
            SessionArea.ARCHIVE,
            existing.folder,
            SessionStatus.ARCHIVED,
            session.project,
            into=existing.id,
            files=found.files,
            replaced=found.replaced,
            trash=f"{self._trash(session)}/replaced",
            skipped=skipped,
        )
        return with_free_names(self._context.areas, session, plan)

    def _is_same(
        self, session: Session, file: str, existing: Session, of: str, staged: Staged | None
    ) -> bool:
        """Tell whether an object, as it would be archived, is in the archive already."""
        is_staged = staged is not None and file in staged.edited
        folder = staged.folder if staged and is_staged else self._context.areas.folder(session)
        return self._context.same(folder / file, self._context.areas.folder(existing) / of)

    def _to_prearchive(self, session: Session, request: Request) -> Plan:
        """Plan a move to another project or label, or out of the archive after a failure there."""
        *_, stamp, part = session.folder.split("/")
        if request.kind is OperationKind.FALL_BACK:
            assert session.project is not None
            folder = self._free_folder(safe_part(session.project), self._stamp(), part, "DA")
            return Plan(SessionArea.PREARCHIVE, folder, SessionStatus.ERROR, session.project)
        project = request.project or session.project
        subject = request.subject or session.subject
        label = request.label or session.label
        if label != session.label:
            part = safe_part(label)
        return self._renamed(session, (project, subject, label), stamp, part)

    def _renamed(
        self,
        session: Session,
        names: tuple[str | None, str | None, str],
        stamp: str,
        part: str,
    ) -> Plan:
        project, subject, label = names
        parent = safe_part(project) if project is not None else ""
        folder = "/".join(filter(None, (parent, stamp, part)))
        if session.area is not SessionArea.PREARCHIVE or folder != session.folder:
            folder = self._free_folder(parent, stamp, part, "")
        before = (session.project, session.subject, session.label)
        return Plan(
            SessionArea.PREARCHIVE,
            folder,
            SessionStatus.QUEUED_BUILDING,
            project,
            subject=subject,
            label=label,
            reruns_script=names != before and self._context.reruns_script(),
        )

    def _undo(self, session: Session, before: Whereabouts) -> Plan:
        """Plan the way back to where a session was, under the names that it had there."""
        names = (before.project, before.subject, before.label)
        if before.area is SessionArea.ARCHIVE:
            # The folder is a row's no more (`why_not`), but anything may be on the disk.
            if self._context.areas.path(SessionArea.ARCHIVE, before.folder).exists():
                raise SessionError("the archive has a folder of this name", "restore it instead")
            project, subject, label = names
            return Plan(
                *(SessionArea.ARCHIVE, before.folder, SessionStatus.ARCHIVED, project),
                subject=subject,
                label=label,
            )
        *_, stamp, part = before.folder.split("/")
        return replace(self._renamed(session, names, stamp, part), waits=True)

    def _removal(self, session: Session, request: Request) -> Plan:
        """Plan the way of some scans into the trash, as an entry of its own."""
        leaving = tuple(f"{SCANS}/{scan}/" for scan in request.scans)
        files = self._context.ledger.stored_files(session.id)
        return Plan(
            SessionArea.TRASH,
            f"{self._trash(session)}/{session.folder.rpartition('/')[2]}",
            SessionStatus.QUEUED_BUILDING,
            session.project,
            files={file: file for file in files if file.startswith(leaving)},
            leaves_rest=True,
            # Whoever removes scans is not done: the rest may need another label.
            waits=True,
        )

    def _separation(self, session: Session) -> Plan:
        """Plan the way of the PET scans into a session of their own, beside this one."""
        leaving = pet_scans(self.describe(session).scans)
        files = [stored.file for scan in leaving for stored in scan.objects]
        *project, stamp, _ = session.folder.split("/")
        label = safe_part(pet_label(session.label))
        return Plan(
            SessionArea.PREARCHIVE,
            self._free_folder("/".join(project), stamp, label, ""),
            SessionStatus.QUEUED_BUILDING,
            session.project,
            files={file: file for file in files},
            leaves_rest=True,
        )

    def _restore(self, session: Session) -> Plan:
        """Plan the way out of the trash, as if the session had been received just now.

        Removed scans go back into their session, if that is still in the prearchive.
        """
        whole = self._session_of_scans(session)
        if whole is not None:
            files = self._context.ledger.stored_files(session.id)
            plan = Plan(
                *(SessionArea.PREARCHIVE, whole.folder, SessionStatus.QUEUED_BUILDING),
                whole.project,
                into=whole.id,
                files={file: file for file in files},
            )
            return with_free_names(self._context.areas, session, plan)
        project = safe_part(session.project) if session.project is not None else ""
        label = session.folder.rpartition("/")[2]
        folder = self._free_folder(project, self._stamp(), label, "")
        return Plan(SessionArea.PREARCHIVE, folder, SessionStatus.QUEUED_BUILDING, session.project)

    def _session_of_scans(self, session: Session) -> Session | None:
        number = self._context.ledger.part_of(session.id)
        try:
            whole = self._context.ledger.session(number) if number is not None else None
        except NotFound:
            return None
        if whole is None or whole.area is not SessionArea.PREARCHIVE:
            return None
        if whole.status in UNFINISHED:
            raise SessionError(f"its session is {whole.status} just now", "restore it after that")
        return whole

    def _free_folder(self, project: str, stamp: str, label: str, mark: str) -> str:
        """Return a free folder name of the prearchive (XNAT 9.7: ``_DA`` if taken)."""
        marks = [
            "",
            f"_{mark}" if mark else "_1",
            *(f"_{mark}{n}" for n in range(2, _FOLDER_TRIES)),
        ]
        for suffix in marks:
            folder = "/".join(filter(None, (project, f"{stamp}{suffix}", label)))
            # The index alone does not do: a folder may be there that no row names.
            on_disk = self._context.areas.path(SessionArea.PREARCHIVE, folder).exists()
            if not on_disk and not self._context.ledger.is_folder_in_use(folder):
                return folder
        raise SessionError("no free folder in the prearchive", "move away what is there")

    def _trash(self, session: Session) -> str:
        return f"{self._stamp()}_{session.id}"

    def _stamp(self) -> str:
        return timestamp(self._context.clock.now())
