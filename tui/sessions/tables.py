"""The tables of sessions, of scans, and of the objects of a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api.sessions import SessionOrder
from engine.model.identity import UNASSIGNED
from engine.model.session import WORKING, SessionStatus
from tui.text import age, clock, count, counted, safe, size
from tui.theme import StateStyle, Tone
from tui.widgets.live_table import LiveTable
from tui.widgets.marks import Marks
from tui.widgets.paged_table import PagedTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.api.sessions import ScanObject, ScanSummary
    from engine.model.session import Session


_S = SessionStatus
SESSION_STYLES = {
    _S.RECEIVING: StateStyle("◐", "receiving", Tone.KEY),
    _S.RECEIVING_INTERRUPT: StateStyle("◐", "interrupt", Tone.KEY),
    _S.QUEUED_BUILDING: StateStyle("…", "to build", Tone.MUTED),
    _S.BUILDING: StateStyle("◐", "building", Tone.KEY),
    _S.READY: StateStyle("●", "ready", Tone.OK),
    _S.CONFLICT: StateStyle("▲", "conflict", Tone.WARNING),
    _S.ERROR: StateStyle("✗", "error", Tone.ERROR),
    _S.QUEUED_ARCHIVING: StateStyle("…", "to archive", Tone.MUTED),
    _S.ARCHIVING: StateStyle("◐", "archiving", Tone.KEY),
    _S.QUEUED_MOVING: StateStyle("…", "to move", Tone.MUTED),
    _S.MOVING: StateStyle("◐", "moving", Tone.KEY),
    _S.SEPARATING: StateStyle("◐", "separating", Tone.KEY),
    _S.QUEUED_DELETING: StateStyle("…", "to delete", Tone.MUTED),
    _S.DELETING: StateStyle("◐", "deleting", Tone.WARNING),
    _S.ARCHIVED: StateStyle("■", "archived", Tone.OK),
    _S.DELETED: StateStyle("○", "in trash", Tone.MUTED),
}
_GOING_ON = WORKING | {_S.RECEIVING}
_O = SessionOrder


# PagedTable first: Textual takes styles and names for queries from the first base only.
class SessionsTable(PagedTable, Marks):
    """Sessions, many of which can be marked; marks stay where they are while pages come and go."""

    NOUN = "session"
    UNSORTED = "newest change first"
    SORTS = True
    POINTER_WIDTH = 3
    HELP_TITLE = "Sessions"
    HELP = (
        "Sessions of the prearchive, the archive or the trash; {area.previous} and {area.next} "
        "change between them. {mark.row} marks sessions, and {session.archive}, {session.move}, "
        "{session.delete} and {session.rebuild} then act on all that are marked. The filter takes "
        "words and project:, status:, since:, modality: and receiver:, such as status:ready,error "
        "since:24h; words are looked for in project, subject, session and Study Instance UID. "
        "Enter shows scans and objects. Only what is seen is read, so a hundred thousand sessions "
        "cost no more than a hundred."
    )
    COLUMNS = (
        Column(_O.STATUS, "Status", 12),
        Column(_O.PROJECT, "Project", 10, flexible=True, max_width=20),
        Column(_O.SUBJECT, "Subject", 8, flexible=True, max_width=16),
        Column(_O.LABEL, "Session", 18, flexible=True, max_width=40),
        Column(_O.MODALITY, "Mod", 3),
        Column(_O.OBJECTS, "Files", 7, right=True),
        Column(_O.BYTES, "Size", 8, right=True, at_least=92),
        Column(_O.CHANGED, "Changed", 8, right=True),
        Column("receiver", "Receiver", 14, at_least=118, flexible=True, max_width=22),
    )

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.sorted_by, self.descending = _O.CHANGED, True

    @property
    def marked(self) -> frozenset[str]:
        """Keys of the marked sessions, seen or not."""
        return self._marked

    @property
    def order(self) -> SessionOrder:
        """What sessions are wanted to be sorted by."""
        return SessionOrder(self.sorted_by or _O.CHANGED)

    @property
    def sortable(self) -> tuple[str, ...]:
        """The orders that the engine knows."""
        return tuple(_SORTABLE)

    def sort_by(self, column: str | None) -> None:
        """Ask for another order; none is the usual one."""
        if column is not None and column not in _SORTABLE:
            return
        super().sort_by(column)
        if column is None:
            self.sorted_by, self.descending = _O.CHANGED, True

    async def action_mark_all(self) -> None:
        """Have all sessions marked, or none if any is."""
        if self._marked:
            self.unmark()
        else:
            await self.run_action("screen.mark_everything")


_SORTABLE = frozenset(SessionOrder)


def session_style(session: Session) -> StateStyle:
    """Return the style of a session's status; with ▲ if something about it needs a person."""
    look = SESSION_STYLES[session.status]
    if session.reason and session.status in _GOING_ON:
        return StateStyle("▲", look.word, Tone.WARNING)
    if session.patients and session.status is SessionStatus.READY:
        return StateStyle("▲", "patients?", Tone.WARNING)
    return look


