"""Sessions of a made-up hospital in every state, and a `SessionsView` that answers from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api.sessions import (
    Amount,
    ArchivePreview,
    AreaCounts,
    EditPreview,
    Found,
    FoundBy,
    FoundSession,
    PastAction,
    ScanObject,
    ScanObjectPage,
    ScanSummary,
    SessionDetail,
    SessionMoment,
    SessionOrder,
    SessionOutcome,
    SessionPage,
    SessionSource,
    SessionWarning,
    StateAmount,
    StatusCount,
    WaitingRequest,
)
from engine.errors import NotFound, SessionError, TransitionNotAllowed
from engine.model.identity import LABEL_REMEDY, UNASSIGNED, is_label
from engine.model.session import (
    UNFINISHED,
    Session,
    SessionAction,
    SessionArea,
    SessionStatus,
    possible_actions,
)
from tests.fakes.values import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.model.queries import SessionQuery

S = SessionStatus

CONFLICT = (
    "session already exists, retry with merge or overwrite; "
    "session already exists with matching files: 318 in scan 3"
)
_ROWS: tuple[tuple[SessionStatus, str | None, str | None, str, str, int, int, str], ...] = (
    # status, project, subject, label, modality, objects, minutes since, reason
    (S.RECEIVING, "NEURO-01", "S0042", "S0042_CT_01", "CT", 1204, 0, ""),
    (S.RECEIVING, "NEURO-01", "S0043", "S0043_MR_02", "MR", 388, 0, ""),
    (S.RECEIVING_INTERRUPT, "NEURO-02", "P-121", "P-121_MR_01", "MR", 96, 1, ""),
    (S.BUILDING, "CARDIO-3T", "C-0007", "C-0007_MR_04", "MR", 2210, 6, ""),
    (S.READY, "NEURO-01", "S0041", "S0041_CT_01", "CT", 842, 11, ""),
    (S.READY, "NEURO-01", "S0041", "S0041_MR_01", "MR", 2310, 14, ""),
    (S.CONFLICT, "NEURO-02", "P-118", "P-118_MR_03", "MR", 320, 19, CONFLICT),
    (S.READY, "NEURO-02", "P-117", "P-117_MR_03", "MR", 318, 32, ""),
    (S.QUEUED_ARCHIVING, "NEURO-02", "P-116", "P-116_MR_03", "MR", 316, 40, ""),
    (S.ARCHIVING, "NEURO-02", "P-115", "P-115_MR_03", "MR", 322, 41, ""),
    (
        *(S.ERROR, "NEURO-07", None, "20260824_1302_CT", "CT", 12, 61),
        "an object of scan 4 can't be read: the data set ends inside an element",
    ),
    (S.READY, "NEURO-01", "S0040", "S0040_CT_01", "CT", 840, 75, ""),
    (S.QUEUED_MOVING, None, "ANON-9", "ANON-9_US_01", "US", 64, 80, ""),
    (S.READY, None, "ANON-8", "ANON-8_US_01", "US", 48, 90, ""),
    (S.MOVING, "CARDIO-3T", "C-0006", "C-0006_MR_02", "MR", 1180, 92, ""),
    (S.QUEUED_DELETING, "TEST", "PHANTOM", "PHANTOM_CT_11", "CT", 4, 95, ""),
    (S.QUEUED_BUILDING, "PETLAB", "PET-31", "PET-31_PT_01", "PT", 615, 101, ""),
    (S.READY, "PETLAB", "PET-30", "PET-30_PT_02", "PT", 1230, 180, ""),
)
_HOSTILE = (
    "[red]CT[/red]",
    "\x1b[2J\r\nEVIL",
    "abc\u202edcba",
    "zero\u200bwidth",
    "a very long label " * 8,
    "日本語の長いセッション名_001",
)


def make_session(id: int, status: SessionStatus = S.READY, **changes: Any) -> Session:
    """Return a session that a CT scanner sent ten minutes ago."""
    values: dict[str, Any] = {
        "project": "NEURO-01",
        "subject": f"S{id:04}",
        "label": f"S{id:04}_CT_01",
        "study_instance_uid": f"1.2.840.113619.2.55.3.604688119.971.1756018147.{id}",
        "folder": f"NEURO-01/20260824_134907000/S{id:04}_CT_01",
        "receiver": "XNAT:8104",
        "calling_ae_title": "CT_SCANNER_1",
        "first_object_at": NOW - timedelta(minutes=14),
        "last_object_at": NOW - timedelta(minutes=10),
        "objects": 842,
        "bytes": 842 * 520_000,
        "modality": "CT",
    }
    return Session(id=id, status=status, **(values | changes))


def example_sessions() -> list[Session]:
    """Return sessions in every state: prearchive, archive and trash."""
    found = [_prearchived(number, *row) for number, row in enumerate(_ROWS, start=412)]
    found += [_archived(number) for number in range(300, 340)]
    found += [_trashed(number) for number in range(200, 203)]
    return found


def hostile_sessions() -> list[Session]:
    """Return sessions whose names are markup, escape sequences or far too long."""
    return [
        make_session(i, project=name, subject=name, label=name, modality=name[:16], reason=name)
        for i, name in enumerate(_HOSTILE, start=1)
    ]


def _prearchived(
    number: int,
    status: SessionStatus,
    project: str | None,
    subject: str | None,
    label: str,
    modality: str,
    objects: int,
    minutes: int,
    reason: str,
) -> Session:
    last = NOW - timedelta(minutes=minutes)
    parts = (project, f"20260824_{1349 - minutes:04}07000", label)
    return make_session(
        number,
        status,
        project=project,
        subject=subject,
        label=label,
        modality=modality,
        objects=objects,
        bytes=objects * 520_000,
        reason=reason,
        first_object_at=last - timedelta(minutes=4),
        last_object_at=last,
        changed_at=last + timedelta(minutes=1) if status is not S.RECEIVING else None,
        calling_ae_title={"MR": "MR_PRISMA", "US": "US_ROOM3"}.get(modality, "CT_SCANNER_1"),
        folder="/".join(filter(None, parts)),
    )


def _archived(number: int) -> Session:
    last = NOW - timedelta(days=(340 - number) / 2)
    label = f"P-{number - 260:03}_MR_01"
    return make_session(
        number,
        S.ARCHIVED,
        area=SessionArea.ARCHIVE,
        project=("NEURO-02", "PETLAB")[number % 2],
        subject=label[:5],
        label=label,
        modality=("MR", "PT")[number % 2],
        objects=300 + number,
        bytes=(300 + number) * 520_000,
        first_object_at=last - timedelta(minutes=5),
        last_object_at=last,
        changed_at=last + timedelta(minutes=6),
        folder=f"NEURO-02/arc001/{label}",
    )


def _trashed(number: int) -> Session:
    last = NOW - timedelta(days=number - 190)
    return make_session(
        number,
        S.DELETED,
        area=SessionArea.TRASH,
        project="TEST",
        label=f"PHANTOM_CT_{number - 190}",
        objects=4,
        bytes=2_080_000,
        first_object_at=last - timedelta(hours=1),
        last_object_at=last,
        changed_at=last,
        folder=f"{last:%Y%m%d_%H%M%S}000_{number}/PHANTOM_CT_{number - 190}",
    )


@dataclass
class FakeSessions:
    """A `SessionsView` that answers from memory; each command tells the fake engine first."""

    command: Callable[..., None]
    known: list[Session] = field(default_factory=example_sessions)
    known_areas: AreaCounts | None = None
    """Counts to show instead of those of the known sessions."""
    archive_conflicts: tuple[str, ...] = ()
    """What `preview_archive` says, and why archiving fails."""
    edit_clashes: tuple[str, ...] = ()
    done: tuple[PastAction, ...] = ()
    """What people did, the newest first."""

    def list(
        self,
        query: SessionQuery,
        *,
        order: SessionOrder = SessionOrder.CHANGED,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SessionPage:
        found = [session for session in self.known if _fits(session, query)]
        found.sort(key=lambda session: (_ORDERS[order](session), session.id), reverse=descending)
        by_status = tuple(
            StatusCount(status, count)
            for status in SessionStatus
            if (count := sum(session.status is status for session in found))
        )
        page = tuple(found[offset : offset + limit])
        return SessionPage(page, offset, _amount(found), by_status, self._areas())

    def by_project(self) -> Mapping[str, int]:
        return dict(Counter(s.project for s in self.known if s.project is not None))

    def find(self, text: str) -> Found:
        wanted = text.strip().casefold()
        if not wanted:
            return Found((), ())
        conditions = {
            FoundBy.STUDY: lambda one: one.study_instance_uid == wanted,
            FoundBy.LABEL: lambda one: wanted in one.label.casefold(),
            FoundBy.SUBJECT: lambda one: wanted in (one.subject or "").casefold(),
            FoundBy.CALLER: lambda one: one.calling_ae_title.casefold() == wanted,
        }
        found: dict[int, FoundSession] = {}
        for by, holds in conditions.items():
            for session in filter(holds, self.known):
                found.setdefault(session.id, FoundSession(session, by))
        return Found(tuple(found.values()), ())

    def detail(self, session_id: int) -> SessionDetail:
        session = self._session(session_id)
        waits = session.status.startswith("QUEUED_")
        asked = WaitingRequest(SessionAction.ARCHIVE, "anna", NOW, begun=False) if waits else None
        return SessionDetail(
            session=session,
            folder=Path("/var/lib/dicomdock", session.area, session.folder),
            scans=_scans(session),
            states=(
                StateAmount("duplicate", 3, 1_560_000),
                StateAmount("stored", session.objects, session.bytes),
            ),
            sources=(
                SessionSource(
                    *(session.receiver, session.calling_ae_title, "10.4.7.21", session.objects),
                    *(session.first_object_at, session.last_object_at),
                ),
            ),
            warnings=(SessionWarning("another SOP instance has the same file name", 1),),
            duplicates=3,
            anonymized_by=("12",) if session.project else (),
            request=asked,
            actions=possible_actions(session),
            history=_history(session),
            ready_at=(
                session.last_object_at + timedelta(minutes=5)
                if session.status is SessionStatus.RECEIVING
                else None
            ),
            purged_at=NOW + timedelta(days=20) if session.area is SessionArea.TRASH else None,
        )

    def objects(
        self, session_id: int, scan_id: str, *, offset: int = 0, limit: int = 100
    ) -> ScanObjectPage:
        session = self._session(session_id)
        total = next((scan.objects for scan in _scans(session) if scan.id == scan_id), 0)
        numbers = range(total)[offset : offset + limit]
        return ScanObjectPage(tuple(_object(session, scan_id, i) for i in numbers), offset, total)

    def preview_archive(
        self, session_id: int, *, merge: bool = False, overwrite: bool = False
    ) -> ArchivePreview:
        session = self._possible(session_id, SessionAction.ARCHIVE)
        if session.status is S.CONFLICT and not overwrite:
            reasons = tuple(CONFLICT.split("; "))
            return ArchivePreview(reasons[1:] if merge else reasons, self.known[-4])
        if self.archive_conflicts:
            return ArchivePreview(self.archive_conflicts, self.known[-4])
        return ArchivePreview((), None, session.objects, 12 if overwrite else 0)

    def archive(
        self, session_id: int, actor: str, *, merge: bool = False, overwrite: bool = False
    ) -> SessionOutcome:
        self.command("sessions.archive", session_id, actor, merge, overwrite)
        self._possible(session_id, SessionAction.ARCHIVE)
        if self.archive_conflicts and not overwrite:
            reason = "; ".join(self.archive_conflicts)
            return self._become(session_id, status=S.CONFLICT, reason=reason)
        area = SessionArea.ARCHIVE
        return self._become(session_id, status=S.ARCHIVED, area=area, reason="")

    def move(self, session_id: int, project: str, actor: str) -> SessionOutcome:
        self.command("sessions.move", session_id, project, actor)
        self._possible(session_id, SessionAction.MOVE)
        return self._become(session_id, status=S.READY, project=project)

    def preview_edit(
        self, session_id: int, *, project: str = "", subject: str = "", label: str = ""
    ) -> EditPreview:
        session = self._possible(session_id, SessionAction.EDIT)
        for name, text in (("subject", subject), ("session label", label)):
            if text and not is_label(text):
                raise SessionError(f"{name} {text!r} is no label", LABEL_REMEDY)
        names = (project or session.project, subject or session.subject, label or session.label)
        if names == (session.project, session.subject, session.label):
            raise SessionError("the session has these names already", "name what is to be changed")
        return EditPreview(*names, self.edit_clashes, ("it is built again and waits",))

    def edit(
        self, session_id: int, actor: str, *, project: str = "", subject: str = "", label: str = ""
    ) -> SessionOutcome:
        self.command("sessions.edit", session_id, actor, project, subject, label)
        after = self.preview_edit(session_id, project=project, subject=subject, label=label)
        names = {"project": after.project, "subject": after.subject, "label": after.label}
        return self._become(session_id, status=S.READY, **names)

    def remove_scans(self, session_id: int, scans: tuple[str, ...], actor: str) -> SessionOutcome:
        self.command("sessions.remove_scans", session_id, scans, actor)
        self._possible(session_id, SessionAction.EDIT)
        return self._become(session_id, status=S.READY)

    def past_actions(self, *, limit: int = 10) -> tuple[PastAction, ...]:
        return self.done[:limit]

    def undo(self, action: int, actor: str) -> SessionOutcome:
        self.command("sessions.undo", action, actor)
        for one in self.done:
            if one.number == action:
                return _outcome(self._session(one.session))
        raise NotFound(f"there is no action {action}", "list them with: sessions undo")

    def delete(self, session_id: int, actor: str) -> SessionOutcome:
        self.command("sessions.delete", session_id, actor)
        self._possible(session_id, SessionAction.DELETE)
        return self._become(session_id, status=S.DELETED, area=SessionArea.TRASH)

    def restore(self, session_id: int, actor: str) -> SessionOutcome:
        self.command("sessions.restore", session_id, actor)
        self._possible(session_id, SessionAction.RESTORE)
        return self._become(session_id, status=S.READY, area=SessionArea.PREARCHIVE)

    def rebuild(self, session_id: int, actor: str) -> SessionOutcome:
        self.command("sessions.rebuild", session_id, actor)
        self._possible(session_id, SessionAction.REBUILD)
        return self._become(session_id, status=S.READY, reason="")

    def cancel(self, session_id: int, actor: str) -> SessionOutcome:
        self.command("sessions.cancel", session_id, actor)
        if not self._session(session_id).status.startswith("QUEUED_"):
            raise SessionError("the session waits for nothing", "only what is queued can be")
        return self._become(session_id, status=S.READY)

    def settled(self, session_id: int, *, wait_seconds: float = 10.0) -> SessionOutcome:
        self.command("sessions.settled", session_id, wait_seconds)
        return _outcome(next((s for s in self.known if s.id == session_id), None))

    def _become(self, session_id: int, **changes: Any) -> SessionOutcome:
        session = replace(self._session(session_id), changed_at=NOW, **changes)
        self.known = [session if s.id == session_id else s for s in self.known]
        return _outcome(session)

    def _possible(self, session_id: int, action: SessionAction) -> Session:
        session = self._session(session_id)
        if action not in possible_actions(session):
            raise TransitionNotAllowed(session.status, action, possible_actions(session))
        return session

    def _session(self, session_id: int) -> Session:
        for session in self.known:
            if session.id == session_id:
                return session
        raise NotFound(f"there is no session {session_id}", "look at the list again")

    def _areas(self) -> AreaCounts:
        areas = [session.area for session in self.known]
        return self.known_areas or AreaCounts(*(areas.count(area) for area in SessionArea))


def _fits(session: Session, query: SessionQuery) -> bool:
    project = session.project or UNASSIGNED
    texts = (session.project, session.subject, session.label, session.study_instance_uid)
    both = "\n".join(one.casefold() for one in texts if one)
    return (
        _is_like(project, query.project)
        and (not query.statuses or session.status in query.statuses)
        and (query.since is None or session.last_object_at >= query.since)
        and _is_like(session.modality, query.modality)
        and (query.caller or "").casefold() in session.calling_ae_title.casefold()
        and _is_like(session.receiver, query.receiver)
        and query.area in {None, session.area}
        and all(word.casefold() in both for word in query.words)
        and not any(word.casefold() in both for word in query.without)
    )


def _is_like(value: str, wanted: str | None) -> bool:
    return wanted is None or fnmatchcase(value.casefold(), wanted.casefold())


_ORDERS: dict[SessionOrder, Callable[[Session], Any]] = {
    SessionOrder.CHANGED: lambda s: s.last_object_at,
    SessionOrder.STATUS: lambda s: s.status,
    SessionOrder.PROJECT: lambda s: s.project or "",
    SessionOrder.SUBJECT: lambda s: s.subject or "",
    SessionOrder.LABEL: lambda s: s.label,
    SessionOrder.MODALITY: lambda s: s.modality,
    SessionOrder.OBJECTS: lambda s: s.objects,
    SessionOrder.BYTES: lambda s: s.bytes,
}


def _amount(sessions: Any) -> Amount:
    known = tuple(sessions)
    return Amount(len(known), sum(s.objects for s in known), sum(s.bytes for s in known))


def _scans(session: Session) -> tuple[ScanSummary, ...]:
    """Share a session's objects out among five scans."""
    small = [2, 64, 7, 1]
    rest = max(0, session.objects - sum(small))
    names = ("Topogram", "Head 5.0 H40s", "Head 1.0 H60f", "Coronal MPR", "Dose report")
    counts = (*small[:2], rest, *small[2:])
    return tuple(
        ScanSummary(
            id=scan_id,
            series_instance_uid=f"{session.study_instance_uid}.{scan_id}",
            modality="SR" if name == "Dose report" else session.modality,
            description=name,
            objects=count,
            bytes=count * 520_000,
            first_file=f"SCANS/{scan_id}/DICOM/{scan_id}-0001.dcm",
        )
        for scan_id, name, count in zip(("1", "2", "3", "4", "99"), names, counts, strict=True)
        if count
    )


