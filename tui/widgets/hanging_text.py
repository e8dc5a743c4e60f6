"""Text whose lines, where they are broken, go on below their value and not at the margin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.geometry import Size

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

    def _lines(self, width: int) -> list[Content]:
        lines = self._text.split("\n", allow_blank=True)
        return [part for line in lines for part in hanging(line, max(1, width))]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines there are at a width."""
        return len(self._lines(width))

    def render(self) -> Content:
        """Return the lines at the width that there is."""
        return Content("\n").join(self._lines(self.content_size.width))
