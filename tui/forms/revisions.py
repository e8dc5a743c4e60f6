"""Revisions of the configuration in words: who, when, from where, and what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.configuration_diff import Change
from tui.forms.row_filter import folded
from tui.text import counted, cut, moment, safe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.view.history import ChangeRow, RevisionSummary

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
