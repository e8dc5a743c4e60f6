"""What a script does to a recent object: each element before and after, in two columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from engine.view.objects import RowChange
from tui.forms.script_words import (
    MAX_ROWS,
    NO_OBJECTS,
    count_words,
    object_title,
    outcome_words,
    row_words,
)
from tui.theme import DARK, Tone, palette_of
from tui.widgets.routing_preview import SHOW_SECONDS

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.timer import Timer

    from engine.view.objects import RecentObject
    from engine.view.scripts import ScriptPreview
    from tui.forms.script_words import RowWords

_TONES = {
    RowChange.CHANGED: Tone.WARNING,
    RowChange.REMOVED: Tone.ERROR,
    RowChange.ADDED: Tone.OK,
    RowChange.EQUAL: Tone.MUTED,
}


class BeforeAfter(Static, can_focus=True):
    """Draws a trial; knows no engine. Values stay hidden until they are asked for."""

    BINDINGS = [
        Binding("left", "step(-1)", "Newer object", show=False, id="trial.newer"),
        Binding("right", "step(1)", "Older object", show=False, id="trial.older"),
        Binding("v", "unmask", "Show values", show=False, id="trial.unmask"),
    ]

    class Wanted(Message):
        """Another object is to be tried, or the same one with its values shown."""

    def __init__(self) -> None:
        super().__init__("", id="before-after", markup=False)
        self._objects: tuple[RecentObject, ...] = ()
        self._at = 0
        self._preview: ScriptPreview | None = None
        self._masked_preview: ScriptPreview | None = None
        self._note = "looking for recent objects…"
        self._mask_timer: Timer | None = None
        self.masked = True

    @property
    def chosen(self) -> RecentObject | None:
        """The object that is tried."""
        return self._objects[self._at] if self._objects else None

    def choose_from(self, objects: tuple[RecentObject, ...]) -> None:
        """Take the objects that can be tried, newest first."""
        self._objects, self._at = objects, 0
        self._note = "" if objects else NO_OBJECTS
        self._draw()

    def take_as_stored(self) -> bool:
        """Go on with the stored object if what was received is gone; tell whether there is one."""
        chosen = self.chosen
        if chosen is None or not chosen.as_received or not chosen.reference.file:
            return False
        stored = replace(chosen, as_received=False)
        self._objects = tuple(stored if one is chosen else one for one in self._objects)
        return True

    def show(self, preview: ScriptPreview) -> None:
        """Show what a trial came to."""
        self._preview, self._note = preview, ""
        if self.masked:
            self._masked_preview = preview
        self._draw()

    def explain(self, note: str) -> None:
        """Say why there is no trial, or that what is shown is not of the present text."""
        self._note = note
        self._draw()

    def action_step(self, by: int) -> None:
        """Go to another object."""
        at = max(0, min(len(self._objects) - 1, self._at + by))
        if at != self._at:
            self._at, self._preview, self._masked_preview = at, None, None
            self._draw()
            self.post_message(self.Wanted())

    def action_unmask(self) -> None:
        """Ask for the values for a while, or hide them again."""
        if not self.masked:
            self._mask()
        elif self._objects:
            self.masked = False
            self._mask_timer = self.set_timer(SHOW_SECONDS, self._mask)
            self.post_message(self.Wanted())

    def _mask(self) -> None:
        self.masked = True
        if self._mask_timer is not None:
            self._mask_timer.stop()
        self._preview = self._masked_preview
        self._draw()
        self.post_message(self.Wanted())

    def _draw(self) -> None:
        number = f" · object {self._at + 1} of {len(self._objects)}" if self._objects else ""
        self.border_title = Content(f" Before and after{number} ")
        keys = f" ←→ object   v {'shows' if self.masked else 'hides'} values "
        self.border_subtitle = Content(keys) if self._objects else None
        self.update(Group(*self._parts()))

    def _parts(self) -> list[RenderableType]:
        palette = palette_of(DARK if not self.is_attached else self.app.current_theme)
        muted, warning = palette.style(Tone.MUTED), palette.style(Tone.WARNING)
        parts: list[RenderableType] = []
        if self.chosen is not None:
            parts.append(Text(object_title(self.chosen), muted))
        preview = self._preview
        if preview is not None:
            words = outcome_words(preview)
            if words:
                bad = words.startswith("✗")
                parts.append(Text(words, palette.style(Tone.ERROR) if bad else muted))
            if preview.rows:
                parts.append(self._table([row_words(row) for row in preview.rows[:MAX_ROWS]]))
                parts.append(Text(count_words(preview), muted))
        if self._note:
            parts.append(Text(self._note, warning if preview else muted))
        if preview is None and not self._note:
            parts.append(Text("trying…", muted))
        return parts

    def _table(self, rows: list[RowWords]) -> Table:
        palette = palette_of(self.app.current_theme)
        head = palette.style(Tone.MUTED)
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style=head)
        table.add_column(Text(" "), width=1)
        table.add_column(Text("Element"), ratio=5, overflow="fold")
        table.add_column(Text("Before"), ratio=4, overflow="fold")
        table.add_column(Text("After"), ratio=4, overflow="fold")
        for row in rows:
            style = palette.style(_TONES[row.change])
            table.add_row(
                Text(row.glyph, style), Text(row.element), Text(row.before), Text(row.after, style)
            )
        return table
