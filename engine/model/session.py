"""Imaging sessions: their states, and which actions each state allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import TransitionNotAllowed
from engine.model.identity import UNASSIGNED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class SessionStatus(StrEnum):
    """Where a session stands (XNAT 9.5)."""

    RECEIVING = "RECEIVING"
    """The session's row exists and objects arrive."""
    RECEIVING_INTERRUPT = "RECEIVING_INTERRUPT"
    """Objects arrived while it was built; it is received again when the build ends."""
    QUEUED_BUILDING = "QUEUED_BUILDING"
    BUILDING = "BUILDING"
    """Its scans are sorted, and catalogs and session document are written."""
    READY = "READY"
    """Built; it waits for a person or for being archived by itself."""
    CONFLICT = "CONFLICT"
    """It can't be archived as it is; the reason is in its row."""
    ERROR = "ERROR"
    """Building, archiving or moving failed; the reason is in its row."""
    QUEUED_ARCHIVING = "QUEUED_ARCHIVING"
    ARCHIVING = "ARCHIVING"
    QUEUED_MOVING = "QUEUED_MOVING"
    MOVING = "MOVING"
    """On its way to another project or label, or back from the archive or the trash."""
    SEPARATING = "SEPARATING"
    """Some of its scans become a session of their own, or go to the trash."""
    QUEUED_DELETING = "QUEUED_DELETING"
    DELETING = "DELETING"
    ARCHIVED = "ARCHIVED"
    DELETED = "DELETED"
    """In the trash until its time there is over."""


_S = SessionStatus
_FREE = (_S.RECEIVING, _S.QUEUED_BUILDING, _S.QUEUED_DELETING)
"""Possible while nothing works on a session: late objects, a rebuild, its deletion."""

TRANSITIONS: Mapping[SessionStatus, frozenset[SessionStatus]] = {
    status: frozenset(following)
    for status, following in {
        _S.RECEIVING: (_S.BUILDING, *_FREE[1:]),
        _S.RECEIVING_INTERRUPT: (_S.RECEIVING,),
        _S.QUEUED_BUILDING: (_S.BUILDING, _S.RECEIVING, _S.READY, _S.CONFLICT, _S.ERROR),
        _S.BUILDING: (
            *(_S.READY, _S.ERROR, _S.ARCHIVED, _S.MOVING, _S.SEPARATING),
            *(_S.RECEIVING_INTERRUPT, _S.RECEIVING),
        ),
        _S.READY: (_S.QUEUED_ARCHIVING, _S.QUEUED_MOVING, *_FREE),
        _S.CONFLICT: (_S.QUEUED_ARCHIVING, _S.QUEUED_MOVING, *_FREE),
        _S.ERROR: (_S.QUEUED_MOVING, *_FREE),
        _S.QUEUED_ARCHIVING: (_S.ARCHIVING, _S.CONFLICT, _S.ERROR, _S.READY),
        _S.ARCHIVING: (_S.ARCHIVED, _S.ERROR, _S.READY, _S.CONFLICT),
        _S.QUEUED_MOVING: (
            *(_S.MOVING, _S.SEPARATING),
            *(_S.READY, _S.CONFLICT, _S.ERROR, _S.ARCHIVED, _S.DELETED),
        ),
        _S.MOVING: (_S.QUEUED_BUILDING, _S.ARCHIVED, _S.ERROR),
        _S.SEPARATING: (_S.QUEUED_BUILDING, _S.READY, _S.CONFLICT, _S.ERROR),
        _S.QUEUED_DELETING: (
            *(_S.DELETING, _S.RECEIVING),
            *(_S.READY, _S.CONFLICT, _S.ERROR, _S.ARCHIVED),
        ),
        _S.DELETING: (_S.DELETED, _S.ERROR),
        _S.ARCHIVED: (_S.QUEUED_DELETING, _S.QUEUED_MOVING),
        _S.DELETED: (_S.QUEUED_MOVING,),
    }.items()
}
"""Every change of status that there is (XNAT 9.5)."""

QUEUED = frozenset(status for status in SessionStatus if status.startswith("QUEUED_"))
"""A request waits, and may be cancelled."""


WORKING = frozenset(
    (
        *(_S.BUILDING, _S.RECEIVING_INTERRUPT, _S.ARCHIVING),
        *(_S.MOVING, _S.SEPARATING, _S.DELETING),
    )
)
"""The engine works on the session; no request is possible until it is done."""

CANCELLABLE = frozenset((_S.ARCHIVING, _S.SEPARATING))
"""The engine works on the session, and a person may have that undone."""

UNFINISHED = QUEUED | WORKING
"""Something waits or goes on, and its outcome is still to come."""


def requestable(status: SessionStatus) -> frozenset[SessionStatus]:
    """Return the states that a person may request (XNAT 9.5)."""
    return frozenset() if status in WORKING else TRANSITIONS[status] & QUEUED


def require_request(before: SessionStatus, after: SessionStatus) -> None:
    """Check that a person may request a change now.

    Raises:
        TransitionNotAllowed: naming the possible ones.
    """
    if after not in requestable(before):
        raise TransitionNotAllowed(before, after, sorted(requestable(before)))


