"""What is known about one event, with advice where the event names no remedy itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    SocketUnused,
)
from engine.events.monitoring import ClockStepped
from engine.events.sessions import SessionConflicts, SessionFailed
from tui.log.events import event_key
from tui.shell.details import Details, in_lines
from tui.text import moment, safe, sentence_case
from tui.theme import SEVERITY_STYLES

if TYPE_CHECKING:
    from datetime import datetime

    from engine.events import Event, RecordedEvent
    from tui.engine_client import EngineState

_ADVICE: dict[type[Event], str] = {
    AssociationRejected: "Screen 2 says what lets this caller in; w on its row allows it.",
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
    SessionConflicts: "On screen 3, enter shows the session; a says what merging would do.",
    SessionFailed: "On screen 3, enter shows the session, and the path of a link in its way.",
    SocketUnused: "Give the socket unit and the receiver the same port.",
}


def what_to_do(event: Event) -> str:
    """Return what helps against an event, safe text; empty if nothing is needed."""
    if isinstance(event, ReceiverFailed):
        return sentence_case(
            f"{safe(event.remedy)}; on screen 1, e edits the receiver and r retries."
        )
    return _ADVICE.get(type(event), "")


def event_row_details(engine_state: EngineState, chosen: str | None) -> Details | None:
    """Return what is known about the event with this row key, if it is (still) there."""
    snapshot = engine_state.snapshot
    found = next((r for r in engine_state.events if event_key(r) == chosen), None)
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
