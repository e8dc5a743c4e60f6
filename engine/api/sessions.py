"""Sessions for the console: pages of them, one in detail, and commands.

Every command is for one session and returns at once, so that a console can show progress and stop
between two sessions. `settled` waits for the outcome of a command.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from engine.api.objects import ObjectReference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from engine.api.objects import TrailStep
    from engine.model.queries import SessionQuery
    from engine.model.session import Session, SessionAction, SessionStatus


class SessionOrder(StrEnum):
    """The orders in which sessions are listed."""

    CHANGED = "changed"
    """By the time of the last object."""
    STATUS = "status"
    PROJECT = "project"
    SUBJECT = "subject"
    LABEL = "label"
    MODALITY = "modality"
    OBJECTS = "objects"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Amount:
    """Numbers of sessions and objects, and their size."""

    sessions: int = 0
    objects: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many sessions are in one status."""

    status: SessionStatus
    sessions: int


@dataclass(frozen=True, slots=True)
class AreaCounts:
    """How many sessions there are in all."""

    prearchive: int = 0
    archive: int = 0
    trash: int = 0


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page of the sessions that match a query, and the totals of all of them."""

    sessions: tuple[Session, ...]
    offset: int
    total: Amount
    """Totals of all sessions that match the query."""
    by_status: tuple[StatusCount, ...]
    """The sessions of the total by status, in the order of a session's life."""
    areas: AreaCounts
    """Counts of all sessions, independent of the query."""


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """One scan of a session, which is one folder below SCANS."""

    id: str
    series_instance_uid: str
    modality: str
    description: str
    objects: int
    bytes: int
    first_file: str
    """The object that arrived first, relative to the session's folder."""


@dataclass(frozen=True, slots=True)
class StateAmount:
    """How many objects of a session ended in a state."""

    state: str
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SessionSource:
    """A sender that objects of a session came from."""

    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    address: str
    """Without the port."""
    objects: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class SessionWarning:
    """A warning that objects got when they were stored."""

    reason: str
    objects: int


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request that is not done yet."""

    action: SessionAction
    by: str
    asked_at: datetime | None
    begun: bool


@dataclass(frozen=True, slots=True)
class SessionMoment:
    """One entry of a session's history."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class SessionDetail:
    """Everything that the console shows of one session."""

    session: Session
    folder: Path
    scans: tuple[ScanSummary, ...]
    """In the natural order of their ids."""
    states: tuple[StateAmount, ...]
    sources: tuple[SessionSource, ...]
    """The most recent first, at most 50."""
    warnings: tuple[SessionWarning, ...]
    """The most frequent first, at most 50."""
    duplicates: int
    anonymized_by: tuple[str, ...]
    """Numbers of the scripts that ran, as its first object records them."""
    request: WaitingRequest | None
    actions: tuple[SessionAction, ...]
    """The actions that are possible now."""
    history: tuple[SessionMoment, ...]
    """Oldest first; of the time before the engine's start only the main entries are known."""
    purged_at: datetime | None = None
    """For a session in the trash: when it will be deleted permanently."""
    ready_at: datetime | None = None
    """While it is received: when it is built if no further object comes, by the settings now."""
    patients: tuple[str, ...] = ()
    """In words, without their names: several patients in this study, in one session or more."""
    archives_itself: bool = False
    """Whether its project archives it by itself as soon as it is built again."""

    @property
    def first_objects(self) -> tuple[ObjectReference, ...]:
        """The first object of each scan."""
        return tuple(ObjectReference(self.session.id, scan.first_file) for scan in self.scans)


@dataclass(frozen=True, slots=True)
class ScanObject:
    """One stored object of a scan."""

    file: str
    """Relative to the session's folder."""
    at: datetime
    sop_class: str
    """Name of the SOP class, or its UID if it has no name."""
    sop_instance_uid: str
    """As it arrived; a script may have given the stored object another one."""
    bytes: int
    reason: str
    """Its warning; empty if it has none."""


@dataclass(frozen=True, slots=True)
class ScanObjectPage:
    """Some objects of a scan, in the order of their arrival."""

    objects: tuple[ScanObject, ...]
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class ArchivePreview:
    """The result that archiving a session would have."""

    conflicts: tuple[str, ...]
    """The conflicts, as sentences; empty if the session would be archived."""
    into: Session | None
    """The archived session that it would be merged into, if there is one."""
    added: int = 0
    """How many objects would be added to the archive."""
    replaced: int = 0
    """How many archived objects would move to the trash."""
    skipped: int = 0
    """How many objects would move to the trash, because the archive has the same."""


@dataclass(frozen=True, slots=True)
class EditPreview:
    """What another project or other labels of a session would come to."""

    project: str | None
    """The session's project then; None means Unassigned."""
    subject: str | None
    label: str
    clashes: tuple[str, ...]
    """Other sessions of this project and label, in words; they keep nothing from happening."""
    consequences: tuple[str, ...]
    """What happens then, in words: which script runs on what, and whether it is archived."""


@dataclass(frozen=True, slots=True)
class PastAction:
    """An action of a person on a session that was carried out."""

    number: int
    session: int
    label: str
    """Of the session, before the action."""
    project: str | None
    """The same; None means Unassigned."""
    what: str
    """In a few words, such as ``move, then archived``."""
    by: str
    at: datetime
    why_not: str
    """Why it can't be undone, in words; empty if it can."""
    undone_by: str = ""
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """The state of a session after a request."""

    session: Session | None
    """None if the session is gone: merged into another, or removed."""
    settled: bool
    """Whether no request for it waits or is being carried out."""
    text: str
    """The state in words, such as ``archived``, or the reason why not."""


