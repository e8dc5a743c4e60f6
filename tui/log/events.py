"""The table of recent events, newest first."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, ClassVar

from engine.events import (
    AnonymizationFailed,
    AnonymizationOutOfForce,
    AssociationAborted,
    AssociationRejected,
    CertificateExpired,
    CertificateExpiring,
    CertificateRefused,
    ConfigurationRefused,
    ConnectionDropped,
    ContextsRefused,
    ControlRefused,
    IdentifierSlow,
    ObjectRefused,
    OptionNotApplied,
    PluginBroken,
    ReceiverFailed,
    RevocationListExpired,
    RevocationListExpiring,
    RuleFailed,
    Severity,
    SocketUnused,
)
from engine.events.monitoring import ClockStepped
from engine.events.sessions import SessionConflicts, SessionFailed
from tui.keys import pressed, with_keys
from tui.log.folding import folded_events
from tui.shell.details import Details, in_lines
from tui.text import clock, counted, moment, safe, sentence_case
from tui.theme import SEVERITY_STYLES, Tone
from tui.widgets.live_table import LiveTable, RowMemory
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.events import Event, RecordedEvent
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
        "The latest events, newest first. While the cursor is on the first row the "
        "panel follows; move down to hold your place. {list.open} shows the whole sentence. "
        "The objects of an association are one row, which stands where they began to arrive; "
        "screen 4 has each second."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("at", "Time", 8),
        Column("level", "Level", 7),
        Column("message", "What happened", 20, flexible=True),
        Column("ae_title", "Receiver", 11, at_most=139),
        Column("receiver", "Receiver", 16, at_least=140),
        Column("caller", "Calling AE", 16, at_least=100),
    )

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._memory = RowMemory(event_key, _row)

    def show_events(self, events: Iterable[RecordedEvent], empty: str = "") -> None:
        """Show the newest events, which come newest first; without any, say why (safe text)."""
        self.show(self._memory.rows(folded_events(events)[:SHOWN]), empty)


class ReceiverEventsTable(EventsTable):
    """The same for one receiver, which needs no column then."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("at", "Time", 8),
        Column("level", "Level", 7),
        Column("message", "What happened", 20, flexible=True),
        Column("caller", "Calling AE", 12),
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


_ADVICE: dict[type[Event], str] = {
    AssociationRejected: (
        "Screen 2 says what lets this caller in; {association.allow} on its row allows it."
    ),
    AssociationAborted: "If it was the caller, its own log says why; it usually sends again.",
    ConnectionDropped: "Look what connects there: port scanners and load balancers do this too.",
    ContextsRefused: "Let the caller propose another transfer syntax; screen 2 lists all of them.",
    ObjectRefused: "The caller keeps the object and can send it again once the reason is gone.",
    ConfigurationRefused: "Repair the file, or undo the change; good settings are in force.",
    OptionNotApplied: "Switch the option off at the receiver, or set up what it needs.",
    CertificateRefused: "Put matching certificate and key files in place; they are read again.",
    CertificateExpiring: "Renew the certificate; a changed file is used without a restart.",
    CertificateExpired: "Renew the certificate; a changed file is used without a restart.",
    RevocationListExpiring: "Get a newer list from the authority, and replace the file.",
    RevocationListExpired: "Get a newer list from the authority, and replace the file.",
    AnonymizationOutOfForce: "Put a script into force, or switch anonymization off there.",
    AnonymizationFailed: "Correct the script's line; callers send refused objects again.",
    RuleFailed: "Simplify the rule's pattern, or switch it off; saving starts it anew.",
    IdentifierSlow: "Look at what the plugin does for each object; senders wait for it.",
    PluginBroken: "Install a version of the plugin that fits, or remove it.",
    ClockStepped: "Check the clock of this host and its NTP service.",
    ControlRefused: "Correct the client's user or token. If it is not yours, find out whose it is.",
    SessionConflicts: (
        "On screen 3, {list.open} shows the session; {session.archive} says what merging would do."
    ),
    SessionFailed: "On screen 3, {list.open} shows the session, and the path of a link in its way.",
    SocketUnused: "Give the socket unit and the receiver the same port.",
}


def what_to_do(event: Event) -> str:
    """Return what helps against an event, safe text; empty if nothing is needed."""
    if isinstance(event, ReceiverFailed):
        return sentence_case(
            f"{safe(event.remedy)}; on screen 1, {pressed('receiver.edit')} edits the receiver and "
            f"{pressed('receiver.retry')} retries."
        )
    return with_keys(_ADVICE.get(type(event), ""))


def event_row_details(engine_state: EngineState, chosen: str | None) -> Details | None:
    """Return what is known about the event with this row key, if it is (still) there."""
    snapshot = engine_state.snapshot
    events = (*folded_events(engine_state.events), *engine_state.events)
    found = next((recorded for recorded in events if event_key(recorded) == chosen), None)
    return event_details(found, snapshot.taken_at) if found and snapshot else None


def event_details(recorded: RecordedEvent, now: datetime) -> Details:
    """Return an event with its whole sentence."""
    event = recorded.event
    look = SEVERITY_STYLES[event.severity]
    facts = [
        ("receiver", safe(event.receiver) or "–"),
        ("calling AE title", safe(event.calling_ae_title) or "–"),
        ("association", safe(event.association) or "–"),
        ("topic", safe(event.topic)),
    ]
    advice_here = what_to_do(event)
    if advice_here:
        facts.append(("what to do", advice_here))
    title = f"{look.glyph} {look.word} {moment(recorded.at, now)}"
    record = {"at": recorded.at.isoformat(), **event.to_record()}
    return Details(title, f"{safe(event.sentence())}\n\n{in_lines(facts)}", record)
