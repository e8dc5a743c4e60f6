"""One receiver in full: settings, traffic, associations with their contexts, objects, events."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from engine.view import ReceiverState
from tui.bindings import Scope
from tui.places import HOME
from tui.screens.association_actions import AssociationActions
from tui.screens.free_ports import FreePorts
from tui.screens.known_contexts import KnownContexts
from tui.screens.last_objects import LastObjects
from tui.screens.offers import Offer, caller_offers, key_offers, receiver_offers
from tui.screens.receiver_actions import ReceiverActions
from tui.text import clock, moment, safe
from tui.theme import RECEIVER_LOOKS
from tui.widgets.associations_table import AllAssociationsTable, association_of
from tui.widgets.contexts_table import ContextsTable, context_rows, context_title
from tui.widgets.events_table import ReceiverEventsTable
from tui.widgets.facts import Facts
from tui.widgets.failure_panel import FailurePanel
from tui.widgets.last_objects_table import (
    NOTHING,
    LastObjectsTable,
    last_object_rows,
    object_facts,
    object_look,
)
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Panel
from tui.widgets.rate_chart import RateChart
from tui.widgets.receiver_panel import Fact, receiver_facts
from tui.widgets.row_details import Details, in_lines, receiver_details, row_details

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from engine.view import AssociationStatus, EngineSnapshot, ReceiverStatus
    from engine.view.objects import RecentObject
    from tui.link import Reading
    from tui.screens.console_screen import Frame

NOBODY_LATELY = "nobody has called this receiver lately"
GONE = (("receiver", "does not exist any more; esc goes back"),)


class ReceiverScreen(ReceiverActions, AssociationActions):
    """Shows the receiver with one id; the brackets go to its neighbours."""

    PLACE = HOME
    SCOPES = (Scope.RECEIVERS, Scope.ASSOCIATIONS, Scope.NEIGHBOURS)
    PANELS = ("associations", "contexts", "objects", "events", "settings", "throughput")
    AUTO_FOCUS = "#associations-table"
    CSS_PATH = "../styles/receiver.tcss"

    def __init__(self, frame: Frame, receiver_id: int) -> None:
        super().__init__(frame)
        self._receiver_id = receiver_id
        self._label = ""
        self._contexts = KnownContexts(self.ask, self.show_again)
        self._objects = LastObjects(self.ask, self.show_again)
        self._free_ports = FreePorts(self.ask, self.show_again)

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
                with Panel("Last objects", id="objects"):
                    yield LastObjectsTable(id="objects-table")
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
            free = self._free_ports.near(status, snapshot)
            self.query_one(FailurePanel).show(status, snapshot, free)
        self.query_one(Facts).show(settings_facts(status, snapshot) if status else GONE)
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
        table.show_associations((*live, *ended), snapshot.taken_at, NOBODY_LATELY)
        marked = f"   {len(table.marked)} marked" if table.marked else ""
        self.panel("associations").describe(f"{len(live)} live   {len(ended)} ended{marked}")
        self._show_chosen(snapshot)

    def _show_chosen(self, snapshot: EngineSnapshot) -> None:
        """Show what is of the association under the cursor."""
        self._show_contexts(snapshot)
        self._show_objects(snapshot)

    def _show_contexts(self, snapshot: EngineSnapshot) -> None:
        chosen = self._chosen(snapshot)
        rows = context_rows(chosen, self._contexts.of(chosen))
        self.query_one(ContextsTable).show(rows, "none is known")
        name = f"{safe(chosen.calling_ae_title)} · {context_title(chosen)}" if chosen else ""
        self.panel("contexts").describe(name)

    def _show_objects(self, snapshot: EngineSnapshot) -> None:
        status, chosen = self.shown_reading.receiver(self._receiver_id), self._chosen(snapshot)
        if status is None:
            self.query_one(LastObjectsTable).show((), "")
            return
        caller = chosen.calling_ae_title if chosen else ""
        found = self._objects.of(status, caller, snapshot.taken_at)
        self.query_one(LastObjectsTable).show(last_object_rows(found), NOTHING)
        who = f"from {safe(caller)}" if chosen else "from everybody"
        self.panel("objects").describe(who, "⏎ opens the header" if found else "")

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
        if panel == "objects":
            one = self._objects.find(self.query_one(LastObjectsTable).chosen)
            return object_details(one) if one is not None else None
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
            self._show_chosen(snapshot)
            self.refresh_bindings()

    def action_open(self) -> None:
        """Open the header of a stored object, else show everything about the row."""
        one = self._objects.find(self.query_one(LastObjectsTable).chosen)
        if self.focused_panel() != "objects" or one is None or not one.reference.file:
            super().action_open()
            return
        from tui.screens.inspector import ReceivedObjectScreen

        screen = ReceivedObjectScreen(self.frame, one.reference, self.crumbs())
        screen.show(self._reading)
        self.app.push_screen(screen)

    def action_neighbour(self, step: int) -> None:
        """Show the receiver before or after this one."""
        snapshot = self._reading.snapshot
        ids = [status.receiver.id for status in snapshot.receivers] if snapshot else []
        if self._receiver_id in ids:
            at = (ids.index(self._receiver_id) + step) % len(ids)
            self._receiver_id = ids[at]
            self.show(self._reading)
            self.show_again()


def settings_facts(status: ReceiverStatus, snapshot: EngineSnapshot) -> tuple[Fact, ...]:
    """Return what the receiver is told and did, without what other panels show."""
    facts = dict(receiver_facts(status, snapshot))
    failed = facts.pop("failed today").partition(" ")[0]
    facts["today"] = f"{facts['today']}, {failed} failed"
    facts.pop("open now")
    return tuple(facts.items())


def object_details(one: RecentObject) -> Details:
    """Return what is known about an object that arrived."""
    facts = object_facts(one)
    return Details(f"{object_look(one)} at {clock(one.at)}", in_lines(facts), asdict(one))


def state_title(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    """Return the state in a word, and since when."""
    return f"{RECEIVER_LOOKS[status.state]} since {moment(status.since, snapshot.taken_at)}"