class FoundBy(StrEnum):
    """What of a session is the text that was looked for; the value is its name in words."""

    STUDY = "Study Instance UID"
    OBJECT = "SOP Instance UID"
    ACCESSION_NUMBER = "accession number"
    PATIENT_ID = "patient ID"
    LABEL = "session"
    SUBJECT = "subject"
    CALLER = "calling AE title"


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session that was looked for, in any area."""

    session: Session
    by: FoundBy


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in all areas."""

    sessions: tuple[FoundSession, ...]
    """200 at most; those of a UID, accession number or patient ID first, then the newest first."""
    arrivals: tuple[TrailStep, ...]
    """If the text is a SOP Instance UID: all its arrivals, oldest first, at most 1,000."""

    @property
    def lacks_arrivals(self) -> bool:
        """Whether a session has the object and no row of it; `ObjectsView.trail` reads it again."""
        return any(
            found.by is FoundBy.OBJECT and found.session.rows_removed_at is not None
            for found in self.sessions
        )


class SessionsView(Protocol):
    """The sessions of an engine; every method may block, so call it in a worker."""

    def list(
        self,
        query: SessionQuery,
        *,
        order: SessionOrder = SessionOrder.CHANGED,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SessionPage:
        """Return a page of at most 1,000 sessions, with the totals of all that match."""
        ...

    def by_project(self) -> Mapping[str, int]:
        """Return how many sessions each project has in all areas; those with none are left out."""
        ...

    def find(self, text: str) -> Found:
        """Look in prearchive, archive and trash.

        Args:
            text: a SOP or Study Instance UID, accession number, patient ID or calling AE title,
                or a part of a session's label or subject; letter case is ignored.
        """
        ...

    def detail(self, session_id: int) -> SessionDetail:
        """Return everything that the console shows of a session.

        Raises:
            NotFound: if there is no such session.
        """
        ...

    def objects(
        self, session_id: int, scan_id: str, *, offset: int = 0, limit: int = 100
    ) -> ScanObjectPage:
        """Return at most 1,000 objects of a scan, in the order of their arrival.

        Raises:
            NotFound: if there is no such session.
        """
        ...

    def preview_archive(
        self, session_id: int, *, merge: bool = False, overwrite: bool = False
    ) -> ArchivePreview:
        """Return the result that archiving would have.

        Changes nothing, but reads the header of every object, which may take long.

        Raises:
            NotFound: if there is no such session.
            SessionError: if it can't be archived at all.
        """
        ...

    def archive(
        self, session_id: int, actor: str, *, merge: bool = False, overwrite: bool = False
    ) -> SessionOutcome:
        """Ask for a session to be archived.

        Args:
            session_id: the session.
            actor: who asks.
            merge: add to an archived session of that label.
            overwrite: merge, and replace objects that are archived already; the replaced ones
                move to the trash.

        Raises:
            NotFound: if there is no such session.
            TransitionNotAllowed: if that is not possible in its present state.
            SessionError: if it makes no sense for this session.
        """
        ...

    def move(self, session_id: int, project: str, actor: str) -> SessionOutcome:
        """Ask for a session to be moved to another project; raises as `archive` does.

        Raises:
            NotFound: if there is no such project.
        """
        ...

    def preview_edit(
        self, session_id: int, *, project: str = "", subject: str = "", label: str = ""
    ) -> EditPreview:
        """Return what `edit` would come to; changes nothing, and raises as `edit` does."""
        ...

    def edit(
        self, session_id: int, actor: str, *, project: str = "", subject: str = "", label: str = ""
    ) -> SessionOutcome:
        """Ask for another project or other labels of a session in the prearchive.

        Args:
            session_id: the session; no object arrives for it just now.
            actor: who asks.
            project: the id of its project; empty leaves it.
            subject: its subject; empty leaves it.
            label: its label; empty leaves it.

        Raises:
            NotFound: if there is no such session or project.
            TransitionNotAllowed: if that is not possible in its present state.
            SessionError: if a text is no label, or nothing would change.
        """
        ...

    def remove_scans(self, session_id: int, scans: tuple[str, ...], actor: str) -> SessionOutcome:
        """Ask for scans to be moved to the trash, from where they can be restored.

        They become a session of their own there. `restore` puts them back into this one, as long
        as it is in the prearchive. Raises as `edit` does.
        """
        ...

    def past_actions(self, *, limit: int = 10) -> tuple[PastAction, ...]:
        """Return the last actions of everybody, the newest first; at most 100 are kept."""
        ...

    def undo(self, action: int, actor: str) -> SessionOutcome:
        """Ask to undo an action of `past_actions`: the session goes back to where it was.

        It waits for a person then, even if its project archives by itself.

        Raises:
            NotFound: if there is no such action (any more).
            TransitionNotAllowed: if that is not possible in the session's present state.
            SessionError: if it can't be undone; the error says why.
        """
        ...

    def delete(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask for a session to be moved to the trash; raises as `archive` does."""
        ...

    def rebuild(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask to build a session's scans and documents again; raises as `archive` does."""
        ...

    def restore(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask to restore a session from the trash to the prearchive; raises as `archive` does."""
        ...

    def cancel(self, session_id: int, actor: str) -> SessionOutcome:
        """Cancel a request that waits, or a running archiving or separation.

        Raises:
            NotFound: if there is no such session.
            SessionError: if nothing waits, or the session is merged or separated already.
        """
        ...

    def settled(self, session_id: int, *, wait_seconds: float = 10.0) -> SessionOutcome:
        """Wait until no request for a session waits or runs, a minute at most; return its state.

        A session that is gone, because it was merged into another or removed, is settled.
        """
        ...
