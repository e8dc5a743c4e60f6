"""The header of an object as a tree: elements unfold, and are searched, hidden and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.api.objects import ComparedRow, RowChange
from tui.keys import with_keys
from tui.text import count, counted, safe
from tui.theme import Tone
from tui.widgets.filter import NO_FILTER, RowFilter, folded
from tui.widgets.paged_table import PagedTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.api.objects import ElementRow


FIELDS: Final = ("tag", "vr", "keyword", "value", "change")
"""What a search can ask for by name."""
GLYPHS: Final = {
    RowChange.EQUAL: " ",
    RowChange.CHANGED: "≠",
    RowChange.REMOVED: "−",
    RowChange.ADDED: "+",
}
_TEXT_OF_ONE_VALUE: Final = frozenset({"LT", "ST", "UT", "OB", "OW", "OF", "OD", "OL", "UN", "SQ"})


@dataclass(frozen=True, slots=True)
class HeaderTreeState:
    """Which elements of a header are shown."""

    unfolded: frozenset[str] = frozenset()
    """Paths of the sequences that are open."""
    all_unfolded: bool = False
    private: bool = True
    wanted: RowFilter = NO_FILTER
    only_changes: bool = False

    def toggled(self, path: str) -> HeaderTreeState:
        """Open a sequence, or close it."""
        return replace(self, unfolded=self.unfolded ^ {path})

    def is_open(self, path: str) -> bool:
        """Tell whether the items of a sequence are shown; a search shows all items."""
        searching = bool(self.wanted) or self.only_changes
        return self.all_unfolded or searching or path in self.unfolded


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """One element that is seen; safe text."""

    row: ComparedRow
    tag: str
    vr: str
    name: str
    value: str

    @property
    def element(self) -> ElementRow:
        """The stored element, else the received one."""
        return element_of(self.row)


def element_of(row: ComparedRow) -> ElementRow:
    """Return the stored element of a pair, else the received one."""
    element = row.stored or row.received
    assert element is not None
    return element


def uncompared(elements: Iterable[ElementRow]) -> tuple[ComparedRow, ...]:
    """Return the elements of one header as pairs without changes."""
    return tuple(ComparedRow(RowChange.EQUAL, None, element) for element in elements)


def header_lines(rows: Sequence[ComparedRow], view: HeaderTreeState) -> list[HeaderLine]:
    """Return what is seen of a header; the sequences around what is found are seen too."""
    kept, above = list[ComparedRow](), list[ComparedRow]()
    shown = set[str]()
    for row in rows:
        element = element_of(row)
        above = [outer for outer in above if element_of(outer).depth < element.depth]
        is_hidden = element.private and not view.private
        is_folded = any(not view.is_open(element_of(outer).path) for outer in above)
        if not is_hidden and not is_folded and _is_wanted(row, view):
            around = [outer for outer in above if element_of(outer).path not in shown]
            shown |= {element_of(outer).path for outer in around}
            kept += [*around, row] if element.path not in shown else around
            shown.add(element.path)
        if element.vr == "SQ":
            above.append(row)
    return _lines(kept, view)


def _is_wanted(row: ComparedRow, view: HeaderTreeState) -> bool:
    if view.only_changes and row.change is RowChange.EQUAL:
        return False
    if not view.wanted:
        return True
    values = [element.value for element in (row.received, row.stored) if element is not None]
    element = element_of(row)
    return view.wanted.matches(
        folded(
            tag=f"{tag_words(element.tag)} {element.tag:08x}",
            vr=element.vr,
            keyword=element.keyword,
            value="\n".join(values),
            change=row.change,
        )
    )


def _lines(rows: list[ComparedRow], view: HeaderTreeState) -> list[HeaderLine]:
    lines, item_of = list[HeaderLine](), dict[str, int]()
    for row in rows:
        element = element_of(row)
        outer = element.path.rpartition("[")[0]
        new_item = element.depth > 0 and item_of.get(outer) != element.item
        item_of[outer] = element.item
        mark = f"{element.item}· " if new_item else "   "
        indent = "   " * max(0, element.depth - 1) + (mark if element.depth else "")
        name = safe(element.keyword) or ("private" if element.private else "–")
        if element.vr == "SQ":
            name = f"{'▾' if view.is_open(element.path) else '▸'} {name}"
        value = pair_words(row)
        lines.append(
            HeaderLine(row, tag_words(element.tag), safe(element.vr), indent + name, value)
        )
    return lines


def tag_words(tag: int) -> str:
    """Return a tag as people write it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def pair_words(row: ComparedRow) -> str:
    """Return a value, or the reason why there is none."""
    match row.change:
        case RowChange.CHANGED:
            return f"{_short(row.received)} → {_short(row.stored)}"
        case RowChange.REMOVED:
            return f"{_short(row.received)} → removed"
        case _:
            return value_words(row.stored or row.received)


