"""The revisions of the configuration, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.forms.revisions import changes_in_words
from tui.text import count, moment, safe
from tui.theme import Tone
from tui.widgets.live_table import Cell, Column, TableRow
from tui.widgets.markable_table import MarkableTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.view.history import RevisionSummary


class RevisionsTable(MarkableTable):
    """Who changed what, when and from where."""

    NOUN = "revision"
    UNSORTED = "newest first"
    HELP_TITLE = "History"
    HELP = (
        "Every saved change makes a revision; a change of the file by hand is one of an editor. ● "
        "is in force. Below is what the chosen revision changed in the one before it. Mark two "
        "with space and they are compared with each other. R brings back what the chosen revision "
        "said, u takes back the newest change; both show first what that changes, and both make a "
        "new revision, so that nothing is lost. Secrets are never shown. Older revisions are read "
        "when the cursor comes to the last row."
    )
    COLUMNS = (
        Column("number", "Rev", 7, right=True),
        Column("when", "When", 16),
        Column("who", "Who", 10, flexible=True, max_width=24),
        Column("from", "From", 15, at_least=100),
        Column("changes", "Chg", 4, right=True),
        Column("what", "What changed", 20, flexible=True),
    )


def revision_rows(
    revisions: Iterable[RevisionSummary], in_force: int, now: datetime
) -> list[TableRow]:
    """Return the rows of revisions, as they looked at some moment."""
    return [_row(revision, in_force, now) for revision in revisions]


def _row(revision: RevisionSummary, in_force: int, now: datetime) -> TableRow:
    at, here = revision.changed_at, revision.number == in_force
    number, tone = count(revision.number), Tone.OK if here else Tone.STRONG
    when = moment(at, now) if at is not None else "–"
    cells = {
        "number": Cell(f"● {number}" if here else number, tone, revision.number),
        "when": Cell(when, Tone.PLAIN, at.timestamp() if at is not None else 0.0),
        "who": Cell(safe(revision.changed_by) or "–"),
        "from": Cell(safe(revision.changed_from) or "–", Tone.MUTED),
        "changes": Cell(count(revision.changes), Tone.PLAIN, revision.changes),
        "what": Cell(changes_in_words(revision)),
    }
    return TableRow(str(revision.number), cells)
