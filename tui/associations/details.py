"""What is known about one association, in words: facts, advice, and presentation contexts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.api import AssociationEnd
from engine.errors import EngineError
from tui.associations.table import association_of, contexts, why_ended
from tui.shell.details import Details, in_lines
from tui.text import count, duration, moment, safe, size
from tui.theme import ASSOCIATION_STYLES, Tone
from tui.widgets.live_table import LiveTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from engine.api import AssociationStatus, EngineSnapshot
    from engine.api.status import AcceptedContext
    from tui.engine_client import Asker


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
    state = ("state", look.word)
    facts = [
        ("called AE title", safe(association.called_ae_title)),
        ("address", safe(association.address)),
        ("since", moment(association.since, now)),
    ]
    if association.end is AssociationEnd.REJECTED:
        return [state, *_reason(association, snapshot), *facts, *_rejection(association, now)]
    return [state, *facts, *_traffic(association, now)]


def _reason(association: AssociationStatus, snapshot: EngineSnapshot) -> list[tuple[str, str]]:
    from tui.associations.allow import advice  # whitelists, which the first picture needs not

    return [
        ("reason", safe(association.why)),
        ("what to do", advice(association, snapshot)),
    ]


def _rejection(association: AssociationStatus, now: datetime) -> list[tuple[str, str]]:
    facts = [("times", count(association.repeats))]
    if association.repeats > 1 and association.ended_at is not None:
        facts.append(("last time", moment(association.ended_at, now)))
    from tui.associations.allow import sent_as

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
        *([("why it ended", why_ended(association))] if why_ended(association) else []),
    ]


class ContextsTable(LiveTable):
    """The presentation contexts: proposed, and accepted or refused."""

    NOUN = "context"
    UNSORTED = "refused ones first"
    HELP_TITLE = "Presentation contexts"
    HELP = (
        "What the caller proposed when it associated (PS3.8 9.3.2.2): a kind of object with its "
        "encodings. An object of a refused context can't be sent in this association. The "
        "accepted encoding is the one that the caller has to use."
    )
    COLUMNS = (
        Column("result", "Result", 10),
        Column("id", "ID", 4, right=True),
        Column("sop_class", "SOP class", 18, flexible=True),
        Column("syntax", "Transfer syntax, or why not", 20, flexible=True),
    )


def context_rows(
    association: AssociationStatus | None, accepted: Sequence[AcceptedContext]
) -> list[TableRow]:
    """Return the rows of an association's contexts."""
    if association is None:
        return []
    rows = [
        TableRow(
            f"refused {i}",
            {
                "result": Cell("✗ refused", Tone.ERROR),
                "id": Cell("–", Tone.MUTED, -1),
                "sop_class": Cell(safe(context.sop_class)),
                "syntax": Cell(
                    f"{safe(context.reason)}: {', '.join(map(safe, context.transfer_syntaxes))}"
                ),
            },
        )
        for i, context in enumerate(association.contexts_refused)
    ]
    rows.extend(
        TableRow(
            f"accepted {context.id}",
            {
                "result": Cell("✓ accepted", Tone.OK),
                "id": Cell(str(context.id), order=context.id),
                "sop_class": Cell(safe(context.sop_class)),
                "syntax": Cell(safe(context.transfer_syntax)),
            },
        )
        for context in accepted
    )
    return rows


def context_title(association: AssociationStatus | None) -> str:
    """Return how many of how many were accepted."""
    if association is None or not association.contexts_proposed:
        return "none negotiated"
    taken, proposed = association.contexts_accepted, association.contexts_proposed
    return f"{taken} of {proposed} accepted"


KEPT = 100


class ContextsFetch:
    """Asks the engine for one association at a time; the newest wish counts."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._asker = asker
        self._changed = changed
        self._known: dict[str, tuple[AcceptedContext, ...]] = {}
        self._asked = ""

    def of(self, association: AssociationStatus | None) -> tuple[AcceptedContext, ...]:
        """Return what is known of an association's contexts; asks if that is nothing yet."""
        if association is None or not association.contexts_accepted:
            return ()
        known = self._known.get(association.id)
        if known is None and self._asked != association.id:
            self._asked = association.id
            self._asker.ask(self._fetch, association.id)
        return known or ()

    async def _fetch(self, association_id: str) -> None:
        try:
            contexts = await self._asker.engine.call(
                f"look at the contexts of {association_id}",
                lambda engine: engine.associations.contexts(association_id),
                about="contexts",
                changes=False,
                latest=True,
            )
        except EngineError:
            contexts = ()
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[association_id] = contexts
        self._changed()
