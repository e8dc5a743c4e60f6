"""Screen 1: receivers, current associations, throughput and recent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical

from engine.api import ReceiverState
from tui.associations.commands import AssociationActions, caller_entries, explanation
from tui.associations.table import (
    NOBODY,
    AssociationsTable,
    association_of,
    association_title,
)
from tui.dashboard.first_start import is_first_start
from tui.dashboard.panels import EmptyState, ThroughputChart
from tui.engine_client import EngineState, SwitchRequested
from tui.keys import Scope
from tui.log.events import EventsTable, event_title
from tui.places import HOME
from tui.receivers.commands import ReceiverActions, receiver_entries
from tui.receivers.failure import FailurePanel, FreePorts
from tui.receivers.table import (
    FIELDS,
    ReceiverFacts,
    ReceiverRows,
    ReceiversTable,
    receiver_details,
    receiver_fields,
    receiver_title,
)
from tui.shell.health import is_barred
from tui.shell.palette import site_entries
from tui.theme import FLAGS_LEGEND
from tui.widgets.filter import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Excerpt, Panel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from engine.api import AssociationStatus, EngineSnapshot, ReceiverStatus
    from tui.shell.details import Details
    from tui.shell.screen import PaletteEntry, ScreenContext

RECEIVERS_SHARE = 0.4
"""The receivers table takes at most so much of the screen."""
"""Below this the throughput panel gives its room to the events."""
FRAME_ROWS = 3
"""Two lines of frame and one of column heads."""


class DashboardScreen(ReceiverActions, AssociationActions):
    """Shows the receivers and what happens at them; asks for receiver commands by message."""

    PLACE = HOME
    SCOPES = (Scope.RECEIVERS, Scope.ASSOCIATIONS, Scope.SITE)
    PANELS = ("receivers", "associations", "throughput", "events")
    AUTO_FOCUS = "#receivers-table"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._matching = 0
        self._to_select: str | None = None
        self._receiver_rows = ReceiverRows()
        self._free_ports = FreePorts(self, self.show_again)

    def compose_body(self) -> ComposeResult:
        """Build all panels once; which of them are seen is decided by classes."""
        with Panel("Receivers", id="empty"):
            yield EmptyState(id="welcome", read_only=self.frame.read_only)
        with Vertical(id="body"):
            with Panel("Receivers", id="receivers"):
                yield ReceiversTable(id="receivers-table")
                yield FilterBar(
                    FIELDS,
                    blink=self.frame.blink,
                    placeholder="AE title, port, identifier or state; !word excludes",
                )
            yield FailurePanel(id="failure", read_only=self.frame.read_only)
            with Horizontal(id="middle", classes="panels"):
                with Panel("Associations", id="associations"):
                    yield AssociationsTable(id="associations-table")
                    yield Excerpt(id="why")
                with Panel("Throughput", id="throughput"):
                    yield ThroughputChart(id="chart")
            with Panel("Events", id="events"):
                yield EventsTable(id="events-table")
            with Panel("Selected receiver", id="selected"):
                yield ReceiverFacts(id="facts")

    # What is shown

    @property
    def selected(self) -> ReceiverStatus | None:
        """The receiver under the cursor, as the newest reading has it."""
        key = self.query_one(ReceiversTable).chosen if self._built else None
        return self._engine_state.receiver(int(key)) if key is not None else None

    def associations_here(self) -> tuple[AssociationStatus, ...]:
        """Return the association under the cursor, while the focus is there."""
        snapshot = self._engine_state.snapshot
        if snapshot is None or self.focused_panel() != "associations":
            return ()
        chosen = association_of(snapshot, self.query_one(AssociationsTable).chosen)
        return (chosen,) if chosen is not None else ()

    def select(self, receiver_id: int) -> None:
        """Put the cursor on a receiver as soon as it is there."""
        self._to_select = str(receiver_id)

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show a reading in all panels."""
        self.set_class(not snapshot.receivers, "-empty")
        if not snapshot.receivers:
            self.query_one(EmptyState).show(snapshot)
        self._show_receivers(snapshot)
        both = (*snapshot.associations, *snapshot.ended_associations)
        self.query_one(AssociationsTable).show_associations(both, snapshot.taken_at, NOBODY)
        title = association_title(snapshot.associations, snapshot.ended_associations)
        self.panel("associations").describe(title)
        self._show_why(snapshot)
        self.query_one(ThroughputChart).show(snapshot)
        is_first = is_first_start(snapshot)
        self.set_class(is_first, "-first-start")
        self.panel("throughput").rename("First start" if is_first else "Throughput")
        self.panel("throughput").describe("", "" if is_first else "one bar is one second")
        self.query_one(EventsTable).show_events(engine_state.events)
        self.panel("events").describe(event_title(engine_state))
        self._show_selected(snapshot)

    def _show_receivers(self, snapshot: EngineSnapshot) -> None:
        table = self.query_one(ReceiversTable)
        bar = self.query_one(FilterBar)
        bar.offer(lambda: map(receiver_fields, snapshot.receivers))
        rows = self._receiver_rows.of(snapshot, bar.wanted)
        table.show(rows)
        if self._to_select in {row.key for row in rows}:
            table.choose(str(self._to_select))
            self._to_select = None
        matching = bar.count(len(rows), len(snapshot.receivers))
        self.panel("receivers").describe(matching, FLAGS_LEGEND)
        self._matching = len(rows)
        self._fit_receivers(self._matching)

    def _fit_receivers(self, rows: int) -> None:
        filtering = self.query_one(FilterBar).display
        most = max(5, int(self.size.height * RECEIVERS_SHARE))
        height = min(most, max(1, rows) + FRAME_ROWS) + filtering
        panel = self.panel("receivers")
        if panel.styles.height is None or panel.styles.height.value != height:
            panel.styles.height = height

    def _show_why(self, snapshot: EngineSnapshot) -> None:
        why = self.query_one("#why", Excerpt)
        chosen = self.query_one(AssociationsTable).chosen
        text = explanation(snapshot, chosen, read_only=self.frame.read_only)
        if text != str(why.content):
            why.update(text)
        why.display = bool(text)

    def _show_selected(self, snapshot: EngineSnapshot) -> None:
        status = self.selected
        failed = status is not None and status.state is ReceiverState.FAILED
        self.set_class(failed and self._at_receivers(), "-failed")
        if failed and status is not None:
            free = self._free_ports.near(status, snapshot)
            self.query_one(FailurePanel).show(status, snapshot, free)
        self.query_one(ReceiverFacts).show(status, snapshot)
        title = receiver_title(status, snapshot) if status is not None else ""
        self.panel("selected").describe(title)

    def _at_receivers(self) -> bool:
        tall = self.size.height >= 32
        return tall or self.focused_panel() in (None, "receivers")

    def details(self) -> Details | None:
        """Return what is known about the row under the cursor; a receiver's by default."""
        from tui.associations.details import association_row_details
        from tui.log.events import event_row_details

        panel, engine_state = self.focused_panel(), self._engine_state
        snapshot, status = engine_state.snapshot, self.selected
        if snapshot is None:
            return None
        if panel == "associations":
            chosen = self.query_one(AssociationsTable).chosen
            return association_row_details(snapshot, chosen)
        if panel == "events":
            return event_row_details(engine_state, self.query_one(EventsTable).chosen)
        return receiver_details(status, snapshot) if status else None

    def palette_entries(self) -> Iterator[PaletteEntry]:
        """Offer the actions on every receiver and caller, not only on the selected one."""
        yield from receiver_entries(self, self.selected)
        yield from caller_entries(self, self.rejected_caller)
        yield from site_entries(self)
        yield from self.key_entries(Scope.VIEW)

    # What happens

    def on_resize(self) -> None:
        """Give the receivers their share of the new size."""
        if self._engine_state.snapshot is not None:
            self._fit_receivers(self._matching)
            self._show_selected(self._engine_state.snapshot)

    def on_descendant_focus(self) -> None:
        """Unfold the panel that the focus is in."""
        panel = self.focused_panel()
        if panel is not None:
            self.set_class(panel == "associations", "-at-associations")
        if self._engine_state.snapshot is not None:
            self._show_selected(self._engine_state.snapshot)
        self.refresh_bindings()

    @on(LiveTable.Chosen)
    def _row_chosen(self) -> None:
        snapshot = self._engine_state.snapshot
        if snapshot is not None:
            self._show_selected(snapshot)
            self._show_why(snapshot)
            self.refresh_bindings()

    # Keys

    @property
    def has_content(self) -> bool:
        """Whether there are receivers."""
        snapshot = self._engine_state.snapshot
        return snapshot is not None and bool(snapshot.receivers)

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the side of the site's switch that it is on."""
        if action == "switch_receivers":
            return self.has_content and is_barred(self._engine_state.snapshot) is parameters[0]
        return super().check_own(action, parameters)

    def action_open(self) -> None:
        """Show the receiver's screen, or everything about an association or event."""
        status = self.selected
        if self.focused_panel() in ("associations", "events") or status is None:
            super().action_open()
            return
        self.open_receiver(status.receiver.id)

    def open_receiver(self, receiver_id: int) -> None:
        """Show the screen of a receiver."""
        from tui.receivers.screen import ReceiverScreen

        screen = ReceiverScreen(self.frame, receiver_id)
        screen.show(self._engine_state)
        self.app.push_screen(screen)

    def action_switch_receivers(self, allowed: bool) -> None:
        """Ask to allow DICOM receivers on this site, or none."""
        self.post_message(SwitchRequested(allowed=allowed))