def masked_note() -> str:
    """Return what stands behind a value that is masked."""
    return with_keys(" (masked, {object.values} shows)")


def _short(element: ElementRow | None) -> str:
    return value_words(element).removesuffix(masked_note())


def value_words(element: ElementRow | None) -> str:
    """Return the value of an element in one line."""
    if element is None:
        return ""
    note = masked_note() if element.masked else ("…" if element.cut else "")
    uid, space, name = element.value.partition(" ")
    value = f"{name} {uid}" if space and element.vr == "UI" else element.value
    return safe(value) + note


def element_facts(row: ComparedRow) -> list[tuple[str, str]]:
    """Return everything about an element: both values where they differ, and the first bytes."""
    element = element_of(row)
    facts = [("length", _length_words(element))]
    if row.change in (RowChange.CHANGED, RowChange.REMOVED):
        facts.append(("received", _quoted(row.received)))
    if row.change is RowChange.REMOVED:
        facts.append(("stored", "removed"))
    elif row.change is RowChange.ADDED:
        facts += [("received", "absent"), ("stored", _quoted(row.stored))]
    else:
        name = "stored" if row.change is RowChange.CHANGED else "value"
        facts.append((name, _quoted(row.stored)))
    raw = element.first_bytes.hex(" ").upper()
    more = " …" if element.length > len(element.first_bytes) > 0 else ""
    facts.append(("raw", f"{raw}{more}"))
    return [(name, value) for name, value in facts if value]


def _length_words(element: ElementRow) -> str:
    values = f"VM {count(multiplicity(element))}"
    if not element.length and element.value:  # file meta is not kept as it was encoded
        return values
    length = "undefined" if element.length < 0 else counted(element.length, "byte")
    return f"{length}, {values}"


def _quoted(element: ElementRow | None) -> str:
    if element is None or element.vr == "SQ":
        return element.value if element else ""
    return f"“{value_words(element)}”" if not element.masked else value_words(element)


def multiplicity(element: ElementRow) -> int:
    """Return how many values an element has; 0 if it is empty."""
    if not element.value or element.vr in _TEXT_OF_ONE_VALUE:
        return int(bool(element.value))
    return element.value.count("\\") + 1


def rule_for(element: ElementRow) -> str:
    """Return a routing rule that takes the beginning of this element's value as it is seen.

    What is before the first ``^``, ``_``, comma or space, else the whole value. A
    masked value takes the whole, so that nothing of it stands in the rule.
    """
    tag = tag_words(element.tag).lower()
    ends = [end for end in "^_, " if end in element.value[1:]] if not element.masked else []
    if not ends:
        return f"{tag}:(.*):1"
    end = min(ends, key=lambda one: element.value.index(one, 1))
    literal = "\\^" if end == "^" else end
    return f"{tag}:([^{end}]+){literal}.*:1"


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
        "The elements of the object as it is stored; {list.open} opens a sequence and "
        "{object.sequences} opens all, {object.private} hides private elements, {view.filter} "
        "finds by tag, VR, keyword or value. {object.compare} compares with what arrived: ≠ "
        "changed, − removed, + added; once more shows only those. Identifying values are masked "
        "until {object.values} is pressed; the journal keeps who saw them. {object.rule} copies a "
        "routing rule for the element."
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
