"""Rows of tables that can be marked, so that an action is for several of them."""

from __future__ import annotations

from textual.message import Message

from tui.keys import Scope, bindings
from tui.theme import Tone
from tui.widgets.live_table import LiveTable
from tui.widgets.table import Piece, Table


class Marks(Table):
    """Shows a check mark beside the pointer; subclasses say what marking all rows means."""

    POINTER_WIDTH = 2
    BINDINGS = bindings(Scope.MARKS)

    class MarksChanged(Message):
        """Other rows are marked."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._marked: frozenset[str] = frozenset()

    def mark(self, keys: frozenset[str]) -> None:
        """Mark these rows and no others."""
        if keys != self._marked:
            self._marked = keys
            self.refresh_changed()
            self.post_message(self.MarksChanged())

    def unmark(self) -> None:
        """Take all marks away, after an action on the marked rows."""
        self.mark(frozenset())

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away; go to the next row."""
        if self.chosen is not None:
            self.mark(self._marked ^ {self.chosen})
            self.action_cursor_down()

    def _pointer(self, key: str, *, here: bool) -> Piece:
        pointer = super()._pointer(key, here=here).text
        mark = "✓" if key in self._marked else " "
        return Piece(f"{pointer}{mark}".ljust(self.POINTER_WIDTH), self._palette.style(Tone.KEY))


# LiveTable first: Textual takes styles and names for queries from the first base only.
class MarkableTable(LiveTable, Marks):
    """A live table whose rows can be marked; a row that is not shown any more is not marked."""

    @property
    def marked(self) -> tuple[str, ...]:
        """Keys of the marked rows, in their order on the screen."""
        return tuple(row.key for row in self._shown if row.key in self._marked)

    @property
    def targets(self) -> tuple[str, ...]:
        """Keys of the rows that an action is for: the marked ones, else the one under the cursor.

        Rows that a filter keeps away are never among them, so nothing unseen is acted on.
        """
        return self.marked or ((self.chosen,) if self.chosen is not None else ())

    def action_mark_all(self) -> None:
        """Mark all rows, or none if all are marked."""
        rows = frozenset(row.key for row in self._shown)
        self.mark(frozenset() if self._marked == rows else rows)

    def _show_sorted(self) -> None:
        self._marked &= {row.key for row in self._rows}
        super()._show_sorted()
