"""The revisions of the configuration, read page by page; the newest again when one came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.link import EngineCall
from tui.screens.fetch import Fetch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.errors import EngineError
    from engine.view import EngineView
    from engine.view.history import RevisionPage, RevisionSummary

PAGE = 50


class RevisionList:
    """Keeps what was read; revisions never change, so no page is read twice but the newest."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._ask = ask
        self._changed = changed
        self._newest: Fetch[RevisionPage] = Fetch("list the revisions", ask, self._take_newest)
        self._taken: RevisionPage | None = None
        self._reading_older = False
        self._older_problem: EngineError | None = None
        self.revisions: tuple[RevisionSummary, ...] = ()
        """Newest first, without a gap."""
        self.in_force = 0
        self.more = False
        """Whether there are older ones."""

    @property
    def known(self) -> bool:
        """Whether there was an answer."""
        return self._taken is not None

    @property
    def problem(self) -> EngineError | None:
        """Why there is no newer answer."""
        return self._newest.problem or self._older_problem

    def look(self, revision: int, now: datetime, *, at_once: bool) -> None:
        """Ask for the newest, if another revision is in force than was last time."""
        if at_once:
            self._older_problem = None
        self._newest.want(revision, _newest_page, now, at_once=at_once)

    def read_older(self) -> None:
        """Ask for the page below the last one."""
        if self._reading_older or not self.more or not self.revisions:
            return
        self._reading_older = True
        oldest = self.revisions[-1].number

        def look(engine: EngineView) -> RevisionPage:
            return engine.history.revisions(before=oldest, limit=PAGE)

        what = "list older revisions"
        self._ask(EngineCall(what, what, look, self._take_older, self._miss_older, changes=False))

    def _take_newest(self) -> None:
        page = self._newest.answer
        if page is not None and page is not self._taken and self._newest.problem is None:
            self._taken, self.in_force = page, page.in_force
            self._join(page)
        self._changed()

    def _join(self, page: RevisionPage) -> None:
        """Put the newest page above what is known; that begins anew if a gap would be left."""
        first = page.revisions[-1].number if page.revisions else 0
        older = tuple(revision for revision in self.revisions if revision.number < first)
        meets = len(older) < len(self.revisions)
        if not page.more or not meets:
            self.revisions, self.more = page.revisions, page.more
        else:
            self.revisions = (*page.revisions, *older)

    def _take_older(self, page: RevisionPage) -> None:
        self._reading_older, self._older_problem = False, None
        oldest = self.revisions[-1].number if self.revisions else 0
        below = tuple(revision for revision in page.revisions if revision.number < oldest)
        self.revisions, self.more = (*self.revisions, *below), page.more
        self._changed()

    def _miss_older(self, error: EngineError) -> None:
        self._reading_older, self._older_problem = False, error
        self._changed()


def _newest_page(engine: EngineView) -> RevisionPage:
    return engine.history.revisions(limit=PAGE)
