"""Screen 3: the sessions of prearchive, archive and trash, filtered, sorted and marked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from engine.api.sessions import SessionOrder
from engine.errors import ConfigurationError, Problem
from engine.model.identity import UNASSIGNED
from engine.model.queries import InvalidQuery, SessionQuery, parse_query
from engine.model.session import SessionArea, SessionStatus
from tui.engine_client import Fetch
from tui.keys import Scope, pressed, with_keys
from tui.sessions.actions import SessionActions, SessionChanges
from tui.sessions.session import session_details
from tui.sessions.tables import (
    SESSION_STYLES,
    ScansTable,
    SessionsTable,
    scan_rows,
    scans_title,
    session_key,
    session_rows,
    session_style,
)
from tui.sessions.words import (
    AREA_NAMES,
    EMPTY,
    history_lines,
    name_of,
    session_facts,
    session_summary,
)
from tui.shell.screen import PaletteEntry
from tui.text import count, counted, safe, size
from tui.theme import DARK, Palette, palette_of
from tui.widgets.filter import TERMS, FilterBar, field_named, folded, is_unfinished
from tui.widgets.live_table import LiveTable
from tui.widgets.paged_table import PagedTable
from tui.widgets.panel import Facts, Panel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api.sessions import AreaCounts, StatusCount

    Shown = tuple[SessionArea, AreaCounts | None, tuple[StatusCount, ...]]
    import re
    from collections.abc import Iterator
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import EngineSnapshot, EngineView
    from engine.api.sessions import SessionDetail, SessionPage
    from engine.errors import EngineError
    from engine.model.session import Session
    from tui.engine_client import EngineState
    from tui.shell.details import Details
    from tui.shell.screen import ScreenContext
    from tui.widgets.table import TableRow


class AreaTabs(Widget):
    """Names the areas; each is also a mouse target. What the list comes to stands at the right."""

    auto_links = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._palette: Palette = palette_of(DARK)
        self._shown: Shown = (SessionArea.PREARCHIVE, None, ())

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(
        self, area: SessionArea, counts: AreaCounts | None, by_status: Sequence[StatusCount]
    ) -> None:
        """Show which area is seen, how much there is in each, and what states that list has."""
        shown = (area, counts, tuple(by_status))
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Content:
        """Return names and counts, and the states as far as there is room."""
        here, counts, by_status = self._shown
        tabs = Content(" ")
        for area in SessionArea:
            tabs = tabs.append(self._tab(area, counts, here=area is here))
        room = self.size.width - 3 - cell_len(tabs.plain)
        states = Content("")
        for one in by_status:
            look = SESSION_STYLES[one.status]
            word = Content.styled(f"  {look} {count(one.sessions)}", self._palette.style(look.tone))
            if cell_len(states.plain) + cell_len(word.plain) > room:
                break
            states = states.append(word)
        gap = self.size.width - 1 - cell_len(tabs.plain) - cell_len(states.plain)
        return Content.assemble(tabs, " " * max(0, gap), states)

    def _tab(self, area: SessionArea, counts: AreaCounts | None, *, here: bool) -> Content:
        number = f" {count(getattr(counts, area))}" if counts is not None else ""
        words = f"{AREA_NAMES[area]}{number}"
        if here:
            return Content.styled(f"[{words}]", f"bold {self._palette.key}")
        target = Style.from_meta({"@click": f"screen.show_area('{area}')"})
        return Content(f" {words} ").stylize(target)


FIELDS = ("project", "status", "since", "modality", "receiver", "caller", "text")
HINT = "words, !word, project:neuro status:ready,error since:24h modality:CT receiver:XNAT"
PATTERNS = ("project", "modality", "receiver")
"""Fields that a part of the value is enough for."""


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """A typed line as far as it is understood, and what is wrong with the rest."""

    query: SessionQuery
    problem: str = ""
    """In words, with what to write instead; empty if all is well."""


def completing_rows(sessions: Sequence[Session]) -> Iterator[dict[str, str]]:
    """Yield the values that complete a filter: every status, and what sessions have otherwise."""
    yield from (folded(status=status) for status in SessionStatus)
    for one in sessions:
        project = one.project or UNASSIGNED
        caller = one.calling_ae_title
        yield folded(project=project, modality=one.modality, receiver=one.receiver, caller=caller)


def session_filter(line: str, area: SessionArea, now: datetime) -> SessionFilter:
    """Return what a line asks for in an area.

    Each word must occur, and each ``!word`` must not. A field without a value asks for nothing
    yet; a status may be abbreviated, so ``status:queued`` means all that is queued.
    """
    wanted: dict[bool, list[str]] = {True: [], False: []}
    try:
        terms = list(_terms(line, wanted))
        query = parse_query(terms, now)
    except ConfigurationError as error:
        problems = "; ".join(problem.sentence() for problem in error.problems)
        return SessionFilter(SessionQuery(area=area), problems)
    words = (*query.words, *wanted[True])
    return SessionFilter(replace(query, words=words, without=tuple(wanted[False]), area=area))


def _terms(line: str, words: dict[bool, list[str]]) -> Iterator[str]:
    """Yield the terms that a query is parsed from; sort the words in by whether they must occur."""
    for match in TERMS.finditer(line):
        value = match["quoted"] if match["quoted"] is not None else match["word"]
        field = field_named((match["field"] or "").casefold(), FIELDS) if match["field"] else ""
        if is_unfinished(match, value, FIELDS) or not value.strip(","):
            continue
        if field and match["no"]:
            remedy = "write !word for a word, or name what is wanted"
            raise InvalidQuery(Problem(field, f"!{field}:", "can't be excluded", remedy))
        if field:
            yield f"{field}:{_value(field, value, match)}"
        else:
            before = f"{match['field']}:{match['exact'] or ''}" if match["field"] else ""
            words[not match["no"]].append(before + value)


def _value(field: str, value: str, match: re.Match[str]) -> str:
    if field == "status":
        parts = (part.upper() for part in value.split(",") if part)
        return ",".join(status for part in parts for status in _statuses(part))
    is_whole = match["exact"] or "*" in value or value.casefold() == UNASSIGNED.casefold()
    return value if is_whole or field not in PATTERNS else f"*{value}*"


def _statuses(part: str) -> list[str]:
    """Return the statuses that begin so; the part itself if none does."""
    return [status for status in SessionStatus if status.startswith(part)] or [part]


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
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._area = SessionArea.PREARCHIVE
        self._list: Fetch[SessionPage] = Fetch("list sessions", self, self._answered)
        self._detail: Fetch[SessionDetail] = Fetch("look at a session", self, self._answered)
        self._known: dict[str, Session] = {}
        self._first = 0
        self._wanted: object = None
        self._news = SessionChanges()
        self._forced = False
        self._drawn: object = None
        self._rows: list[TableRow] = []

    def compose_body(self) -> ComposeResult:
        """Build the areas above, the list at the left, the chosen session beside or below it."""
        yield AreaTabs(id="areas")
        with Horizontal(id="body", classes="panels"):
            with Panel("Prearchive", id="sessions"):
                yield SessionsTable(id="sessions-table")
                yield FilterBar(FIELDS, blink=self.frame.blink, placeholder=HINT, lists=("status",))
            with Vertical(id="side", classes="panels"):
                with Panel("Session", id="chosen"), VerticalScroll(classes="scroll"):
                    yield Facts(id="facts", name_width=FACT_WIDTH)
                with Panel("Scans", id="scans"):
                    yield ScansTable(id="scans-table")
                with Panel("History", id="history"), VerticalScroll(classes="scroll"):
                    yield Facts(id="history-facts", name_width=FACT_WIDTH + 1)

    # What is shown

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Ask for what is missing or may have changed, and show what is there."""
        now = snapshot.taken_at
        problem = self._want_list(now, again=self._news.came(engine_state, snapshot))
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
        self.query_one(FilterBar).offer(partial(completing_rows, page.sessions))
        listed = {session_key(session): session for session in page.sessions}
        # Marked sessions stay known while the list shows others: actions are for them too.
        marked = {key: self._known[key] for key in table.marked if key in self._known}
        self._known = {**marked, **listed}
        drawn = (page, now.replace(second=0, microsecond=0))
        if drawn != self._drawn:
            self._drawn, self._rows = drawn, session_rows(page.sessions, now)
        empty = self.query_one(FilterBar).empty(EMPTY[self._area])
        table.show(self._rows, empty, offset=page.offset, total=page.total.sessions)
        if self._list.is_current:
            table.choose_here()
        self._describe(page, filter_problem or (_failed(problem) if problem else ""))

    def _grey(self, table: SessionsTable, *, outdated: bool) -> None:
        palette = palette_of(self.app.current_theme)
        grey = outdated or self._engine_state.silent
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
        self.panel("chosen").describe(f"{name_of(session)}   {session_style(session)}")
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
        self.panel("scans").describe(
            scans_title(detail.scans), f"{pressed('list.open')} lists the objects"
        )
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
        if self.is_mounted and not self.leaving:  # an answer may come after that
            self.show_again()

    @on(PagedTable.Chosen, "#sessions-table")
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
        from tui.sessions.session import SessionScreen

        in_scans = self.focused_panel() == "scans"
        scan = self.query_one(ScansTable).chosen if in_scans else None
        screen = SessionScreen(self.frame, session, scan)
        screen.show(self._engine_state)
        self.app.push_screen(screen)

    def palette_entries(self) -> Iterator[PaletteEntry]:
        """Offer the areas by name."""
        yield from self.key_entries(Scope.SESSIONS, Scope.VIEW)
        for area in SessionArea:
            show = partial(self.action_show_area, area)
            yield PaletteEntry(
                f"areas: {AREA_NAMES[area]}",
                with_keys("{area.previous} and {area.next} change areas"),
                "",
                show,
            )

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
        snapshot, table = self._engine_state.snapshot, self.query_one(SessionsTable)
        if snapshot is None:
            return
        wanted = session_filter(self.query_one(FilterBar).value, self._area, snapshot.taken_at)
        look = partial(_page, wanted.query, table.order, table.descending, 0, limit=MOST_MARKED)
        every: Fetch[SessionPage] = Fetch("list sessions to mark", self, lambda: marked())

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
