"""What a console asks of the sessions: pages of them, one in detail, and what may be done with it.

Every command is for one session and returns at once, so that a console can show how far it is and
stop between two of them; `settled` waits for what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from engine.model.queries import SessionQuery
    from engine.model.session import Session, SessionAction, SessionStatus


class SessionOrder(StrEnum):
    """What sessions are sorted by."""

    CHANGED = "changed"
    """When the last object came."""
    STATUS = "status"
    PROJECT = "project"
    SUBJECT = "subject"
    LABEL = "label"
    MODALITY = "modality"
    OBJECTS = "objects"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is of something."""

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
    """Some of the sessions that a query means, and what all of them come to."""

    sessions: tuple[Session, ...]
    offset: int
    total: Amount
    """All that the query means."""
    by_status: tuple[StatusCount, ...]
    """The sessions of the total by status, in the order of a session's life."""
    areas: AreaCounts
    """Whatever the query."""


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """One scan of a session, as its folder is."""

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
    """Something odd that was noted when objects were stored."""

    reason: str
    objects: int


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """What somebody asked for and is not done yet."""

    action: SessionAction
    by: str
    asked_at: datetime | None
    begun: bool


@dataclass(frozen=True, slots=True)
class SessionMoment:
    """One thing that happened to a session."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class SessionDetail:
    """All that is shown of one session."""

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
    """Numbers of the scripts that its first object says have run on it; none if none has."""
    request: WaitingRequest | None
    actions: tuple[SessionAction, ...]
    """What may be asked for now."""
    history: tuple[SessionMoment, ...]
    """Oldest first; what happened before the engine started is only known in outline."""
    purged_at: datetime | None = None
    """For a session in the trash: when it is removed for good."""


@dataclass(frozen=True, slots=True)
class ScanObject:
    """One stored object of a scan."""

    file: str
    """Relative to the session's folder."""
    at: datetime
    sop_class: str
    """Its name, or the UID where it has none."""
    sop_instance_uid: str
    """As it arrived; a script may have given the stored object another one."""
    bytes: int
    reason: str
    """What was odd about it; empty if nothing was."""


@dataclass(frozen=True, slots=True)
class ScanObjectPage:
    """Some objects of a scan, in the order of their arrival."""

    objects: tuple[ScanObject, ...]
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class ArchivePreview:
    """What archiving a session would come to."""

    conflicts: tuple[str, ...]
    """Every reason against it, in words; none if it would be archived."""
    into: Session | None
    """The archived session that it would be merged into, if there is one."""
    added: int = 0
    """How many objects would come into the archive."""
    replaced: int = 0
    """How many archived objects would go to the trash."""


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """Where a session stands after a request."""

    session: Session | None
    """None if it has no row of its own any more."""
    settled: bool
    """Whether nothing waits or works on it."""
    text: str
    """In words, such as ``archived`` or the reason why not."""


class SessionsView(Protocol):
    """The sessions of an engine; every method may block for a moment and belongs in a worker."""

    def list(
        self,
        query: SessionQuery,
        *,
        order: SessionOrder = SessionOrder.CHANGED,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SessionPage:
        """Return a page of at most 1,000 sessions, with the totals of all that the query means."""
        ...

    def detail(self, session_id: int) -> SessionDetail:
        """Return all that is shown of a session.

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
        """Say what archiving would come to; changes nothing, but reads every object's header.

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
            overwrite: merge, and replace objects that are there already; the old go to the trash.

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

    def delete(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask for a session to be moved to the trash; raises as `archive` does."""
        ...

    def rebuild(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask for a session's scans and documents to be made anew; raises as `archive` does."""
        ...

    def restore(self, session_id: int, actor: str) -> SessionOutcome:
        """Ask for a session to be taken out of the trash, into the prearchive; raises likewise."""
        ...

    def cancel(self, session_id: int, actor: str) -> SessionOutcome:
        """Take back a request that waits, or an archiving or a separation that goes on.

        Raises:
            NotFound: if there is no such session.
            SessionError: if nothing waits, or the session is merged or separated already.
        """
        ...

    def settled(self, session_id: int, *, wait_seconds: float = 10.0) -> SessionOutcome:
        """Wait, at most a minute, until nothing waits or works on a session; say where it stands.

        A session that is gone, because it was merged into another or removed, is settled.
        """
        ...
