"""The differences of two revisions: one column before, one column after, long texts by line."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells
from rich.text import Text
from textual.widgets import Static

from engine.model.configuration_diff import Change
from engine.model.secrets import MASK
from tui.keys import pressed
from tui.text import fit, safe
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.api.history import ChangeRow


CONTEXT = 2
"""Lines that are alike and shown around those that are not."""
LONGEST_FIELD = 26
NARROWEST_FIELD = 12
GAP = "  "
NOTHING = "nothing"
FAST_MATCH = 500
"""Texts of more lines are compared without regard to lines that repeat."""


class DiffLineKind(StrEnum):
    """What a line of a difference says."""

    ADDED = "added"
    REMOVED = "removed"
    SUBJECT = "subject"
    CHANGED = "changed"
    """One line before, another one after."""
    GONE = "gone"
    COME = "come"
    ALIKE = "alike"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line; safe text."""

    kind: DiffLineKind
    field: str = ""
    """Of a field's first line; of a subject its name."""
    before: str = ""
    after: str = ""


def diff_lines(rows: Sequence[ChangeRow]) -> tuple[DiffLine, ...]:
    """Return the lines of differences, under the name of each subject."""
    return tuple(_lines(rows))


def _lines(rows: Sequence[ChangeRow]) -> Iterator[DiffLine]:
    subject = ""
    for row in rows:
        name = safe(row.subject)
        if row.change is Change.ADDED:
            yield DiffLine(DiffLineKind.ADDED, name)
        elif row.change is Change.REMOVED:
            yield DiffLine(DiffLineKind.REMOVED, name)
        else:
            if row.subject != subject:
                yield DiffLine(DiffLineKind.SUBJECT, name)
            yield from _field(row)
        subject = row.subject


def field_words(field: str) -> str:
    """Return the key of a field in words; safe text."""
    return safe(field.replace("_", " "))


def sentence_words(sentence: str) -> str:
    """Return a difference in one line with its field in words; safe text."""
    # The field is the last word before the values; names of subjects may have underscores, too.
    named, colon, values = sentence.partition(": ")
    if not colon:
        return safe(sentence)
    subject, blank, field = named.rpartition(" ")
    return f"{safe(subject)}{blank}{field_words(field)}: {safe(values)}"


def _field(row: ChangeRow) -> Iterator[DiffLine]:
    field = field_words(row.field)
    if "\n" in row.before or "\n" in row.after:
        yield from _text(field, row.before.splitlines(), row.after.splitlines())
        return
    before, after = (safe(value) or NOTHING for value in (row.before, row.after))
    if MASK in row.before and row.before == row.after:
        after = f"{after} changed, never shown"
    yield DiffLine(DiffLineKind.CHANGED, field, before, after)


def _text(field: str, before: list[str], after: list[str]) -> Iterator[DiffLine]:
    old, new = [*map(safe, before)], [*map(safe, after)]
    fast = len(old) + len(new) > FAST_MATCH
    for what, i, j, k, m in SequenceMatcher(None, old, new, autojunk=fast).get_opcodes():
        if what == "equal":
            lines = _alike(old[i:j], first=i == 0, last=j == len(old) and m == len(new))
        else:
            lines = _unlike(old[i:j], new[k:m])
        for line in lines:
            yield DiffLine(line.kind, field, line.before, line.after)
            field = ""


def _alike(lines: list[str], *, first: bool, last: bool) -> Iterator[DiffLine]:
    head, tail = (0 if first else CONTEXT), (0 if last else CONTEXT)
    left_out = len(lines) - head - tail
    for place, line in enumerate(lines):
        if left_out < 2 or place < head or place >= len(lines) - tail:
            yield DiffLine(DiffLineKind.ALIKE, "", line, line)
        elif place == head:
            yield DiffLine(DiffLineKind.NOTE, "", f"… {left_out:,} lines alike")


def _unlike(old: list[str], new: list[str]) -> Iterator[DiffLine]:
    for before, after in zip_longest(old, new):
        if before is None:
            yield DiffLine(DiffLineKind.COME, "", "", after)
        elif after is None:
            yield DiffLine(DiffLineKind.GONE, "", before)
        else:
            yield DiffLine(DiffLineKind.CHANGED, "", before, after)


@dataclass(frozen=True, slots=True)
class Columns:
    """How wide the columns are."""

    field: int
    value: int


