"""The tables: rows drawn on demand, of which only changed lines are written; rows can be marked.

The cursor stays with its row when rows are added, removed or sorted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.console_settings import TableSettings
from tui.keys import Scope, bindings
from tui.text import fit
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from textual.events import Click, Resize


MAX_STRIPS = 1000  # some 25 screens: a table that changes at each poll must not fill memory
HEADER = -1


class Piece(NamedTuple):
    """The text of one cell, padded to its column, and its own style."""

    text: str
    style: str = ""


class LineStyles(NamedTuple):
    """What lies under and over a line's own styles."""

    base: Style
    over: Style


class TableLines:
    """Makes strips and remembers them."""

    def __init__(self) -> None:
        self._strips: dict[Hashable, Strip] = {}

    def strip(self, row: int, pieces: tuple[Piece, ...], styles: LineStyles, width: int) -> Strip:
        """Return the strip of one row; `row` and the place of a piece become mouse metadata."""
        key = (row, pieces, styles, width)
        strip = self._strips.get(key)
        if strip is None:
            if len(self._strips) >= MAX_STRIPS:
                self._strips.clear()
            strip = self._strips[key] = _drawn(row, pieces, styles, width)
        return strip


def _drawn(row: int, pieces: tuple[Piece, ...], styles: LineStyles, width: int) -> Strip:
    segments = [
        Segment(piece.text, styles.base + _parsed(piece.style) + styles.over + _place(row, i))
        for i, piece in enumerate(pieces)
    ]
    line = styles.base + styles.over
    return Strip(segments).adjust_cell_length(width, line)


@lru_cache(maxsize=64)
def _parsed(style: str) -> Style:
    return Style.parse(style)


@lru_cache(maxsize=4096)
def _place(row: int, column: int) -> Style:
    return Style.from_meta({"row": row, "column": column})


class Cell(NamedTuple):
    """One value as it is shown, and what it is sorted by."""

    text: str
    tone: Tone = Tone.PLAIN
    order: float | None = None
    """Sorts numbers as numbers; None sorts by the text."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its identity, its cells by column, and what copying it yields."""

    key: str
    cells: Mapping[str, Cell]
    kind: str = "row"
    """How it is drawn while the cursor is elsewhere: one of its table's `KINDS`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, the table widths at which it is shown, and whether it takes spare room."""

    key: str
    label: str
    width: int
    right: bool = False
    at_least: int = 0
    at_most: int = 10_000
    flexible: bool = False
    max_width: int = 10_000
    middle: bool = False
    """Whether long values are cut in their middle: they begin alike, as UIDs do."""


MOVES = {
    "down": "cursor_down",
    "up": "cursor_up",
    "home": "scroll_top",
    "ctrl+home": "scroll_top",
    "end": "scroll_bottom",
    "ctrl+end": "scroll_bottom",
    "pagedown": "page_down",
    "pageup": "page_up",
}
EMPTY_LINE = 2
"""Where a table without rows says why."""
GAP = 1
NO_CELL = Cell("")
NO_STYLE = Style.null()


