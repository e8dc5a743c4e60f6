"""Processors: their classes, parameters, receivers, location and order.

`parse_processor` is the one place where raw values become a `Processor`: the dialog, the command
line and the configuration file all go through it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import InvalidProcessor, Problem
from engine.model.secrets import unknown_members
from engine.model.text import text_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.model.project import ProjectRegistry


MAX_VALUE_CHARACTERS = 1000
"""Longest value of one line."""

_NUMBER = re.compile(r"-?[0-9]{1,15}")


class Location(StrEnum):
    """Where on an object's way a processor acts; in the order of the way (XNAT 8.2, 10.2)."""

    AFTER_DICOM_READ = "after_dicom_read"
    """The header is read; nothing is known of project, subject and session."""
    AFTER_PROJECT_SET = "after_project_set"
    """The project is known; subject and session are derived afterwards, from the edited header."""
    AFTER_SESSION_CREATED = "after_session_created"
    """Project, subject and session are settled; anonymization follows."""
    AFTER_STORED = "after_stored"
    """The object is in its final file, as it was stored."""
    AFTER_SESSION_COMPLETE = "after_session_complete"
    """No object came for a while and the session is built."""

    @property
    def is_before_storing(self) -> bool:
        """Whether objects can still be changed or rejected here."""
        return self in BEFORE_STORING


BEFORE_STORING = (
    Location.AFTER_DICOM_READ,
    Location.AFTER_PROJECT_SET,
    Location.AFTER_SESSION_CREATED,
)
ORDER = {location: number for number, location in enumerate(Location)}


class ParameterKind(StrEnum):
    """The values that a parameter may have, and the field of its dialog."""

    TEXT = "text"
    """One line."""
    LINES = "lines"
    """Several lines."""
    SCRIPT = "script"
    """A DicomEdit script; checked as one."""
    NUMBER = "number"
    """A whole number."""
    SWITCH = "switch"
    """``true`` or ``false``."""
    CHOICE = "choice"
    """One of `choices`."""
    FILE = "file"
    """The absolute path of a file on the engine's machine."""


