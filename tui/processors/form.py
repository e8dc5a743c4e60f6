"""The processor form without a screen: values, visible fields, problems, and the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.api.scripts import FindingKind
from engine.errors import InvalidProcessor, Problem
from engine.model.processor import (
    DEFAULT_PRIORITY,
    Location,
    ParameterKind,
    Processor,
    parse_processor,
)
from tui.keys import with_keys
from tui.processors.help import HELP, LABELS, MEANINGS
from tui.text import counted, safe, sentence_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.api.scripts import ScriptFinding
    from engine.model.processor import ProcessorClass, ProcessorParameter, ProcessorRules
    from engine.model.receiver import Receiver


PREFIX = "parameters."
"""Before a parameter's own name in the problems that the model finds."""
LONG_KINDS = frozenset({ParameterKind.LINES, ParameterKind.SCRIPT})
"""What is written in several lines."""


@dataclass(frozen=True, slots=True)
class ParameterField:
    """A parameter of one class, with the name that it has in the dialog."""

    name: str
    """Unique there, such as ``parameter_3_host``."""
    processor_class: str
    parameter: ProcessorParameter
    switch: str = ""
    """The name of the switch that it belongs to, which hides it while off."""

    @property
    def kind(self) -> ParameterKind:
        """How it is asked for."""
        return self.parameter.kind

    @property
    def is_switch(self) -> bool:
        """Whether its value is on or off."""
        return self.kind is ParameterKind.SWITCH

    @property
    def label(self) -> str:
        """What stands before it, safe text."""
        star = " *" if self.parameter.required and not self.parameter.default else ""
        return f"{'  ' if self.switch else ''}{safe(self.parameter.label)}{star}"

    def shown(self, given: str) -> str | bool:
        """Return the value of its control for what an instance tells."""
        if self.is_switch:
            return (given or self.parameter.default) == "true"
        if self.kind is ParameterKind.CHOICE:
            return given or self.parameter.default
        return given

    def told(self, value: str | bool, before: str) -> str:
        """Return what an instance tells for a control's value; empty leaves it to the default.

        What was told in so many words before, though it is the default, still is.
        """
        text = value if isinstance(value, str) else ("true" if value else "false")
        by_default = self.is_switch or self.kind is ParameterKind.CHOICE
        default = self.parameter.default or ("false" if self.is_switch else "")
        return "" if by_default and text == default and before != text else text


def parameter_fields(classes: Sequence[ProcessorClass]) -> tuple[ParameterField, ...]:
    """Return the parameters of all classes that can be used, in their order."""
    return tuple(
        ParameterField(
            _name(position, parameter),
            known.id,
            parameter,
            _name(position, owner) if (owner := _owner(parameter, known.parameters)) else "",
        )
        for position, known in enumerate(classes)
        if not known.error
        for parameter in known.parameters
    )


def values_of(
    fields: Iterable[ParameterField], processor_class: str, told: Mapping[str, str]
) -> dict[str, str | bool]:
    """Return the value of every field; those of other classes have their defaults."""
    return {
        field.name: field.shown(
            told.get(field.parameter.name, "") if field.processor_class == processor_class else ""
        )
        for field in fields
    }


def _name(position: int, parameter: ProcessorParameter) -> str:
    return f"parameter_{position}_{parameter.name}"


def _owner(
    parameter: ProcessorParameter, others: Iterable[ProcessorParameter]
) -> ProcessorParameter | None:
    """Return the switch that a parameter is named after: ``tls_key`` belongs to ``tls``."""
    switches = (other for other in others if other.kind is ParameterKind.SWITCH)
    return next((s for s in switches if parameter.name.startswith(f"{s.name}_")), None)


NAME_FIELDS = ("receivers_allowed", "receivers_denied", "projects")
_HEAD = ("label", "processor_class")
_PLACE = ("enabled", "location", "priority", *NAME_FIELDS)
FIELD_ORDER = (*_HEAD, *_PLACE)
MAX_NAMED = 3
"""So many receivers are named in a sentence."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the engine said about a script as it was then."""

    text: str
    findings: tuple[ScriptFinding, ...]


