"""What is known about one association, in words: facts, advice, and presentation contexts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.api import AssociationEnd
from tui.associations.allow import advice, sent_as
from tui.associations.table import association_of, contexts
from tui.shell.details import Details, in_lines
from tui.text import count, duration, moment, safe, size
from tui.theme import ASSOCIATION_STYLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.api import AssociationStatus, EngineSnapshot
    from engine.api.associations import AcceptedContext


def association_row_details(snapshot: EngineSnapshot, chosen: str | None) -> Details | None:
    """Return what is known about the association with this row key, if it is (still) there."""
    association = association_of(snapshot, chosen)
    return association_details(association, snapshot) if association else None


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