def require_transition(before: SessionStatus, after: SessionStatus) -> None:
    """Check that a change is one of `TRANSITIONS`.

    Raises:
        TransitionNotAllowed: naming the possible ones.
    """
    if after not in TRANSITIONS[before]:
        raise TransitionNotAllowed(before, after, sorted(TRANSITIONS[before]))


def status_on_arrival(status: SessionStatus) -> SessionStatus | None:
    """Return a session's status after an arrival; None if a new session is opened (XNAT 8.3)."""
    # XNAT 8.3: the build goes on, and ends by receiving the session again.
    if status in {_S.BUILDING, _S.RECEIVING_INTERRUPT}:
        return _S.RECEIVING_INTERRUPT
    return _S.RECEIVING if status in _INTERRUPTIBLE else None


_INTERRUPTIBLE = frozenset((_S.RECEIVING, _S.READY, _S.ERROR, _S.CONFLICT, _S.QUEUED_BUILDING))


class SessionArea(StrEnum):
    """The tree that a session's folder is in."""

    PREARCHIVE = "prearchive"
    ARCHIVE = "archive"
    TRASH = "trash"


class ObjectState(StrEnum):
    """The final state of a received object; each object has exactly one."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """Identical to an object already on disk; answered with success, nothing written."""
    FILTERED = "filtered"
    """Not wanted by a filter or script of the site or project; answered with success, not kept."""
    REJECTED = "rejected"
    """Refused by a rule of the site; the sender got a failure status."""
    QUARANTINED = "quarantined"
    """Refused for its content and kept with the reason."""
    FAILED = "failed"
    """Not kept; the sender got a failure status."""


class ProjectScript(StrEnum):
    """Whether a stored object is yet to be anonymized as its project wants."""

    DUE = "due"
    """When its session is archived."""
    DONE = "done"
    EXEMPT = "exempt"
    """Its receiver's anonymization was off."""


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """What a session is called, and where it is."""

    project: str | None
    """None means Unassigned."""
    subject: str | None
    label: str
    area: SessionArea

    @property
    def words(self) -> str:
        """Project, subject and label, and the area; a session in the trash is a deleted one."""
        names = " / ".join((self.project or UNASSIGNED, self.subject or "–", self.label))
        deleted = "deleted, in the " if self.area is SessionArea.TRASH else ""
        return f"{names}, {deleted}{self.area}"


@dataclass(frozen=True, slots=True)
class Session:
    """One row of the session index."""

    id: int
    project: str | None
    """None means Unassigned."""
    subject: str | None
    label: str
    study_instance_uid: str
    folder: str
    """Relative to its area."""
    status: SessionStatus
    receiver: str
    calling_ae_title: str
    first_object_at: datetime
    last_object_at: datetime
    objects: int
    bytes: int
    area: SessionArea = SessionArea.PREARCHIVE
    auto_archive: bool | None = None
    """Whether its first object asked for the archive; None leaves it to the project."""
    modality: str = ""
    """Known once it was built."""
    reason: str = ""
    """Why it is in conflict or failed, in words."""
    changed_at: datetime | None = None
    """When its status changed last; None if it never did."""
    patients: str = ""
    """In words, if its objects name several patients; known once it was built."""
    rows_removed_at: datetime | None = None
    """When the rows of its objects were removed, which its files give back; None if they are there.
    """

    @property
    def place(self) -> SessionPlace:
        """What it is called, and where it is."""
        return SessionPlace(self.project, self.subject, self.label, self.area)


class SessionAction(StrEnum):
    """The actions that a person may request."""

    ARCHIVE = "archive"
    MOVE = "move"
    EDIT = "edit"
    """Other labels or another project, or scans removed."""
    DELETE = "delete"
    REBUILD = "rebuild"
    CANCEL = "cancel"
    RESTORE = "restore"
    UNDO = "undo"
    """Of an action; which one can be undone depends on all that was done."""


_ACTIONS = {
    SessionStatus.QUEUED_ARCHIVING: SessionAction.ARCHIVE,
    SessionStatus.QUEUED_MOVING: SessionAction.MOVE,
    SessionStatus.QUEUED_DELETING: SessionAction.DELETE,
    SessionStatus.QUEUED_BUILDING: SessionAction.REBUILD,
}


def possible_actions(session: Session) -> tuple[SessionAction, ...]:
    """Return the actions that a person may request now (XNAT 9.5)."""
    if session.status in QUEUED | CANCELLABLE:
        return (SessionAction.CANCEL,)
    # In the trash QUEUED_MOVING means to restore.
    if session.area is SessionArea.TRASH:
        return (SessionAction.RESTORE,) if requestable(session.status) else ()
    possible = {_ACTIONS[status] for status in requestable(session.status)}
    if SessionAction.MOVE in possible:
        possible.add(SessionAction.EDIT)
    # XNAT 9.5: unassigned sessions are never archived.
    if session.project is None:
        possible.discard(SessionAction.ARCHIVE)
    # From the archive QUEUED_MOVING means to undo.
    if session.area is SessionArea.ARCHIVE:
        possible -= {SessionAction.MOVE, SessionAction.EDIT}
    return tuple(action for action in SessionAction if action in possible)
