"""The screen of one receiver: settings, traffic, associations, contexts, objects and events."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget

from engine.api import ReceiverState
from engine.metrics import Throughput
from engine.model.session import ObjectState
from tui.associations.commands import AssociationActions, caller_entries
from tui.associations.details import (
    ContextsFetch,
    ContextsTable,
    association_row_details,
    context_rows,
    context_title,
)
from tui.associations.table import AllAssociationsTable, association_of, association_title
from tui.engine_client import Fetch
from tui.keys import Scope, pressed, with_keys
from tui.log.events import ReceiverEventsTable, event_row_details
from tui.places import HOME
from tui.receivers.commands import ReceiverActions, receiver_entries
from tui.receivers.failure import FailurePanel, FreePorts
from tui.receivers.table import Fact, receiver_details, receiver_facts
from tui.shell.details import Details, in_lines
from tui.text import clock, fit, megabytes, moment, safe, size, sparkrows
from tui.theme import DARK, Palette, StateStyle, Tone, palette_of, receiver_style
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Facts, Panel
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import AssociationStatus, EngineSnapshot, EngineView, ReceiverStatus
    from engine.api.objects import RecentObject
    from tui.engine_client import Asker, EngineState
    from tui.shell.screen import PaletteEntry, ScreenContext


NOTHING = "no object arrived lately"
OBJECT_STYLES = {
    ObjectState.STORED: StateStyle("✓", "stored", Tone.OK),
    ObjectState.DUPLICATE: StateStyle("=", "known", Tone.MUTED),
    ObjectState.FILTERED: StateStyle("–", "filtered", Tone.MUTED),
    ObjectState.REJECTED: StateStyle("✗", "rejected", Tone.WARNING),
    ObjectState.QUARANTINED: StateStyle("✗", "set aside", Tone.ERROR),
    ObjectState.FAILED: StateStyle("✗", "failed", Tone.ERROR),
}
UNKNOWN = StateStyle("?", "unknown", Tone.MUTED)


class LastObjectsTable(LiveTable):
    """Stays at the top while the cursor is there."""

    FOLLOWS_TOP = True
    NOUN = "object"
    UNSORTED = "newest first"
    HELP_TITLE = "Last objects"
    HELP = (
        "The objects that arrived last from the caller under the cursor above, or from everybody, "
        "with the status that was answered: {list.open} opens the header of a stored one, and says "
        "of any other why it was not kept."
    )
    COLUMNS = (
        Column("at", "Time", 8),
        Column("modality", "Mod", 3),
        Column("project", "Project", 8, flexible=True, max_width=16),
        Column("label", "Session", 8, flexible=True, max_width=24),
        Column("size", "Size", 7, right=True),
        Column("result", "Result", 11),
        Column("status", "Status", 6, at_least=70),
        Column("reason", "Why", 10, flexible=True, at_least=78),
    )


def last_object_rows(objects: Iterable[RecentObject]) -> list[TableRow]:
    """Return the rows of objects; `objects` come newest first."""
    return [TableRow(object_key(one), _cells(one)) for one in objects]


def object_key(one: RecentObject) -> str:
    """Return what tells an arrival from all others."""
    return f"{one.at.isoformat()} {one.reference.sop_instance_uid} {one.state}"


def object_facts(one: RecentObject) -> list[tuple[str, str]]:
    """Return name and value of what is known about an arrival; safe text."""
    where = " / ".join(safe(part) for part in (one.project, one.label) if part)
    return [
        ("result", str(object_style(one))),
        ("status", f"0x{one.status:04X}"),
        ("why", safe(one.reason) or "–"),
        ("arrived", clock(one.at)),
        ("receiver", safe(one.receiver)),
        ("calling AE title", safe(one.calling_ae_title)),
        ("kind of object", safe(one.sop_class)),
        ("session", where or "none"),
        ("size", size(one.bytes)),
        ("SOP instance UID", safe(one.reference.sop_instance_uid)),
    ]


def object_style(one: RecentObject) -> StateStyle:
    """Return how the state of an arrival is shown."""
    return OBJECT_STYLES[ObjectState(one.state)] if one.state in set(ObjectState) else UNKNOWN


def _cells(one: RecentObject) -> dict[str, Cell]:
    look = object_style(one)
    return {
        "at": Cell(clock(one.at), Tone.MUTED, one.at.timestamp()),
        "modality": Cell(safe(one.modality) or "–"),
        "project": Cell(safe(one.project) or "–"),
        "label": Cell(safe(one.label) or "–"),
        "size": Cell(size(one.bytes), Tone.PLAIN, one.bytes),
        "result": Cell(str(look), look.tone),
        "status": Cell(f"0x{one.status:04X}", Tone.MUTED, one.status),
        "reason": Cell(safe(one.reason)),
    }


SHOWN = 50


class RecentObjectsFetch:
    """Asks the engine for one receiver and caller at a time."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._fetch: Fetch[tuple[RecentObject, ...]] = Fetch("list last objects", asker, changed)
        self._counted: object = None

    def of(self, status: ReceiverStatus, caller: str, now: datetime) -> tuple[RecentObject, ...]:
        """Return what is known of a receiver's objects from a caller (empty for all); may ask."""
        label = status.receiver.label
        counted = (label, status.objects_today, status.failed_today, status.last_object_at)
        came, self._counted = counted != self._counted, counted
        wish = (label, caller)
        self._fetch.want(wish, partial(_recent, *wish), now, again=came)
        return (self._fetch.answer or ()) if self._fetch.wish == wish else ()

    def find(self, key: str | None) -> RecentObject | None:
        """Return the object of a row."""
        return next((one for one in self._fetch.answer or () if object_key(one) == key), None)


