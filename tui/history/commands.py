"""The commands on the history: undo and restore, each after showing its changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import NotFound
from tui.engine_client import SITE
from tui.history.revisions import made_by, rows_in_words
from tui.shell.dialogs import QuestionDialog

if TYPE_CHECKING:
    from engine.api import EngineView
    from engine.api.history import ChangeRow, RevisionSummary
    from tui.shell.engine_app import EngineApp

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
        if not change.rows:
            self._app.show_toast(f"revision {number} says what is in force already")
            return
        sentence = f"{restore_sentence(change)}\n\n{rows_in_words(change.rows)}"
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
