"""One receiver in full: settings, traffic, its associations with their contexts, its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from engine.view import ReceiverState
from tui.bindings import Scope
from tui.places import HOME
from tui.screens.association_actions import AssociationActions
from tui.screens.known_contexts import KnownContexts
from tui.screens.offers import Offer, caller_offers, key_offers, receiver_offers
from tui.screens.receiver_actions import ReceiverActions
from tui.text import moment, safe
from tui.theme import RECEIVER_LOOKS
from tui.widgets.associations_table import AllAssociationsTable, association_of
from tui.widgets.contexts_table import ContextsTable, context_rows, context_title
from tui.widgets.events_table import ReceiverEventsTable
from tui.widgets.facts import Facts
from tui.widgets.failure_panel import FailurePanel
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Panel
from tui.widgets.rate_chart import RateChart
from tui.widgets.receiver_panel import receiver_facts
from tui.widgets.row_details import Details, receiver_details, row_details

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from engine.view import AssociationStatus, EngineSnapshot, ReceiverStatus
    from tui.link import Reading
    from tui.screens.console_screen import Frame

GONE = (("receiver", "does not exist any more; esc goes back"),)


class ReceiverScreen(ReceiverActions, AssociationActions):
    """Shows the receiver with one id; the brackets go to its neighbours."""

    PLACE = HOME
    SCOPES = (Scope.RECEIVERS, Scope.ASSOCIATIONS, Scope.NEIGHBOURS)
    PANELS = ("associations", "contexts", "events", "settings", "throughput")
    AUTO_FOCUS = "#associations-table"
    CSS_PATH = "../styles/receiver.tcss"

    def __init__(self, frame: Frame, receiver_id: int) -> None:
        super().__init__(frame)
        self._receiver_id = receiver_id
        self._label = ""
        self._contexts = KnownContexts(self.ask, self.show_again)

    def compose_body(self) -> ComposeResult:
        """Build what it is above, what happens there below."""
        with Vertical(id="body"):
            with Horizontal(id="top", classes="panels"):
                with Panel("Settings", id="settings"), VerticalScroll(classes="scroll"):
                    yield Facts(id="settings-facts")
                with Panel("Throughput", id="throughput"):
                    yield RateChart(id="rate")
            yield FailurePanel(id="failure", read_only=self.frame.read_only)
            with Panel("Associations", id="associations"):
                yield AllAssociationsTable(id="associations-table")
            with Horizontal(id="below", classes="panels"):
                with Panel("Contexts", id="contexts"):
                    yield ContextsTable(id="contexts-table")
                with Panel("Events", id="events"):
                    yield ReceiverEventsTable(id="events-table")

    # What is shown

    @property
    def selected(self) -> ReceiverStatus | None:
        """The receiver, as the newest reading has it."""
        return self._reading.receiver(self._receiver_id)

    def crumbs(self) -> tuple[str, ...]:
        """Return the way from the dashboard to the receiver."""
        status = self.selected
        if status is not None:
            self._label = safe(status.receiver.label)
        return ("Receivers", self._label or "–")

    def show_panels(self, reading: Reading, snapshot: EngineSnapshot) -> None:
        """Show a reading in all panels."""
        status = reading.receiver(self._receiver_id)
        failed = status is not None and status.state is ReceiverState.FAILED
        self.set_class(failed, "-failed")
        if failed and status is not None:
            self.query_one(FailurePanel).show(status, snapshot)
        self.query_one(Facts).show(receiver_facts(status, snapshot) if status else GONE)
        self.panel("settings").describe(state_title(status, snapshot) if status else "")
        if status is not None:
            self.query_one(RateChart).show(status.throughput)
        self._show_associations(snapshot, status)
        label = status.receiver.label if status else ""
        here = (r for r in reading.events if label and r.event.receiver == label)
        self.query_one(ReceiverEventsTable).show_events(here, "nothing happened lately")

    def _show_associations(self, snapshot: EngineSnapshot, status: ReceiverStatus | None) -> None:
        label = status.receiver.label if status else ""
        live = [a for a in snapshot.associations if a.receiver == label]
        ended = [a for a in snapshot.ended_associations if a.receiver == label]
        table = self.query_one(AllAssociationsTable)
        empty = "nobody has called this receiver lately"
        table.show_associations((*live, *ended), snapshot.taken_at, empty)
        marked = f"   {len(table.marked)} marked" if table.marked else ""
        self.panel("associations").describe(f"{len(live)} live   {len(ended)} ended{marked}")
        self._show_contexts(snapshot)

    def _show_contexts(self, snapshot: EngineSnapshot) -> None:
        chosen = self._chosen(snapshot)
        rows = context_rows(chosen, self._contexts.of(chosen))
        self.query_one(ContextsTable).show(rows, "none is known")
        name = f"{safe(chosen.calling_ae_title)} · {context_title(chosen)}" if chosen else ""
        self.panel("contexts").describe(name)

    def _chosen(self, snapshot: EngineSnapshot) -> AssociationStatus | None:
        return association_of(snapshot, self.query_one(AllAssociationsTable).chosen)

    def associations_here(self) -> tuple[AssociationStatus, ...]:
        """Return the marked associations, else the one under the cursor."""
        snapshot = self._reading.snapshot
        if snapshot is None or not self._built:
            return ()
        targets = self.query_one(AllAssociationsTable).targets
        found = (association_of(snapshot, key) for key in targets)
        return tuple(association for association in found if association is not None)

    def details(self) -> Details | None:
        """Return the row under the cursor; the receiver itself where there is none."""
        panel, snapshot = self.focused_panel() or "", self.shown_reading.snapshot
        if panel in ("associations", "events"):
            chosen = self.query_one(f"#{panel}-table", LiveTable).chosen
            if chosen is not None:
                return row_details(self.shown_reading, panel, chosen)
        status = self.selected
        return receiver_details(status, snapshot) if status and snapshot else None

    def offers(self) -> Iterator[Offer]:
        """Offer what can be done with this receiver first."""
        yield from receiver_offers(self, self.selected)
        yield from caller_offers(self, self.rejected_caller)
        yield from key_offers(self, (Scope.NEIGHBOURS, Scope.VIEW))

    # What happens

    @on(LiveTable.Chosen, "#associations-table")
    def _row_chosen(self) -> None:
        snapshot = self.shown_reading.snapshot
        if snapshot is not None:
            self._show_contexts(snapshot)
            self.refresh_bindings()

    def action_neighbour(self, step: int) -> None:
        """Show the receiver before or after this one."""
        snapshot = self._reading.snapshot
        ids = [status.receiver.id for status in snapshot.receivers] if snapshot else []
        if self._receiver_id in ids:
            at = (ids.index(self._receiver_id) + step) % len(ids)
            self._receiver_id = ids[at]
            self.show(self._reading)
            self.show_again()


def state_title(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    """Return the state in a word, and since when."""
    return f"{RECEIVER_LOOKS[status.state]} since {moment(status.since, snapshot.taken_at)}"