def columns(lines: Sequence[DiffLine], width: int) -> Columns:
    """Return the columns for a width: the field no wider than needed, the values alike."""
    named = [cell_len(line.field) for line in lines if line.kind not in _WHOLE]
    field = max(NARROWEST_FIELD, min(LONGEST_FIELD, width // 4, max(named, default=0)))
    return Columns(field, max(4, (width - field - 2 * len(GAP)) // 2 - 2))


_WHOLE = frozenset((DiffLineKind.ADDED, DiffLineKind.REMOVED, DiffLineKind.SUBJECT))
_MARKS = {
    DiffLineKind.CHANGED: ("-", "+"),
    DiffLineKind.GONE: ("-", " "),
    DiffLineKind.COME: (" ", "+"),
}


def laid_out(line: DiffLine, widths: Columns) -> list[tuple[str, str, str]]:
    """Return field, before and after for each line of the screen that a line takes."""
    left, right = _MARKS.get(line.kind, (" ", " "))
    field, before, after = (
        chop_cells(text, width) or [""]
        for text, width in (
            (line.field, widths.field),
            (line.before, widths.value),
            (line.after, widths.value),
        )
    )
    rows = []
    for place, parts in enumerate(zip_longest(field, before, after, fillvalue="")):
        one, two, three = parts
        marks = (left, right) if place == 0 else (" ", " ")
        rows.append((
            fit(one, widths.field) + GAP,
            fit(f"{marks[0]} {two}", widths.value + 2) + GAP,
            f"{marks[1]} {three}",
        ))  # fmt: skip
    return rows


def as_text(lines: Sequence[DiffLine]) -> str:
    """Return the lines for a file or a ticket."""
    return "\n".join(_plain(line) for line in lines)


def _plain(line: DiffLine) -> str:
    match line.kind:
        case DiffLineKind.SUBJECT | DiffLineKind.ADDED | DiffLineKind.REMOVED:
            said = "" if line.kind is DiffLineKind.SUBJECT else f" {line.kind}"
            return f"{line.field}{said}"
        case DiffLineKind.CHANGED:
            return f"  {line.field}\n    - {line.before}\n    + {line.after}"
        case DiffLineKind.GONE:
            return f"  {line.field}\n    - {line.before}" if line.field else f"    - {line.before}"
        case DiffLineKind.COME:
            return f"  {line.field}\n    + {line.after}" if line.field else f"    + {line.after}"
        case _:
            return f"      {line.before}"


MOST_LINES = 2000
TONES = {
    DiffLineKind.CHANGED: (Tone.ERROR, Tone.OK),
    DiffLineKind.GONE: (Tone.ERROR, Tone.MUTED),
    DiffLineKind.COME: (Tone.MUTED, Tone.OK),
}
SUBJECTS = {
    DiffLineKind.ADDED: ("+ ", Tone.OK),
    DiffLineKind.REMOVED: ("- ", Tone.ERROR),
    DiffLineKind.SUBJECT: ("", Tone.STRONG),
}


class RevisionDiff(Static):
    """Draws the lines of a difference as wide as it is; a note where there are none."""

    def __init__(self, *, id: str) -> None:
        super().__init__("", id=id, markup=False)
        self._lines: tuple[DiffLine, ...] = ()
        self._heads = ("", "")
        self._note = ""
        self._palette = palette_of(DARK)

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self._draw()

    def show(self, lines: tuple[DiffLine, ...], heads: tuple[str, str], note: str) -> None:
        """Show other lines under heads for before and after; without any, a note (safe text)."""
        if (lines, heads, note) != (self._lines, self._heads, self._note):
            self._lines, self._heads, self._note = lines, heads, note
            self._draw()

    def on_resize(self) -> None:
        """Break the lines for the new width."""
        self._draw()

    def _draw(self) -> None:
        width = self.size.width
        if not width:
            return
        if not self._lines:
            self.update(Text(self._note, self._palette.style(Tone.MUTED)))
            return
        shown = self._lines[:MOST_LINES]
        widths = columns(shown, width)
        text = self._head(widths)
        for line in shown:
            self._append(text, line, widths)
        if len(self._lines) > MOST_LINES:
            text.append(
                f"… {len(self._lines) - MOST_LINES:,} more lines; {pressed('view.copy')} copies all"
            )
        self.update(text)

    def _head(self, widths: Columns) -> Text:
        before, after = self._heads
        line = " " * (widths.field + len(GAP)) + fit(f"  {before}", widths.value + 2) + GAP
        return Text(end="").append(f"{line}  {after}\n", self._palette.style(Tone.MUTED))

    def _append(self, text: Text, line: DiffLine, widths: Columns) -> None:
        style = self._palette.style
        if line.kind in SUBJECTS:
            mark, tone = SUBJECTS[line.kind]
            said = "" if line.kind is DiffLineKind.SUBJECT else f" {line.kind}"
            text.append(f"{mark}{line.field}{said}\n", style(tone))
            return
        left, right = TONES.get(line.kind, (Tone.MUTED, Tone.MUTED))
        for field, before, after in laid_out(line, widths):
            text.append(field, style(Tone.PLAIN))
            text.append(before, style(left))
            text.append(f"{after}\n", style(right))
