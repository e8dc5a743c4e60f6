"""The framed panel, and the two layouts in it: names with values, and text with hanging indents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from textual.containers import Vertical
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.geometry import Size


class Panel(Vertical):
    """Frames its content: title at the top left, a note at the bottom right."""

    DEFAULT_CLASSES: ClassVar[str] = "panel"

    def __init__(self, title: str, *, id: str) -> None:
        super().__init__(id=id)
        self._title = title
        self._detail = ""
        self._note = ""
        self._other_note = ""
        self._focused = False

    def on_mount(self) -> None:
        """Draw the title."""
        self._draw_title()

    def describe(self, detail: str, note: str | None = None) -> None:
        """Show a detail behind the title and a usual note at the bottom; both safe text."""
        if detail != self._detail:
            self._detail = detail
            self._draw_title()
        if note is not None and note != self._note:
            self._note = note
            self._draw_note()

    def rename(self, title: str) -> None:
        """Show another title; safe text."""
        if title != self._title:
            self._title = title
            self._draw_title()

    def override_note(self, note: str) -> None:
        """Show another note instead of the usual one; empty ends that."""
        self._other_note = note
        self._draw_note()

    def on_descendant_focus(self) -> None:
        """Mark the panel as the one that keys go to."""
        self._mark()

    def on_descendant_blur(self) -> None:
        """Take the mark away."""
        self._mark()

    def _mark(self) -> None:
        focused = self.screen.focused
        self._focused = focused is not None and self in focused.ancestors_with_self
        self._draw_title()

    def _draw_note(self) -> None:
        note = self._other_note or self._note
        self.border_subtitle = Content(note) if note else None

    def _draw_title(self) -> None:
        mark = "▸ " if self._focused else ""
        detail = f"   {self._detail}" if self._detail else ""
        self.border_title = Content.assemble(mark, (self._title, "bold"), detail)


NAME_WIDTH = 16
SPLIT_WIDTH = 70
"""From this width on there is room for two columns of facts."""
Fact = tuple[str, str]


class Facts(Static):
    """Shows facts; safe text only.

    If it may, it shows them in two columns on a wide terminal with few lines.
    """

    def __init__(self, *, id: str, name_width: int = NAME_WIDTH, may_split: bool = False) -> None:
        super().__init__("", id=id, markup=False)
        self._name_width = name_width
        self._may_split = may_split
        self._is_split = False
        self._palette = palette_of(DARK)
        self._facts: tuple[Fact, ...] = ()

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What is shown."""
        return self._facts

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.update(self._table())

    def show(self, facts: Sequence[Fact]) -> None:
        """Show other facts."""
        if tuple(facts) != self._facts:
            self._facts = tuple(facts)
            self._is_split = self._splits()
            self.update(self._table())

    def on_resize(self) -> None:
        """Use one column or two, whichever fits."""
        if self._splits() is not self._is_split:
            self._is_split = not self._is_split
            self.update(self._table())

    def _splits(self) -> bool:
        return (
            self._may_split and self.size.width >= SPLIT_WIDTH and self.screen.has_class("-short")
        )

    def _table(self) -> Table:
        if not self._is_split:
            return self._part(self._facts)
        half = (len(self._facts) + 1) // 2
        both = Table.grid(padding=(0, 1), expand=True)
        both.add_column(ratio=1)
        both.add_column(ratio=1)
        both.add_row(self._part(self._facts[:half]), self._part(self._facts[half:]))
        return both

    def _part(self, facts: Sequence[Fact]) -> Table:
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=self._name_width, no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        for name, value in facts:
            table.add_row(Text(name, self._palette.style(Tone.MUTED)), Text(value))
        return table


class Excerpt(Static):
    """Shows as much of a text as there is room for; an ellipsis says that there is more."""

    def __init__(self, text: str | Text = "", *, id: str) -> None:
        super().__init__(text, id=id, markup=False)

    def render_line(self, y: int) -> Strip:
        """Return a line; the last one there is room for ends with an ellipsis, if more follow."""
        line, (width, height) = super().render_line(y), self.content_size
        if y != height - 1 or self.get_content_height(self.size, self.app.size, width) <= height:
            return line
        style, end = self.visual_style.rich_style, min(cell_len(line.text.rstrip()), width - 1)
        strips = line.crop(0, end), Strip([Segment("…", style)])
        return Strip.join(strips).adjust_cell_length(width, style)


_LABEL = re.compile(r" *\S.{0,21}? {2,}(?=\S)")
"""A name and the gap before its value."""
_MARGIN = re.compile(r" *")


def hanging(line: Content, width: int, indent: int | None = None) -> list[Content]:
    """Break a line; further lines begin `indent` cells in, by default below its value."""
    column = _column(line.plain) if indent is None else indent
    if line.cell_length <= width or column > width // 2:
        return line.wrap(width)
    first, *others = line[column:].wrap(width - column)
    return [line[:column] + first, *(Content(" " * column) + other for other in others)]


def _column(text: str) -> int:
    found = _LABEL.match(text) or _MARGIN.match(text)
    return found.end() if found else 0


class HangingText(Widget):
    """Shows lines that hang; safe text only."""

    DEFAULT_CSS = "HangingText { height: auto; }"

    def __init__(self, text: Content) -> None:
        super().__init__()
        self._text = text

    def show(self, text: Content) -> None:
        """Show other lines."""
        self._text = text
        self.refresh(layout=True)

    def _lines(self, width: int) -> list[Content]:
        lines = self._text.split("\n", allow_blank=True)
        return [part for line in lines for part in hanging(line, max(1, width))]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines there are at a width."""
        return len(self._lines(width))

    def render(self) -> Content:
        """Return the lines at the width that there is."""
        return Content("\n").join(self._lines(self.content_size.width))
