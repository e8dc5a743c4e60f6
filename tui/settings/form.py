"""A form made from a table of fields: values, visible fields, problems, and its widgets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Select

from engine.errors import ConfigurationError
from tui.widgets.field import Field, Note, NoteTone, Toggle
from tui.widgets.form import FormFields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from textual.app import ComposeResult
    from textual.widget import Widget

    from engine.errors import Problem
    from tui.widgets.completion import Names


T = TypeVar("T")
Values = dict[str, str | bool]


class FieldKind(StrEnum):
    """How a field is edited."""

    SWITCH = "switch"
    LINE = "line"
    NUMBER = "number"
    CHOICE = "choice"
    LINES = "lines"
    SCRIPT = "script"
    RULES = "rules"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field: its place in the form and its words."""

    name: str
    kind: FieldKind
    label: str
    help: str
    section: str = ""
    """The heading that it stands below."""
    needs: str = ""
    """The switch that must be on for the field to matter."""
    words: tuple[str, str] = ("", "")
    """What a switch means while it is off, and while it is on."""
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """Words and value of each, for a choice."""
    usual: str = ""
    """What holds where nothing is typed."""
    completes: Names | None = None
    """The names that complete what is typed."""
    by_line: bool = False
    """Whether there is something to say about each line of a text."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A note beside a field, or beside one of its lines."""

    text: str = ""
    is_warning: bool = False
    is_wrong: bool = False
    is_good: bool = False


class SettingsForm(Generic[T]):
    """Raw values of one group of settings; a subclass knows how they make a whole."""

    SPECS: ClassVar[tuple[FieldSpec, ...]] = ()
    TITLE: ClassVar[str] = ""

    def __init__(self, original: T | None, start: T) -> None:
        """Take what is replaced on saving, None for something new, and what to begin with."""
        self._original = original
        self.specs = {spec.name: spec for spec in self.SPECS}
        self._start = self.values_of(start)
        self._values = dict(self._start)
        self._found: tuple[Problem, ...] | None = None

    # What a subclass says

    def values_of(self, thing: T) -> Values:
        """Return the raw value of every field."""
        raise NotImplementedError

    def result(self) -> T:
        """Return what the form describes; raises `ConfigurationError` with every problem."""
        raise NotImplementedError

    def field_of(self, problem: Problem) -> str:
        """Return the name of the field that a problem is about."""
        return problem.field.rpartition(".")[2]

    def remark(self, name: str) -> Remark:
        """Return the note on the present value of a field."""
        spec = self.specs[name]
        return Remark(spec.words[self.is_on(name)]) if spec.kind is FieldKind.SWITCH else Remark()

    def hint(self, name: str) -> str:
        """Return the hint below a field that has no problem."""
        return self.specs[name].hint

    def line_remarks(self, name: str) -> tuple[Remark, ...]:
        """Return a note on each line of a text."""
        return ()

    def summary(self) -> str:
        """Return a sentence on what saving means."""
        return "Saving makes a new revision; it can be undone in the history."

    # What all have in common

    @property
    def original(self) -> T | None:
        """What is replaced on saving; None for something new."""
        return self._original

    @property
    def field_order(self) -> tuple[str, ...]:
        """Every field from top to bottom."""
        return tuple(self.specs)

    def set(self, name: str, value: str | bool) -> None:
        """Take over what was typed or switched."""
        if type(value) is not type(self._values[name]):
            raise TypeError(f"{name} can't be {value!r}")
        self._values[name] = value
        self._found = None

    def value(self, name: str) -> str | bool:
        """Return the raw value of a field, hidden or not."""
        return self._values[name]

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        return str(self._values[name])

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on."""
        return self._values[name] is True

    def visible_fields(self) -> frozenset[str]:
        """Return the names of the fields that matter with the present values."""
        return frozenset(
            name for name, spec in self.specs.items() if not spec.needs or self.is_on(spec.needs)
        )

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong, by visible field, from top to bottom."""
        if self._found is None:
            self._found = ()
            try:
                self.result()
            except ConfigurationError as error:
                self._found = error.problems
        return self.by_field(self._found)

    def by_field(self, problems: Sequence[Problem]) -> dict[str, tuple[Problem, ...]]:
        """Sort problems under the visible fields; what belongs to none stands at the first."""
        visible = self.visible_fields()
        found: dict[str, tuple[Problem, ...]] = {}
        for problem in problems:
            name = self.field_of(problem)
            if name in self.specs and name not in visible:
                name = self.specs[name].needs
            if name not in visible:
                name = next(known for known in self.specs if known in visible)
            found[name] = (*found.get(name, ()), problem)
        return {name: found[name] for name in self.specs if name in found}

    def is_dirty(self) -> bool:
        """Tell whether anything differs from what the form started with."""
        return self._values != self._start

    def rebase(self, current: T) -> tuple[str, ...]:
        """Edit the thing as it is now, keep the fields that were changed here; name those."""
        mine = {n: v for n, v in self._values.items() if v != self._start[n]}
        self._start = self.values_of(current)
        self._values = self._start | mine
        self._original = current
        self._found = None
        return tuple(n for n in self.specs if n in mine and mine[n] != self._start[n])

    def label(self, name: str) -> str:
        """Return what stands before a field."""
        return self.specs[name].label

    def help(self, name: str) -> str:
        """Explain a field, with examples."""
        return self.specs[name].help