class ProcessorForm:
    """Raw values of one processor while it is edited; decides visibility and validity.

    Values of hidden fields are kept, but they are neither checked nor in force; a parameter that
    its switch hides stays as it was saved.
    """

    def __init__(
        self,
        values: Mapping[str, str | bool],
        told: Mapping[str, str],
        rules: ProcessorRules,
        receivers: Sequence[Receiver],
        original: Processor | None,
    ) -> None:
        """Take the values of the fixed fields, the parameters of the class, and the rules."""
        self.rules = rules
        self.receivers = tuple(receivers)
        self.original = original
        """The processor being edited, as it is replaced on saving; None for a new one."""
        self.parameters = {f.name: f for f in parameter_fields(self.classes)}
        """The parameters of the classes, by their name in the dialog."""
        self.field_order = (*_HEAD, *self.parameters, *_PLACE)
        self._told = dict(told)
        own = values_of(self.parameters.values(), str(values["processor_class"]), told)
        self._values = {**values, **own}
        self._start = dict(self._values)
        self._checked: dict[str, Checked] = {}
        self._found: tuple[Problem, ...] | None = None

    @classmethod
    def new(cls, rules: ProcessorRules, receivers: Sequence[Receiver]) -> ProcessorForm:
        """Return the form of a new processor, of the first class that can be used."""
        usable = [known for known in rules.classes or () if not known.error]
        location = usable[0].locations[0] if usable else Location.AFTER_DICOM_READ
        class_id = usable[0].id if usable else ""
        blank = Processor(0, "", class_id, location=location, priority=DEFAULT_PRIORITY)
        return cls(_values_of(blank), {}, rules, receivers, None)

    @classmethod
    def edit(
        cls, processor: Processor, rules: ProcessorRules, receivers: Sequence[Receiver]
    ) -> ProcessorForm:
        """Return the form filled with a processor that exists."""
        told = dict(processor.parameters)
        return cls(_values_of(processor), told, rules, receivers, processor)

    @classmethod
    def duplicate(
        cls, processor: Processor, rules: ProcessorRules, receivers: Sequence[Receiver]
    ) -> ProcessorForm:
        """Return the form of a new processor with the values of another one."""
        labels = {other.label for other in rules.others}
        copies = (f"{processor.label} {number}" for number in range(2, len(labels) + 3))
        label = next(copy for copy in copies if copy not in labels)
        values = _values_of(replace(processor, label=label))
        return cls(values, dict(processor.parameters), rules, receivers, None)

    @property
    def classes(self) -> tuple[ProcessorClass, ...]:
        """The installed classes, broken ones with their error."""
        return tuple(self.rules.classes or ())

    # Values

    def value(self, name: str) -> str | bool:
        """Return the raw value of a field, hidden or not."""
        return self._values[name]

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        return str(self._values[name])

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on."""
        return bool(self._values[name])

    def set(self, name: str, value: str | bool) -> None:
        """Take over what was typed, chosen or switched."""
        if type(value) is not type(self._values[name]):
            raise TypeError(f"{name} can't be {value!r}")
        self._values[name] = value
        self._found = None
        locations = self.locations()
        if name == "processor_class" and self.text("location") not in locations:
            self._values["location"] = str(locations[0])

    def class_choices(self) -> tuple[str, ...]:
        """Return the ids to choose from; one that is set but not installed comes last."""
        known = [known.id for known in self.classes]
        return tuple(dict.fromkeys([*known, str(self._start["processor_class"])]))

    def chosen_class(self, class_id: str | None = None) -> ProcessorClass | None:
        """Return what is known of a class, by default the chosen one."""
        wanted = self.text("processor_class") if class_id is None else class_id
        return next((known for known in self.classes if known.id == wanted), None)

    def locations(self) -> tuple[Location, ...]:
        """Return the locations of the chosen class; all of them if the class is broken."""
        chosen = self.chosen_class()
        return chosen.locations if chosen is not None and not chosen.error else tuple(Location)

    def own_parameters(self) -> tuple[ParameterField, ...]:
        """Return the fields of the chosen class."""
        chosen = self.text("processor_class")
        return tuple(f for f in self.parameters.values() if f.processor_class == chosen)

    def scripts(self) -> tuple[str, ...]:
        """Return the names of the visible fields that hold a script."""
        shown = self.visible_fields()
        own = self.own_parameters()
        return tuple(f.name for f in own if f.kind is ParameterKind.SCRIPT and f.name in shown)

    # Words

    def label(self, name: str) -> str:
        """Return what stands before a field."""
        return self.parameters[name].label if name in self.parameters else LABELS[name]

    def help(self, name: str) -> str:
        """Explain a field, with examples."""
        field = self.parameters.get(name)
        if field is None:
            return with_keys(HELP[name])
        default = field.parameter.default
        otherwise = f"\n\nWithout a value: {safe(default)}" if default else ""
        return f"{sentence_case(safe(field.parameter.help))}.{otherwise}"

    def meaning(self, name: str) -> str:
        """Say in words what a switch does as it stands now."""
        if name in MEANINGS:
            return MEANINGS[name][self.is_on(name)]
        return "on" if self.is_on(name) else "off"

    def summary(self) -> str:
        """Return a sentence on what saving means."""
        if not self.text("label").strip():
            return "Needs a label before it can act."
        draft = self._draft()
        if not draft.enabled:
            return "Stays disabled: it sees no object."
        seen = [r for r in self.receivers if r.custom_processing and draft.admits_receiver(r.label)]
        if not seen:
            return "! No receiver with custom processing: it would see no object."
        names = ", ".join(safe(receiver.label) for receiver in seen[:MAX_NAMED])
        more = f" and {len(seen) - MAX_NAMED} more" if len(seen) > MAX_NAMED else ""
        place, number = self._rank(draft)
        rank = f"as number {place} of {number} there" if number > 1 else "alone there"
        whose = f"objects of {counted(len(seen), 'receiver')} ({names}{more})"
        return f"Acts {draft.location}, {rank}, on {whose}."

    def _rank(self, draft: Processor) -> tuple[int, int]:
        """Return its place among those that act at the same location, and how many these are."""
        number = draft.id or 10**9
        there = [
            other.order
            for other in self.rules.others
            if other.enabled and other.location is draft.location and other.id != draft.id
        ]
        mine = replace(draft, id=number).order
        return sum(order < mine for order in there) + 1, len(there) + 1

    # Visibility and validity

    def visible_fields(self) -> frozenset[str]:
        """Return the names of the fields that matter with the present values."""
        visible = set(FIELD_ORDER)
        if self.text("location") == Location.AFTER_DICOM_READ and not self.text("projects"):
            visible.remove("projects")
        visible.update(f.name for f in self.own_parameters() if self._matters(f))
        return frozenset(visible)

    def _matters(self, field: ParameterField) -> bool:
        return not field.switch or self.is_on(field.switch)

    def switch_of(self, name: str) -> str:
        """Return the field that decides whether another is seen."""
        field = self.parameters.get(name)
        if field is not None and field.switch in self.visible_fields():
            return field.switch
        return "location" if name == "projects" else "processor_class"

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong, by visible field, in the order of the dialog."""
        return self.by_field(self._problems())

    def by_field(self, problems: Sequence[Problem]) -> dict[str, tuple[Problem, ...]]:
        """Sort problems under the visible fields that they are to be shown at."""
        visible = self.visible_fields()
        found: dict[str, tuple[Problem, ...]] = {}
        for problem in problems:
            name = self._field_of(problem)
            name = name if name in visible else self.switch_of(name)
            found[name] = (*found.get(name, ()), self._located(name, problem))
        return {name: found[name] for name in self.field_order if name in found}

    def _field_of(self, problem: Problem) -> str:
        name = problem.field.removeprefix(PREFIX)
        if name == problem.field:
            return name if name in FIELD_ORDER else "processor_class"
        named = (field.name for field in self.own_parameters() if field.parameter.name == name)
        return next(named, "processor_class")

    def _located(self, name: str, problem: Problem) -> Problem:
        """Give a problem of a list the line that it has in the text, blank lines included."""
        if name not in NAME_FIELDS:
            return problem
        lines = [(number, line.strip()) for number, line in enumerate(self._lines(name), start=1)]
        written = [number for number, line in lines if line]
        if problem.line is not None and problem.line <= len(written):
            return replace(problem, line=written[problem.line - 1])
        here = (number for number, line in lines if line[:60] == problem.value)
        return replace(problem, line=next(here, None))

    def _problems(self) -> tuple[Problem, ...]:
        if self._found is None:
            try:
                self.result()
                found: tuple[Problem, ...] = ()
            except InvalidProcessor as error:
                found = error.problems
            self._found = (*found, *self._script_problems())
        return self._found

    def _script_problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(
                PREFIX + self.parameters[name].parameter.name,
                "",
                finding.message,
                finding.remedy,
                finding.line,
                finding.column,
            )
            for name in self.scripts()
            for finding in self.findings(name)
            if finding.kind is FindingKind.ERROR
        )

    def take_findings(self, name: str, text: str, findings: tuple[ScriptFinding, ...]) -> None:
        """Take over what the engine says about a script; it counts while the text is the same."""
        self._checked[name] = Checked(text, findings)
        self._found = None

    def is_checked(self, name: str) -> bool:
        """Tell whether the engine has checked a script as it is now."""
        checked = self._checked.get(name)
        return checked is not None and checked.text == self.text(name)

    def findings(self, name: str) -> tuple[ScriptFinding, ...]:
        """Return what is odd about a script as it is now, as far as that is known."""
        return self._checked[name].findings if self.is_checked(name) else ()

    # Becoming a processor

    def is_dirty(self) -> bool:
        """Tell whether anything differs from what the form started with."""
        return self._values != self._start

    def rebase(self, current: Processor) -> tuple[str, ...]:
        """Edit the processor as it is now, keep the fields that were changed here; name those."""
        mine = {n: v for n, v in self._values.items() if v != self._start[n]}
        self._told = dict(current.parameters)
        own = values_of(self.parameters.values(), current.processor_class, self._told)
        self._start = {**_values_of(current), **own}
        self._values = {**self._start, **mine}
        self._found = None
        self.original = current
        return tuple(n for n in self.field_order if n in mine and mine[n] != self._start[n])

    def result(self) -> Processor:
        """Return the processor that the form describes.

        Raises:
            InvalidProcessor: with every problem at once.
        """
        raw: dict[str, object] = {name: self._values[name] for name in FIELD_ORDER}
        raw |= {name: self._names(name) for name in NAME_FIELDS}
        raw["parameters"] = self._parameters_record()
        if self.original is not None:
            raw["id"] = self.original.id
        return parse_processor(raw, self.rules)

    def _parameters_record(self) -> dict[str, str]:
        """Return the parameters of the class; a broken class keeps its saved ones."""
        chosen = self.chosen_class()
        same = self.text("processor_class") == self._start["processor_class"]
        if chosen is None or chosen.error:
            return self._told if same else {}
        told: dict[str, str] = {}
        for field in self.own_parameters():
            before = self._told.get(field.parameter.name, "") if same else ""
            value = field.told(self._values[field.name], before)
            told[field.parameter.name] = value if self._matters(field) else before
        return {name: value for name, value in told.items() if value}

    def _lines(self, name: str) -> list[str]:
        return self.text(name).splitlines()

    def _names(self, name: str) -> tuple[str, ...]:
        return tuple(line.strip() for line in self._lines(name) if line.strip())

    def _draft(self) -> Processor:
        """Return the processor as far as it decides which receivers it sees, and when."""
        priority = self.text("priority").strip()
        digits = priority.removeprefix("-")
        number = int(priority) if digits.isascii() and digits.isdecimal() else DEFAULT_PRIORITY
        return Processor(
            self.original.id if self.original else 0,
            self.text("label"),
            self.text("processor_class"),
            self.is_on("enabled"),
            Location(self.text("location")),
            number,
            self._names("receivers_allowed"),
            self._names("receivers_denied"),
        )


def _values_of(processor: Processor) -> dict[str, str | bool]:
    values: dict[str, str | bool] = {
        "label": processor.label,
        "processor_class": processor.processor_class,
        "enabled": processor.enabled,
        "location": str(processor.location),
        "priority": str(processor.priority),
    }
    return values | {name: "\n".join(getattr(processor, name)) for name in NAME_FIELDS}
