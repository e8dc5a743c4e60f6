"""Revisions in words (author, time, origin, changes), and their table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.configuration_diff import Change
from tui.text import count, counted, cut, moment, safe
from tui.theme import Tone
from tui.widgets.filter import folded
from tui.widgets.table import Cell, Column, MarkableTable, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.api.history import ChangeRow, RevisionSummary


FIELDS = ("number", "who", "from", "when", "subject", "what")
"""What a filter can ask for by name; ``subject:`` looks at everything a revision changed."""
MOST_WORDS = 5
"""So many differences are named before something is done."""
WORDS_WIDTH = 130
"""Two lines of a small box."""
WHERE_ALL_IS = "screen 8 shows all, with both revisions marked"
GLYPHS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~"}


def revision_fields(revision: RevisionSummary) -> dict[str, str]:
    """Return what a filter looks at."""
    at = revision.changed_at
    return folded(
        number=revision.number,
        who=revision.changed_by,
        **{"from": revision.changed_from},
        when=f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at is not None else "",
        subject="\n".join(revision.subjects or revision.summary),
        what="\n".join(revision.summary),
    )


def changes_in_words(revision: RevisionSummary) -> str:
    """Return what a revision changed in one line; safe text."""
    if not revision.summary:
        return "nothing that is told" if not revision.changes else "not told"
    more = revision.changes - len(revision.summary)
    rest = f"; and {counted(more, 'more change')}" if more > 0 else ""
    return "; ".join(map(safe, revision.summary)) + rest


def made_by(revision: RevisionSummary, now: datetime | None = None) -> str:
    """Return who made a revision, from where and when, as far as that is known; safe text."""
    where = f" from {safe(revision.changed_from)}" if revision.changed_from else ""
    at = revision.changed_at
    when = f" at {moment(at, now or at)}" if at is not None else ""
    return f"{safe(revision.changed_by) or 'somebody'}{where}{when}"


def rows_in_words(rows: Sequence[ChangeRow]) -> str:
    """Return the first differences, one below the other, and how many more there are."""
    if not rows:
        return "nothing"
    lines = [f"{GLYPHS[row.change]} {cut(safe(row.sentence), WORDS_WIDTH)}" for row in rows]
    more = len(lines) - MOST_WORDS
    rest = [f"… and {counted(more, 'more change')}; {WHERE_ALL_IS}"] if more > 0 else []
    return "\n".join((*lines[:MOST_WORDS], *rest))


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
