"""The details of a table row: a title, readable lines, and values for JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.api import AssociationEnd
from tui.associations.allow import advice, sent_as
from tui.associations.table import contexts, row_key
from tui.log.advice import what_to_do
from tui.log.events import event_key
from tui.receivers.failure import failure_report
from tui.receivers.panel import receiver_report, receiver_title
from tui.text import count, duration, fit, moment, safe, size
from tui.theme import ASSOCIATION_STYLES, SEVERITY_STYLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from engine.api import AssociationStatus, EngineSnapshot, ReceiverStatus
    from engine.api.associations import AcceptedContext
    from engine.events import RecordedEvent
    from tui.engine_client import EngineState

LABEL_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Details:
    """One row in words and as values; title and text are safe to show."""

    title: str
    text: str
    record: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the values as JSON, in ASCII so that no character can do harm."""
        return json.dumps(self.record, indent=2, default=str)


def receiver_details(status: ReceiverStatus, snapshot: EngineSnapshot) -> Details:
    """Return what is known about a receiver."""
    report = failure_report(status, snapshot)
    text = receiver_report(status, snapshot)
    record = {
        "receiver": status.receiver.to_record(),
        "state": status.state,
        "since": status.since.isoformat(),
        "address": status.address,
        "failure": asdict(status.failure) if status.failure else None,
        "open_associations": status.open_associations,
        "objects_today": status.objects_today,
        "bytes_today": status.bytes_today,
        "failed_today": status.failed_today,
    }
    return Details(receiver_title(status), report or text, record)


def row_details(engine_state: EngineState, panel: str, chosen: str | None) -> Details | None:
    """Return what is known about the chosen row of a panel, if it is (still) there."""
    snapshot = engine_state.snapshot
    if snapshot is None or chosen is None:
        return None
    if panel == "associations":
        both = (*snapshot.associations, *snapshot.ended_associations)
        association = next((a for a in both if row_key(a) == chosen), None)
        return association_details(association, snapshot) if association else None
    if panel == "events":
        found = next((r for r in engine_state.events if event_key(r) == chosen), None)
        return event_details(found, snapshot.taken_at) if found else None
    status = engine_state.receiver(int(chosen))
    return receiver_details(status, snapshot) if status else None


def association_details(
    association: AssociationStatus,
    snapshot: EngineSnapshot,
    accepted: Sequence[AcceptedContext] = (),
) -> Details:
    """Return what is known about an association, with its accepted contexts if they are known."""
    look = ASSOCIATION_STYLES[association.end]
    title = f"{look.glyph} {safe(association.calling_ae_title)} · {safe(association.id)}"
    text = in_lines(association_facts(association, snapshot))
    text += refused_contexts(association) + accepted_contexts(accepted)
    contexts_known = {"contexts_accepted_by_name": [asdict(context) for context in accepted]}
    return Details(title, text, asdict(association) | (contexts_known if accepted else {}))


def association_facts(
    association: AssociationStatus, snapshot: EngineSnapshot
) -> list[tuple[str, str]]:
    """Return name and value of what is known about an association; safe text."""
    now = snapshot.taken_at
    look = ASSOCIATION_STYLES[association.end]
    state = ("state", look.word if association.end is None else str(association.end))
    facts = [
        ("called AE title", safe(association.called_ae_title)),
        ("address", safe(association.address)),
        ("since", moment(association.since, now)),
    ]
    if association.end is AssociationEnd.REJECTED:
        return [state, *_reason(association, snapshot), *facts, *_rejection(association, now)]
    return [state, *facts, *_traffic(association, now)]


def _reason(association: AssociationStatus, snapshot: EngineSnapshot) -> list[tuple[str, str]]:
    return [
        ("reason", safe(association.why)),
        ("what to do", advice(association, snapshot)),
    ]


def _rejection(association: AssociationStatus, now: datetime) -> list[tuple[str, str]]:
    facts = [("times", count(association.repeats))]
    if association.repeats > 1 and association.ended_at is not None:
        facts.append(("last time", moment(association.ended_at, now)))
    sent = sent_as(association.calling_ae_title)
    return [*facts, ("AE title as sent", sent)] if sent else facts


def refused_contexts(association: AssociationStatus) -> str:
    """Return one paragraph for each presentation context that was not accepted."""
    if not association.contexts_refused:
        return ""
    paragraphs = [
        f"✗ {safe(context.sop_class)}\n"
        f"  proposed  {', '.join(map(safe, context.transfer_syntaxes)) or 'no transfer syntax'}\n"
        f"  reason    {safe(context.reason)}"
        for context in association.contexts_refused
    ]
    head = f"Refused presentation contexts: {len(paragraphs)}"
    return "\n\n" + "\n\n".join((head, *paragraphs))


def accepted_contexts(accepted: Sequence[AcceptedContext]) -> str:
    """Return one line for each accepted presentation context."""
    if not accepted:
        return ""
    lines = [
        f"✓ {context.id:3} {safe(context.sop_class)}, {safe(context.transfer_syntax)}"
        for context in accepted
    ]
    return "\n\n" + "\n".join((f"Accepted presentation contexts: {len(lines)}", *lines))


def _traffic(association: AssociationStatus, now: datetime) -> list[tuple[str, str]]:
    seconds = ((association.ended_at or now) - association.since).total_seconds()
    return [
        ("duration", duration(seconds)),
        ("objects", f"{count(association.objects)} in {size(association.bytes)}"),
        ("failed objects", count(association.failed)),
        ("contexts", f"{contexts(association)} accepted"),
        ("implementation", safe(association.implementation) or "–"),
        *([("why it ended", safe(association.why))] if association.why else []),
    ]


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


def in_lines(facts: Iterable[tuple[str, str]]) -> str:
    """Return one line for each name with its value."""
    return "\n".join(f"{fit(name, LABEL_WIDTH)}  {value}" for name, value in facts)
