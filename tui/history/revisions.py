"""Revisions in words (author, time, origin, changes), and their table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import NotFound
from engine.model.configuration_diff import Change
from tui.engine_client import SITE
from tui.history.diff import sentence_words
from tui.shell.dialogs import QuestionDialog
from tui.text import count, counted, cut, moment, safe
from tui.theme import Tone
from tui.widgets.filter import folded
from tui.widgets.marks import MarkableTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.api import EngineView
    from engine.api.history import ChangeRow, RevisionSummary
    from tui.shell.engine_app import EngineApp


FIELDS = ("number", "who", "from", "when", "subject", "what")
"""Fields of a filter; ``subject:`` searches everything that a revision changed."""
MOST_WORDS = 5
"""So many differences are named before something is done."""
WORDS_WIDTH = 130
"""Two lines of a small box."""
WHERE_ALL_IS = "screen 8 shows all, with both revisions marked"
GLYPHS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~"}


def revision_fields(revision: RevisionSummary) -> dict[str, str]:
    """Return the values that a filter searches, by field."""
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
        return "nothing that is listed" if not revision.changes else "not listed"
    more = revision.changes - len(revision.summary)
    rest = f"; and {counted(more, 'more change')}" if more > 0 else ""
    return "; ".join(map(sentence_words, revision.summary)) + rest


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
    lines = [
        f"{GLYPHS[row.change]} {cut(sentence_words(row.sentence), WORDS_WIDTH)}" for row in rows
    ]
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
        "with {mark.row} and they are compared with each other. {history.restore} brings back what "
        "the chosen revision said, {history.undo} takes back the newest change; both show first "
        "what that changes, and both make a new revision, so that nothing is lost. Secrets are "
        "never shown. Older revisions are read when the cursor comes to the last row."
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


LOOKED_THROUGH = 10
"""Revisions among which the one before the present one is looked for."""


@dataclass(frozen=True, slots=True)
class RevisionReturn:
    """What bringing back a revision means now."""

    number: int
    in_force: int
    present: RevisionSummary | None
    """Who made the revision in force, if that is known."""
    rows: tuple[ChangeRow, ...]
    """What would change."""


class HistoryCommands:
    """Carries out commands on the history for one console."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._actor = app.actor

    async def undo(self) -> None:
        """Take back the newest change of the configuration, after showing it."""
        change = await self._app.engine.call("look at the last change", last_change, about=SITE)
        sentence = f"{undo_sentence(change)}\n\n{rows_in_words(change.rows)}"
        question = QuestionDialog.confirm("Undo the last change?", sentence, "Undo it")
        if await self._app.push_screen_wait(question):
            await self._bring_back(change, "undo the last change", "last change undone")

    async def restore(self, number: int) -> None:
        """Bring back a revision, after showing what that changes."""

        def look(engine: EngineView) -> RevisionReturn:
            in_force = engine.history.revisions(limit=1).in_force
            return RevisionReturn(number, in_force, None, engine.history.diff(in_force, number))

        what = f"compare revision {number} with what is in force"
        change = await self._app.engine.call(what, look, about=SITE)
        snapshot = self._app.engine_state.snapshot
        problem = snapshot.configuration_problem if snapshot is not None else ""
        if not change.rows and not problem:
            self._app.show_toast(f"revision {number} says what is in force already")
            return
        said = repair_sentence(change, problem) if problem else restore_sentence(change)
        sentence = f"{said}\n\n{rows_in_words(change.rows)}" if change.rows else said
        question = QuestionDialog.confirm(f"Restore revision {number}?", sentence, "Restore it")
        if await self._app.push_screen_wait(question):
            what, done = f"restore revision {number}", f"revision {number} restored"
            await self._bring_back(change, what, done)

    async def _bring_back(self, change: RevisionReturn, what: str, done: str) -> None:
        revision = await self._app.engine.call(
            what,
            lambda engine: engine.history.restore(
                change.number, self._actor, replacing=change.in_force
            ),
            about=SITE,
        )
        await self._app.look()
        self._app.show_saved(f"{done}: revision {revision} is in force")


def last_change(engine: EngineView) -> RevisionReturn:
    """Return what taking back the newest change means; runs on a worker thread.

    Raises:
        NotFound: if there is no earlier revision.
    """
    page = engine.history.revisions(limit=LOOKED_THROUGH)
    earlier = [revision for revision in page.revisions if revision.number < page.in_force]
    if not earlier:
        raise NotFound("there is nothing to undo", "earlier revisions are kept from now on")
    number = earlier[0].number
    present = next((r for r in page.revisions if r.number == page.in_force), None)
    return RevisionReturn(
        number, page.in_force, present, engine.history.diff(page.in_force, number)
    )


def undo_sentence(change: RevisionReturn) -> str:
    """Say which revision is taken back, and who made it, as far as that is known."""
    made = f", changed by {made_by(change.present)}," if change.present else ""
    return (
        f"Revision {change.in_force}{made} is taken back by a new revision; "
        "open associations may finish. This changes:"
    )


def restore_sentence(change: RevisionReturn) -> str:
    """Say which revision takes the place of which."""
    return (
        f"What revision {change.number} said takes the place of revision {change.in_force}, as a "
        "new revision; open associations may finish. This changes:"
    )


def repair_sentence(change: RevisionReturn, problem: str) -> str:
    """Say which revision takes the place of a broken file, and what is wrong with the file."""
    changes = " Against what is in force this changes:" if change.rows else ""
    return (
        f"The configuration file is refused: {safe(problem)}\n\n"
        f"Revision {change.number} takes its place. The broken file is kept under another name."
        f"{changes}"
    )
