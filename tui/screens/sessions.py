"""Screen 3: the sessions of prearchive, archive and trash, and what may be done with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from engine.errors import ConfigurationError
from engine.model.session import SessionArea
from engine.view.sessions import SessionOrder
from tui.bindings import Scope
from tui.forms.session_filter import FIELDS, HINT, session_filter
from tui.forms.session_words import (
    AREA_NAMES,
    EMPTY,
    history_lines,
    name_of,
    session_facts,
    session_summary,
)
from tui.screens.fetch import Fetch
from tui.screens.session_actions import SessionActions
from tui.screens.session_details import session_details
from tui.screens.session_news import SessionNews
from tui.text import counted, safe, size
from tui.theme import palette_of
from tui.widgets.area_tabs import AreaTabs
from tui.widgets.facts import Facts
from tui.widgets.filter_bar import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.paged_table import PagedTable
from tui.widgets.panel import Panel
from tui.widgets.scans_table import ScansTable, scan_rows, scans_title
from tui.widgets.sessions_table import SessionsTable, look_of, session_key, session_rows

if TYPE_CHECKING:
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.errors import EngineError
    from engine.model.session import Session
    from engine.model.session_query import SessionQuery
    from engine.view import EngineSnapshot, EngineView
    from engine.view.sessions import SessionDetail, SessionPage
    from tui.link import Reading
    from tui.screens.console_screen import Frame
    from tui.widgets.live_table import TableRow
    from tui.widgets.row_details import Details

PAGE = 300
BEFORE = 100
"""So many rows above what is seen are fetched too."""
MOST_MARKED = 1_000
FACT_WIDTH = 10


class SessionsScreen(SessionActions):
    """One area as a list, and everything about the session under the cursor."""

    PLACE = "sessions"
    SCOPES = (Scope.SESSIONS, Scope.AREAS)
    PANELS = ("sessions", "scans", "chosen", "history")
    AUTO_FOCUS = "#sessions-table"
    CSS_PATH = ["../styles/paged.tcss", "../styles/sessions.tcss"]

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._area = SessionArea.PREARCHIVE
        self._list: Fetch[SessionPage] = Fetch("list sessions", self.ask, self._answered)
        self._detail: Fetch[SessionDetail] = Fetch("look at a session", self.ask, self._answered)
        self._known: dict[str, Session] = {}
        self._first = 0
        self._wanted: object = None
        self._news = SessionNews()
        self._forced = False
        self._drawn: object = None
        self._rows: list[TableRow] = []

    def compose_body(self) -> ComposeResult:
        """Build the areas above, the list at the left, the chosen session beside or below it."""
        yield AreaTabs(id="areas")
        with Horizontal(id="body", classes="panels"):
            with Panel("Prearchive", id="sessions"):
                yield SessionsTable(id="sessions-table")
                yield FilterBar(FIELDS, blink=self.frame.blink, placeholder=HINT)
            with Vertical(id="side", classes="panels"):
                with Panel("Session", id="chosen"), VerticalScroll(classes="scroll"):
                    yield Facts(id="facts", name_width=FACT_WIDTH)
                with Panel("Scans", id="scans"):
                    yield ScansTable(id="scans-table")
                with Panel("History", id="history"), VerticalScroll(classes="scroll"):
                    yield Facts(id="history-facts", name_width=FACT_WIDTH + 1)

    # What is shown

    def show_panels(self, reading: Reading, snapshot: EngineSnapshot) -> None:
        """Ask for what is missing or may have changed, and show what is there."""
        now = snapshot.taken_at
        problem = self._want_list(now, again=self._news.came(reading, snapshot))
        page = self._list.answer
        self.query_one(AreaTabs).show(
            self._area, page.areas if page else None, page.by_status if page else ()
        )
        self._show_list(page, now, problem)
        self._show_chosen(now)

    def _want_list(self, now: datetime, *, again: bool) -> str:
        """Ask for the part of the list that is seen; return what is wrong with the filter."""
        bar, table = self.query_one(FilterBar), self.query_one(SessionsTable)
        wanted = session_filter(bar.value, self._area, now)
        if wanted.problem:
            return wanted.problem
        about = (bar.value.split(), self._area, table.order, table.descending)
        if about != self._wanted:
            self._wanted, self._first = about, 0
            table.restart()
            table.mark(frozenset())
        wish = (str(about), self._first)
        look = partial(_page, wanted.query, table.order, table.descending, self._first)
        self._list.want(wish, look, now, again=again, at_once=self._forced)
        self._forced = False
        return ""

    def _show_list(self, page: SessionPage | None, now: datetime, filter_problem: str) -> None:
        table = self.query_one(SessionsTable)
        problem = self._list.problem
        self._grey(table, outdated=problem is not None)
        if page is None:
            table.show((), f"✗ {_failed(problem)}" if problem else "looking …")
            self.panel("sessions").describe("")
            return
        listed = {session_key(session): session for session in page.sessions}
        marked = {key: self._known[key] for key in table.marked if key in self._known}
        self._known = {**marked, **listed}
        drawn = (page, now.replace(second=0, microsecond=0))
        if drawn != self._drawn:
            self._drawn, self._rows = drawn, session_rows(page.sessions, now)
        empty = self.query_one(FilterBar).empty(EMPTY[self._area])
        table.show(self._rows, empty, offset=page.offset, total=page.total.sessions)
        if self._list.is_current:
            table.choose()
        self._describe(page, filter_problem or (_failed(problem) if problem else ""))

    def _grey(self, table: SessionsTable, *, outdated: bool) -> None:
        palette = palette_of(self.app.current_theme)
        grey = outdated or self._reading.silent
        table.paint(palette.greyed() if grey else palette)

    def _describe(self, page: SessionPage, problem: str) -> None:
        bar, table, panel = self.query_one(FilterBar), self.query_one(SessionsTable), self.panel
        title = f"{page.total.sessions:,}"
        if bar.value.strip():
            all_here = getattr(page.areas, self._area)
            title = f"{page.total.sessions:,} of {all_here:,} match “{safe(bar.value.strip(), 30)}”"
        if table.marked:
            title += f"   {len(table.marked):,} marked"
        panel("sessions").rename(AREA_NAMES[self._area])
        panel("sessions").describe(
            f"{title}   {size(page.total.bytes)}",
            f"✗ {safe(problem, 110)}" if problem else _order_words(table),
        )

    def _show_chosen(self, now: datetime) -> None:
        session = self._chosen()
        facts, scans = self.query_one("#facts", Facts), self.query_one(ScansTable)
        if session is None:
            for panel in ("chosen", "scans", "history"):
                self.panel(panel).describe("")
            facts.show(())
            scans.show((), "")
            self.query_one("#history-facts", Facts).show(())
            return
        old = self._detail.answer
        differs = old is not None and old.session != session
        look = partial(_look_at, session.id)
        self._detail.want(session.id, look, now, again=differs, at_once=self._forced)
        self.panel("chosen").describe(f"{name_of(session)}   {look_of(session)}")
        detail = self._detail.answer
        if detail is not None and detail.session.id == session.id:
            self._show_detail(detail, now)
        elif self._detail.problem is not None:
            facts.show((("problem", _failed(self._detail.problem)),))

    def _show_detail(self, detail: SessionDetail, now: datetime) -> None:
        narrow = self.has_class("-narrow")
        facts = session_summary(detail, now) if narrow else session_facts(detail, now)
        self.query_one("#facts", Facts).show(facts)
        self.query_one(ScansTable).show(scan_rows(detail.scans), "no scan yet: it is not built")
        self.panel("scans").describe(scans_title(detail.scans), "⏎ lists the objects")
        self.query_one("#history-facts", Facts).show(history_lines(detail, now))

    def _chosen(self) -> Session | None:
        chosen = self.query_one(SessionsTable).chosen if self._built else None
        return self._known.get(chosen or "")

    def sessions_here(self) -> tuple[Session, ...]:
        """Return the marked sessions, else the one under the cursor."""
        if not self._built:
            return ()
        table = self.query_one(SessionsTable)
        keys = sorted(table.marked, key=int) or ([table.chosen] if table.chosen else [])
        return tuple(self._known[key] for key in keys if key in self._known)

    def sessions_changed(self) -> None:
        """Take the marks away and look again at once."""
        self.query_one(SessionsTable).mark(frozenset())
        self._forced = True
        self.show_again()

    def details(self) -> Details | None:
        """Return everything about the chosen session."""
        detail, snapshot = self._detail.answer, self.shown_reading.snapshot
        session = self._chosen()
        if detail is None or snapshot is None or session is None or detail.session.id != session.id:
            return None
        return session_details(detail, snapshot.taken_at)

    # What happens

    def _answered(self) -> None:
        if self.is_mounted and not self.leaving:
            self.show_again()

    @on(PagedTable.Chosen)
    @on(PagedTable.Sorted)
    def _row_chosen(self) -> None:
        self.show_again()

    @on(LiveTable.Chosen, "#scans-table")
    def _scan_chosen(self) -> None:
        self.refresh_bindings()

    @on(PagedTable.Needed)
    def _rows_needed(self) -> None:
        first, _ = self.query_one(SessionsTable).seen
        self._first = max(0, min(first, self.query_one(SessionsTable).row) - BEFORE)
        self.show_again()

    def action_open(self) -> None:
        """Show the session, with the objects of the chosen scan."""
        session = self._chosen()
        if session is None:
            return
        from tui.screens.session import SessionScreen

        in_scans = self.focused_panel() == "scans"
        scan = self.query_one(ScansTable).chosen if in_scans else None
        screen = SessionScreen(self.frame, session, scan)
        screen.show(self._reading)
        self.app.push_screen(screen)

    def action_area(self, step: int) -> None:
        """Go to the area beside this one."""
        areas = list(SessionArea)
        self.action_show_area(areas[(areas.index(self._area) + step) % len(areas)])

    def action_show_area(self, area: str) -> None:
        """Show an area."""
        self._area = SessionArea(area)
        self.show_again()

    def action_mark_everything(self) -> None:
        """Mark all that the filter matches, up to a thousand."""
        snapshot, table = self._reading.snapshot, self.query_one(SessionsTable)
        if snapshot is None:
            return
        wanted = session_filter(self.query_one(FilterBar).value, self._area, snapshot.taken_at)
        look = partial(_page, wanted.query, table.order, table.descending, 0, limit=MOST_MARKED)
        every: Fetch[SessionPage] = Fetch("list sessions to mark", self.ask, lambda: marked())

        def marked() -> None:
            if every.answer is not None and not self.leaving:
                self._mark(every.answer)

        every.want("all", look, snapshot.taken_at)

    def _mark(self, page: SessionPage) -> None:
        self._known |= {session_key(session): session for session in page.sessions}
        self.query_one(SessionsTable).mark(frozenset(map(session_key, page.sessions)))
        left = page.total.sessions - len(page.sessions)
        if left:
            text = f"the first {counted(len(page.sessions), 'session')} are marked, not all"
            self.app.notify(text, markup=False, severity="warning", timeout=5)


def _page(
    query: SessionQuery,
    order: SessionOrder,
    descending: bool,
    first: int,
    engine: EngineView,
    *,
    limit: int = PAGE,
) -> SessionPage:
    return engine.sessions.list(
        query, order=order, descending=descending, offset=first, limit=limit
    )


def _look_at(session_id: int, engine: EngineView) -> SessionDetail:
    return engine.sessions.detail(session_id)


def _failed(error: EngineError) -> str:
    if isinstance(error, ConfigurationError):
        return safe(error.detail)
    return safe(f"{error.detail}; {error.remedy}" if error.remedy else error.detail)


def _order_words(table: SessionsTable) -> str:
    if table.order is SessionOrder.CHANGED:
        return f"{'newest' if table.descending else 'oldest'} change first"
    return f"by {table.order}, {'falling' if table.descending else 'rising'}"
