"""The whole of an index compared with the whole of the disk; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.index.store import SESSION_COLUMNS, session_of
from engine.model.identity import TIMESTAMP
from engine.model.session import ObjectState, SessionArea, SessionStatus
from engine.sessions.reconcile import compare
from engine.storage.files import object_files
from engine.storage.scans import SCANS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.index.session_reader import Connection
    from engine.model.session import Session
    from engine.sessions.ledger import SessionRepository
    from engine.sessions.reconcile import Differences
    from engine.storage.areas import Areas

IDLE_STATUSES = frozenset(
    (SessionStatus.READY, SessionStatus.CONFLICT, SessionStatus.ERROR, SessionStatus.ARCHIVED)
)
"""Sessions that nothing happens to while they are looked at, even if an engine runs."""

_DEPTHS = {
    SessionArea.PREARCHIVE: ("*/*", "*/*/*"),
    SessionArea.ARCHIVE: ("*/*/*",),
}


@dataclass(frozen=True, slots=True)
class ReceiverBalance:
    """What became of the objects of one receiver."""

    receiver: str
    received: int
    states: dict[str, int]

    @property
    def add_up(self) -> bool:
        """Whether every received object ended in exactly one known state."""
        known = sum(self.states.get(state, 0) for state in ObjectState)
        return self.received == known


@dataclass(frozen=True, slots=True)
class SessionFindings:
    """How the rows of one session differ from its folder and from its count."""

    session: int
    differences: Differences
    counted: int
    """Objects by the session's row."""
    stored: int
    """Objects by their own rows."""


@dataclass(frozen=True, slots=True)
class UnknownFolder:
    """A session's folder that holds objects and that no row knows."""

    area: SessionArea
    folder: str


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that was found."""

    receivers: tuple[ReceiverBalance, ...]
    sessions: tuple[SessionFindings, ...]
    """Only those with findings."""
    unknown_folders: tuple[UnknownFolder, ...]
    looked_at: int
    passed_over: int
    """Sessions that are just being received or worked on."""

    @property
    def agrees(self) -> bool:
        """Whether index and disk say the same, and all counts add up."""
        return not self.sessions and not self.unknown_folders and self.adds_up

    @property
    def adds_up(self) -> bool:
        """Whether the sum rule holds for every receiver."""
        return all(counts.add_up for counts in self.receivers)


def audit(index: Connection, ledger: SessionRepository, areas: Areas, *, live: bool) -> Audit:
    """Compare an index with its trees.

    Args:
        index: the index.
        ledger: the sessions in it.
        areas: the trees.
        live: whether an engine runs, so that sessions that change meanwhile are passed over.
    """
    with index.changing() as connection:
        rows = connection.execute(f"SELECT {SESSION_COLUMNS} FROM sessions ORDER BY id").fetchall()
    sessions = [session_of(row) for row in rows]
    looked_at = [s for s in sessions if s.status in IDLE_STATUSES or not live]
    findings = (_findings(session, ledger, areas) for session in looked_at)
    return Audit(
        receivers=tuple(_counts(index)),
        sessions=tuple(f for f in findings if f.differences or f.counted != f.stored),
        unknown_folders=tuple(_unknown_folders(sessions, areas)),
        looked_at=len(looked_at),
        passed_over=len(sessions) - len(looked_at),
    )


def _findings(session: Session, ledger: SessionRepository, areas: Areas) -> SessionFindings:
    rows = ledger.stored_rows(session.id)
    differences = compare(areas.folder(session), rows)
    return SessionFindings(session.id, differences, session.objects, len(rows))


def _counts(index: Connection) -> Iterator[ReceiverBalance]:
    sql = "SELECT receiver, state, COUNT(*) FROM objects GROUP BY receiver, state ORDER BY receiver"
    with index.changing() as connection:
        rows = connection.execute(sql).fetchall()
    states: dict[str, dict[str, int]] = {}
    for receiver, state, count in rows:
        states.setdefault(receiver, {})[state] = count
    for receiver, counts in states.items():
        yield ReceiverBalance(receiver, sum(counts.values()), counts)


def _unknown_folders(sessions: list[Session], areas: Areas) -> Iterator[UnknownFolder]:
    known = {(session.area, session.folder) for session in sessions}
    for area, depths in _DEPTHS.items():
        root = areas.path(area, ".")
        for depth in depths:
            for scans in sorted(root.glob(f"{depth}/{SCANS}")):
                folder = scans.parent.relative_to(root)
                if not _is_session(area, folder) or (area, folder.as_posix()) in known:
                    continue
                # A crash may leave empty folders: there is nothing in them to be known.
                unreadable: list[Path] = []
                if any(object_files(scans.parent, unreadable)) or unreadable:
                    yield UnknownFolder(area, folder.as_posix())


def _is_session(area: SessionArea, folder: Path) -> bool:
    """Return whether a folder is a session's place: its label may be the name of scans, too."""
    return area is SessionArea.ARCHIVE or TIMESTAMP.fullmatch(folder.parts[-2]) is not None
