"""The fields of the processor dialog, and findings on the receivers and projects it names."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Vertical
from textual.widgets import Select
from textual.widgets.select import InvalidSelectValueError

from engine.api.scripts import FindingKind
from engine.model.processor import (
    MAX_LABEL_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Location,
    ParameterKind,
)
from tui.processors.form import LONG_KINDS, NAME_FIELDS, ProcessorForm
from tui.processors.help import LABELS, LOCATION_WORDS
from tui.text import cut, safe
from tui.widgets.completion import COMPLETES, Names
from tui.widgets.field import Field, Note, NoteTone, Toggle, mask_hint
from tui.widgets.form import LABEL_WIDTH, FormFields, verdict_note
from tui.widgets.whitelist import LineState, LineVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from textual.app import ComposeResult
    from textual.widget import Widget

    from engine.errors import Problem
    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver
    from tui.processors.form import ParameterField


def receiver_verdicts(text: str, receivers: Sequence[Receiver]) -> tuple[LineVerdict, ...]:
    """Return one verdict for each line that names a receiver."""
    known = {receiver.label: receiver for receiver in receivers}
    others = ", ".join(known) or "there is none"

    def verdict(line: str) -> LineVerdict:
        receiver = known.get(line)
        if receiver is None:
            return LineVerdict(LineState.ODD, f"no such receiver now; known: {safe(others)}")
        if not receiver.custom_processing:
            return LineVerdict(LineState.ODD, "its custom processing is off")
        return LineVerdict(LineState.GOOD, "enabled" if receiver.enabled else "stopped now")

    return _verdicts(text, verdict)


def project_verdicts(text: str, projects: ProjectRegistry | None) -> tuple[LineVerdict, ...]:
    """Return one verdict for each line that names a project."""

    def verdict(line: str) -> LineVerdict:
        found = projects.find(line) if projects is not None else None
        if found is None:
            return LineVerdict(LineState.BAD, "names no project")
        is_alias = found != line
        return LineVerdict(LineState.GOOD, f"alias of {safe(found)}" if is_alias else "project")

    return _verdicts(text, verdict)


def _verdicts(text: str, verdict: Callable[[str], LineVerdict]) -> tuple[LineVerdict, ...]:
    seen: dict[str, int] = {}
    found = []
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line:
            found.append(LineVerdict(LineState.BLANK))
        elif line in seen:
            found.append(LineVerdict(LineState.REPEATED, f"line {seen[line]} says that already"))
        else:
            seen[line] = number
            found.append(verdict(line))
    return tuple(found)


CLASS_WIDTH = 46
MAX_FINDINGS = 2
"""So many oddities of a script are said below it."""
MAX_DEFAULT_CELLS = 24
_COMPLETED = {
    "receivers_allowed": Names.RECEIVERS,
    "receivers_denied": Names.RECEIVERS,
    "projects": Names.PROJECTS,
}
_COMPLETED_PARAMETERS = {"ae_title": Names.PEERS, "host": Names.HOSTS}
"""By the names of parameters: those of the peer of a forward copy."""


class ProcessorFields(FormFields, can_focus=False):
    """The scrolling body of the dialog."""

    def __init__(self, form: ProcessorForm, blink: bool) -> None:
        super().__init__(blink)
        self.form: ProcessorForm = form
        self._shown_class = ""
        self._mounted = {form.text("processor_class")}
        """The classes whose fields there are; those of others come when they are chosen."""

    def compose(self) -> ComposeResult:
        """Lay out the class and its parameters first, then when and for whom it acts."""
        entry = partial(self.entry, "label", max_length=MAX_LABEL_CHARACTERS)
        yield self._field("label", entry, "-spaced -setting")
        yield self._field("processor_class", self._class_list, "-spaced")
        with Vertical(classes="section", id="parameters") as section:
            section.border_title = " Parameters "
            for field in self.form.own_parameters():
                yield self._parameter(field)
        with Vertical(classes="section") as section:
            section.border_title = " When, and for whom "
            yield self._field("enabled", partial(self._toggle, "enabled"))
            yield self._field("location", self._locations)
            priority = partial(self.entry, "priority", restrict=r"-?[0-9]{0,7}")
            yield self._field("priority", priority, "-advanced")
            for name in NAME_FIELDS:
                yield self._names(name)

    # What the form says

    def show(self, problems: Mapping[str, Iterable[Problem]]) -> None:
        """Show the fields that matter, those of a class that was never chosen before too."""
        chosen = self.form.text("processor_class")
        if chosen not in self._mounted:
            self._mounted.add(chosen)
            fields = map(self._parameter, self.form.own_parameters())
            self.query_one("#parameters").mount(*fields)
        super().show(problems)

    def hidden_by(self, name: str, visible: frozenset[str]) -> str:
        """Return the field that hid another."""
        return self.form.switch_of(name)

    def show_values(self) -> None:
        """Show in the lists what the form says."""
        self._show_locations()
        for select in self.query(Select):
            chosen = self.form.text(select.id or "")
            if chosen:
                select.value = chosen
            else:  # a list that began with a choice has no empty line
                with suppress(InvalidSelectValueError):
                    select.clear()
        self.query_one("#parameters").display = bool(self.form.own_parameters())

    def _show_locations(self) -> None:
        select = self.query_one("#location", Select)
        chosen = self.form.text("processor_class")
        if chosen != self._shown_class:
            self._shown_class = chosen
            select.set_options(self._location_options())

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return a verdict on each name."""
        text = self.form.text(name)
        if name == "projects":
            verdicts = project_verdicts(text, self.form.rules.projects)
        else:
            verdicts = receiver_verdicts(text, self.form.receivers)
        return tuple(map(verdict_note, verdicts))

    def completes(self, name: str) -> Names | None:
        """Return which names complete a field."""
        field = self.form.parameters.get(name)
        if field is None or field.kind is not ParameterKind.TEXT:
            return _COMPLETED.get(name)
        return _COMPLETED_PARAMETERS.get(field.parameter.name)

    def hint(self, name: str) -> str:
        """Return the hint below a field; safe text."""
        field = self.form.parameters.get(name)
        if field is not None:
            return self._parameter_hint(field)
        if name == "processor_class":
            chosen = self.form.chosen_class()
            if chosen is not None and not chosen.error:
                return f"{safe(chosen.help)} ({safe(chosen.origin)})" if chosen.help else ""
            return ""
        if name == "priority":
            return "smaller acts first at its location; 10 is usual"
        known = cut(", ".join(safe(receiver.label) for receiver in self.form.receivers), 40)
        hints = {
            "receivers_allowed": f"one AE:PORT per line; empty: all ({known or 'none yet'})",
            "receivers_denied": f"one AE:PORT per line; left out in any case; {COMPLETES}",
            "projects": f"one id or alias per line; empty: all, also Unassigned; {COMPLETES}",
        }
        return hints.get(name, "")

    def _parameter_hint(self, field: ParameterField) -> str:
        if field.kind is not ParameterKind.SCRIPT:
            masked = "" if field.is_switch else mask_hint(self.form.text(field.name))
            completes = f"; {COMPLETES}" if self.completes(field.name) else ""
            return masked or f"{safe(field.parameter.help)}{completes}"
        if not self.form.text(field.name).strip():
            return f"{safe(field.parameter.help)}; it is checked while you type"
        if not self.form.is_checked(field.name):
            return "checking…"
        said = [
            f"{'✗' if f.kind is FindingKind.ERROR else '!'} line {f.line}: "
            f"{safe(f.message)}; {safe(f.remedy)}"
            for f in self.form.findings(field.name)
        ]
        if not said:
            return "✓ the script is valid"
        rest = [f"and {len(said) - MAX_FINDINGS} more"] if len(said) > MAX_FINDINGS else []
        return "\n".join(said[:MAX_FINDINGS] + rest)

    def note(self, name: str) -> Note:
        """Return the note beside a field."""
        field = self.form.parameters.get(name)
        if name == "enabled":
            tone = NoteTone.PLAIN if self.form.is_on(name) else NoteTone.WARNING
            return Note(self.form.meaning(name), tone)
        if name == "label":
            return Note(f"{len(self.form.text(name))}/{MAX_LABEL_CHARACTERS}")
        if field is not None and field.is_switch:
            return Note(self.form.meaning(name))
        if field is not None and field.kind is ParameterKind.NUMBER:
            return Note(_range(field))
        return Note()

    # Controls

    def _class_list(self) -> Select[str]:
        options = [(Text(self._class_words(i)), i) for i in self.form.class_choices()]
        # Empty where no class can be used: none is installed, or all of them are broken.
        chosen = self.form.text("processor_class")
        prompt = "choose one" if options else "no class is installed"
        return Select(options, value=chosen or Select.NULL, allow_blank=not chosen,
                      id="processor_class", prompt=prompt)  # fmt: skip

    def _class_words(self, class_id: str) -> str:
        known = self.form.chosen_class(class_id)
        if known is None:
            return f"✗ {safe(class_id)} (not installed)"
        if known.error:
            return f"✗ {safe(known.name)} (broken)"
        return cut(safe(known.name), CLASS_WIDTH)

    def _locations(self) -> Select[str]:
        self._shown_class = self.form.text("processor_class")
        return Select(
            self._location_options(),
            value=self.form.text("location"),
            allow_blank=False,
            id="location",
        )

    def _location_options(self) -> list[tuple[Text, str]]:
        places = list(self.form.locations())
        set_one = Location(self.form.text("location"))
        places += [] if set_one in places else [set_one]
        return [(Text(f"{place}: {LOCATION_WORDS[place]}"), str(place)) for place in places]

    def _field(self, name: str, make: Callable[[], Widget], classes: str = "") -> Field:
        return self.field(name, make, LABELS[name], classes, hint=self.hint(name))

    def _toggle(self, name: str) -> Toggle:
        return Toggle(self.form.is_on(name), animate=False, id=name)

    def _names(self, name: str) -> Field:
        return self._field(name, partial(self.lines, name), "-lines")

    def _parameter(self, field: ParameterField) -> Field:
        kinds = {
            ParameterKind.SWITCH: "",
            ParameterKind.NUMBER: "-advanced",
            ParameterKind.FILE: "-file",
            ParameterKind.TEXT: "-setting",
        }
        classes = "-lines" if field.kind in LONG_KINDS else kinds.get(field.kind, "")
        label = cut(field.label, LABEL_WIDTH)
        make, hint = partial(self._control, field), self.hint(field.name)
        return self.field(field.name, make, label, classes, hint=hint)

    def _control(self, field: ParameterField) -> Widget:
        name, kind = field.name, field.kind
        if kind in LONG_KINDS:
            area = self.area(name)
            area.show_line_numbers = kind is ParameterKind.SCRIPT
            return area
        if kind is ParameterKind.SWITCH:
            return self._toggle(name)
        if kind is ParameterKind.CHOICE:
            return self._choice(field)
        default = cut(safe(field.parameter.default), MAX_DEFAULT_CELLS)
        if kind is ParameterKind.NUMBER:
            return self.entry(name, restrict=r"-?[0-9]{0,15}", placeholder=default)
        example = default or ("/etc/dicomdock/…" if kind is ParameterKind.FILE else "")
        return self.entry(name, max_length=MAX_VALUE_CHARACTERS, placeholder=example)

    def _choice(self, field: ParameterField) -> Select[str]:
        chosen = self.form.text(field.name)
        values = dict.fromkeys((*field.parameter.choices, *([chosen] if chosen else [])))
        options = [(Text(safe(value)), value) for value in values]
        return Select(options, value=chosen or Select.NULL, prompt="choose one",
                      allow_blank=not chosen, id=field.name)  # fmt: skip


def _range(field: ParameterField) -> str:
    low, high = field.parameter.minimum, field.parameter.maximum
    span = f"{low:,}–{high:,}" if low is not None and high is not None else ""
    usual = f"usually {safe(field.parameter.default)}" if field.parameter.default else ""
    return ", ".join(filter(None, (span, usual)))
