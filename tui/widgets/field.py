"""One row of a form: label, control, note, and the problem that replaces the note."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static, Switch

from engine.model.secrets import MASK, has_mask
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.geometry import Size
    from textual.widgets import TextArea


class NoteTone(StrEnum):
    """How a note is meant; the words must say it without the color, too."""

    PLAIN = "plain"
    DIM = "dim"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Note:
    """A few words beside a control."""

    text: str = ""
    tone: NoteTone = NoteTone.DIM


class Field(Vertical):
    """A labelled control; shows its problems in place of the hint so that nothing below moves.

    What is in a field that was never shown is not made: a form opens as fast as what it shows.
    """

    note: reactive[Note] = reactive(Note(), init=False)
    """The note to the right of the control."""
    hint: reactive[str] = reactive("", init=False)
    """The hint below the control while there is no problem."""
    problems: reactive[tuple[str, ...]] = reactive((), init=False)
    """Sentences about what is wrong."""

    def __init__(
        self,
        name: str,
        label: str,
        control: Widget | Callable[[], Widget],
        *,
        hint: str = "",
        classes: str = "",
        shown: bool = True,
    ) -> None:
        """Take what is laid out.

        Args:
            name: of the form's field.
            label: what stands before the control.
            control: the control, or what makes it when the field is first shown.
            hint: what stands below it.
            classes: for the style sheet.
            shown: whether it is shown from the start.
        """
        super().__init__(name=name, classes=classes)
        self._label = label
        self._control = control
        self._is_built = shown
        self.display = shown
        self.set_reactive(Field.hint, hint)

    def compose(self) -> ComposeResult:
        """Lay out one row, and one line below it."""
        if self._is_built:
            with Horizontal(classes="row"):
                yield from self._row()
            yield self._line_below()

    def show(self, shown: bool) -> None:
        """Show or hide the field; what is in it is there as soon as this returns."""
        # Made when first shown: a dialog with all of its controls opened in twice the time.
        if shown and not self._is_built:
            self._is_built = True
            row = Horizontal(classes="row")
            self.mount(row, self._line_below())
            row.mount(*self._row())
            self._show_all()
        self.display = shown

    def on_mount(self) -> None:
        """Show what was set before there was anything to show it on."""
        self._show_all()

    def _row(self) -> tuple[Widget, ...]:
        label = Static(self._label, classes="label", markup=False)
        control = self._control if isinstance(self._control, Widget) else self._control()
        return label, control, Static(classes="note", markup=False)

    def _line_below(self) -> Widget:
        return Static(classes="below", markup=False)

    def _show_all(self) -> None:
        self.watch_note(self.note)
        self._show_below()

    def watch_note(self, note: Note) -> None:
        """Show the note in its tone."""
        for shown in self.query(".note").results(Static):
            # Notes change at each key: a layout only where the height follows the text.
            shown.update(safe(note.text), layout=shown.styles.is_auto_height)
            for tone in NoteTone:
                shown.set_class(tone is note.tone, f"-{tone}")

    def watch_hint(self) -> None:
        """Show the hint unless something is wrong."""
        self._show_below()

    def watch_problems(self) -> None:
        """Show what is wrong, or else the hint."""
        self._show_below()

    def _show_below(self) -> None:
        for below in self.query(".below").results(Static):
            below.update("\n".join(f"✗ {safe(words)}" for words in self.problems) or self.hint)
            below.display = bool(self.problems or self.hint)
        self.set_class(bool(self.problems), "-bad")


class Toggle(Switch):
    """A switch of one row that shows its state by shape, not by color alone."""

    def render(self) -> Content:
        """Draw the knob at the left while off, at the right while on."""
        return Content("━━●" if self.value else "○━━")

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Take as much as the drawing."""
        return 3


class LineNotes(Widget):
    """One note beside each line of a text area, scrolled along with it."""

    lines: reactive[tuple[Note, ...]] = reactive(())

    def __init__(self, area: TextArea, *, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._area = area

    def on_mount(self) -> None:
        """Follow the text area."""
        self.watch(self._area, "scroll_y", self._follow, init=False)

    def _follow(self) -> None:
        self.refresh()

    def render(self) -> Content:
        """Show the notes of the lines that the text area shows."""
        first = round(self._area.scroll_y)
        shown = self.lines[first : first + self.size.height]
        return Content("\n").join(
            Content.styled(safe(note.text), _STYLES[note.tone]) for note in shown
        )


_STYLES = {
    NoteTone.PLAIN: "",
    NoteTone.DIM: "$text-muted",
    NoteTone.GOOD: "$text-success",
    NoteTone.WARNING: "$text-warning",
    NoteTone.BAD: "$text-error",
}


def mask_hint(text: str) -> str:
    """Say what a mask in a field means; empty if there is none."""
    return f"{MASK} is saved and not shown; leave it to keep it" if has_mask(text) else ""
