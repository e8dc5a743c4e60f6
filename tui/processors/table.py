"""The tables of processors and their classes, and the priorities that a move changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from engine.model.processing import ProcessorState
from engine.model.processor import DEFAULT_PRIORITY, PRIORITIES, Location
from tui.processors.help import LOCATION_WORDS
from tui.text import age, count, counted, moment, safe
from tui.theme import StateStyle, Tone
from tui.widgets.filter import folded
from tui.widgets.live_table import LiveTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.model.processing import ProcessorStatus
    from engine.model.processor import Processor, ProcessorClass
    from tui.widgets.panel import Fact


FIELDS = ("state", "label", "class", "location", "receiver", "project", "error")
"""Fields of a filter."""
SHORT_LOCATIONS = {
    Location.AFTER_DICOM_READ: "read",
    Location.AFTER_PROJECT_SET: "project",
    Location.AFTER_SESSION_CREATED: "session",
    Location.AFTER_STORED: "stored",
    Location.AFTER_SESSION_COMPLETE: "complete",
}
PROCESSOR_STYLES = {
    ProcessorState.ENABLED: StateStyle("●", "ENABLED", Tone.OK),
    ProcessorState.UNUSED: StateStyle("▲", "UNUSED", Tone.WARNING),
    ProcessorState.BROKEN: StateStyle("✗", "BROKEN", Tone.ERROR),
    ProcessorState.DISABLED: StateStyle("○", "DISABLED", Tone.MUTED),
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
        "that are installed. A broken one says why; it can't be chosen until it is repaired."
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
    processor, look = status.processor, PROCESSOR_STYLES[status.state]
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
    """Return the values that a filter searches, by field."""
    processor = status.processor
    return folded(
        state=PROCESSOR_STYLES[status.state].word,
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
    processor, look = status.processor, PROCESSOR_STYLES[status.state]
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
    facts += [(safe(name), _one_line(value)) for name, value in _parameter_facts(status, known)]
    return [(name, value) for name, value in facts if value]


def _counts(status: ProcessorStatus) -> str:
    if not status.runs:
        return "it saw no object"
    mean = f"{status.mean_seconds * 1000:,.1f} ms each"
    rest = f"{count(status.rejects)} rejected, {counted(status.errors, 'error')}"
    return f"{counted(status.runs, 'run')}, {mean}; {rest}"


def _parameter_facts(
    status: ProcessorStatus, known: ProcessorClass | None
) -> list[tuple[str, str]]:
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
    parameters = [
        f"{p.label}{' *' if p.required else ''} ({p.kind}): {p.help}" for p in known.parameters
    ]
    facts: list[Fact] = [
        ("error", safe(known.error)),
        ("what to do", "repair or reinstall its distribution" if known.error else ""),
        ("does", safe(known.help)),
        ("id", safe(known.id)),
        ("from", safe(known.origin)),
        ("acts", ", ".join(known.locations) if not known.error else ""),
        *(("parameter", safe(words)) for words in parameters),
    ]
    return [(name, value) for name, value in facts if value]


def moved(
    processors: Iterable[Processor], processor_id: int, step: int
) -> tuple[Processor, ...] | None:
    """Return the processors with another priority, so that one acts a place earlier or later.

    Only the moved one is changed where that is enough; else all at its location are numbered anew.

    Args:
        processors: all of them.
        processor_id: the one to be moved.
        step: -1 for a place earlier, 1 for a place later, among those at its location.

    Returns:
        What is to be saved; None if it is the first or last already, or not there any more.
    """
    known = tuple(processors)
    chosen = next((p for p in known if p.id == processor_id), None)
    if chosen is None:
        return None
    there = sorted((p for p in known if p.location is chosen.location), key=lambda p: p.order)
    at = there.index(chosen)
    if not 0 <= at + step < len(there):
        return None
    wanted = [p for p in there if p is not chosen]
    wanted.insert(at + step, chosen)
    return _one_changed(wanted, chosen) or _numbered(wanted)


def _one_changed(wanted: Sequence[Processor], chosen: Processor) -> tuple[Processor, ...] | None:
    at = wanted.index(chosen)
    around = [p.priority for p in (*wanted[max(0, at - 1) : at], *wanted[at + 1 : at + 2])]
    middle = sum(around) // len(around)
    for priority in (middle, *around, *(p - 1 for p in around), *(p + 1 for p in around)):
        changed = replace(chosen, priority=priority)
        tried = [changed if p is chosen else p for p in wanted]
        if priority in PRIORITIES and sorted(tried, key=lambda p: p.order) == tried:
            return (changed,)
    return None


def _numbered(wanted: Sequence[Processor]) -> tuple[Processor, ...]:
    numbered = (
        replace(p, priority=DEFAULT_PRIORITY * place) for place, p in enumerate(wanted, start=1)
    )
    return tuple(new for old, new in zip(wanted, numbered, strict=True) if new != old)
