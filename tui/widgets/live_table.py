"""A table that has all of its rows and sorts them itself.

The cursor stays with its row when rows are added, removed or sorted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from tui.widgets.table import NO_CELL, Table, TableRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class LiveTable(Table):
    """Shows all of its rows, and sorts them itself."""

    FOLLOWS_TOP: ClassVar[bool] = False
    """Whether a cursor on the first row stays on whatever is the first row."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rows: tuple[TableRow, ...] = ()
        """The rows as they were given."""

    def show(self, rows: Sequence[TableRow], empty: str = "") -> None:
        """Show these rows, writing only what differs; without any, say why (safe text)."""
        before, self._rows = self._rows, tuple(rows)
        if empty != self._empty:
            self._empty = empty
            self.refresh()
        if self._rows != before:
            self._show_sorted()

    def _show_sorted(self) -> None:
        on_top = self.FOLLOWS_TOP and self._cursor == 0  # else a new row would push it down
        self._shown, before = tuple(self._sorted(self._rows)), self._cursor
        if len(self._shown) != self._total:
            self._total = len(self._shown)
            self._measure()
        self._cursor = self._place_of(self._chosen if not on_top else None)
        if self._cursor != before:
            self._see(self._cursor)
        self.choose_here()
        self.refresh_changed()

    def choose(self, key: str) -> None:
        """Put the cursor on a row, if it is there."""
        self.go_to(self._place_of(key))

    def sort_by(self, column: str | None) -> None:
        """Sort by a column; the same again turns the order round, a third time ends it."""
        chosen = self._chosen
        super().sort_by(None if self.descending and column == self.sorted_by else column)
        self._show_sorted()
        if chosen is not None:
            self.choose(chosen)

    def _sorted(self, rows: tuple[TableRow, ...]) -> list[TableRow]:
        column = self.sorted_by
        if column is None:
            return list(rows)

        def position(row: TableRow) -> tuple[bool, float, str]:
            cell = row.cells.get(column, NO_CELL)
            return cell.order is None, cell.order or 0.0, cell.text.casefold()

        return sorted(rows, key=position, reverse=self.descending)

    def action_page_down(self) -> None:
        """Go a page down, and scroll as far."""
        self._page(self.size.height - 1)

    def action_page_up(self) -> None:
        """Go a page up, and scroll as far."""
        self._page(1 - self.size.height)

    def _page(self, rows: int) -> None:
        self._scroll(self.scroll_offset.y + rows)
        self.go_to(self._cursor + rows)


Shown = TypeVar("Shown")


class RowMemory(Generic[Shown]):
    """Makes rows of what they show; of what is as it was, the same row again.

    A console looks several times a second at hundreds of things that hardly change.
    """

    def __init__(self, key: Callable[[Shown], str], make: Callable[[Shown, str], TableRow]) -> None:
        """Take what gives a row's key, and what makes a row of that key."""
        self._key = key
        self._make = make
        self._made: dict[str, tuple[Shown, TableRow]] = {}

    def rows(self, shown: Iterable[Shown]) -> list[TableRow]:
        """Return the rows; what is not among them is forgotten."""
        before, self._made = self._made, {}
        for one in shown:
            key = self._key(one)
            known = before.get(key)
            again = known is not None and known[0] == one
            self._made[key] = known if known and again else (one, self._make(one, key))
        return [row for _, row in self._made.values()]
