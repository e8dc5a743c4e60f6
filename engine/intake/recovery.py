"""After a crash: adopt what is on disk but not in the index, forget what never came to be.

The files are the truth. An object whose sender was told "success" is on disk under its final name;
at worst its row is missing. Nothing here touches an object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.file_note import noted
from engine.model.session import ObjectState, SessionStatus
from engine.sessions.reconcile import identify, repair
from engine.sessions.rows import ObjectRow

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.model.session import Session
    from engine.sessions.workplace import Workplace

SUCCESS = 0x0000
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
        unknown = repair(workplace, session).unknown
        for file in unknown:
            record_unknown(workplace, session, file, "found on disk after a crash")
        if unknown:
            adopted[session.id] = len(unknown)
        elif _never_came_to_be(workplace, session):
            workplace.index.forget_empty(session.id)
    workplace.require_rows()
    return Recovered(sum(adopted.values()), len(adopted))


def _never_came_to_be(workplace: Workplace, session: Session) -> bool:
    is_received = session.status is SessionStatus.RECEIVING
    return is_received and not workplace.ledger.stored_rows(session.id)


def record_unknown(workplace: Workplace, session: Session, file: str, reason: str) -> None:
    """Give an object without a row one that says how it was found."""
    path = workplace.areas.folder(session) / file
    workplace.index.record(_row(path, session, file, reason, workplace.clock))


def _row(path: Path, session: Session, file: str, reason: str, clock: Clock) -> ObjectRow:
    found = identify(path)
    return ObjectRow(
        at=clock.now().isoformat(timespec="microseconds"),
        receiver=session.receiver,
        calling_ae_title=session.calling_ae_title,
        address="",
        association="",
        sop_class_uid=found.sop_class_uid,
        sop_instance_uid=found.sop_instance_uid,
        transfer_syntax_uid=found.transfer_syntax_uid,
        state=ObjectState.STORED,
        status=SUCCESS,
        reason=reason,
        session=session.id,
        file=file,
        bytes=path.stat().st_size,
        project_script=noted(found.note, session.project),
    )
