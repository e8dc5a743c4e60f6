"""The scrolling body of a dialog: fields that are composed once, then shown and filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.widgets import Input, Select, TextArea

from tui.forms.whitelist_check import LineState
from tui.text import safe
from tui.widgets.field import Field, Note, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from textual.widget import Widget

    from engine.errors import Problem
    from tui.forms.edited_form import FormValues
    from tui.forms.whitelist_check import LineVerdict

LABEL_WIDTH = 18


class FormFields(VerticalScroll, can_focus=False):
    """Subclasses compose one `Field` for each name of their form."""

    def __init__(self, edited: FormValues, *, blink: bool) -> None:
        super().__init__()
        self._edited = edited
        self._blink = blink

    # What a subclass says

    def hint(self, name: str) -> str:
        """Return what is said below a field while nothing is wrong; safe text."""
        raise NotImplementedError

    def note(self, name: str) -> Note:
        """Return what is said to the right of a field."""
        raise NotImplementedError

    def switch_of(self, name: str) -> str:
        """Return the field that decides whether another is seen."""
        raise NotImplementedError

    def show_values(self) -> None:
        """Make lists and switches show what the form says."""

    # What all have

    def show_fields(self, problems: Mapping[str, Iterable[Problem]]) -> None:
        """Show the fields that matter, with the given problems."""
        visible = self._edited.visible_fields()
        for field in self.query(Field):
            name = field.name or ""
            field.display = name in visible
            field.hint = self.hint(name)
            field.note = self.note(name)
            field.problems = tuple(map(problem_words, problems.get(name, ())))
        self.show_values()
        self._leave_hidden(visible)

    def refill(self) -> None:
        """Put the form's values into the widgets that are typed in, after it took over others."""
        with self.prevent(Input.Changed, TextArea.Changed, Select.Changed):
            for entry in self.query(Input):
                if entry.value != self._edited.text(entry.id or ""):
                    entry.value = self._edited.text(entry.id or "")
            for area in self.query(TextArea):
                text = without_controls(self._edited.text(area.id or ""))
                if area.text != text:
                    area.text = text

    def _leave_hidden(self, visible: frozenset[str]) -> None:
        """Move the focus out of a hidden field, to the one that hid it."""
        name = self.focused_field()
        if name is not None and name not in visible:
            self.focus_field(self.switch_of(name))

    def focused_field(self) -> str | None:
        """Return the name of the field that has the focus; an open list belongs to its field."""
        focused = self.screen.focused
        ids = [] if focused is None else [node.id for node in focused.ancestors_with_self]
        return next((name for name in ids if name in self._edited.field_order), None)

    def focus_field(self, name: str, line: int | None = None, column: int | None = None) -> None:
        """Focus a field, and in a text area the 1-based line and column."""
        control = self.query_one(f"#{name}")
        control.focus()
        if isinstance(control, TextArea) and line is not None:
            control.move_cursor((line - 1, (column or 1) - 1))

    def area(self, name: str) -> TextArea:
        """Return a control of several lines."""
        area = TextArea(
            without_controls(self._edited.text(name)),
            id=name,
            soft_wrap=False,
            tab_behavior="focus",
            highlight_cursor_line=False,
        )
        area.cursor_blink = self._blink
        return area

    def entry(
        self, name: str, *, restrict: str | None = None, longest: int = 0, placeholder: str = ""
    ) -> Input:
        """Return a control of one line."""
        entry = Input(
            self._edited.text(name),
            id=name,
            placeholder=placeholder,
            restrict=restrict,
            max_length=longest,
            select_on_focus=False,
        )
        entry.cursor_blink = self._blink
        return entry

    def field(self, name: str, control: Widget, label: str, classes: str = "") -> Field:
        """Return a control with its label, hint and note."""
        field = Field(name, label, control, hint=self.hint(name), classes=classes)
        field.id = f"field-{name}"
        return field


def without_controls(text: str) -> str:
    """Make control characters of a stored text visible; line ends and tabs stay."""
    lines = text.splitlines()
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in lines)


def problem_words(problem: Problem) -> str:
    """Say what is wrong with a field, and where in it."""
    places = (("line", problem.line), ("column", problem.column))
    where = ", ".join(f"{name} {number}" for name, number in places if number is not None)
    return f"{where}{': ' if where else ''}{problem.message}; {problem.remedy}"


def verdict_note(verdict: LineVerdict) -> Note:
    """Return the note beside a line."""
    match verdict.state:
        case LineState.GOOD:
            return Note(f"✓ {verdict.words}", Tone.GOOD)
        case LineState.ODD:
            return Note(f"! {verdict.words}", Tone.WARNING)
        case LineState.REPEATED:
            return Note(f"= {verdict.words}", Tone.WARNING)
        case LineState.BLANK:
            return Note()
        case LineState.BAD:
            return Note(f"✗ {verdict.words}", Tone.BAD)
