"""Compares an index with its trees, for `dicomdock check`; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import NotFound
from engine.index.session_reader import StoredRow
from engine.index.store import SESSION_COLUMNS, session_of
from engine.model.identity import TIMESTAMP
from engine.model.session import ObjectState, SessionArea, SessionStatus
from engine.sessions.reconcile import Differences, compare
from engine.storage.files import object_files, object_names
from engine.storage.scans import SCANS
from engine.workers.spread import processes_for, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.index.session_reader import Connection
    from engine.model.session import Session
    from engine.sessions.ledger import SessionRepository
    from engine.storage.areas import Areas


ROWS_AT_ONCE = 2_000
"""Rows of one transaction, which keeps an engine from writing: 5 ms. A session is not divided."""
WORTH_PROCESSES = 100_000
"""Objects that one process compares in 1.5 s; to start some takes 0.5 s (2026)."""
IDLE_STATUSES = frozenset(
    (SessionStatus.READY, SessionStatus.CONFLICT, SessionStatus.ERROR, SessionStatus.ARCHIVED)
)
"""States in which a running engine changes nothing unless a request or an object comes."""

# XNAT 9.1: <timestamp>/<session> or <project>/<timestamp>/<session>; 9.2:
# <project>/arc001/<session>.
_DEPTHS = {
    SessionArea.PREARCHIVE: ("*/*", "*/*/*"),
    SessionArea.ARCHIVE: ("*/*/*",),
}


@dataclass(frozen=True, slots=True)
class ReceiverBalance:
    """The objects of one receiver by their final state."""

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
    """Objects by their own rows; by the files of a session whose rows were removed."""


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


def audit(
    index: Connection,
    ledger: SessionRepository,
    areas: Areas,
    *,
    live: bool,
    progress: Callable[[int, int], object] = lambda _done, _all: None,
    jobs: int | None = None,
) -> Audit:
    """Compare an index with its trees.

    Args:
        index: the index.
        ledger: the sessions in it.
        areas: the trees.
        live: whether an engine runs. Sessions that it may change meanwhile are skipped then.
        progress: called with the number of sessions that are compared, and of all.
        jobs: the number of processes; None for one for each core, if there are many objects.
    """
    with index.changing() as connection:
        rows = connection.execute(f"SELECT {SESSION_COLUMNS} FROM sessions ORDER BY id").fetchall()
    sessions = [session_of(row) for row in rows]
    looked_at = [s for s in sessions if s.status in IDLE_STATUSES or not live]
    objects = sum(session.objects for session in looked_at)
    tasks = _tasks(looked_at, ledger, areas)
    found: list[SessionFindings] = []
    compared = 0
    processes = processes_for(jobs, is_worth=objects >= WORTH_PROCESSES)
    for count, findings in spread(_compare_sessions, tasks, processes=processes):
        found += findings
        compared += count
        progress(compared, len(looked_at))
    if live:
        found, looked_at = _still_so(found, looked_at, ledger, areas)
    return Audit(
        receivers=tuple(_counts(index)),
        sessions=tuple(found),
        unknown_folders=tuple(unknown_folders(sessions, areas)),
        looked_at=len(looked_at),
        passed_over=len(sessions) - len(looked_at),
    )


class _Comparison(NamedTuple):
    """The rows of one session, for another process."""

    session: int
    folder: Path
    counted: int
    rows: list[tuple[str, str, bool]] | None
    """The file, SOP instance, and whether it replaced another, of each object.

    None if the rows were removed: then the objects are only counted."""


def _tasks(
    sessions: Sequence[Session], ledger: SessionRepository, areas: Areas
) -> Iterator[list[_Comparison]]:
    some: list[Session] = []
    count = 0
    for number, session in enumerate(sessions, start=1):
        some.append(session)
        count += 1 + session.objects
        if count >= ROWS_AT_ONCE or number == len(sessions):
            yield _comparisons(some, ledger, areas)
            some, count = [], 0


def _comparisons(
    sessions: Sequence[Session], ledger: SessionRepository, areas: Areas
) -> list[_Comparison]:
    rows = ledger.stored_rows_of([one.id for one in sessions])
    return [_comparison(one, rows.get(one.id), areas) for one in sessions]


def _comparison(session: Session, rows: Sequence[StoredRow] | None, areas: Areas) -> _Comparison:
    known = None
    if rows is not None:
        known = [(row.file, row.sop_instance_uid, row.replaces) for row in rows]
    return _Comparison(session.id, areas.folder(session), session.objects, known)


def _compare_sessions(comparisons: list[_Comparison]) -> tuple[int, list[SessionFindings]]:
    """Return how many sessions were compared, and their findings; in any process."""
    found: list[SessionFindings] = []
    for session, folder, counted, known in comparisons:
        if known is None:
            found += _count_only(session, folder, counted)
            continue
        rows = [StoredRow(file, uid, 0, replaces=replaces) for file, uid, replaces in known]
        differences = compare(folder, rows)
        if differences or counted != len(rows):
            found.append(SessionFindings(session, differences, counted, len(rows)))
    return len(comparisons), found


def _count_only(session: int, folder: Path, counted: int) -> Iterator[SessionFindings]:
    """Yield a finding if the objects in a folder are not as many as the session's row says."""
    unreadable: list[str] = []
    present = sum(1 for _ in object_names(folder, unreadable))
    if unreadable or present != counted:
        differences = Differences(unreadable=tuple(sorted(unreadable)))
        yield SessionFindings(session, differences, counted, present)


def _still_so(
    found: list[SessionFindings],
    looked_at: list[Session],
    ledger: SessionRepository,
    areas: Areas,
) -> tuple[list[SessionFindings], list[Session]]:
    """Look once more at sessions with findings, which the engine may have changed meanwhile."""
    again, passed_over = [], set()
    for findings in found:
        try:
            session = ledger.session(findings.session)
        except NotFound:
            passed_over.add(findings.session)
            continue
        if session.status in IDLE_STATUSES:
            again += _compare_sessions(_comparisons([session], ledger, areas))[1]
        else:
            passed_over.add(session.id)
    return again, [session for session in looked_at if session.id not in passed_over]


def _counts(index: Connection) -> Iterator[ReceiverBalance]:
    sql = "SELECT receiver, state, COUNT(*) FROM objects GROUP BY receiver, state ORDER BY receiver"
    with index.changing() as connection:
        rows = connection.execute(sql).fetchall()
    states: dict[str, dict[str, int]] = {}
    for receiver, state, count in rows:
        states.setdefault(receiver, {})[state] = count
    for receiver, counts in states.items():
        yield ReceiverBalance(receiver, sum(counts.values()), counts)


def unknown_folders(sessions: Sequence[Session], areas: Areas) -> Iterator[UnknownFolder]:
    """Yield the folders of prearchive and archive that hold objects and belong to no session."""
    known = {(session.area, session.folder) for session in sessions}
    for area, depths in _DEPTHS.items():
        root = areas.path(area, ".")
        for depth in depths:
            for scans in sorted(root.glob(f"{depth}/{SCANS}")):
                folder = scans.parent.relative_to(root)
                if not _is_session(area, folder) or (area, folder.as_posix()) in known:
                    continue
                # A crash may leave empty folders, which are no findings.
                unreadable: list[Path] = []
                if any(object_files(scans.parent, unreadable)) or unreadable:
                    yield UnknownFolder(area, folder.as_posix())


def _is_session(area: SessionArea, folder: Path) -> bool:
    """Return whether a folder is a session's place: its label may be the name of scans, too."""
    return area is SessionArea.ARCHIVE or TIMESTAMP.fullmatch(folder.parts[-2]) is not None
