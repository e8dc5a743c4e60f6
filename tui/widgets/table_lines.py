"""Draws the lines of a live table: one strip per row, kept until the row or its colors change.

`DataTable` renders every cell through the console again whenever one of them changes, which alone
would cost more than a frame. The strips carry the same metadata, so mouse clicks work as usual.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Hashable

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
