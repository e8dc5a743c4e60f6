"""What a person may ask for a session, by where it is and where it stands."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from engine.model.session import MAY_BE_WITHDRAWN, QUEUED, SessionArea, SessionStatus, may_be_asked

if TYPE_CHECKING:
    from engine.model.session import Session


class SessionAction(StrEnum):
    """What a person may ask for."""

    ARCHIVE = "archive"
    MOVE = "move"
    DELETE = "delete"
    REBUILD = "rebuild"
    CANCEL = "cancel"
    RESTORE = "restore"


_ACTIONS = {
    SessionStatus.QUEUED_ARCHIVING: SessionAction.ARCHIVE,
    SessionStatus.QUEUED_MOVING: SessionAction.MOVE,
    SessionStatus.QUEUED_DELETING: SessionAction.DELETE,
    SessionStatus.QUEUED_BUILDING: SessionAction.REBUILD,
}


def possible_actions(session: Session) -> tuple[SessionAction, ...]:
    """Return what a person may ask for now (XNAT 9.5)."""
    if session.status in QUEUED | MAY_BE_WITHDRAWN:
        return (SessionAction.CANCEL,)
    if session.area is SessionArea.TRASH:
        return (SessionAction.RESTORE,) if may_be_asked(session.status) else ()
    possible = {_ACTIONS[status] for status in may_be_asked(session.status)}
    if session.project is None:
        possible.discard(SessionAction.ARCHIVE)
    return tuple(action for action in SessionAction if action in possible)