def number_pattern(name: str) -> str:
    """Return what may be typed as a number: for sizes with a unit."""
    return r"[0-9]{0,16} ?[A-Za-z]{0,3}" if name.endswith("_bytes") else r"-?[0-9]{0,16}"


def number_in(text: str, usual: int) -> int | str:
    """Return the number that was typed, the usual one if nothing was, else what was typed."""
    digits = text.strip()
    if not digits:
        return usual
    sign, rest = (-1, digits[1:]) if digits.startswith("-") else (1, digits)
    return sign * int(rest) if rest.isascii() and rest.isdecimal() else digits


_CLASSES = {
    FieldKind.SWITCH: "",
    FieldKind.LINE: "-line -spaced",
    FieldKind.NUMBER: "-advanced",
    FieldKind.CHOICE: "-choice -spaced",
    FieldKind.LINES: "-lines",
    FieldKind.SCRIPT: "-lines -script",
    FieldKind.RULES: "-lines -rules",
}


class SettingsFields(FormFields):
    """One control for each field, below the heading of its section."""

    def __init__(self, form: SettingsForm[Any], blink: bool) -> None:
        super().__init__(blink)
        self.form: SettingsForm[Any] = form
        self._hints: dict[str, str] = {}
        """Hints that replace the usual ones, by field."""

    def compose(self) -> ComposeResult:
        """Lay out the fields in their order."""
        for section, specs in groupby(self.form.SPECS, lambda spec: spec.section):
            with Vertical(classes="section" if section else "plain") as box:
                if section:
                    box.border_title = Content(f" {section} ")
                for spec in specs:
                    yield self._row(spec)
        yield from self.compose_more()

    def show(self, problems: Mapping[str, Iterable[Problem]]) -> None:
        """Make every field show what the form says; a section without fields has no heading."""
        super().show(problems)
        for section in self.query(".section"):
            section.display = any(field.display for field in section.query(Field))

    def compose_more(self) -> ComposeResult:
        """Build what stands below the fields."""
        yield from ()

    def hint(self, name: str) -> str:
        """Return the hint below a field; safe text."""
        return self._hints.get(name, self.form.hint(name))

    def note(self, name: str) -> Note:
        """Return the note beside a field."""
        return note_of(self.form.remark(name))

    def completes(self, name: str) -> Names | None:
        """Return which names complete a field."""
        return self.form.specs[name].completes

    def hidden_by(self, name: str, visible: frozenset[str]) -> str:
        """Return the switch that hid a field."""
        switch = self.form.specs[name].needs
        return switch or next(n for n in self.form.specs if n in visible)

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return a note on each line of a text."""
        return tuple(map(note_of, self.form.line_remarks(name)))

    def refill(self) -> None:
        """Put the form's values into the widgets."""
        super().refill()
        # What the form writes here is not input.
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
            case FieldKind.SWITCH:
                return Toggle(self.form.is_on(spec.name), animate=False, id=spec.name)
            case FieldKind.CHOICE:
                options = [(Text(words), value) for words, value in spec.choices]
                value = self.form.text(spec.name)
                select: Select[str] = Select(options, value=value, allow_blank=False, id=spec.name)
                return select
            case FieldKind.LINES | FieldKind.SCRIPT | FieldKind.RULES:
                return self.lines(spec.name) if spec.by_line else self.area(spec.name)
            case _:
                return self._entry(spec)

    def _entry(self, spec: FieldSpec) -> Input:
        is_number = spec.kind is FieldKind.NUMBER
        entry = Input(
            self.form.text(spec.name),
            id=spec.name,
            placeholder=spec.usual,
            restrict=number_pattern(spec.name) if is_number else None,
            select_on_focus=False,
            suggester=self.suggester(spec.name),
        )
        entry.cursor_blink = self._blink
        return entry


def note_of(remark: Remark) -> Note:
    """Return a remark as a note beside a control or a line."""
    if remark.is_wrong:
        return Note(remark.text, NoteTone.BAD)
    if remark.is_warning:
        return Note(remark.text, NoteTone.WARNING)
    return Note(remark.text, NoteTone.GOOD if remark.is_good else NoteTone.PLAIN)
