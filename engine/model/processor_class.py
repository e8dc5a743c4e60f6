"""Processor classes as the configuration sees them: what there is, and what each must be told."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.model.text import text_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_VALUE_CHARACTERS = 1000
"""Longest value of one line."""

_NUMBER = re.compile(r"-?[0-9]{1,15}")


class Location(StrEnum):
    """Where on an object's way a processor acts; in the order of the way (XNAT 8.2, 10.2)."""

    AFTER_DICOM_READ = "after_dicom_read"
    """The header is read; nothing is known of project, subject and session."""
    AFTER_PROJECT_SET = "after_project_set"
    """The project is known; subject and session are derived afterwards, from what was edited."""
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
    """What may be written for a parameter, and how a dialog asks for it."""

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
    """One value that an instance must or may tell its class."""

    name: str
    """Its key in the instance's parameters: lower case letters, digits and ``_``."""
    label: str
    help: str
    """What to write, as a remedy says it, such as ``write the AE title of the peer``."""
    kind: ParameterKind = ParameterKind.TEXT
    required: bool = False
    default: str = ""
    """What counts where nothing is given."""
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessorClass:
    """What the dialog must know about one installed class of processors."""

    id: str
    """The entry point's name, by which an instance chooses its class."""
    name: str
    help: str = ""
    """What it does, in a sentence or two."""
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
        """Return every parameter with what counts: what is given, or else its default."""
        return {p.name: given.get(p.name) or p.default for p in self.parameters}


def class_problems(
    class_id: str, location: Location | None, classes: Sequence[ProcessorClass]
) -> Iterator[Problem]:
    """Yield why there can be no instance of a class at a location."""
    found = next((known for known in classes if known.id == class_id), None)
    if found is None:
        usable = ", ".join(known.id for known in classes if not known.error) or "none installed"
        yield Problem("processor_class", class_id[:80], "is not installed", f"choose of: {usable}")
    elif found.error:
        remedy = "mend or reinstall it (see: dicomdock plugins), or choose another class"
        yield Problem("processor_class", class_id, f"can't be used: {found.error}", remedy)
    elif location is not None and location not in found.locations:
        remedy = f"use {', '.join(found.locations)}"
        yield Problem("location", location, f"is no place for {found.name}", remedy)


def parameter_problems(
    parameters: Sequence[ProcessorParameter], given: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield what is wrong with what an instance tells its class."""
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
    """Say what is wrong with a value of one line; nothing if it is good."""
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