def _object(session: Session, scan_id: str, number: int) -> ScanObject:
    return ScanObject(
        file=f"SCANS/{scan_id}/DICOM/{scan_id}-{number + 1:04}.dcm",
        at=session.first_object_at + timedelta(milliseconds=280 * number),
        sop_class="CT Image Storage",
        sop_instance_uid=f"{session.study_instance_uid}.{scan_id}.{number + 1}",
        bytes=524_840,
        reason="another SOP instance has the same file name, kept beside it" if number == 4 else "",
    )


def _history(session: Session) -> tuple[SessionMoment, ...]:
    moments = [
        SessionMoment(session.first_object_at, "first object received"),
        SessionMoment(session.last_object_at, "last object received"),
    ]
    if session.changed_at:
        why = f": {session.reason}" if session.reason else ""
        moments.append(SessionMoment(session.changed_at, f"{session.status}{why}"))
    return tuple(moments)


def _outcome(session: Session | None) -> SessionOutcome:
    if session is None:
        return SessionOutcome(None, settled=True, text="merged into another session, or removed")
    words = str(session.status).lower().replace("_", " ")
    text = f"{words}: {session.reason}" if session.reason else words
    return SessionOutcome(session, session.status not in UNFINISHED, text)


def past_actions() -> tuple[PastAction, ...]:
    """Return what people did with sessions, the newest first."""
    later = "the session was changed again since; undo the later action first"
    hour = timedelta(hours=1)
    return (
        PastAction(9, 416, "S0041_CT_01", "NEURO-01", "rebuild, then archived", "anna", NOW, ""),
        PastAction(8, 416, "S41[b]", None, "edit", "bert", NOW - hour, later),
        PastAction(7, 417, "S0041_MR_01", "NEURO-01", "remove scans", "bert", NOW - 2 * hour, ""),
    )
