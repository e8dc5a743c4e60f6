"""The presentation contexts of one association: refused ones first, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.text import safe
from tui.theme import Tone
from tui.widgets.live_table import Cell, Column, LiveTable, TableRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.view import AssociationStatus
    from engine.view.associations import AcceptedContext


class ContextsTable(LiveTable):
    """What the caller proposed, and what became of it."""

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
