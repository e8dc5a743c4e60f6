"""The sessions of one area: how each looks, and which of them are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.identity import UNASSIGNED
from engine.model.session import WORKING, SessionStatus
from engine.view.sessions import SessionOrder
from tui.bindings import Scope, bindings
from tui.text import age, count, safe, size
from tui.theme import Look, Tone
from tui.widgets.live_table import Cell, Column, TableRow
from tui.widgets.markable_table import MarkableTable
from tui.widgets.paged_table import PagedTable
from tui.widgets.table_lines import Piece

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.model.session import Session

_S = SessionStatus
SESSION_LOOKS = {
    _S.RECEIVING: Look("◐", "receiving", Tone.OK),
    _S.RECEIVING_INTERRUPT: Look("◐", "interrupt", Tone.OK),
    _S.QUEUED_BUILDING: Look("…", "to build", Tone.MUTED),
    _S.BUILDING: Look("◐", "building", Tone.OK),
    _S.READY: Look("●", "ready", Tone.OK),
    _S.CONFLICT: Look("▲", "conflict", Tone.WARNING),
    _S.ERROR: Look("✗", "error", Tone.ERROR),
    _S.QUEUED_ARCHIVING: Look("…", "to archive", Tone.MUTED),
    _S.ARCHIVING: Look("◐", "archiving", Tone.OK),
    _S.QUEUED_MOVING: Look("…", "to move", Tone.MUTED),
    _S.MOVING: Look("◐", "moving", Tone.OK),
    _S.SEPARATING: Look("◐", "separating", Tone.OK),
    _S.QUEUED_DELETING: Look("…", "to delete", Tone.MUTED),
    _S.DELETING: Look("◐", "deleting", Tone.WARNING),
    _S.ARCHIVED: Look("■", "archived", Tone.OK),
    _S.DELETED: Look("○", "in trash", Tone.MUTED),
}
_GOING_ON = WORKING | {_S.RECEIVING}
_O = SessionOrder


class SessionsTable(PagedTable):
    """Sessions, many of which can be marked; marks stay where they are while pages come and go."""

    NOUN = "session"
    UNSORTED = "newest change first"
    SORTS = True
    POINTER_WIDTH = 3
    HELP_TITLE = "Sessions"
    HELP = (
        "Sessions of the prearchive, the archive or the trash; [ and ] change between them. "
        "Space marks sessions, and a, m, d and r then act on all that are marked. The filter "
        "takes words and project:, status:, since:, modality: and receiver:, such as "
        "status:ready,error since:24h; words are looked for in project, subject, session and "
        "Study Instance UID. Enter shows scans and objects. Only what is seen is read, so a "
        "hundred thousand sessions cost no more than a hundred."
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
    BINDINGS = bindings(Scope.MARKS)

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._marked: frozenset[str] = frozenset()
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
    def shown_columns(self) -> tuple[Column, ...]:
        """The columns that fit and that sessions can be sorted by."""
        return tuple(c for c in super().shown_columns if c.key in _SORTABLE)

    def sort_by(self, column: str | None) -> None:
        """Ask for another order; none is the usual one."""
        if column is not None and column not in _SORTABLE:
            return
        super().sort_by(column)
        if column is None:
            self.sorted_by, self.descending = _O.CHANGED, True

    def mark(self, keys: frozenset[str]) -> None:
        """Mark these sessions and no others."""
        if keys != self._marked:
            self._marked = keys
            self.refresh()
            self.post_message(MarkableTable.MarksChanged())

    def action_mark(self) -> None:
        """Mark the session under the cursor, or take its mark away; go to the next."""
        if self._chosen is not None:
            self.mark(self._marked ^ {self._chosen})
            self.action_cursor_down()

    async def action_mark_all(self) -> None:
        """Have all sessions marked, or none if any is."""
        if self._marked:
            self.mark(frozenset())
        else:
            await self.run_action("screen.mark_everything")

    def _pointer(self, key: str, *, here: bool) -> Piece:
        pointer = super()._pointer(key, here=here).text
        mark = "✓" if key in self._marked else " "
        return Piece(f"{pointer}{mark} ", self._palette.style(Tone.KEY))


_SORTABLE = frozenset(SessionOrder)


def look_of(session: Session) -> Look:
    """Return how a session's status looks; with ▲ if it has a reason why it does not go on."""
    look = SESSION_LOOKS[session.status]
    if session.reason and session.status in _GOING_ON:
        return Look("▲", look.word, Tone.WARNING)
    return look


def session_key(session: Session) -> str:
    """Return what identifies a session's row."""
    return str(session.id)


def session_rows(sessions: Iterable[Session], now: datetime) -> list[TableRow]:
    """Return the rows of sessions."""
    return [_row(session, now) for session in sessions]


def _row(session: Session, now: datetime) -> TableRow:
    look = look_of(session)
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