def fitted(columns: Sequence[Column], width: int) -> tuple[Column, ...]:
    """Return the columns for a table of `width` cells, their widths adapted to fill it."""
    shown = [c for c in columns if c.at_least <= width <= c.at_most]
    spare = width - 1 - sum(c.width + GAP for c in shown)
    for i, column in enumerate(shown):
        if not column.flexible:
            continue
        flexible_left = sum(c.flexible for c in shown[i:])
        grown = min(column.max_width, column.width + max(0, spare // flexible_left))
        spare -= grown - column.width
        shown[i] = replace(column, width=grown)
    return tuple(shown)


def picked_columns(columns: Sequence[Column], picked: Sequence[str], width: int) -> list[Column]:
    """Return the picked columns, whatever the width, but no more at the end than there is room for.

    A column that has one form for wide tables and one for others, of the same label, keeps both.
    """
    forms = Counter(column.label for column in columns)
    wanted = [
        replace(column, at_least=0, at_most=10_000) if forms[column.label] == 1 else column
        for column in columns
        if column.key in picked
    ]
    while len(wanted) > 1 and sum(column.width + GAP for column in wanted) + 1 > width:
        wanted.pop()
    return wanted


class DrawnLine(NamedTuple):
    """What a line of the screen shows: a row, if it is known, in pieces."""

    known: TableRow | None
    pointer: Piece
    pieces: tuple[Piece, ...]
    kind: str


NO_LINE = DrawnLine(None, Piece(""), (), "row")


class Table(ScrollView, can_focus=True):
    """Shows rows, or a part of them; subclasses say which columns there are."""

    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    NOUN: ClassVar[str] = "row"
    """What a row is, for sentences."""
    UNSORTED: ClassVar[str] = "as they come"
    """What the order is called that no column gives."""
    SORTS: ClassVar[bool] = True
    """Whether its rows can be had in another order."""
    OPENS: ClassVar[bool] = True
    """Whether a click on the row under the cursor opens it."""
    POINTER_WIDTH: ClassVar[int] = 1
    """Cells of the first column, which shows the row under the cursor."""
    ALLOW_SELECT = False
    KINDS: ClassVar[tuple[str, ...]] = ("cursor", "header")
    """Lines that have a style of their own, from the component class ``table--`` and this name."""
    COMPONENT_CLASSES = {"table--cursor", "table--header"}
    BINDINGS = [
        *bindings(Scope.LISTS),
        *(Binding(key, action, show=False) for key, action in MOVES.items()),
    ]

    class Chosen(Message):
        """Another row is under the cursor."""

        def __init__(self, table: Table) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> Table:
            """The table."""
            return self.table

    class Arranged(Message):
        """The user chose another order or other columns."""

        def __init__(self, table: Table) -> None:
            super().__init__()
            self.table = table

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._shown: tuple[TableRow, ...] = ()
        self._offset = 0
        """Number of the first row of those."""
        self._total = 0
        self._empty = ""
        self._cursor = 0
        self._chosen: str | None = None
        self._fitted: tuple[Column, ...] = ()
        self._palette: Palette = palette_of(DARK)
        self._lines = TableLines()
        self._styles: dict[str, LineStyles] = {}
        self._drawn: dict[int, DrawnLine] = {}
        """What the lines below the heads show."""
        self.sorted_by: str | None = None
        self.descending = False
        self.picked: tuple[str, ...] = ()
        """Keys of the columns that the user chose; empty for the usual ones."""

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
    def row_count(self) -> int:
        """How many rows there are, known or not."""
        return self._total

    @property
    def columns(self) -> Sequence[Column]:
        """The columns of which those that fit are shown."""
        return self.COLUMNS

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The columns that fit now."""
        return self._fitted

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        if palette != self._palette:
            self._palette = palette
            self.refresh()

    def sort_by(self, column: str | None) -> None:
        """Sort by a column; the same again turns the order round."""
        if column is not None and column == self.sorted_by:
            self.descending = not self.descending
        else:
            self.descending = False
        self.sorted_by = column
        self.refresh()
        self.post_message(self.Arranged(self))

    @property
    def sortable(self) -> tuple[str, ...]:
        """Keys of the columns that rows can be sorted by."""
        return tuple(column.key for column in self.columns)

    def pick(self, columns: Sequence[str]) -> None:
        """Show these columns, as far as there is room; none are the usual ones."""
        self.picked = tuple(columns)
        self._fit()
        self.refresh()
        self.post_message(self.Arranged(self))

    def restore(self, kept: TableSettings) -> None:
        """Use order and columns that were chosen before, as far as there are such columns."""
        known = {column.key for column in self.columns}
        self.picked = tuple(key for key in kept.columns if key in known)
        if kept.sort in self.sortable:
            self.sorted_by, self.descending = kept.sort, kept.descending

    @property
    def arrangement(self) -> TableSettings:
        """What `restore` brings back."""
        return TableSettings(self.sorted_by or "", self.descending, self.picked)

    def go_to(self, row: int) -> None:
        """Put the cursor on a row."""
        row = max(0, min(self._total - 1, row))
        if row == self._cursor:
            return
        self._cursor = row
        self._see(row)
        self.choose_here()
        self.refresh_changed()

    def choose_here(self) -> None:
        """Choose the row under the cursor."""
        row = self._known(self._cursor)
        chosen = row.key if row is not None else None
        if chosen != self._chosen:
            self._chosen = chosen
            self.post_message(self.Chosen(self))

    def _place_of(self, key: str | None) -> int:
        keys = (place for place, row in enumerate(self._shown, self._offset) if row.key == key)
        here = next(keys, self._cursor) if key is not None else self._cursor
        return max(0, min(self._total - 1, here))

    def _known(self, row: int) -> TableRow | None:
        at = row - self._offset
        return self._shown[at] if 0 <= at < len(self._shown) else None

    # Where it is

    def _top(self, row: int) -> int:
        """Return the first line of a row, below the heads."""
        return row

    def _row_at(self, line: int) -> tuple[int, int]:
        """Return the row that a line belongs to, and which line of it that is."""
        return line, 0

    def _fit(self) -> None:
        """Choose the columns that fit the width."""
        width = self.scrollable_content_region.width - self.POINTER_WIDTH + 1
        columns = picked_columns(self.columns, self.picked, width) if self.picked else self.columns
        self._fitted = fitted(columns, width)

    def _measure(self) -> None:
        lines = self._top(self.row_count) + 1
        self.virtual_size = Size(self.scrollable_content_region.width, lines)

    def _scroll(self, top: int) -> None:
        # At once: lines are compared next, from where it is scrolled to.
        self.scroll_to(y=max(0, top), animate=False, force=True, immediate=True)

    def _see(self, row: int) -> None:
        height, top = self.size.height - 1, self.scroll_offset.y
        if self._top(row) < top:
            self._scroll(self._top(row))
        elif height > 0 and self._top(row + 1) > top + height:
            self._scroll(self._top(row + 1) - height)

    def on_resize(self, event: Resize) -> None:
        """Choose the columns that fit the new width."""
        self._fit()
        self._measure()
        self._see(self.row)
        self.refresh()

    # Drawing

    def refresh_changed(self) -> None:
        """Have the lines written that show something else now."""
        height = self.size.height
        # Lines that were not drawn since it was empty or smaller can't be compared.
        if not self.row_count or len(self._drawn) < height - 1:
            self.refresh()
            return
        top, width = self.scroll_offset.y, self.size.width
        for y in range(1, height):
            if self._drawn.get(y) != self._line(y - 1 + top, self._drawn.get(y)):
                self.refresh(Region(0, y, width, 1))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the visible lines; the styles under them are worked out once for all."""
        base = self.rich_style
        self._styles = {"row": LineStyles(base, NO_STYLE)}
        for kind in self.KINDS:
            over = self.get_component_rich_style(f"table--{kind}")
            self._styles[kind] = LineStyles(base, over)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Return the heads for the first line, then rows from where it is scrolled to."""
        width = self.size.width
        if y == 0:
            heads = (Piece(self._label(column)) for column in self._fitted)
            pieces = (Piece(" " * self.POINTER_WIDTH), *heads)
            return self._lines.strip(HEADER, pieces, self._styles["header"], width)
        if not self.row_count:
            return self._empty_strip(y - EMPTY_LINE)
        at = y - 1 + self.scroll_offset.y
        line = self._drawn[y] = self._line(at, None)
        row, _ = self._row_at(at)
        if row >= self.row_count:
            return Strip.blank(width, self._styles["row"].base)
        pieces = (line.pointer, *line.pieces)
        return self._lines.strip(row, pieces, self._styles[line.kind], width)

    def _empty_strip(self, number: int) -> Strip:
        """Return a line of the words that say why there are no rows."""
        self._drawn.clear()
        styles, width = self._styles["row"], self.size.width
        lines = [""]
        for word in self._empty.split():
            if len(lines[-1]) + len(word) + 4 > width:
                lines.append("")
            lines[-1] += f" {word}"
        if not 0 <= number < len(lines) or not lines[number]:
            return Strip.blank(width, styles.base)
        note = Piece(f" {lines[number]}", self._palette.style(Tone.MUTED))
        return self._lines.strip(HEADER, (note,), styles, width)

    def _line(self, at: int, before: DrawnLine | None) -> DrawnLine:
        """Return what a line shows; a row that was drawn there is not made into pieces again."""
        row, part = self._row_at(at)
        if row >= self.row_count:
            return NO_LINE
        known, here = self._known(row), row == self.row
        pointer = self._pointer(known.key if known else "", here=here and not part)
        if known is None:
            dots = Piece(" …", self._palette.style(Tone.MUTED))
            return DrawnLine(None, pointer, (dots,), "cursor" if here else "row")
        kind = "cursor" if here else known.kind
        if before is not None and before.known is known:
            return before._replace(pointer=pointer, kind=kind)
        return DrawnLine(known, pointer, self._pieces(known, part), kind)

    def _pieces(self, row: TableRow, part: int) -> tuple[Piece, ...]:
        """Return one line of a row, cell by cell; `part` is the number of that line."""
        return tuple(self._piece(c, row.cells.get(c.key, NO_CELL)) for c in self._fitted)

    def _piece(self, column: Column, cell: Cell) -> Piece:
        text = fit(cell.text, column.width, right=column.right, middle=column.middle) + " " * GAP
        return Piece(text, self._palette.style(cell.tone))

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
        self.go_to(self.row + 1)

    def action_cursor_up(self) -> None:
        """Go to the row before."""
        self.go_to(self.row - 1)

    def action_scroll_top(self) -> None:
        """Go to the first row."""
        self.go_to(0)

    def action_scroll_bottom(self) -> None:
        """Go to the last row."""
        self.go_to(self.row_count - 1)

    def action_page_down(self) -> None:
        """Go a page down."""
        self.go_to(self.row + max(1, self.size.height - 2))

    def action_page_up(self) -> None:
        """Go a page up."""
        self.go_to(self.row - max(1, self.size.height - 2))

    async def on_click(self, event: Click) -> None:
        """Go to the row that was clicked, open it if it is the cursor's; sort by a clicked head."""
        row = event.style.meta.get("row")
        if row == HEADER:
            place = event.style.meta.get("column", 0) - 1
            if self.SORTS and 0 <= place < len(self._fitted):
                self.sort_by(self._fitted[place].key)
        elif row is not None and row == self.row and self.OPENS:
            await self.run_action("screen.open")
        elif row is not None:
            self.go_to(row)
