"""What differs between two revisions: a column for before, one for after."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from tui.forms.revision_diff import GAP, Columns, DiffLine, Kind, columns, laid_out
from tui.text import fit
from tui.theme import DARK, Palette, Tone, palette_of

MOST_LINES = 2000
TONES = {
    Kind.CHANGED: (Tone.ERROR, Tone.OK),
    Kind.GONE: (Tone.ERROR, Tone.MUTED),
    Kind.COME: (Tone.MUTED, Tone.OK),
}
SUBJECTS = {
    Kind.ADDED: ("+ ", Tone.OK),
    Kind.REMOVED: ("- ", Tone.ERROR),
    Kind.SUBJECT: ("", Tone.STRONG),
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
            text.append(f"… {len(self._lines) - MOST_LINES:,} more lines; y copies all")
        self.update(text)

    def _head(self, widths: Columns) -> Text:
        before, after = self._heads
        line = " " * (widths.field + len(GAP)) + fit(f"  {before}", widths.value + 2) + GAP
        return Text(end="").append(f"{line}  {after}\n", self._palette.style(Tone.MUTED))

    def _append(self, text: Text, line: DiffLine, widths: Columns) -> None:
        style = self._palette.style
        if line.kind in SUBJECTS:
            mark, tone = SUBJECTS[line.kind]
            said = "" if line.kind is Kind.SUBJECT else f" {line.kind}"
            text.append(f"{mark}{line.field}{said}\n", style(tone))
            return
        left, right = TONES.get(line.kind, (Tone.MUTED, Tone.MUTED))
        for field, before, after in laid_out(line, widths):
            text.append(field, style(Tone.PLAIN))
            text.append(before, style(left))
            text.append(f"{after}\n", style(right))
