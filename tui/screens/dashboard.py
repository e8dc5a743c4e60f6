"""Screen 1: the receivers first, then who sends, how much, and what happened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import DataTable, Input, Static

from engine.view import ReceiverState
from tui.bindings import Scope, bindings, possible
from tui.link import AllowRequested, ChoiceRequested, Reading, ReceiverCommand, SwitchRequested
from tui.screens.message import MessageScreen
from tui.text import clock, counted, safe
from tui.theme import palette_of
from tui.widgets.associations_table import (
    AssociationsTable,
    association_rows,
    association_title,
    explanation,
    rejected_row,
)
from tui.widgets.banners import Banners, is_barred
from tui.widgets.empty_state import EmptyState
from tui.widgets.events_table import EventsTable, event_rows, event_title
from tui.widgets.failure_panel import FailurePanel
from tui.widgets.key_line import KeyLine
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Panel
from tui.widgets.receiver_panel import ReceiverFacts, receiver_title
from tui.widgets.receivers_table import ReceiversTable, flags_legend, receiver_rows
from tui.widgets.row_details import Details, row_details
from tui.widgets.status_line import StatusLine, stopping_sentence
from tui.widgets.throughput_panel import ThroughputChart

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.widget import Widget

    from engine.view import AssociationStatus, EngineSnapshot, ReceiverStatus
    from tui.theme import Palette

RECEIVERS_SHARE = 0.4
"""The receivers table takes at most so much of the screen."""
TINY_HEIGHT = 20
"""Below this the throughput panel gives its room to the events."""
FRAME_ROWS = 3
"""Two lines of frame and one of column heads."""
NEEDS_ENGINE = frozenset(
    ("receiver", "allow", "switch_receivers", "filter", "order", "pause", "zoom", "copy", "back")
)
PANELS = ("receivers", "associations", "throughput", "events")


class DashboardScreen(Screen[None]):
    """Shows one reading after another; asks for receiver commands by message."""

    BINDINGS = bindings(Scope.RECEIVERS, Scope.ASSOCIATIONS, Scope.SITE, Scope.VIEW)
    AUTO_FOCUS = "#receivers-table"

    def __init__(self, *, blink: bool = True, demo: bool = False) -> None:
        super().__init__()
        self._blink = blink
        self._demo = demo
        self._reading = Reading()
        self._paused_reading: Reading | None = None
        self._matching = 0
        self._built = False
        self._stopping = False
        self._to_select: str | None = None

    def compose(self) -> ComposeResult:
        """Build all panels once; which of them are seen is decided by classes."""
        yield StatusLine(demo=self._demo)
        yield Banners()
        with Panel("Receivers", id="empty"):
            yield EmptyState(id="welcome")
        with Vertical(id="body"):
            with Panel("Receivers", id="receivers"):
                yield ReceiversTable(id="receivers-table")
                yield self._filter_input()
            yield FailurePanel(id="failure")
            with Horizontal(id="middle"):
                with Panel("Associations", id="associations"):
                    yield AssociationsTable(id="associations-table")
                    yield Static("", id="why", markup=False)
                with Panel("Throughput", id="throughput"):
                    yield ThroughputChart(id="chart")
            with Panel("Events", id="events"):
                yield EventsTable(id="events-table")
            with Panel("Selected receiver", id="selected"):
                yield ReceiverFacts(id="facts")
        yield KeyLine()

    def _filter_input(self) -> Input:
        field = Input(
            placeholder="AE title, port, identifier or state; !word excludes",
            id="filter",
            compact=True,
            select_on_focus=False,
        )
        field.cursor_blink = self._blink
        return field

    # What is shown

    @property
    def selected(self) -> ReceiverStatus | None:
        """The receiver under the cursor, as the newest reading has it."""
        key = self.query_one(ReceiversTable).chosen if self._built else None
        return self._reading.receiver(int(key)) if key is not None else None

    @property
    def reading(self) -> Reading:
        """The newest reading."""
        return self._reading

    @property
    def rejected_caller(self) -> AssociationStatus | None:
        """The rejected association under the cursor, while the focus is there."""
        snapshot = self._reading.snapshot
        if snapshot is None or self._focused_panel() != "associations":
            return None
        return rejected_row(snapshot, self.query_one(AssociationsTable).chosen)

    def show(self, reading: Reading) -> None:
        """Show a new reading; the panels stand still while paused."""
        self._reading = reading
        if not self._built:
            return
        self.query_one(StatusLine).show(reading)
        self.set_class(reading.silent, "-silent")
        snapshot = reading.snapshot
        if snapshot is not None:
            self.query_one(Banners).show(snapshot)
        if snapshot is not None and self._paused_reading is None:
            self._show_panels(reading, snapshot)
        self.refresh_bindings()

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on; what may be outdated is greyed."""
        if not self._built:
            return
        self.query_one(StatusLine).paint(palette)
        palette = palette.greyed() if self._reading.silent else palette
        for widget in self.query("*"):
            if isinstance(
                widget, LiveTable | ThroughputChart | ReceiverFacts | FailurePanel | EmptyState
            ):
                widget.paint(palette)

    def select(self, receiver_id: int) -> None:
        """Put the cursor on a receiver as soon as it is there."""
        self._to_select = str(receiver_id)

    def announce_stop(self) -> None:
        """Say that the engine is being stopped and take no more commands."""
        self._stopping = True
        self.query_one(StatusLine).stopping(stopping_sentence(self._reading.snapshot))
        self.refresh_bindings()

    def _show_panels(self, reading: Reading, snapshot: EngineSnapshot) -> None:
        self.set_class(not snapshot.receivers, "-empty")
        if not snapshot.receivers:
            self.query_one(EmptyState).show(snapshot)
        self._show_receivers(snapshot)
        self.query_one(AssociationsTable).show(association_rows(snapshot))
        self._panel("associations").describe(association_title(snapshot))
        self._show_why(snapshot)
        self.query_one(ThroughputChart).show(snapshot)
        self._panel("throughput").describe("", "one bar is one second")
        self.query_one(EventsTable).show(event_rows(reading))
        self._panel("events").describe(event_title(reading))
        self._show_selected(snapshot)

    def _show_receivers(self, snapshot: EngineSnapshot) -> None:
        table = self.query_one(ReceiversTable)
        words = self.query_one("#filter", Input).value
        rows = receiver_rows(snapshot, words)
        table.show(rows)
        if self._to_select in {row.key for row in rows}:
            table.choose(str(self._to_select))
            self._to_select = None
        total = len(snapshot.receivers)
        matching = f"{len(rows)} of {total} match “{safe(words)}”" if words.strip() else str(total)
        self._panel("receivers").describe(matching, flags_legend())
        self._matching = len(rows)
        self._fit_receivers(self._matching)

    def _fit_receivers(self, rows: int) -> None:
        filtering = self.query_one("#filter", Input).display
        most = max(5, int(self.size.height * RECEIVERS_SHARE))
        height = min(most, max(1, rows) + FRAME_ROWS) + filtering
        panel = self._panel("receivers")
        if panel.styles.height is None or panel.styles.height.value != height:
            panel.styles.height = height

    def _show_why(self, snapshot: EngineSnapshot) -> None:
        why = self.query_one("#why", Static)
        text = explanation(snapshot, self.query_one(AssociationsTable).chosen)
        if text != str(why.content):
            why.update(text)
        why.display = bool(text)

    def _show_selected(self, snapshot: EngineSnapshot) -> None:
        status = self.selected
        failed = status is not None and status.state is ReceiverState.FAILED
        self.set_class(failed and self._at_receivers(), "-failed")
        if failed and status is not None:
            self.query_one(FailurePanel).show(status, snapshot)
        self.query_one(ReceiverFacts).show(status, snapshot)
        title = receiver_title(status) if status is not None else ""
        self._panel("selected").describe(title)

    def _at_receivers(self) -> bool:
        tall = self.size.height >= 32
        return tall or self._focused_panel() in (None, "receivers")

    def _panel(self, name: str) -> Panel:
        return self.query_one(f"#{name}", Panel)

    def _focused_panel(self) -> str | None:
        focused: Widget | None = self.focused
        path = focused.ancestors_with_self if focused is not None else ()
        return next((str(node.id) for node in path if node.id in PANELS), None)

    # What happens

    def on_mount(self) -> None:
        """Show what the first look brought before the first paint."""
        self._built = True
        self.paint(palette_of(self.app.current_theme))
        self.show(self._reading)

    def on_resize(self) -> None:
        """Give the receivers their share of the new size."""
        self.set_class(self.size.height < TINY_HEIGHT, "-tiny")
        if self._reading.snapshot is not None:
            self._fit_receivers(self._matching)
            self._show_selected(self._reading.snapshot)

    def on_descendant_focus(self) -> None:
        """Unfold the panel that the focus is in."""
        panel = self._focused_panel()
        if panel is not None:
            self.set_class(panel == "associations", "-at-associations")
        if self._reading.snapshot is not None:
            self._show_selected(self._reading.snapshot)
        self.refresh_bindings()

    @on(LiveTable.Chosen)
    def _row_chosen(self) -> None:
        snapshot = self._reading.snapshot
        if snapshot is not None:
            self._show_selected(snapshot)
            self._show_why(snapshot)
            self.refresh_bindings()

    @on(DataTable.RowSelected)
    def _row_opened(self) -> None:
        self.action_open()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        if self._reading.snapshot is not None:
            self._show_receivers(self._reading.snapshot)
            self._show_selected(self._reading.snapshot)

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.query_one("#filter", Input).display = False
        self.query_one(ReceiversTable).focus()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense here, grey what makes none for this receiver."""
        if self._stopping:
            return action not in NEEDS_ENGINE
        some = bool(self._reading.snapshot and self._reading.snapshot.receivers)
        if action == "receiver":
            return self._check_receiver(str(parameters[0]), some=some)
        if action == "allow":
            return self.rejected_caller is not None
        if action == "switch_receivers":
            return some and is_barred(self._reading.snapshot) is parameters[0]
        if action == "back":
            return self._can_go_back()
        if action == "filter" and self.query_one("#filter", Input).has_focus:
            return False
        if action in ("filter", "order", "pause", "zoom", "copy", "open"):
            return some
        return True

    def _check_receiver(self, name: str, *, some: bool) -> bool | None:
        if possible(name, self.selected):
            return True
        return None if some and name in ("edit", "delete", "echo") else False

    def _can_go_back(self) -> bool:
        if not self._built:
            return False
        field = self.query_one("#filter", Input)
        zoomed, paused = self.has_class("-zoomed"), self._paused_reading is not None
        return zoomed or paused or field.display or bool(field.value)

    def action_receiver(self, name: str) -> None:
        """Ask for an action on the selected receiver."""
        status = self.selected
        self.post_message(ReceiverCommand(name, status.receiver.id if status else 0))

    def action_allow(self) -> None:
        """Ask to let the rejected caller under the cursor in."""
        if self.rejected_caller is not None:
            self.post_message(AllowRequested(self.rejected_caller))

    def action_switch_receivers(self, allowed: bool) -> None:
        """Ask to allow DICOM receivers on this site, or none."""
        self.post_message(SwitchRequested(allowed=allowed))

    def action_filter(self) -> None:
        """Show the filter line."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()
        self._fit_receivers(self._matching)

    def action_order(self) -> None:
        """Choose the column that receivers are sorted by."""
        table = self.query_one(ReceiversTable)
        choices: list[tuple[str, Callable[[], None]]] = [
            ("as configured", partial(table.sort_by, None)),
            *((f"by {c.label}", partial(table.sort_by, c.key)) for c in table.shown_columns),
        ]
        self.post_message(ChoiceRequested("Sort receivers…", choices))

    def action_pause(self) -> None:
        """Hold the panels still, or let them go on."""
        paused = self._paused_reading is None and self._reading.snapshot is not None
        self._paused_reading = self._reading if paused else None
        self.set_class(paused, "-paused")
        at = clock(self._reading.snapshot.taken_at) if self._reading.snapshot else ""
        note = f"‖ PAUSED at {at}   p goes on" if paused else ""
        for name in (*PANELS, "selected"):
            self._panel(name).override_note(note)
        self.show(self._reading)

    def action_zoom(self) -> None:
        """Give the focused panel the whole screen, or end that."""
        name = self._focused_panel() if not self.has_class("-zoomed") else None
        for panel in PANELS:
            self._panel(panel).set_class(panel == name, "-zoom")
        self.query_one("#middle").set_class(name in ("associations", "throughput"), "-zoom")
        self.set_class(name is not None, "-zoomed")
        self.refresh_bindings()

    def action_back(self) -> None:
        """End zoom, then filter, then pause."""
        field = self.query_one("#filter", Input)
        if field.display or field.value:
            field.value = ""
            self._filter_kept()
        elif self.has_class("-zoomed"):
            self.action_zoom()
        elif self._paused_reading is not None:
            self.action_pause()
        self.refresh_bindings()

    def action_open(self) -> None:
        """Show everything about the row under the cursor."""
        details = self._details()
        if details is not None:
            self.app.push_screen(MessageScreen(details.title, details.text, error=False))

    def action_copy(self, form: str) -> None:
        """Copy the row under the cursor."""
        details = self._details()
        if details is None:
            return
        text = f"{details.title}\n{details.text}" if form == "text" else details.to_json()
        self.app.copy_to_clipboard(text)
        lines = counted(len(text.splitlines()), "line")
        kind = "JSON" if form == "json" else "text"
        self.app.notify(f"{lines} of {kind} copied", markup=False, timeout=2)

    def _details(self) -> Details | None:
        panel = self._focused_panel()
        if panel not in ("associations", "events"):
            panel = "receivers"
        return row_details(
            self._reading, panel, self.query_one(f"#{panel}-table", LiveTable).chosen
        )
