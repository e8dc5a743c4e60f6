"""The body of a form dialog, and the protocol of the form behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from textual import on
from textual.containers import Horizontal, VerticalScroll
from textual.events import DescendantFocus
from textual.geometry import Region
from textual.message import Message
from textual.widgets import Input, Select, Switch, TextArea

from tui.text import safe
from tui.widgets.completion import (
    NO_NAMES,
    CompletingArea,
    Names,
    NameSuggester,
    name_begun,
    rest_of_line,
)
from tui.widgets.field import Field, LineNotes, Note, NoteTone
from tui.widgets.known_names import rest_of_modality
from tui.widgets.whitelist import LineState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from textual.widget import Widget

    from engine.errors import Problem
    from tui.widgets.whitelist import LineVerdict


T = TypeVar("T")


class Form(Protocol[T]):
    """Raw values of one thing while it is edited.

    Values of hidden fields are kept, but they are neither checked nor in force.
    """

    @property
    def field_order(self) -> tuple[str, ...]:
        """Every field from top to bottom."""
        ...

    @property
    def original(self) -> T | None:
        """The thing as it is replaced on saving; None for a new one."""
        ...

    def set(self, name: str, value: str | bool) -> None:
        """Take over what was typed or switched."""
        ...

    def value(self, name: str) -> str | bool:
        """Return the raw value of a field, hidden or not."""
        ...

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        ...

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on."""
        ...

    def visible_fields(self) -> frozenset[str]:
        """Return the names of the fields that matter with the present values."""
        ...

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong, by visible field, from top to bottom."""
        ...

    def by_field(self, problems: Sequence[Problem]) -> dict[str, tuple[Problem, ...]]:
        """Sort problems under the visible fields that they are to be shown at."""
        ...

    def is_dirty(self) -> bool:
        """Tell whether anything differs from what the form started with."""
        ...

    def rebase(self, current: T) -> tuple[str, ...]:
        """Edit the thing as it is now, keep the fields that were changed here; name those."""
        ...

    def label(self, name: str) -> str:
        """Return what stands before a field."""
        ...

    def help(self, name: str) -> str:
        """Explain a field, with examples."""
        ...

    def summary(self) -> str:
        """Return a sentence on what saving means."""
        ...

    def result(self) -> T:
        """Return what the form describes.

        Raises:
            ConfigurationError: with every problem at once.
        """
        ...


LABEL_WIDTH = 18
NOTES = "notes-"
"""Before the name of a field: the id of the notes beside its lines."""


class Entry(Input):
    """A control of one line that says when what was typed or pasted is not taken."""

    class Refused(Message):
        """Something was not taken: a character that is not allowed here, or one too many."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            """The name of the field."""

    def restricted(self) -> None:
        """Tell the dialog, besides the bell."""
        super().restricted()
        self.post_message(self.Refused(self.id or ""))


class Beside(VerticalScroll, can_focus=False):
    """What the values of a form come to: right of its fields if there is room, else below them."""


class FormFields(VerticalScroll, can_focus=False):
    """Draws one form; subclasses give the controls and their notes."""

    REVEALED: ClassVar[str] = "Field"
    """Selects what a switch may reveal: it is scrolled into view then."""
    form: Form[Any]

    def __init__(self, blink: bool) -> None:
        super().__init__()
        self._blink = blink
        self.names = NO_NAMES
        """What fields are completed by, once the engine has said it."""
        self._problems: dict[str, tuple[Problem, ...]] = {}

    def show(self, problems: Mapping[str, Iterable[Problem]]) -> None:
        """Make every field show what the form says, with the given problems."""
        visible = self.form.visible_fields()
        before = {widget for widget in self.query(self.REVEALED) if widget.display}
        self._problems = {name: tuple(found) for name, found in problems.items()}
        for field in self.query(Field):
            name = field.name or ""
            field.show(name in visible)
            field.hint = self.hint(name)
            field.note = self.note(name)
            field.problems = self._said_below(name)
        # What the form writes here is not input: it would be taken over a second time.
        with self.prevent(Select.Changed, Switch.Changed):
            for switch in self.query(Switch):
                switch.value = self.form.is_on(switch.id or "")
            self.show_values()
        for notes in self.query(LineNotes):
            notes.lines = self.line_notes((notes.id or "").removeprefix(NOTES))
        hidden = self.focused_field()
        if hidden is not None and hidden not in visible:
            self.focus_field(self.hidden_by(hidden, visible))
        revealed = [w for w in self.query(self.REVEALED) if w.display and w not in before]
        if revealed and self.screen.focused is not None:
            self._soon(self._see, self.screen.focused, *revealed)

    @on(DescendantFocus)
    def _focus_moved(self, event: DescendantFocus) -> None:
        field = self.field_that_fits(event.widget)
        if field is not None:
            self._soon(self._see_middle, field)

    def field_that_fits(self, control: Widget) -> Field | None:
        """Return the field of a control; None if it is higher than the body.

        Then the line with the cursor counts, to which Textual scrolls.
        """
        field = next((w for w in control.ancestors_with_self if isinstance(w, Field)), None)
        room = self.scrollable_content_region.height
        return field if field is not None and field.size.height <= room else None

    def _soon(self, see: Callable[..., None], *widgets: Widget) -> None:
        # Only a second layout gives fields that are made now their height, and the body the height
        # that the words at the foot leave to it.
        self.call_after_refresh(self.call_after_refresh, see, *widgets)

    def _see(self, *widgets: Widget) -> None:
        """Scroll so that all of them are in view, or as many as there is room for."""
        # What stands beside the fields does not scroll with them.
        regions = [w.region for w in widgets if w.display and w.region and not is_docked(w)]
        if regions:
            self._scroll_into_view(Region.from_union(regions))

    def _see_middle(self, field: Widget) -> None:
        """Scroll to the middle of a field, unless all of it is in view."""
        # Only the rows count: a scrollbar that has just come makes the body narrower first, and
        # what is in it at the next layout.
        room = self.scrollable_content_region
        if field.region.y < room.y or field.region.bottom > room.bottom:
            self._scroll_into_view(field.region, center=True)

    def _scroll_into_view(self, region: Region, *, center: bool = False) -> None:
        wanted = region.translate(self.scroll_offset - self.region.offset)
        room = self.scrollable_content_region.height
        wanted = Region(wanted.x, wanted.y, wanted.width, min(wanted.height, room))
        self.scroll_to_region(
            wanted, center=center, animate=False, force=True, immediate=True, y_axis=True
        )

    @on(TextArea.SelectionChanged)
    def _cursor_moved(self, event: TextArea.SelectionChanged) -> None:
        """Say below a text what is wrong with the line that the cursor is in."""
        name = event.text_area.id or ""
        for field in self.query(f"#field-{name}").results(Field):
            field.hint, field.problems = self.hint(name), self._said_below(name)

    def _said_below(self, name: str) -> tuple[str, ...]:
        """Return what is wrong with a field; of a text with marked lines, one line's at a time."""
        problems = self._problems.get(name, ())
        if len(problems) < 2 or not self.query(f"#{NOTES}{name}"):
            return tuple(map(problem_sentence, problems))
        line = self.line_in(name)
        here = [problem for problem in problems if problem.line == line] or [problems[0]]
        more = len(problems) - len(here)
        return (*map(problem_sentence, here), *([f"and {more} more; f8 goes there"] * bool(more)))

    def line_in(self, name: str) -> int:
        """Return the 1-based line of the cursor in a text; 0 for a field that is none."""
        areas = self.query(f"#{name}").results(TextArea)
        return next((area.cursor_location[0] + 1 for area in areas), 0)

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return a note on each line of a text that was made by `lines`."""
        raise NotImplementedError

    def completes(self, name: str) -> Names | None:
        """Return which names complete a field; None for a field that is not completed."""
        return None

    def hint(self, name: str) -> str:
        """Return the hint below a field; safe text."""
        raise NotImplementedError

    def note(self, name: str) -> Note:
        """Return the note beside a field."""
        raise NotImplementedError

    def show_values(self) -> None:
        """Show in lists, and in what stands beside the fields, what the form says."""

    def hidden_by(self, name: str, visible: frozenset[str]) -> str:
        """Return which field hid this one: the focus goes there, for it is among the visible."""
        raise NotImplementedError

    def refill(self) -> None:
        """Put the form's values into what is typed in, after it took over others."""
        # As above: the values come from the form.
        with self.prevent(Input.Changed, TextArea.Changed):
            for entry in self.query(Input):
                if entry.value != self.form.text(entry.id or ""):
                    entry.value = self.form.text(entry.id or "")
            for area in self.query(TextArea):
                text = without_controls(self.form.text(area.id or ""))
                if area.text != text:
                    area.text = text

    def focused_field(self) -> str | None:
        """Return the name of the field that has the focus; an open list belongs to its field."""
        focused = self.screen.focused
        ids = [] if focused is None else [node.id for node in focused.ancestors_with_self]
        return next((name for name in ids if name in self.form.field_order), None)

    def focus_field(self, name: str, line: int | None = None, column: int | None = None) -> None:
        """Focus a field, and in a text area the 1-based line and column."""
        control = self.query_one(f"#{name}")
        control.focus()
        self.see_focused()  # it may have the focus, and have been scrolled away
        if isinstance(control, TextArea) and line is not None:
            control.move_cursor((line - 1, (column or 1) - 1))

    def see_focused(self) -> None:
        """Scroll to the field with the focus."""
        focused = self.screen.focused
        field = self.field_that_fits(focused) if focused is not None else None
        if field is not None:
            self._soon(self._see_middle, field)

    def area(self, name: str) -> TextArea:
        """Return a text area with the form's text in it; tab leaves it."""
        kind = self.completes(name)
        area = (TextArea if kind is None else CompletingArea)(
            without_controls(self.form.text(name)),
            id=name,
            soft_wrap=False,
            tab_behavior="focus",
            highlight_cursor_line=False,
        )
        area.cursor_blink = self._blink
        if isinstance(area, CompletingArea) and kind is not None:
            rest = rest_of_modality if kind is Names.MODALITIES else rest_of_line
            area.complete = lambda lines: rest(lines, self.names.get(kind, ()))
        return area

    def lines(self, name: str) -> Horizontal:
        """Return such an area with numbered lines, and a note beside each."""
        area = self.area(name)
        area.show_line_numbers = True
        notes = LineNotes(area)
        notes.id = NOTES + name
        notes.set_reactive(LineNotes.lines, self.line_notes(name))
        return Horizontal(area, notes, classes="lines")

    def entry(self, name: str, **how: Any) -> Entry:
        """Return a control of one line with the form's text in it."""
        suggester = self.suggester(name)
        value = self.form.text(name)
        entry = Entry(value, id=name, select_on_focus=False, suggester=suggester, **how)
        entry.cursor_blink = self._blink
        return entry

    def suggester(self, name: str) -> NameSuggester | None:
        """Return what completes a field of one line; None if nothing does."""
        kind = self.completes(name)
        if kind is None:
            return None
        return NameSuggester(lambda typed: name_begun(typed, self.names.get(kind, ())))

    def field(
        self, name: str, make: Callable[[], Widget], label: str, classes: str = "", hint: str = ""
    ) -> Field:
        """Return the row of a field, whose control is made when it is first shown."""
        shown = name in self.form.visible_fields()
        field = Field(name, label, make, hint=hint, classes=classes, shown=shown)
        field.id = f"field-{name}"
        return field


def is_docked(widget: Widget) -> bool:
    """Tell whether a widget, or what it is in, keeps its place while the form scrolls."""
    return any(parent.styles.dock != "none" for parent in widget.ancestors_with_self)


def without_controls(text: str) -> str:
    """Make control characters of a stored text visible; line ends and tabs stay."""
    lines = text.splitlines()
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in lines)


def problem_sentence(problem: Problem) -> str:
    """Say place, message and remedy of a problem whose field is in view."""
    places = (("line", problem.line), ("column", problem.column))
    where = ", ".join(f"{name} {number}" for name, number in places if number is not None)
    return f"{where}{': ' if where else ''}{problem.message}; {problem.remedy}"


def verdict_note(verdict: LineVerdict) -> Note:
    """Return the note beside a line."""
    match verdict.state:
        case LineState.GOOD:
            return Note(f"✓ {verdict.words}", NoteTone.GOOD)
        case LineState.ODD:
            return Note(f"! {verdict.words}", NoteTone.WARNING)
        case LineState.REPEATED:
            return Note(f"= {verdict.words}", NoteTone.WARNING)
        case LineState.BLANK:
            return Note()
        case LineState.BAD:
            return Note(f"✗ {verdict.words}", NoteTone.BAD)
