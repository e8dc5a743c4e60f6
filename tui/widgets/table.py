"""A table that compares rows by key and writes only changed cells; rows can be marked.

The cursor and the scroll position stay with their row when rows are added, removed or sorted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import on
from textual.message import Message
from textual.strip import Strip
from textual.widgets import DataTable

from tui.keys import Scope, bindings
from tui.text import fit
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from textual.events import Resize
    from textual.geometry import Region


MAX_STRIPS = 1000
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


@dataclass(frozen=True, slots=True)
class RowMark:
    """The first column: shows which row is chosen, and carries the row's key for sorting."""

    key: str
    chosen: bool = False

    def __rich__(self) -> Text:
        return Text("▸" if self.chosen else " ", end="")


MARK = "mark"
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


class LiveTable(DataTable[Text | RowMark]):
    """Shows `TableRow`s; subclasses say which columns there are."""

    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    NOUN: ClassVar[str] = "row"
    """What a row is, for sentences."""
    UNSORTED: ClassVar[str] = "as they come"
    """What the order is called that no column gives."""
    POINTER_WIDTH: ClassVar[int] = 1
    """Cells of the first column."""
    FOLLOWS_TOP: ClassVar[bool] = False
    """Whether a cursor on the first row stays on whatever is the first row."""
    BINDINGS = bindings(Scope.LISTS)

    class Chosen(Message):
        """Another row is under the cursor."""

        def __init__(self, table: LiveTable, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> LiveTable:
            """The table."""
            return self.table

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=0, zebra_stripes=False)
        self._rows: tuple[TableRow, ...] = ()
        self._written: dict[str, dict[str, Cell]] = {}
        self._sources: dict[str, TableRow] = {}
        """What was written, by key."""
        self._order: list[str] = []
        self._fitted: tuple[Column, ...] = ()
        self._palette: Palette = palette_of(DARK)
        self._lines = TableLines()
        self._line_styles: dict[str, LineStyles] = {}
        self._chosen: str | None = None
        self._empty = ""
        self.sorted_by: str | None = None
        self.descending = False

    @property
    def chosen(self) -> str | None:
        """Key of the row under the cursor, also before its message of that has come."""
        row = self.cursor_row
        return self._order[row] if 0 <= row < len(self._order) else None

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The columns that fit now."""
        return self._fitted

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        if palette != self._palette:
            self._palette = palette
            self._rebuild()

    def show(self, rows: Sequence[TableRow], empty: str = "") -> None:
        """Show these rows, writing only what differs; without any, say why (safe text)."""
        before, self._rows = self._rows, tuple(rows)
        if empty != self._empty:
            self._empty = empty
            self.refresh()
        if self._rows != before:
            self._write_all()

    def _write_all(self) -> None:
        if not self._fitted:
            return
        self._mark_cursor_row()  # it may have been moved since; keys come faster than messages
        ordered = self._sorted(self._rows)
        keys = [row.key for row in ordered]
        wanted = self._chosen if not self._stays_on_top() else None
        place = self.cursor_row
        self._remove_all_but(set(keys))
        for row in ordered:
            if self._sources.get(row.key) is not row:
                self._write(row)
        if self._order != keys:
            self._reorder(keys)
        self._restore_cursor(wanted, place)

    def choose(self, key: str) -> None:
        """Put the cursor on a row, if it is there."""
        if key in self._order:
            self.move_cursor(row=self._order.index(key))
            self._mark_cursor_row()

    def sort_by(self, column: str | None) -> None:
        """Sort by a column; the same again turns the order round, a third time ends it."""
        if column is not None and column == self.sorted_by:
            column, self.descending = (column, True) if not self.descending else (None, False)
        else:
            self.descending = False
        self.sorted_by = column
        self._rebuild()

    def _stays_on_top(self) -> bool:
        return self.FOLLOWS_TOP and self.cursor_row == 0

    def _sorted(self, rows: tuple[TableRow, ...]) -> list[TableRow]:
        column = self.sorted_by
        if column is None:
            return list(rows)

        def position(row: TableRow) -> tuple[bool, float, str]:
            cell = row.cells.get(column, NO_CELL)
            return cell.order is None, cell.order or 0.0, cell.text.casefold()

        return sorted(rows, key=position, reverse=self.descending)

    def _remove_all_but(self, keys: set[str]) -> None:
        for key in [key for key in self._order if key not in keys]:
            self.remove_row(key)
            self._order.remove(key)
            del self._written[key], self._sources[key]

    def _write(self, row: TableRow) -> None:
        self._sources[row.key] = row
        written = self._written.get(row.key)
        if written is None:
            cells = {c.key: row.cells.get(c.key, NO_CELL) for c in self._fitted}
            texts = [self._text(c, cells[c.key]) for c in self._fitted]
            self.add_row(RowMark(row.key), *texts, key=row.key, height=1)
            self._written[row.key] = cells
            self._order.append(row.key)
            return
        for column in self._fitted:
            cell = row.cells.get(column.key, NO_CELL)
            if cell[:2] != written[column.key][:2]:
                self.update_cell(row.key, column.key, self._text(column, cell), update_width=False)
            written[column.key] = cell

    def _text(self, column: Column, cell: Cell) -> Text:
        return Text(cell.text, no_wrap=True, end="")

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the visible lines; the styles under them are worked out once for all."""
        base = self.rich_style
        cursor = self.get_component_rich_style("datatable--cursor")
        header = self.get_component_rich_style("datatable--header")
        self._line_styles = {
            "header": LineStyles(base, header),
            "cursor": LineStyles(base, cursor),
            "row": LineStyles(base, NO_STYLE),
        }
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Return the heads for the first line, then rows from where the table is scrolled to."""
        width = self.size.width
        if y == 0:
            heads = tuple(Piece(self._label(column)) for column in self._fitted)
            return self._lines.strip(
                HEADER,
                (Piece(" " * self.POINTER_WIDTH), *heads),
                self._line_styles["header"],
                width,
            )
        row = y - 1 + self.scroll_offset.y
        if not self._order and y == EMPTY_LINE and self._empty:
            note = Piece(f"  {self._empty}", self._palette.style(Tone.MUTED))
            return self._lines.strip(HEADER, (note,), self._line_styles["row"], width)
        if row >= len(self._order):
            return Strip.blank(width, self._line_styles["row"].base)
        key = self._order[row]
        kind = "cursor" if row == self.cursor_row else "row"
        mark = self._pointer(key)
        cells = self._written[key]
        pieces = (mark, *(self._piece(column, cells[column.key]) for column in self._fitted))
        return self._lines.strip(row, pieces, self._line_styles[kind], width)

    def _pointer(self, key: str) -> Piece:
        return Piece("▸" if key == self._chosen else " ")

    def _piece(self, column: Column, cell: Cell) -> Piece:
        text = fit(cell.text, column.width, right=column.right)
        return Piece(text + " " * GAP, self._palette.style(cell.tone))

    def _reorder(self, keys: list[str]) -> None:
        places = {key: place for place, key in enumerate(keys)}

        def place_of(mark: Text | RowMark) -> int:
            assert isinstance(mark, RowMark)
            return places[mark.key]

        self.sort(MARK, key=place_of)
        self._order = keys

    def _restore_cursor(self, wanted: str | None, place: int) -> None:
        if self._order:
            row = self._order.index(wanted) if wanted in self._order else place
            row = min(row, len(self._order) - 1)
            if row != self.cursor_row:
                self.move_cursor(row=row, scroll=False)
        self._mark_cursor_row()

    def _mark_cursor_row(self) -> None:
        chosen = self.chosen
        if chosen == self._chosen:
            return
        if self._chosen in self._written:
            self.update_cell(self._chosen, MARK, RowMark(self._chosen))
        if chosen is not None:
            self.update_cell(chosen, MARK, RowMark(chosen, chosen=True))
        self._chosen = chosen
        self.post_message(self.Chosen(self, chosen))

    def _rebuild(self) -> None:
        width = self.scrollable_content_region.width
        if not width:
            return
        chosen = self._chosen
        self._fitted = self._columns(width)
        self.clear(columns=True)
        self._written.clear()
        self._sources.clear()
        self._order.clear()
        self.add_column(" ", width=self.POINTER_WIDTH, key=MARK)
        for column in self._fitted:
            self.add_column(Text(column.label), width=column.width + GAP, key=column.key)
        self._chosen = None
        self._write_all()
        if chosen is not None:
            self.choose(chosen)

    def _columns(self, width: int) -> tuple[Column, ...]:
        return fitted(self.COLUMNS, width - self.POINTER_WIDTH + 1)

    def _label(self, column: Column) -> str:
        if column.key != self.sorted_by:
            return fit(column.label, column.width, right=column.right) + " "
        arrow = "▼" if self.descending else "▲"
        label = fit(column.label, min(len(column.label), column.width - 1)) + arrow
        return fit(label, column.width, right=column.right) + " "

    def on_resize(self, event: Resize) -> None:
        """Choose the columns that fit the new width."""
        width = self.scrollable_content_region.width
        if width and self._fitted != self._columns(width):
            self._rebuild()

    @on(DataTable.RowHighlighted)
    def _cursor_moved(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        self._mark_cursor_row()

    @on(DataTable.HeaderSelected)
    def _header_clicked(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        if event.column_key.value not in (None, MARK):
            self.sort_by(event.column_key.value)


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
