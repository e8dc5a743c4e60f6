"""The processors in the order in which they act, and the classes that they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine.model.processing import ProcessorState
from engine.model.processor_class import Location
from tui.forms.processor_help import LOCATION_WORDS
from tui.forms.row_filter import folded
from tui.text import age, count, counted, moment, safe
from tui.theme import Look, Tone
from tui.widgets.live_table import Cell, Column, LiveTable, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.model.processing import ProcessorStatus
    from engine.model.processor_class import ProcessorClass
    from tui.widgets.facts import Fact

FIELDS = ("state", "label", "class", "location", "receiver", "project", "error")
"""What a filter can ask for by name."""
SHORT_LOCATIONS = {
    Location.AFTER_DICOM_READ: "read",
    Location.AFTER_PROJECT_SET: "project",
    Location.AFTER_SESSION_CREATED: "session",
    Location.AFTER_STORED: "stored",
    Location.AFTER_SESSION_COMPLETE: "complete",
}
PROCESSOR_LOOKS = {
    ProcessorState.ENABLED: Look("●", "ENABLED", Tone.OK),
    ProcessorState.UNUSED: Look("▲", "UNUSED", Tone.WARNING),
    ProcessorState.BROKEN: Look("✗", "BROKEN", Tone.ERROR),
    ProcessorState.DISABLED: Look("○", "DISABLED", Tone.MUTED),
}
STATE_WORDS = {
    "ENABLED": "acts on every object that it sees",
    "UNUSED": "enabled, but no receiver shows it objects: switch custom processing on there",
    "BROKEN": "enabled, but it can't work as it should",
    "DISABLED": "sees no object, on purpose",
}


class ProcessorsTable(LiveTable):
    """One row for each processor."""

    NOUN = "processor"
    UNSORTED = "in the order in which they act"
    HELP_TITLE = "Processors"
    HELP = (
        "Processors see the objects of receivers whose custom processing is on, by location and "
        "then by priority, the smaller first; each sees what the earlier ones left. UNUSED means "
        "that no receiver shows it objects, BROKEN that it can't work: the panel below says why. "
        "Runs, rejected objects and errors are counted since the engine started."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("order", "#", 2, right=True),
        Column("state", "State", 10),
        Column("label", "Label", 12, flexible=True, max_width=28),
        Column("class", "Class", 16, at_least=100),
        Column("location", "Location", 22, at_least=136),
        Column("place", "At", 8, at_most=135),
        Column("priority", "Prio", 4, right=True),
        Column("receivers", "Receivers", 10, flexible=True, max_width=30, at_least=66),
        Column("runs", "Runs", 7, right=True),
        Column("rejects", "Rej", 5, right=True),
        Column("errors", "Err", 5, right=True),
        Column("mean", "Mean ms", 7, right=True, at_least=82),
        Column("last", "Last err", 8, at_least=110),
    )


class ClassesTable(LiveTable):
    """One row for each installed class."""

    NOUN = "class"
    HELP_TITLE = "Classes"
    HELP = (
        "What processors can be made of: the classes of dicomdock and of other distributions "
        "that are installed. A broken one says why; it can't be chosen until it is mended."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("state", "State", 8),
        Column("name", "Class", 18, flexible=True, max_width=30),
        Column("origin", "From", 16, flexible=True, max_width=28, at_least=44),
        Column("used", "Used", 4, right=True),
    )


def processor_rows(statuses: Sequence[ProcessorStatus], now: datetime) -> list[TableRow]:
    """Return the rows of processors, as they looked at some moment."""
    return [_row(place, status, now) for place, status in enumerate(statuses, start=1)]


def _row(place: int, status: ProcessorStatus, now: datetime) -> TableRow:
    processor, look = status.processor, PROCESSOR_LOOKS[status.state]
    tone = Tone.PLAIN if processor.enabled else Tone.MUTED
    at = status.last_error_at
    mean = status.mean_seconds * 1000
    cells = {
        "order": Cell(str(place), Tone.MUTED, place),
        "state": Cell(str(look), look.tone),
        "label": Cell(safe(processor.label), Tone.STRONG if processor.enabled else Tone.MUTED),
        "class": Cell(safe(processor.processor_class), tone),
        "location": Cell(str(processor.location), tone, processor.order[0]),
        "place": Cell(SHORT_LOCATIONS[processor.location], tone, processor.order[0]),
        "priority": Cell(str(processor.priority), tone, processor.priority),
        "receivers": Cell(", ".join(map(safe, status.receivers)) or "–", tone),
        "runs": Cell(count(status.runs), tone, status.runs),
        "rejects": Cell(count(status.rejects), tone, status.rejects),
        "errors": Cell(count(status.errors), Tone.ERROR if status.errors else tone, status.errors),
        "mean": Cell(f"{mean:,.1f}" if status.runs else "–", tone, mean),
        "last": Cell(age(at, now) if at else "–", tone, at.timestamp() if at else 0.0),
    }
    return TableRow(str(processor.id), cells)


def processor_fields(status: ProcessorStatus) -> dict[str, str]:
    """Return what a filter looks at."""
    processor = status.processor
    return folded(
        state=PROCESSOR_LOOKS[status.state].word,
        label=processor.label,
        **{"class": processor.processor_class},
        location=processor.location,
        receiver=" ".join(status.receivers),
        project=" ".join(processor.projects),
        error=f"{status.problem} {status.last_error}",
    )


def processor_facts(
    status: ProcessorStatus, classes: Iterable[ProcessorClass], now: datetime
) -> list[Fact]:
    """Return name and value of what is known about a processor; safe text."""
    processor, look = status.processor, PROCESSOR_LOOKS[status.state]
    known = next((c for c in classes if c.id == processor.processor_class), None)
    why = safe(status.problem) or STATE_WORDS[look.word]
    facts: list[Fact] = [("state", f"{look}: {why}")]
    if status.last_error:
        when = f"{moment(status.last_error_at, now)}: " if status.last_error_at else ""
        facts.append(("last error", f"{when}{safe(status.last_error)}"))
    facts += [
        ("class", f"{safe(known.name)}, {safe(known.origin)}" if known else "not installed"),
        ("acts", f"{processor.location}: {LOCATION_WORDS[processor.location]}"),
        ("priority", str(processor.priority)),
        ("sees objects of", _joined(status.receivers) or "no receiver now"),
        ("only receivers", _joined(processor.receivers_allowed)),
        ("not receivers", _joined(processor.receivers_denied)),
        ("only projects", _joined(processor.projects)),
        ("since the start", _counts(status)),
    ]
    facts += [(safe(name), _one_line(value)) for name, value in _told(status, known)]
    return [(name, value) for name, value in facts if value]


def _counts(status: ProcessorStatus) -> str:
    if not status.runs:
        return "it saw no object"
    mean = f"{status.mean_seconds * 1000:,.1f} ms each"
    rest = f"{count(status.rejects)} rejected, {counted(status.errors, 'error')}"
    return f"{counted(status.runs, 'run')}, {mean}; {rest}"


def _told(status: ProcessorStatus, known: ProcessorClass | None) -> list[tuple[str, str]]:
    labels = {p.name: p.label.casefold() for p in (known.parameters if known else ())}
    return [(labels.get(name, name), value) for name, value in status.processor.parameters]


def _one_line(value: str) -> str:
    lines = value.splitlines()
    more = f" … and {counted(len(lines) - 1, 'more line')}" if len(lines) > 1 else ""
    return f"{safe(lines[0])}{more}" if lines else ""


def _joined(names: Iterable[str]) -> str:
    return ", ".join(map(safe, names))


def class_rows(
    classes: Sequence[ProcessorClass], statuses: Sequence[ProcessorStatus]
) -> list[TableRow]:
    """Return the rows of classes, with how many processors are of each."""
    return [_class_row(known, statuses) for known in classes]


def _class_row(known: ProcessorClass, statuses: Sequence[ProcessorStatus]) -> TableRow:
    used = sum(status.processor.processor_class == known.id for status in statuses)
    bad = bool(known.error)
    cells = {
        "state": Cell("✗ broken" if bad else "✓ ready", Tone.ERROR if bad else Tone.OK),
        "name": Cell(safe(known.name)),
        "origin": Cell(safe(known.origin) or "–", Tone.MUTED),
        "used": Cell(str(used), Tone.PLAIN if used else Tone.MUTED, used),
    }
    return TableRow(known.id, cells)


def class_facts(known: ProcessorClass) -> list[Fact]:
    """Return name and value of what is known about a class; safe text."""
    told = [f"{p.label}{' *' if p.required else ''} ({p.kind}): {p.help}" for p in known.parameters]
    facts: list[Fact] = [
        ("error", safe(known.error)),
        ("what to do", "mend or reinstall its distribution" if known.error else ""),
        ("does", safe(known.help)),
        ("id", safe(known.id)),
        ("from", safe(known.origin)),
        ("acts", ", ".join(known.locations) if not known.error else ""),
        *(("is told", safe(words)) for words in told),
    ]
    return [(name, value) for name, value in facts if value]