def session_key(session: Session) -> str:
    """Return what identifies a session's row."""
    return str(session.id)


def session_rows(sessions: Iterable[Session], now: datetime) -> list[TableRow]:
    """Return the rows of sessions."""
    return [_row(session, now) for session in sessions]


def _row(session: Session, now: datetime) -> TableRow:
    look = session_style(session)
    receiving = session.status is SessionStatus.RECEIVING
    changed = "now" if receiving and _is_fresh(session, now) else age(session.last_object_at, now)
    project = Cell(safe(session.project)) if session.project else Cell(UNASSIGNED, Tone.WARNING)
    cells = {
        _O.STATUS: Cell(str(look), look.tone),
        _O.PROJECT: project,
        _O.SUBJECT: Cell(safe(session.subject or "–")),
        _O.LABEL: Cell(safe(session.label), Tone.STRONG),
        _O.MODALITY: Cell(safe(session.modality or "–")),
        _O.OBJECTS: Cell(count(session.objects)),
        _O.BYTES: Cell(size(session.bytes)),
        _O.CHANGED: Cell(changed, Tone.MUTED),
        "receiver": Cell(safe(session.receiver), Tone.MUTED),
    }
    return TableRow(session_key(session), cells)


def _is_fresh(session: Session, now: datetime) -> bool:
    return (now - session.last_object_at).total_seconds() < 60


class ScansTable(LiveTable):
    """The scans of one session, in the natural order of their ids."""

    NOUN = "scan"
    HELP_TITLE = "Scans"
    HELP = "The scans of the session: {list.open} lists the objects of one."
    COLUMNS = (
        Column("id", "Scan", 5, flexible=True, max_width=8),
        Column("modality", "Mod", 3),
        Column("description", "Description", 10, flexible=True),
        Column("objects", "Obj", 6, right=True),
        Column("size", "Size", 8, right=True, at_least=40),
    )


class ObjectsTable(PagedTable):
    """The objects of one scan, in the order of their arrival."""

    NOUN = "object"
    HELP_TITLE = "Objects"
    HELP = (
        "The objects of the scan in the order of their arrival: {list.open} shows the header, the "
        "image and where it went. What was odd about an object stands in its line."
    )
    COLUMNS = (
        Column("number", "No.", 5, right=True),
        Column("at", "Arrived", 8),
        Column("file", "File", 16, flexible=True, max_width=60, middle=True),
        Column("sop_class", "SOP class", 16, flexible=True, max_width=40, at_least=62),
        Column("size", "Size", 8, right=True),
        Column("reason", "What was odd", 12, flexible=True, at_least=90),
    )


def scan_rows(scans: Iterable[ScanSummary]) -> list[TableRow]:
    """Return the rows of scans."""
    return [
        TableRow(
            scan.id,
            {
                "id": Cell(safe(scan.id), Tone.STRONG),
                "modality": Cell(safe(scan.modality) or "–"),
                "description": Cell(safe(scan.description) or "–"),
                "objects": Cell(count(scan.objects), Tone.PLAIN, scan.objects),
                "size": Cell(size(scan.bytes), Tone.MUTED, scan.bytes),
            },
        )
        for scan in scans
    ]


def scans_title(scans: Sequence[ScanSummary]) -> str:
    """Return how many objects there are in how many scans."""
    objects = sum(scan.objects for scan in scans)
    return f"{counted(objects, 'object')} in {counted(len(scans), 'scan')}"


def object_rows(objects: Iterable[ScanObject], offset: int) -> list[TableRow]:
    """Return the rows of objects, the first of which is number `offset` of its scan."""
    return [
        TableRow(
            one.file,
            {
                "number": Cell(count(number), Tone.MUTED),
                "at": Cell(clock(one.at), Tone.MUTED),
                "file": Cell(safe(one.file.rpartition("/")[2]), Tone.STRONG),
                "sop_class": Cell(safe(one.sop_class)),
                "size": Cell(size(one.bytes)),
                "reason": Cell(f"▲ {safe(one.reason)}" if one.reason else "", Tone.WARNING),
            },
        )
        for number, one in enumerate(objects, offset + 1)
    ]
