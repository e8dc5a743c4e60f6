"""A table of any length that asks for rows as they come into view.

The cursor stays with its row. Lines that are not loaded yet show dots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from tui.widgets.table import Table, TableRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.events import Resize


class PagedTable(Table):
    """Shows part of a list and says which part it needs."""

    SORTS = False

    class Needed(Message):
        """Rows are seen that are not known."""

    class Sorted(Message):
        """Another order is wanted."""

    @property
    def seen(self) -> tuple[int, int]:
        """The first row that is seen, and the first one after those."""
        top = self.scroll_offset.y
        return top, min(self._total, top + max(1, self.size.height - 1))

    def show(
        self, rows: Sequence[TableRow], empty: str = "", *, offset: int = 0, total: int = -1
    ) -> None:
        """Show these rows, the first of which is number `offset` of `total`; safe text only."""
        rows = tuple(rows)
        total = len(rows) if total < 0 else total
        if (rows, empty, offset, total) == (self._shown, self._empty, self._offset, self._total):
            return
        if empty != self._empty:
            self.refresh()
        self._shown, self._empty, self._offset, self._total = rows, empty, offset, total
        before = self._cursor
        self._cursor = self._place_of(self._chosen)
        self._measure()
        if self._cursor != before:
            top = self.scroll_offset.y + self._cursor - before
            self._scroll(min(top, self._cursor))  # what is seen stands still
        self.choose_here()
        self.refresh_changed()
        self._say_what_is_needed()

    def restart(self) -> None:
        """Go to the first row of what comes next, as it is another list."""
        self._cursor, self._chosen = 0, None
        self._scroll(0)

    def sort_by(self, column: str | None) -> None:
        """Ask for another order; the same column again turns the order round."""
        super().sort_by(column)
        self.post_message(self.Sorted())

    def go_to(self, row: int) -> None:
        """Put the cursor on a row."""
        super().go_to(row)
        self._say_what_is_needed()

    def _say_what_is_needed(self) -> None:
        first, end = self.seen
        wanted = {first, max(first, end - 1), self._cursor}
        if self._total and any(self._known(row) is None for row in wanted):
            self.post_message(self.Needed())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say what is needed where it is scrolled to."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._say_what_is_needed()

    def on_resize(self, event: Resize) -> None:
        """Say what is needed in the new size."""
        # Textual calls the handler of the base class too, which fits the columns.
        self._say_what_is_needed()
