"""The body of a settings dialog: draws whatever fields a `SettingsForm` has."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Select

from tui.forms.settings_form import FieldSpec, Kind, Remark, SettingsForm
from tui.widgets.field import Field, LineNotes, Note, Toggle, Tone
from tui.widgets.form_fields import FormFields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.widget import Widget


NOTES = "notes-"
_CLASSES = {
    Kind.SWITCH: "",
    Kind.LINE: "-line -spaced",
    Kind.NUMBER: "-advanced",
    Kind.CHOICE: "-choice -spaced",
    Kind.LINES: "-lines",
    Kind.SCRIPT: "-lines -script",
}


class SettingsFields(FormFields):
    """One control for each field, below the heading of its section."""

    def __init__(self, form: SettingsForm[Any], blink: bool) -> None:
        super().__init__(blink)
        self.form: SettingsForm[Any] = form
        self._hints: dict[str, str] = {}
        """What is said below a field instead of its usual hint."""

    def compose(self) -> ComposeResult:
        """Lay out the fields in their order."""
        for section, specs in groupby(self.form.SPECS, lambda spec: spec.section):
            with Vertical(classes="section" if section else "plain") as box:
                if section:
                    box.border_title = Content(f" {section} ")
                for spec in specs:
                    yield self._row(spec)
        yield from self.compose_more()

    def compose_more(self) -> ComposeResult:
        """Build what stands below the fields."""
        yield from ()

    def hint(self, name: str) -> str:
        """Return what is said below a field; safe text."""
        return self._hints.get(name, self.form.hint(name))

    def note(self, name: str) -> Note:
        """Return what is said beside a field."""
        return note_of(self.form.remark(name))

    def show_values(self) -> None:
        """Show what is said beside each line of a text."""
        for notes in self.query(LineNotes):
            notes.lines = self.line_notes((notes.id or "").removeprefix(NOTES))

    def hidden_by(self, name: str, visible: frozenset[str]) -> str:
        """Return the switch that hid a field."""
        switch = self.form.specs[name].needs
        return switch or next(n for n in self.form.specs if n in visible)

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return what is said beside each line of a text."""
        return tuple(map(note_of, self.form.line_remarks(name)))

    def refill(self) -> None:
        """Put the form's values into the widgets."""
        super().refill()
        with self.prevent(Select.Changed):
            for select in self.query(Select):
                select.value = self.form.text(select.id or "")

    def say_below(self, hints: Mapping[str, str]) -> None:
        """Say something below some fields instead of their usual hints; safe text."""
        self._hints = dict(hints)
        for field in self.query(Field):
            field.hint = self.hint(field.name or "")

    def _row(self, spec: FieldSpec) -> Field:
        make = partial(self._control, spec)
        return self.field(
            spec.name, make, spec.label, _CLASSES[spec.kind], self.form.hint(spec.name)
        )

    def _control(self, spec: FieldSpec) -> Widget:
        match spec.kind:
            case Kind.SWITCH:
                return Toggle(self.form.is_on(spec.name), animate=False, id=spec.name)
            case Kind.CHOICE:
                options = [(Text(words), value) for words, value in spec.choices]
                value = self.form.text(spec.name)
                select: Select[str] = Select(options, value=value, allow_blank=False, id=spec.name)
                return select
            case Kind.LINES | Kind.SCRIPT:
                return self._lines(spec)
            case _:
                return self._entry(spec)

    def _entry(self, spec: FieldSpec) -> Input:
        is_number = spec.kind is Kind.NUMBER
        entry = Input(
            self.form.text(spec.name),
            id=spec.name,
            placeholder=spec.usual,
            restrict=r"-?[0-9]{0,16}" if is_number else None,
            select_on_focus=False,
        )
        entry.cursor_blink = self._blink
        return entry

    def _lines(self, spec: FieldSpec) -> Widget:
        area = self.area(spec.name)
        if not spec.by_line:
            return area
        area.show_line_numbers = True
        notes = LineNotes(area)
        notes.id = NOTES + spec.name
        notes.set_reactive(LineNotes.lines, self.line_notes(spec.name))
        return Horizontal(area, notes, classes="lines")


def note_of(remark: Remark) -> Note:
    """Return a remark as a note beside a control or a line."""
    if remark.is_wrong:
        return Note(remark.text, Tone.BAD)
    if remark.is_warning:
        return Note(remark.text, Tone.WARNING)
    return Note(remark.text, Tone.GOOD if remark.is_good else Tone.PLAIN)
