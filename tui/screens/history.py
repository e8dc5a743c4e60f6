"""Screen 8: every revision of the configuration, what it changed, and the way back to it."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical, VerticalScroll

from tui.bindings import Scope
from tui.forms.revision_diff import DiffLine, as_text, diff_lines
from tui.forms.revisions import FIELDS, made_by, revision_fields
from tui.link import RestoreRequested
from tui.screens.fetch import Fetch
from tui.screens.fetching_screen import FetchingScreen
from tui.screens.revision_list import RevisionList
from tui.text import counted
from tui.widgets.filter_bar import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Panel
from tui.widgets.revision_diff import RevisionDiff
from tui.widgets.revisions_table import RevisionsTable, revision_rows
from tui.widgets.row_details import Details

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult

    from engine.errors import EngineError
    from engine.view import EngineSnapshot, EngineView
    from engine.view.history import ChangeRow, RevisionSummary
    from tui.link import Reading
    from tui.screens.console_screen import Frame

Pair = tuple[int, int]
"""Numbers of two revisions, the earlier one first; 0 stands for nothing at all."""
Difference = tuple[tuple["ChangeRow", ...], tuple[DiffLine, ...]]


class HistoryScreen(FetchingScreen):
    """The revisions above, below what the chosen one changed or how two of them differ."""

    PLACE = "history"
    SCOPES = (Scope.HISTORY,)
    PANELS = ("revisions", "difference")
    AUTO_FOCUS = "#revisions-table"
    CSS_PATH = "../styles/history.tcss"

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._list = RevisionList(self.ask, self._list_answered)
        self._difference: Fetch[Difference] = Fetch(
            "compare two revisions", self.ask, self._difference_answered
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

    def show_panels(self, reading: Reading, snapshot: EngineSnapshot) -> None:
        """Show what is known, and ask for more where there may be news."""
        if self._paused_reading is None and not reading.silent:
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
        if self._paused_reading is None and not self._reading.silent:
            self._difference.want(pair, partial(_compare, pair), snapshot.taken_at)
        answer = self._difference.answer if self._difference.wish == pair else None
        panel.describe(self._pair_title(pair, snapshot))
        lines = answer[1] if answer is not None else ()
        diff.show(lines, (_name(pair[0]), _name(pair[1])), self._why_no_lines(answer))

    def _why_no_pair(self) -> str:
        marked = len(self.query_one(RevisionsTable).marked)
        if marked > 2:
            return f"{marked} revisions are marked; two can be compared: space takes a mark away"
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
        if table.cursor_row == table.row_count - 1:
            self._list.read_older()
        self.show_again()

    # Keys

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense for the chosen revision."""
        if action == "restore":
            chosen = self._chosen()
            return chosen is not None and chosen.number != self._list.in_force
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
