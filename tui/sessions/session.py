"""The screen of one session: its facts, scans and objects, and the details that can be copied."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from engine.api.objects import ObjectReference
from tui.engine_client import Fetch
from tui.keys import Scope, pressed
from tui.sessions.actions import SessionActions, SessionChanges
from tui.sessions.tables import (
    ObjectsTable,
    ScansTable,
    object_rows,
    scan_rows,
    scans_title,
    session_style,
)
from tui.sessions.words import AREA_NAMES, history_lines, name_of, session_facts
from tui.shell.details import LABEL_WIDTH, Details
from tui.text import count, counted, fit, safe, size
from tui.widgets.live_table import LiveTable
from tui.widgets.paged_table import PagedTable
from tui.widgets.panel import Facts, Panel

if TYPE_CHECKING:
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import EngineSnapshot, EngineView
    from engine.api.sessions import ScanObjectPage, SessionDetail
    from engine.model.session import Session
    from tui.engine_client import EngineState
    from tui.shell.screen import ScreenContext


def session_details(detail: SessionDetail, now: datetime) -> Details:
    """Return what is known about a session."""
    facts = session_facts(detail, now)
    scans = [
        (
            f"scan {safe(scan.id)}",
            f"{safe(scan.modality)} {safe(scan.description)}, {count(scan.objects)} objects,"
            f" {size(scan.bytes)}",
        )
        for scan in detail.scans
    ]
    parts = (facts, scans, history_lines(detail, now))
    text = "\n\n".join(
        "\n".join(f"{fit(name, LABEL_WIDTH)} {value}" for name, value in part) for part in parts
    )
    title = f"{name_of(detail.session)} · {session_style(detail.session)}"
    return Details(title, text, asdict(detail))


PAGE = 300
BEFORE = 100


class SessionScreen(SessionActions):
    """Shows one session; enter on a scan goes to its objects, enter on an object opens it."""

    PLACE = "sessions"
    SCOPES = (Scope.SESSIONS,)
    PANELS = ("scans", "objects", "chosen", "history")
    AUTO_FOCUS = "#scans-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext, session: Session, scan: str | None = None) -> None:
        super().__init__(frame)
        self._session = session
        self._wanted_scan = scan
        self._scan = ""
        self._first = 0
        self._changed = False
        self._news = SessionChanges()
        self._detail: Fetch[SessionDetail] = Fetch("look at a session", self, self._answered)
        self._objects: Fetch[ScanObjectPage] = Fetch("list objects", self, self._answered)

    def compose_body(self) -> ComposeResult:
        """Build facts above, scans and their objects below."""
        with Vertical(id="body"):
            with Horizontal(id="top", classes="panels"):
                with Panel("Session", id="chosen"), VerticalScroll(classes="scroll"):
                    yield Facts(id="facts", name_width=10, may_split=True)
                with Panel("History", id="history"), VerticalScroll(classes="scroll"):
                    yield Facts(id="history-facts", name_width=11)
            with Horizontal(id="below", classes="panels"):
                with Panel("Scans", id="scans"):
                    yield ScansTable(id="scans-table")
                with Panel("Objects", id="objects"):
                    yield ObjectsTable(id="objects-table")

    def crumbs(self) -> tuple[str, ...]:
        """Return the way from the list to the session."""
        return ("Sessions", AREA_NAMES[self._session.area], name_of(self._session))

    # What is shown

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Ask for the session and the objects of its chosen scan, and show what is there."""
        now = snapshot.taken_at
        look = partial(_look_at, self._session.id)
        at_once, self._changed = self._changed, False
        again = self._news.came(engine_state, snapshot)
        self._detail.want(self._session.id, look, now, again=again, at_once=at_once)
        detail, problem = self._detail.answer, self._detail.problem
        if detail is not None:
            self._session = detail.session
            self._show_detail(detail, now)
        if problem is not None:
            words = safe(f"{problem.detail}; {problem.remedy}")
            self.query_one("#facts", Facts).show((("problem", words),))
        self._show_objects(now, again=again)

    def _show_detail(self, detail: SessionDetail, now: datetime) -> None:
        title = f"{name_of(detail.session)}   {session_style(detail.session)}"
        self.panel("chosen").describe(title)
        self.query_one("#facts", Facts).show(session_facts(detail, now))
        self.query_one("#history-facts", Facts).show(history_lines(detail, now))
        scans = self.query_one(ScansTable)
        scans.show(scan_rows(detail.scans), "no scan yet: it is not built")
        self.panel("scans").describe(scans_title(detail.scans))
        if self._wanted_scan is not None:
            wanted, self._wanted_scan = self._wanted_scan, None
            scans.choose(wanted)
            self.query_one(ObjectsTable).focus()

    def _show_objects(self, now: datetime, *, again: bool) -> None:
        table, scan = self.query_one(ObjectsTable), self.query_one(ScansTable).chosen
        if scan is None:
            table.show((), "")
            return
        if scan != self._scan:
            self._scan, self._first = scan, 0
            table.restart()
        wish = (self._session.id, scan, self._first)
        self._objects.want(wish, partial(_objects, *wish), now, again=again)
        page, problem = self._objects.answer, self._objects.problem
        if problem is not None:
            table.show((), safe(f"{problem.detail}; {problem.remedy}"))
        elif page is None or self._objects.wish[:2] != wish[:2]:  # type: ignore[index]
            table.show((), "looking …")
        else:
            rows = object_rows(page.objects, page.offset)
            table.show(rows, "no object is left here", offset=page.offset, total=page.total)
            title = f"scan {safe(scan)}   {counted(page.total, 'object')}"
            self.panel("objects").describe(title, f"{pressed('list.open')} opens the header")

    def sessions_here(self) -> tuple[Session, ...]:
        """Return the session."""
        return (self._session,)

    def sessions_changed(self) -> None:
        """Look again at once."""
        self._changed = True
        if self.is_mounted and not self.leaving:
            self.show_again()

    def details(self) -> Details | None:
        """Return everything about the session."""
        detail, snapshot = self._detail.answer, self.shown_reading.snapshot
        return session_details(detail, snapshot.taken_at) if detail and snapshot else None

    # What happens

    def _answered(self) -> None:
        if self.is_mounted and not self.leaving:
            self.show_again()

    @on(LiveTable.Chosen, "#scans-table")
    def _scan_chosen(self) -> None:
        self.show_again()

    @on(PagedTable.Needed)
    def _rows_needed(self) -> None:
        table = self.query_one(ObjectsTable)
        self._first = max(0, min(table.seen[0], table.row) - BEFORE)
        self.show_again()

    def action_open(self) -> None:
        """Go from the scans to the objects."""
        if self.focused_panel() == "scans":
            self.query_one(ObjectsTable).focus()
        elif self.focused_panel() == "objects":
            self._open_object()
        else:
            super().action_open()

    def _open_object(self) -> None:
        table, page = self.query_one(ObjectsTable), self._objects.answer
        found = [one for one in page.objects if one.file == table.chosen] if page else []
        if page is None or not found:
            return
        from tui.inspector.screen import InspectorScreen, PlaceInScan

        one = found[0]
        reference = ObjectReference(self._session.id, one.file, one.sop_instance_uid)
        place = PlaceInScan(self._session.id, self._scan, table.row, page.total)
        screen = InspectorScreen(self.frame, reference, self.crumbs()[1:], place)
        screen.show(self._engine_state)
        self.app.push_screen(screen)


def _look_at(session_id: int, engine: EngineView) -> SessionDetail:
    return engine.sessions.detail(session_id)


def _objects(session_id: int, scan: str, first: int, engine: EngineView) -> ScanObjectPage:
    return engine.sessions.objects(session_id, scan, offset=first, limit=PAGE)
