"""The table of recent events, newest first."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING, ClassVar

from engine.events import Severity
from tui.text import clock, counted, safe
from tui.theme import SEVERITY_STYLES, Tone
from tui.widgets.table import Cell, Column, LiveTable, RowMemory, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.events import RecordedEvent
    from tui.engine_client import EngineState

SHOWN = 100
RECENT = timedelta(minutes=5)


class EventsTable(LiveTable):
    """The newest events; stays at the top while the cursor is there."""

    FOLLOWS_TOP = True
    NOUN = "event"
    UNSORTED = "newest first"
    HELP_TITLE = "Events"
    HELP = (
        "What the engine told lately, newest first. While the cursor is on the first row the "
        "panel follows; move down to hold your place. enter shows the whole sentence."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("at", "Time", 8),
        Column("level", "Level", 7),
        Column("ae_title", "Receiver", 12, at_most=99),
        Column("receiver", "Receiver", 16, at_least=100),
        Column("caller", "Calling AE", 16, at_least=100),
        Column("message", "What happened", 20, flexible=True),
    )

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._memory = RowMemory(event_key, _row)

    def show_events(self, events: Iterable[RecordedEvent], empty: str = "") -> None:
        """Show the newest events, which come newest first; without any, say why (safe text)."""
        self.show(self._memory.rows(islice(events, SHOWN)), empty)


class ReceiverEventsTable(EventsTable):
    """The same for one receiver, which needs no column then."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("at", "Time", 8),
        Column("level", "Level", 7),
        Column("caller", "Calling AE", 12),
        Column("message", "What happened", 20, flexible=True),
    )


def _row(recorded: RecordedEvent, key: str) -> TableRow:
    event = recorded.event
    look = SEVERITY_STYLES[event.severity]
    quiet = event.severity is Severity.INFO
    cells = {
        "at": Cell(clock(recorded.at), Tone.MUTED, recorded.at.timestamp()),
        "level": Cell(str(look), look.tone),
        "ae_title": Cell(safe(event.receiver.rpartition(":")[0]) or "–"),
        "receiver": Cell(safe(event.receiver) or "–"),
        "caller": Cell(safe(event.calling_ae_title) or "–"),
        "message": Cell(safe(event.sentence()), Tone.PLAIN if quiet else look.tone),
    }
    return TableRow(key, cells)


def event_key(recorded: RecordedEvent) -> str:
    """Return what tells an event from others, also from those of an engine before a restart."""
    return f"{recorded.at.timestamp()} {recorded.sequence}"


def event_title(engine_state: EngineState) -> str:
    """Return how many errors and warnings the last minutes brought."""
    if engine_state.snapshot is None:
        return ""
    begin = engine_state.snapshot.taken_at - RECENT
    new = takewhile(lambda recorded: recorded.at >= begin, engine_state.events)
    recent = [recorded.event.severity for recorded in new]
    errors, warnings = recent.count(Severity.ERROR), recent.count(Severity.WARNING)
    told = f"{counted(errors, 'error')}   {counted(warnings, 'warning')} in 5 min"
    lost = f"   {engine_state.dropped:,} older ones gone" if engine_state.dropped else ""
    return told + lost
