"""A table of any length that asks for rows as they come into view.

The cursor stays with its row. Lines that are not loaded yet show dots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.keys import Scope, bindings
from tui.text import fit
from tui.theme import DARK, Palette, Tone, palette_of
from tui.widgets.table import (
    EMPTY_LINE,
    GAP,
    HEADER,
    NO_CELL,
    Column,
    LineStyles,
    Piece,
    TableLines,
    TableRow,
    fitted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.events import Click, Resize

MOVES = {
    "down": "cursor_down",
    "up": "cursor_up",
    "home": "scroll_top",
    "end": "scroll_bottom",
    "pagedown": "page_down",
    "pageup": "page_up",
}


class PagedTable(ScrollView, can_focus=True):
    """Shows part of a list and says which part it needs; subclasses say which columns there are."""

    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    NOUN: ClassVar[str] = "row"
    """What a row is, for sentences."""
    UNSORTED: ClassVar[str] = "as they come"
    SORTS: ClassVar[bool] = False
    """Whether its rows can be had in another order."""
    POINTER_WIDTH: ClassVar[int] = 1
    COMPONENT_CLASSES = {"paged-table--cursor", "paged-table--header"}
    BINDINGS = [
        *bindings(Scope.LISTS),
        *(Binding(key, action, show=False) for key, action in MOVES.items()),
    ]

    class Chosen(Message):
        """Another row is under the cursor."""

        def __init__(self, table: PagedTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> PagedTable:
            """The table."""
            return self.table

    class Needed(Message):
        """Rows are seen that are not known."""

    class Sorted(Message):
        """Another order is wanted."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rows: tuple[TableRow, ...] = ()
        self._offset = 0
        self._total = 0
        self._empty = ""
        self._cursor = 0
        self._chosen: str | None = None
        self._fitted: tuple[Column, ...] = ()
        self._palette: Palette = palette_of(DARK)
        self._lines = TableLines()
        self._styles: dict[str, LineStyles] = {}
        self.sorted_by: str | None = None
        self.descending = False

    # What is shown

    @property
    def chosen(self) -> str | None:
        """Key of the row under the cursor; None while that is not known."""
        return self._chosen

    @property
    def row(self) -> int:
        """Number of the row under the cursor, from 0."""
        return self._cursor

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The columns that fit now."""
        return self._fitted

    @property
    def seen(self) -> tuple[int, int]:
        """The first row that is seen, and the first one after those."""
        top = self.scroll_offset.y
        return top, min(self._total, top + max(1, self.size.height - 1))

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        if palette != self._palette:
            self._palette = palette
            self.refresh()

    def show(
        self, rows: Sequence[TableRow], empty: str = "", *, offset: int = 0, total: int = -1
    ) -> None:
        """Show these rows, the first of which is number `offset` of `total`; safe text only."""
        rows = tuple(rows)
        total = len(rows) if total < 0 else total
        if (rows, empty, offset, total) == (self._rows, self._empty, self._offset, self._total):
            return
        self._rows, self._empty, self._offset, self._total = rows, empty, offset, total
        before = self._cursor
        self._cursor = self._place_of(self._chosen)
        self._measure()
        if self._cursor != before:
            top = self.scroll_offset.y + self._cursor - before
            self._scroll(min(top, self._cursor))
        self.choose()
        self.refresh()
        self._say_what_is_needed()

    def restart(self) -> None:
        """Go to the first row of what comes next, as it is another list."""
        self._cursor, self._chosen = 0, None
        self._scroll(0)

    def sort_by(self, column: str | None) -> None:
        """Ask for another order; the same column again turns the order round."""
        if column is not None and column == self.sorted_by:
            self.descending = not self.descending
        else:
            self.descending = False
        self.sorted_by = column
        self.post_message(self.Sorted())
        self.refresh()

    def go_to(self, row: int) -> None:
        """Put the cursor on a row."""
        row = max(0, min(self._total - 1, row))
        if row == self._cursor:
            return
        self._cursor = row
        self._see(row)
        self.choose()
        self.refresh()
        self._say_what_is_needed()

    def _place_of(self, key: str | None) -> int:
        keys = (place for place, row in enumerate(self._rows, self._offset) if row.key == key)
        here = next(keys, self._cursor) if key is not None else self._cursor
        return max(0, min(self._total - 1, here))

    def _known(self, row: int) -> TableRow | None:
        at = row - self._offset
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def choose(self) -> None:
        """Choose the row under the cursor; the list after `restart` may have the same rows."""
        row = self._known(self._cursor)
        chosen = row.key if row is not None else None
        if chosen != self._chosen:
            self._chosen = chosen
            self.post_message(self.Chosen(self))

    def _say_what_is_needed(self) -> None:
        first, end = self.seen
        wanted = {first, max(first, end - 1), self._cursor}
        if self._total and any(self._known(row) is None for row in wanted):
            self.post_message(self.Needed())

    # Where it is

    def _measure(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self._total + 1)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=max(0, top), animate=False, force=True, immediate=True)

    def _see(self, row: int) -> None:
        height, top = self.size.height - 1, self.scroll_offset.y
        if row < top:
            self._scroll(row)
        elif row >= top + height:
            self._scroll(row + 1 - height)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say what is needed where it is scrolled to."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._say_what_is_needed()

    def on_resize(self, event: Resize) -> None:
        """Choose the columns that fit the new width."""
        width = self.scrollable_content_region.width
        self._fitted = fitted(self.COLUMNS, width - self.POINTER_WIDTH + 1)
        self._measure()
        self._see(self._cursor)
        self.refresh()
        self._say_what_is_needed()

    # Drawing

    def render_lines(self, crop: object) -> list[Strip]:
        """Return the visible lines; the styles under them are worked out once for all."""
        base = self.rich_style
        self._styles = {
            "row": LineStyles(base, Style.null()),
            **{
                name: LineStyles(base, self.get_component_rich_style(f"paged-table--{name}"))
                for name in ("cursor", "header")
            },
        }
        return super().render_lines(crop)  # type: ignore[arg-type]

    def render_line(self, y: int) -> Strip:
        """Return the heads for the first line, then rows from where it is scrolled to."""
        width = self.size.width
        if y == 0:
            heads = (Piece(self._label(column)) for column in self._fitted)
            pieces = (Piece(" " * self.POINTER_WIDTH), *heads)
            return self._lines.strip(HEADER, pieces, self._styles["header"], width)
        row = y - 1 + self.scroll_offset.y
        if not self._total and y >= EMPTY_LINE and self._empty:
            note = (Piece(self._empty_line(y - EMPTY_LINE), self._palette.style(Tone.MUTED)),)
            return self._lines.strip(HEADER, note, self._styles["row"], width)
        if row >= self._total:
            return Strip.blank(width, self._styles["row"].base)
        here = row == self._cursor
        kind = self._styles["cursor" if here else "row"]
        return self._lines.strip(row, self._pieces(row, here=here), kind, width)

    def _empty_line(self, number: int) -> str:
        words, lines = self._empty.split(" "), [""]
        for word in words:
            if len(lines[-1]) + len(word) + 4 > self.size.width:
                lines.append("")
            lines[-1] += f" {word}"
        return f" {lines[number]}" if number < len(lines) else ""

    def _pieces(self, row: int, *, here: bool) -> tuple[Piece, ...]:
        known = self._known(row)
        if known is None:
            dots = Piece(" …", self._palette.style(Tone.MUTED))
            return (self._pointer("", here=here), dots)
        cells = ((column, known.cells.get(column.key, NO_CELL)) for column in self._fitted)
        pieces = (
            Piece(
                fit(cell.text, column.width, right=column.right) + " " * GAP,
                self._palette.style(cell.tone),
            )
            for column, cell in cells
        )
        return (self._pointer(known.key, here=here), *pieces)

    def _pointer(self, key: str, *, here: bool) -> Piece:
        return Piece("▸" if here else " ")

    def _label(self, column: Column) -> str:
        if column.key != self.sorted_by:
            return fit(column.label, column.width, right=column.right) + " "
        arrow = "▼" if self.descending else "▲"
        label = fit(column.label, min(len(column.label), column.width - 1)) + arrow
        return fit(label, column.width, right=column.right) + " "

    # Keys and mouse

    def action_cursor_down(self) -> None:
        """Go to the next row."""
        self.go_to(self._cursor + 1)

    def action_cursor_up(self) -> None:
        """Go to the row before."""
        self.go_to(self._cursor - 1)

    def action_scroll_top(self) -> None:
        """Go to the first row."""
        self.go_to(0)

    def action_scroll_bottom(self) -> None:
        """Go to the last row."""
        self.go_to(self._total - 1)

    def action_page_down(self) -> None:
        """Go a page down."""
        self.go_to(self._cursor + max(1, self.size.height - 2))

    def action_page_up(self) -> None:
        """Go a page up."""
        self.go_to(self._cursor - max(1, self.size.height - 2))

    async def on_click(self, event: Click) -> None:
        """Go to the row that was clicked, open it if it is the cursor's; sort by a clicked head."""
        row = event.style.meta.get("row")
        if row == HEADER:
            place = event.style.meta.get("column", 0) - 1
            if self.SORTS and 0 <= place < len(self._fitted):
                self.sort_by(self._fitted[place].key)
        elif row is not None and row == self._cursor:
            await self.run_action("screen.open")
        elif row is not None:
            self.go_to(row)
