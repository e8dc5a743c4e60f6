"""After a crash: adopt what is on disk but not in the index, forget what never came to be.

The files are the truth. An object whose sender was told "success" is on disk under its final name;
at worst its row is missing. Nothing here touches a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.session import ObjectState, SessionStatus
from engine.sessions.index import ObjectRow
from engine.sessions.reconcile import identify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.clock import Clock
    from engine.model.session import Session
    from engine.sessions.index import SessionIndex


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery changed in the index."""

    objects: int
    sessions: int


def adopt(prearchive: Path, index: SessionIndex, clock: Clock) -> Recovered:
    """Give every stored file of the sessions being received its row."""
    adopted = {}
    for session in index.sessions(SessionStatus.RECEIVING):
        missing = list(_missing(prearchive, session, index))
        for file in missing:
            index.record(_row(prearchive, session, file, clock))
        if missing:
            adopted[session.id] = len(missing)
        elif session.objects == 0:
            index.forget_empty(session.id)
    index.flush()
    return Recovered(sum(adopted.values()), len(adopted))


def _missing(prearchive: Path, session: Session, index: SessionIndex) -> Iterator[str]:
    known = index.stored_files(session.id)
    folder = prearchive / session.folder
    for path in sorted(folder.glob("SCANS/*/DICOM/*")):
        file = path.relative_to(folder).as_posix()
        if file not in known and path.is_file() and not path.is_symlink():
            yield file


def _row(prearchive: Path, session: Session, file: str, clock: Clock) -> ObjectRow:
    path = prearchive / session.folder / file
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
        status=0x0000,
        reason="found on disk after a crash",
        session=session.id,
        file=file,
        bytes=path.stat().st_size,
    )
