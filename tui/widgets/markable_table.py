"""A live table whose rows can be marked, for an action on many of them."""

from __future__ import annotations

from textual.message import Message

from tui.bindings import Scope, bindings
from tui.theme import Tone
from tui.widgets.live_table import LiveTable
from tui.widgets.table_lines import Piece


class MarkableTable(LiveTable):
    """Shows a check mark beside the pointer; a row that is not shown any more is not marked."""

    POINTER_WIDTH = 2
    BINDINGS = bindings(Scope.MARKS)

    class MarksChanged(Message):
        """Other rows are marked."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._marked: frozenset[str] = frozenset()

    @property
    def marked(self) -> tuple[str, ...]:
        """Keys of the marked rows, in their order on the screen."""
        return tuple(key for key in self._order if key in self._marked)

    @property
    def targets(self) -> tuple[str, ...]:
        """Keys of the rows that an action is for: the marked ones, else the one under the cursor.

        Rows that a filter keeps away are never among them, so nothing unseen is acted on.
        """
        return self.marked or ((self.chosen,) if self.chosen is not None else ())

    def unmark(self) -> None:
        """Take all marks away, after an action on the marked rows."""
        self._mark(frozenset())

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away; go to the next row."""
        if self.chosen is not None:
            self._mark(self._marked ^ {self.chosen})
            self.action_cursor_down()

    def action_mark_all(self) -> None:
        """Mark all rows, or none if all are marked."""
        rows = frozenset(self._order)
        self._mark(frozenset() if self._marked == rows else rows)

    def _mark(self, keys: frozenset[str]) -> None:
        changed = self._marked ^ keys
        self._marked = keys
        for key in changed.intersection(self._order):
            self.refresh_row(self._order.index(key))
        if changed:
            self.post_message(self.MarksChanged())

    def _remove_all_but(self, keys: set[str]) -> None:
        super()._remove_all_but(keys)
        self._marked &= keys

    def _pointer(self, key: str) -> Piece:
        pointer = super()._pointer(key).text
        mark = "✓" if key in self._marked else " "
        return Piece(pointer + mark, self._palette.style(Tone.KEY))
