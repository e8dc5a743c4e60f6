"""Screen 8: the revisions of the configuration, and the changes of the selected one."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical, VerticalScroll

from engine.errors import EngineError
from tui.engine_client import Fetch, RestoreRequested
from tui.history.diff import DiffLine, RevisionDiff, as_text, diff_lines
from tui.history.revisions import FIELDS, RevisionsTable, made_by, revision_fields, revision_rows
from tui.keys import Scope, pressed
from tui.shell.details import Details
from tui.shell.screen import FetchingScreen
from tui.text import counted
from tui.widgets.filter import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import EngineSnapshot, EngineView
    from engine.api.history import ChangeRow, RevisionPage, RevisionSummary
    from tui.engine_client import Asker, EngineState
    from tui.shell.screen import ScreenContext


PAGE = 50


class RevisionList:
    """Keeps what was read; revisions never change, so no page is read twice but the newest."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._asker = asker
        self._changed = changed
        self._newest: Fetch[RevisionPage] = Fetch("list the revisions", asker, self._take_newest)
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
        self._asker.ask(self._read_older, self.revisions[-1].number)

    async def _read_older(self, oldest: int) -> None:
        try:
            page = await self._asker.engine.call(
                "list older revisions",
                lambda engine: engine.history.revisions(before=oldest, limit=PAGE),
                changes=False,
            )
        except EngineError as error:
            self._older_problem = error
        else:
            self._older_problem = None
            self._put_below(page)
        finally:
            self._reading_older = False
        self._changed()

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

    def _put_below(self, page: RevisionPage) -> None:
        oldest = self.revisions[-1].number if self.revisions else 0
        below = tuple(revision for revision in page.revisions if revision.number < oldest)
        self.revisions, self.more = (*self.revisions, *below), page.more


def _newest_page(engine: EngineView) -> RevisionPage:
    return engine.history.revisions(limit=PAGE)


Pair = tuple[int, int]
"""Numbers of two revisions, the earlier one first; 0 stands for nothing at all."""
Difference = tuple[tuple["ChangeRow", ...], tuple[DiffLine, ...]]


