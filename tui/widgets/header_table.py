"""The elements of one object: a line each, sequences unfold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.view.objects import RowChange
from tui.forms.header_tree import GLYPHS
from tui.theme import Tone
from tui.widgets.live_table import Cell, Column, TableRow
from tui.widgets.paged_table import PagedTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.forms.header_tree import HeaderLine

TONES = {
    RowChange.EQUAL: Tone.PLAIN,
    RowChange.CHANGED: Tone.WARNING,
    RowChange.REMOVED: Tone.ERROR,
    RowChange.ADDED: Tone.OK,
}


class HeaderTable(PagedTable):
    """One header, or two compared."""

    NOUN = "element"
    HELP_TITLE = "Header"
    HELP = (
        "The elements of the object as it is stored; enter opens a sequence and s opens all, "
        "p hides private elements, / finds by tag, VR, keyword or value. c compares with what "
        "arrived: ≠ changed, − removed, + added; once more shows only those. Identifying values "
        "are masked until v is pressed; the journal keeps who saw them. r copies a routing rule "
        "for the element."
    )
    COLUMNS = (
        Column("change", "", 1),
        Column("tag", "Tag", 11),
        Column("vr", "VR", 2),
        Column("name", "Keyword", 22, flexible=True, max_width=34),
        Column("value", "Value", 24, flexible=True),
    )


def header_rows(lines: Iterable[HeaderLine]) -> list[TableRow]:
    """Return the rows of the elements that are seen."""
    return [_row(line) for line in lines]


def _row(line: HeaderLine) -> TableRow:
    change, element = line.row.change, line.element
    tone = TONES[change]
    hidden = element.masked and change is RowChange.EQUAL
    return TableRow(
        element.path,
        {
            "change": Cell(GLYPHS[change], tone),
            "tag": Cell(line.tag, Tone.MUTED),
            "vr": Cell(line.vr, Tone.MUTED),
            "name": Cell(line.name, Tone.STRONG if element.vr == "SQ" else Tone.PLAIN),
            "value": Cell(line.value, Tone.MUTED if hidden else tone),
        },
    )