@dataclass(frozen=True, slots=True)
class ProcessorParameter:
    """One parameter of the instances of a class."""

    name: str
    """Its key in the instance's parameters: lower case letters, digits and ``_``."""
    label: str
    help: str
    """The remedy for a missing value, such as ``write the AE title of the peer``."""
    kind: ParameterKind = ParameterKind.TEXT
    required: bool = False
    default: str = ""
    """The value if none is given."""
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessorClass:
    """The description of one installed class of processors, for dialogs and checks."""

    id: str
    """The entry point's name, by which an instance chooses its class."""
    name: str
    help: str = ""
    """Its effect, in a sentence or two."""
    locations: tuple[Location, ...] = BEFORE_STORING
    """Where its instances may act; the first is proposed."""
    parameters: tuple[ProcessorParameter, ...] = ()
    origin: str = ""
    """The distribution that it comes from, with its version."""
    error: str = ""
    """Why it can't be used, though it is installed; empty if it can."""

    def to_record(self) -> dict[str, object]:
        """Return the class for programs."""
        return asdict(self)

    def complete(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return every parameter with its value: the given one, or else its default."""
        # An empty text counts as not given, as a dialog leaves it.
        return {p.name: given.get(p.name) or p.default for p in self.parameters}


def class_problems(
    class_id: str, location: Location | None, classes: Sequence[ProcessorClass]
) -> Iterator[Problem]:
    """Yield why there can be no instance of a class at a location."""
    found = next((known for known in classes if known.id == class_id), None)
    if found is None:
        usable = ", ".join(known.id for known in classes if not known.error) or "none installed"
        yield Problem(
            "processor_class", class_id[:80], "is not installed", f"choose one of: {usable}"
        )
    elif found.error:
        remedy = "repair or reinstall it (see: dicomdock plugins), or choose another class"
        yield Problem("processor_class", class_id, f"can't be used: {found.error}", remedy)
    elif location is not None and location not in found.locations:
        remedy = f"use {', '.join(found.locations)}"
        yield Problem("location", location, f"is no place for {found.name}", remedy)


def parameter_problems(
    parameters: Sequence[ProcessorParameter], given: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield what is wrong with the parameters of an instance."""
    # A wrong name must not be ignored: its value would silently be the default.
    known = {parameter.name: parameter for parameter in parameters}
    for name, value in given.items():
        if name not in known:
            remedy = f"use {', '.join(known)}" if known else "remove it"
            yield Problem(place(name), value[:40], "is no parameter of this class", remedy)
    for parameter in parameters:
        yield from _value_problems(parameter, given.get(parameter.name, ""))


def place(name: str) -> str:
    """Return the field that a problem of a parameter names."""
    return f"parameters.{name[:40]}"


def _value_problems(parameter: ProcessorParameter, value: str) -> Iterator[Problem]:
    field = place(parameter.name)
    if not value.strip():
        if parameter.required and not parameter.default:
            yield Problem(field, value[:40], "is empty", parameter.help)
    elif parameter.kind in {ParameterKind.LINES, ParameterKind.SCRIPT}:
        yield from text_faults(field, value)
    else:
        fault = _fault(parameter, value)
        if fault:
            yield Problem(field, value[:40], fault, _remedy(parameter))


def _fault(parameter: ProcessorParameter, value: str) -> str:
    """Return what is wrong with a value of one line; empty if it is valid."""
    if len(value) > MAX_VALUE_CHARACTERS:
        return f"is longer than {MAX_VALUE_CHARACTERS} characters ({len(value)})"
    if not value.isprintable():
        return "contains a control character"
    kind = parameter.kind
    if kind is ParameterKind.NUMBER:
        return _number_fault(parameter, value)
    if kind is ParameterKind.SWITCH:
        return "" if value in {"true", "false"} else "is not a switch"
    if kind is ParameterKind.CHOICE:
        return "" if value in parameter.choices else "is not among the choices"
    if kind is ParameterKind.FILE:
        return "" if value.startswith("/") else "is not an absolute path"
    return ""


def _number_fault(parameter: ProcessorParameter, value: str) -> str:
    if not _NUMBER.fullmatch(value):
        return "is not a whole number"
    too_small = parameter.minimum is not None and int(value) < parameter.minimum
    too_great = parameter.maximum is not None and int(value) > parameter.maximum
    return "is out of range" if too_small or too_great else ""


def _remedy(parameter: ProcessorParameter) -> str:
    if parameter.kind is ParameterKind.SWITCH:
        return "write true or false"
    if parameter.kind is ParameterKind.CHOICE:
        return f"use {', '.join(parameter.choices)}"
    if parameter.kind is ParameterKind.NUMBER:
        low, high = parameter.minimum, parameter.maximum
        if low is not None and high is not None:
            return f"use {low} to {high}"
        return parameter.help
    return parameter.help


MAX_LABEL_CHARACTERS = 64
MAX_NAMES = 1000
MAX_PARAMETERS = 100
PRIORITIES = range(-1_000_000, 1_000_001)
DEFAULT_PRIORITY = 10
"""XNAT's own (10.4)."""

_RECEIVER = re.compile(r"[\x20-\x7e]{1,16}:[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Processor:
    """One configured use of a processor class; the fields are XNAT's (10.2)."""

    id: int
    """Assigned by the store; 0 before the first save."""
    label: str
    processor_class: str
    enabled: bool = True
    location: Location = Location.AFTER_DICOM_READ
    priority: int = DEFAULT_PRIORITY
    """Smaller ones act first at their location."""
    receivers_allowed: tuple[str, ...] = ()
    """``AE:port``; empty means every receiver."""
    receivers_denied: tuple[str, ...] = ()
    """``AE:port``; these are left out in any case."""
    projects: tuple[str, ...] = ()
    """Ids or aliases; empty means every object, also those without a project."""
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The values of its parameters, by name."""

    @property
    def order(self) -> tuple[int, int, int]:
        """Sort by location, then priority, then age."""
        return ORDER[self.location], self.priority, self.id

    def admits_receiver(self, label: str) -> bool:
        """Tell whether it may see the objects of a receiver (XNAT 10.2, default accept)."""
        # XNAT 10.2: to deny wins.
        allowed = not self.receivers_allowed or label in self.receivers_allowed
        return allowed and label not in self.receivers_denied

    def admits_project(self, project: str | None, projects: ProjectRegistry) -> bool:
        """Tell whether it may see the objects of a project; None is no project (XNAT 10.2)."""
        if not self.projects:
            return True
        named = (projects.find(name) for name in self.projects)
        return project is not None and project in named

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse_processor` reads."""
        record: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in _LISTS:
            record[name] = list(getattr(self, name))
        return record | {"location": str(self.location), "parameters": dict(self.parameters)}


@dataclass(frozen=True, slots=True)
class ProcessorRules:
    """What else a processor is checked against."""

    classes: Sequence[ProcessorClass] | None = None
    """Installed classes. None skips the check that the class exists and its parameters fit."""
    others: Sequence[Processor] = ()
    """The other processors, whose labels must differ."""
    projects: ProjectRegistry | None = None
    """All projects. None skips the check that a project exists."""
    check: Callable[[Processor], Iterable[Problem]] | None = None
    """The check by its class, called when nothing else is wrong."""


_LISTS = ("receivers_allowed", "receivers_denied", "projects")


def parse_processor(raw: Mapping[str, object], rules: ProcessorRules) -> Processor:
    """Turn raw values into a processor; absent members take their default.

    Raises:
        InvalidProcessor: with every problem at once, each naming field, value and remedy.
    """
    reading = _Reading(raw)
    processor = Processor(
        id=reading.number("id", 0, range(10**9)),
        label=reading.line("label", MAX_LABEL_CHARACTERS),
        processor_class=reading.line("processor_class", MAX_LABEL_CHARACTERS),
        enabled=reading.switch("enabled"),
        location=reading.location(),
        priority=reading.number("priority", DEFAULT_PRIORITY, PRIORITIES),
        receivers_allowed=reading.names("receivers_allowed"),
        receivers_denied=reading.names("receivers_denied"),
        projects=reading.names("projects"),
        parameters=reading.parameters(),
    )
    problems = reading.problems
    known = {f.name for f in fields(Processor)}
    problems.extend(unknown_members(raw, known, "is not a processor's field"))
    problems.extend(_conflicts(processor, rules))
    # Last: code of the class sees only parameters that fit their descriptions.
    if not problems and rules.check is not None:
        problems.extend(rules.check(processor))
    if problems:
        raise InvalidProcessor(*problems)
    return processor


@dataclass(slots=True)
class _Reading:
    """Reads raw members one by one and collects their problems."""

    raw: Mapping[str, object]
    problems: list[Problem] = field(default_factory=list)

    def number(self, name: str, default: int, allowed: range) -> int:
        value = self._given(name, default)
        # Dialog and command line give the digits as text.
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
            value = int(value)
        # A bool is an int in Python: true would be taken for 1.
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            remedy = f"use {allowed.start} to {allowed.stop - 1}"
            self._complain(name, value, "is not a whole number in the allowed range", remedy)
            return default
        return value

    def line(self, name: str, longest: int) -> str:
        value = self._given(name, "")
        text = value.strip() if isinstance(value, str) else ""
        if not text or len(text) > longest or not text.isprintable():
            fault = "is empty" if value in ("", None) else "is not a text of one line"
            self._complain(name, value, fault, f"write 1 to {longest} characters in one line")
        return text

    def switch(self, name: str) -> bool:
        value = self._given(name, True)
        if not isinstance(value, bool):
            self._complain(name, value, "is not a switch", "write true or false")
        return value is True

    def location(self) -> Location:
        value = self._given("location", Location.AFTER_DICOM_READ)
        try:
            return Location(str(value))
        except ValueError:
            remedy = f"use {', '.join(Location)}"
            self._complain("location", value, "is not a location", remedy)
            return Location.AFTER_DICOM_READ

    def names(self, name: str) -> tuple[str, ...]:
        value = self._given(name, ())
        if not isinstance(value, list | tuple) or len(value) > MAX_NAMES:
            self._complain(name, value, "is not a list of names", f"write at most {MAX_NAMES}")
            return ()
        for number, item in enumerate(value, start=1):
            if name != "projects" and not _is_receiver(item):
                remedy = "write AE:PORT, such as XNAT:8104"
                self._complain(name, item, "is not a receiver", remedy, number)
            elif not isinstance(item, str) or not item.strip() or not item.isprintable():
                self._complain(name, item, "is not a name", "write the id of a project", number)
        return tuple(dict.fromkeys(str(item).strip() for item in value))

    def parameters(self) -> tuple[tuple[str, str], ...]:
        given = self._given("parameters", {})
        raw = dict(given) if isinstance(given, tuple) else given
        if not isinstance(raw, Mapping) or len(raw) > MAX_PARAMETERS:
            remedy = "write an object of values by name"
            self._complain("parameters", given, "is not a record", remedy)
            return ()
        texts = {str(name): _text(value) for name, value in raw.items() if value is not None}
        for name, text in texts.items():
            if text is None:
                message = "is neither text, number nor switch"
                self._complain(f"parameters.{name[:40]}", raw[name], message, "write text")
        return tuple((name, text) for name, text in texts.items() if text)

    def _given(self, name: str, default: object) -> object:
        value = self.raw.get(name)
        return default if value is None else value

    def _complain(
        self, name: str, value: object, message: str, remedy: str, line: int | None = None
    ) -> None:
        self.problems.append(Problem(name, str(value)[:60], message, remedy, line))


def _is_receiver(value: object) -> bool:
    return isinstance(value, str) and bool(_RECEIVER.fullmatch(value.strip()))


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None


def _conflicts(processor: Processor, rules: ProcessorRules) -> Iterator[Problem]:
    for other in rules.others:
        if other.id != processor.id and other.label == processor.label:
            yield Problem("label", other.label, "names another processor", "choose another label")
    # XNAT 8.2: the project is found after this location.
    if processor.projects and processor.location is Location.AFTER_DICOM_READ:
        shown, message = ", ".join(processor.projects)[:60], "no project is known after_dicom_read"
        yield Problem("projects", shown, message, "name none, or choose a later location")
    for name in processor.projects if rules.projects is not None else ():
        if rules.projects is not None and rules.projects.find(name) is None:
            remedy = "name one that `dicomdock projects list` shows, or add it first"
            yield Problem("projects", name[:60], "names no project", remedy)
    if rules.classes is not None:
        name, location = processor.processor_class, processor.location
        yield from class_problems(name, location, rules.classes)
        for known in rules.classes:
            if known.id == name and not known.error:
                yield from parameter_problems(known.parameters, dict(processor.parameters))
