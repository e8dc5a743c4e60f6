"""After a crash: adopt what is on disk but not in the index, forget what never came to be.

The files are the truth. An object whose sender was told "success" is on disk under its final name;
at worst its row is missing. Nothing here touches an object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.session import SessionStatus
from engine.sessions import reconcile
from engine.sessions.files import holds_files

if TYPE_CHECKING:
    from engine.model.session import Session
    from engine.sessions.workplace import Workplace

REASON = "found on disk after a crash"
_MAY_LACK_ROWS = (
    SessionStatus.RECEIVING,
    SessionStatus.QUEUED_BUILDING,
    SessionStatus.QUEUED_DELETING,
    SessionStatus.DELETING,
)
"""What a session is, or may have become on request, while an object is on its way into it."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery changed in the index."""

    objects: int
    sessions: int


def adopt(workplace: Workplace) -> Recovered:
    """Give every stored object its row, in the sessions that may lack some."""
    adopted = {}
    for session in workplace.ledger.in_status(*_MAY_LACK_ROWS):
        unknown = reconcile.adopt(workplace, session, REASON).unknown
        if unknown:
            adopted[session.id] = len(unknown)
        elif _never_came_to_be(workplace, session):
            workplace.index.forget_empty(session.id)
    return Recovered(sum(adopted.values()), len(adopted))


def _never_came_to_be(workplace: Workplace, session: Session) -> bool:
    return (
        session.status is SessionStatus.RECEIVING
        and not workplace.ledger.stored_rows(session.id)
        and not holds_files(workplace.areas.folder(session))
    )