class HistoryScreen(FetchingScreen):
    """The revisions above, below what the chosen one changed or how two of them differ."""

    PLACE = "history"
    SCOPES = (Scope.HISTORY,)
    PANELS = ("revisions", "difference")
    AUTO_FOCUS = "#revisions-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._list = RevisionList(self, self._list_answered)
        self._difference: Fetch[Difference] = Fetch(
            "compare two revisions", self, self._difference_answered
        )
        self._drawn: Hashable = None

    def compose_body(self) -> ComposeResult:
        """Build the list above, the difference below."""
        with Vertical(id="body"):
            with Panel("Revisions", id="revisions"):
                yield RevisionsTable(id="revisions-table")
                yield self.problem_line()
                yield FilterBar(
                    FIELDS,
                    blink=self.frame.blink,
                    placeholder="words, !word, who:anna, subject:XNAT, when:2026-08 …",
                )
            with Panel("Difference", id="difference"), VerticalScroll(classes="scroll"):
                yield RevisionDiff(id="diff")

    # What is shown

    @property
    def problem(self) -> EngineError | None:
        """Why there is no newer list."""
        return self._list.problem

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show what is known, and ask for more where there may be news."""
        if self._paused_reading is None and not engine_state.silent:
            self._list.look(snapshot.revision, snapshot.taken_at, at_once=self._wants_news)
            self._wants_news = False
        self._show_list(snapshot)
        self._show_difference(snapshot)

    def _list_answered(self) -> None:
        self.show_staleness()
        self.show_again()

    def _difference_answered(self) -> None:
        self.show_again()

    def _show_list(self, snapshot: EngineSnapshot) -> None:
        """Write the table, if anything about it changed."""
        bar, table = self.query_one(FilterBar), self.query_one(RevisionsTable)
        known = self._list.revisions
        bar.offer(lambda: map(revision_fields, known))
        empty = bar.empty(self._nothing())
        drawn = (known, self._list.in_force, bar.value, empty, snapshot.taken_at.date())
        wanted = [r for r in known if not bar.wanted or bar.wanted.matches(revision_fields(r))]
        if drawn != self._drawn:
            self._drawn = drawn
            rows = revision_rows(wanted, self._list.in_force, snapshot.taken_at)
            table.show(rows, empty)
        title = bar.count(len(wanted), len(known))
        if self._list.more:
            title += " read, older ones follow (m)"
        if table.marked:
            title += f"   {len(table.marked)} marked"
        self.panel("revisions").describe(title, "● is in force")

    def _nothing(self) -> str:
        if not self._list.known:
            return "cannot be read now" if self.problem else "reading …"
        return "no revision is kept yet; every change that is saved makes one"

    def _show_difference(self, snapshot: EngineSnapshot) -> None:
        pair, panel, diff = self._pair(), self.panel("difference"), self.query_one(RevisionDiff)
        if pair is None:
            panel.describe("none")
            diff.show((), ("", ""), self._why_no_pair())
            return
        if self._paused_reading is None and not self._engine_state.silent:
            self._difference.want(pair, partial(_compare, pair), snapshot.taken_at)
        answer = self._difference.answer if self._difference.wish == pair else None
        panel.describe(self._pair_title(pair, snapshot))
        lines = answer[1] if answer is not None else ()
        diff.show(lines, (_name(pair[0]), _name(pair[1])), self._why_no_lines(answer))

    def _why_no_pair(self) -> str:
        marked = len(self.query_one(RevisionsTable).marked)
        if marked > 2:
            unmark = f"{pressed('mark.row')} takes a mark away"
            return f"{marked} revisions are marked; two can be compared: {unmark}"
        return "nothing is chosen" if self._list.revisions else ""

    def _why_no_lines(self, answer: Difference | None) -> str:
        if answer is not None:
            return "nothing differs"
        error = self._difference.problem
        return f"✗ {error.detail}\n{error.remedy}" if error is not None else "reading …"

    def _pair(self) -> Pair | None:
        """Return what is compared: two marked revisions, else the chosen one and its forerunner."""
        table = self.query_one(RevisionsTable)
        marked = sorted(map(int, table.marked))
        if len(marked) == 2:
            return marked[0], marked[1]
        chosen = self._chosen()
        if chosen is None or len(marked) > 2:
            return None
        older = next((r.number for r in self._list.revisions if r.number < chosen.number), None)
        if older is None and self._list.more:
            self._list.read_older()
            return None
        return older or 0, chosen.number

    def _pair_title(self, pair: Pair, snapshot: EngineSnapshot) -> str:
        before, after = pair
        if self.query_one(RevisionsTable).marked[1:]:
            return f"{_name(before)} → {_name(after)}, the marked ones"
        revision = self._chosen()
        made = f" · {made_by(revision, snapshot.taken_at)}" if revision is not None else ""
        changes = f" · {counted(revision.changes, 'change')}" if revision is not None else ""
        return f"{_name(before)} → {_name(after)}{made}{changes}"

    def _chosen(self) -> RevisionSummary | None:
        key = self.query_one(RevisionsTable).chosen if self._built else None
        return next((r for r in self._list.revisions if str(r.number) == key), None)

    def details(self) -> Details | None:
        """Return the difference that is shown, in full."""
        pair, snapshot = self._pair(), self.shown_reading.snapshot
        if pair is None or snapshot is None or self._difference.wish != pair:
            return None
        rows, lines = self._difference.answer or ((), ())
        title = self._pair_title(pair, snapshot)
        record = {
            "before": pair[0],
            "after": pair[1],
            "changes": [asdict(row) for row in rows],
        }
        chosen = None if len(self.query_one(RevisionsTable).marked) == 2 else self._chosen()
        made = f"{made_by(chosen, snapshot.taken_at)}\n\n" if chosen is not None else ""
        return Details(title, made + (as_text(lines) or "nothing differs"), record)

    # What happens

    @on(LiveTable.Chosen, "#revisions-table")
    def _row_chosen(self) -> None:
        table = self.query_one(RevisionsTable)
        self.query_one("#difference VerticalScroll", VerticalScroll).scroll_home(animate=False)
        if table.row == table.row_count - 1:
            self._list.read_older()
        self.show_again()

    # Keys

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense for the chosen revision."""
        if action == "restore":
            chosen = self._chosen()
            snapshot = self.shown_reading.snapshot
            is_refused = snapshot is not None and bool(snapshot.configuration_problem)
            return chosen is not None and (chosen.number != self._list.in_force or is_refused)
        if action == "older":
            return self._list.more
        return super().check_own(action, parameters)

    def action_restore(self) -> None:
        """Ask to bring back the chosen revision."""
        chosen = self._chosen()
        if chosen is not None:
            self.post_message(RestoreRequested(chosen.number))

    def action_older(self) -> None:
        """Read older revisions."""
        self._list.read_older()


def _name(number: int) -> str:
    return f"revision {number}" if number else "nothing"


def _compare(pair: Pair, engine: EngineView) -> Difference:
    """Compare two revisions; runs on a worker thread, which also works out the lines."""
    rows = engine.history.diff(*pair)
    return rows, diff_lines(rows)