def _recent(receiver: str, caller: str, engine: EngineView) -> tuple[RecentObject, ...]:
    return engine.objects.recent(receiver=receiver, calling_ae_title=caller, limit=SHOWN)


AXIS_WIDTH = 7


class RateChart(Widget, can_focus=True):
    """Draws a bar for each second, a scale at the left, and the times below."""

    HELP_TITLE = "Throughput"
    HELP = (
        "One bar per second of the last minute, the newest at the right, in MB/s. The best second "
        "fills the height. {view.zoom} shows the chart large."
    )

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rate = Throughput()
        self._palette = palette_of(DARK)

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, rate: Throughput) -> None:
        """Show another minute."""
        if rate != self._rate:
            self._rate = rate
            self.refresh()

    def render(self) -> Text:
        """Return as many lines as there is room for; one line is enough."""
        width, height = self.size
        lines = self._tall(width, height) if height >= 4 else [self._flat(width)]
        return Text("\n", end="", no_wrap=True).join(lines)

    def _flat(self, width: int) -> Text:
        head = f"{'▸' if self.has_focus else ' '} MB/s "
        tail = f" {megabytes(self._rate.bytes_rate)}   max {megabytes(self._best)} MB/s"
        room = max(0, width - cell_len(head) - cell_len(tail))
        bars = sparkrows(self._rate.bytes_per_second, room, 1, self._best)[0]
        line = Text(head, "bold" if self.has_focus else self._palette.style(Tone.MUTED))
        return line.append(fit(bars, room, right=True), self._palette.key).append(tail, "bold")

    def _tall(self, width: int, height: int) -> list[Text]:
        rate, room = self._rate, max(0, width - AXIS_WIDTH - 2)
        quiet = self._palette.style(Tone.MUTED)
        head = f"now {megabytes(rate.bytes_rate)} MB/s   {rate.objects_rate:,.0f} objects/s"
        lines = [Text(fit(head, width, right=True), "bold")]
        rows = sparkrows(rate.bytes_per_second, room, height - 2, self._best)
        for i, bars in enumerate(rows):
            label = megabytes(self._best) if i == 0 else ("0" if i == len(rows) - 1 else "")
            line = Text(f"{fit(label, AXIS_WIDTH, right=True)} ┤", quiet)
            lines.append(line.append(fit(bars, room, right=True), self._palette.key))
        foot = fit("60 s ago", room - 3) + "now"
        lines.append(Text(" " * (AXIS_WIDTH + 2) + foot, quiet))
        return lines

    @property
    def _best(self) -> int:
        return max(self._rate.bytes_per_second, default=0)


NOBODY_LATELY = "nobody has called this receiver lately"


def gone() -> tuple[tuple[str, str], ...]:
    """Return what is said of a receiver that was deleted."""
    return (("receiver", with_keys("does not exist any more; {view.back} goes back")),)


class ReceiverScreen(ReceiverActions, AssociationActions):
    """Shows the receiver with one id; the brackets go to its neighbours."""

    PLACE = HOME
    SCOPES = (Scope.RECEIVERS, Scope.ASSOCIATIONS, Scope.NEIGHBOURS)
    PANELS = ("associations", "contexts", "objects", "events", "settings", "throughput")
    AUTO_FOCUS = "#associations-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext, receiver_id: int) -> None:
        super().__init__(frame)
        self._receiver_id = receiver_id
        self._label = ""
        self._contexts = ContextsFetch(self, self.show_again)
        self._objects = RecentObjectsFetch(self, self.show_again)
        self._free_ports = FreePorts(self, self.show_again)

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
        return self._engine_state.receiver(self._receiver_id)

    def crumbs(self) -> tuple[str, ...]:
        """Return the way from the dashboard to the receiver."""
        status = self.selected
        if status is not None:
            self._label = safe(status.receiver.label)
        return ("Receivers", self._label or "–")

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show a reading in all panels."""
        status = engine_state.receiver(self._receiver_id)
        failed = status is not None and status.state is ReceiverState.FAILED
        self.set_class(failed, "-failed")
        if failed and status is not None:
            free = self._free_ports.near(status, snapshot)
            self.query_one(FailurePanel).show(status, snapshot, free)
        self.query_one(Facts).show(settings_facts(status, snapshot) if status else gone())
        self.panel("settings").describe(state_title(status, snapshot) if status else "")
        if status is not None:
            self.query_one(RateChart).show(status.throughput)
        self._show_associations(snapshot, status)
        label = status.receiver.label if status else ""
        here = (r for r in engine_state.events if label and r.event.receiver == label)
        self.query_one(ReceiverEventsTable).show_events(here, "nothing happened lately")

    def _show_associations(self, snapshot: EngineSnapshot, status: ReceiverStatus | None) -> None:
        label = status.receiver.label if status else ""
        live = [a for a in snapshot.associations if a.receiver == label]
        ended = [a for a in snapshot.ended_associations if a.receiver == label]
        table = self.query_one(AllAssociationsTable)
        table.show_associations((*live, *ended), snapshot.taken_at, NOBODY_LATELY)
        marked = f"   {len(table.marked)} marked" if table.marked else ""
        self.panel("associations").describe(association_title(live, ended) + marked)
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
        self.panel("objects").describe(
            who, f"{pressed('list.open')} opens the header" if found else ""
        )

    def _chosen(self, snapshot: EngineSnapshot) -> AssociationStatus | None:
        return association_of(snapshot, self.query_one(AllAssociationsTable).chosen)

    def associations_here(self) -> tuple[AssociationStatus, ...]:
        """Return the marked associations, else the one under the cursor."""
        snapshot = self._engine_state.snapshot
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
        if panel == "associations" and snapshot is not None:
            chosen = self.query_one(AllAssociationsTable).chosen
            if chosen is not None:
                return association_row_details(snapshot, chosen)
        if panel == "events":
            chosen = self.query_one(ReceiverEventsTable).chosen
            if chosen is not None:
                return event_row_details(self.shown_reading, chosen)
        status = self.selected
        return receiver_details(status, snapshot) if status and snapshot else None

    def palette_entries(self) -> Iterator[PaletteEntry]:
        """Offer what can be done with this receiver first."""
        yield from receiver_entries(self, self.selected)
        yield from caller_entries(self, self.rejected_caller)
        yield from self.key_entries(Scope.NEIGHBOURS, Scope.VIEW)

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
        from tui.inspector.screen import ReceivedObjectScreen

        screen = ReceivedObjectScreen(self.frame, one.reference, self.crumbs())
        screen.show(self._engine_state)
        self.app.push_screen(screen)

    def action_neighbour(self, step: int) -> None:
        """Show the receiver before or after this one."""
        snapshot = self._engine_state.snapshot
        ids = [status.receiver.id for status in snapshot.receivers] if snapshot else []
        if self._receiver_id in ids:
            at = (ids.index(self._receiver_id) + step) % len(ids)
            self._receiver_id = ids[at]
            self.show(self._engine_state)
            self.show_again()


def settings_facts(status: ReceiverStatus, snapshot: EngineSnapshot) -> tuple[Fact, ...]:
    """Return the receiver's settings and counts that no other panel shows."""
    facts = dict(receiver_facts(status, snapshot))
    failed = facts.pop("failed today").partition(" ")[0]
    facts["today"] = f"{facts['today']}, {failed} failed"
    facts.pop("open now")
    return tuple(facts.items())


def object_details(one: RecentObject) -> Details:
    """Return what is known about an object that arrived."""
    facts = object_facts(one)
    return Details(f"{object_style(one)} at {clock(one.at)}", in_lines(facts), asdict(one))


def state_title(status: ReceiverStatus, snapshot: EngineSnapshot) -> str:
    """Return the state in a word, and since when."""
    look = receiver_style(status.state, rejecting=bool(snapshot.storage.refusal))
    return f"{look} since {moment(status.since, snapshot.taken_at)}"
