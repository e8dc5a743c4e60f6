"""Screen 7: processors in their order, classes, forward copies, and reports that wait."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from engine.model.processing import ProcessorState
from tui.keys import Scope, with_keys
from tui.processors.commands import ProcessorCommands
from tui.processors.commitments import (
    CommitmentsTable,
    commitment_facts,
    commitment_rows,
    commitments_title,
)
from tui.processors.fetch import ProcessorData, ProcessorFetch
from tui.processors.forwarding import (
    DESTINATION_STYLES,
    DestinationsTable,
    ForwardingScreen,
    can_forward,
    destination_facts,
    destination_rows,
)
from tui.processors.table import (
    FIELDS,
    PROCESSOR_STYLES,
    ClassesTable,
    ProcessorsTable,
    class_facts,
    class_rows,
    processor_facts,
    processor_fields,
    processor_rows,
)
from tui.shell.details import Details
from tui.shell.screen import ConsoleScreen
from tui.text import counted, fit, safe
from tui.theme import palette_of
from tui.widgets.filter import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import NAME_WIDTH, Facts, Panel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from engine.api import EngineSnapshot
    from engine.api.commitments import CommitmentStatus
    from engine.api.forwarding import DestinationStatus
    from engine.model.processing import ProcessorStatus
    from engine.model.processor import Processor, ProcessorClass
    from tui.engine_client import EngineState
    from tui.shell.screen import ScreenContext
    from tui.widgets.panel import Fact

NONE_YET = "no processor yet; {processor.new} adds one, for receivers whose custom processing is on"
NONE_READ_ONLY = "no processor yet"
NO_DESTINATION = "no destination; a processor of the class Forward copy is one"
ALL_DELIVERED = "every report is delivered"
NOT_READ = "reading…"


NOT_PROCESSORS = frozenset({"classes", "forwarding", "commitments"})
"""Panels whose rows are no processors."""


class ProcessorsScreen(ConsoleScreen):
    """One table of processors, everything about the chosen one, classes and destinations."""

    PLACE = "processors"
    SCOPES = (Scope.PROCESSORS, Scope.FORWARDING)
    PANELS = ("processors", "chosen", "forwarding", "commitments", "classes")
    AUTO_FOCUS = "#processors-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._news = ProcessorFetch(self, self._news_came)

    def compose_body(self) -> ComposeResult:
        """Build the processors above, the chosen one and the classes below, destinations last."""
        with Vertical(id="body"):
            with Panel("Processors", id="processors"):
                yield ProcessorsTable(id="processors-table")
                yield FilterBar(
                    FIELDS,
                    blink=self.frame.blink,
                    placeholder="words, !word, state:broken, class:set, receiver:XNAT …",
                )
            with Horizontal(id="below", classes="panels"):
                with (
                    Panel("Processor", id="chosen"),
                    VerticalScroll(classes="scroll", can_focus=True),
                ):
                    yield Facts(id="facts")
                with Panel("Classes", id="classes"):
                    yield ClassesTable(id="classes-table")
            with Panel("Forwarding", id="forwarding"):
                yield DestinationsTable(id="forwarding-table")
            with Panel("Storage commitment", id="commitments"):
                yield CommitmentsTable(id="commitments-table")

    # Showing

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show what is known of the processors, and ask again if something happened."""
        self._news.look(engine_state)
        known = self._news.known
        self._grey_if_outdated()
        if known is None:
            self.panel("processors").describe("", self._note)
            for table in self.query(LiveTable):
                table.show((), NOT_READ if not self._news.problem else "not known")
            return
        self._show_processors(known, snapshot)
        self._show_chosen(known, snapshot)
        classes = self.query_one(ClassesTable)
        classes.show(class_rows(known.classes, known.statuses), "none is installed")
        self.panel("classes").describe(_classes_title(known.classes))
        table = self.query_one(DestinationsTable)
        table.show(destination_rows(known.destinations, snapshot.taken_at), NO_DESTINATION)
        self.panel("forwarding").describe(_forwarding_title(known.destinations))
        self.set_class(bool(known.destinations), "-has-destinations")
        rows = commitment_rows(known.commitments, snapshot.taken_at)
        self.query_one(CommitmentsTable).show(rows, ALL_DELIVERED)
        self.panel("commitments").describe(commitments_title(known.commitments))
        self.set_class(bool(known.commitments), "-has-commitments")

    @property
    def _note(self) -> str:
        problem = self._news.problem
        return f"✗ not up to date: {problem}" if problem else ""

    def _grey_if_outdated(self) -> None:
        outdated = bool(self._news.problem)
        if self.has_class("-outdated") != outdated:
            self.set_class(outdated, "-outdated")
            palette = palette_of(self.app.current_theme)
            grey = outdated or self.engine_state.silent
            for table in self.query(LiveTable):
                table.paint(palette.greyed() if grey else palette)

    def _show_processors(self, known: ProcessorData, snapshot: EngineSnapshot) -> None:
        bar = self.query_one(FilterBar)
        bar.offer(lambda: map(processor_fields, known.statuses))
        wanted = [s for s in known.statuses if bar.wanted.matches(processor_fields(s))]
        empty = bar.empty(NONE_READ_ONLY if self.frame.read_only else with_keys(NONE_YET))
        rows = processor_rows(known.statuses, snapshot.taken_at)
        shown = {str(status.processor.id) for status in wanted}
        self.query_one(ProcessorsTable).show([row for row in rows if row.key in shown], empty)
        title = _title(known.statuses)
        if bar.wanted:
            title = f"{bar.count(len(wanted), len(known.statuses))}   {title}"
        self.panel("processors").describe(title, self._note)

    def _show_chosen(self, known: ProcessorData, snapshot: EngineSnapshot) -> None:
        status = self.chosen_status
        facts: Sequence[Fact] = ()
        if status is not None:
            facts = processor_facts(status, known.classes, snapshot.taken_at)
        self.query_one(Facts).show(facts)
        self.panel("chosen").describe(safe(status.processor.label) if status else "none")

    def _news_came(self) -> None:
        if self._built and not self.leaving:
            self.show_again()

    def refetch(self) -> None:
        """Ask for everything at once, after a command."""
        self._news.refresh_now()

    # What is chosen

    @property
    def chosen_status(self) -> ProcessorStatus | None:
        """The processor under the cursor."""
        known = self._news.known
        if known is None or not self._built:
            return None
        key = self.query_one(ProcessorsTable).chosen
        return next((s for s in known.statuses if str(s.processor.id) == key), None)

    @property
    def chosen_destination(self) -> DestinationStatus | None:
        """The destination under the cursor."""
        known = self._news.known
        if known is None or not self._built:
            return None
        key = self.query_one(DestinationsTable).chosen
        return next((d for d in known.destinations if str(d.id) == key), None)

    @property
    def chosen_commitment(self) -> CommitmentStatus | None:
        """The report under the cursor."""
        known = self._news.known
        if known is None or not self._built:
            return None
        key = self.query_one(CommitmentsTable).chosen
        return next((one for one in known.commitments if str(one.id) == key), None)

    @property
    def _chosen_class(self) -> ProcessorClass | None:
        known = self._news.known
        key = self.query_one(ClassesTable).chosen
        return next((c for c in (known.classes if known else ()) if c.id == key), None)

    def details(self) -> Details | None:
        """Return everything about the row under the cursor of the focused panel."""
        snapshot, known = self.shown_reading.snapshot, self._news.known
        if snapshot is None or known is None:
            return None
        panel, now = self.focused_panel(), snapshot.taken_at
        status, destination, chosen = (
            self.chosen_status,
            self.chosen_destination,
            self._chosen_class,
        )
        if panel == "classes" and chosen is not None:
            return Details(safe(chosen.name), _lines(class_facts(chosen)), asdict(chosen))
        if panel == "forwarding" and destination is not None:
            title = f"{DESTINATION_STYLES[destination.state].glyph} {safe(destination.label)}"
            return Details(title, _lines(destination_facts(destination, now)), asdict(destination))
        commitment = self.chosen_commitment
        if panel == "commitments" and commitment is not None:
            title = f"Report to {safe(commitment.calling_ae_title)}"
            return Details(title, _lines(commitment_facts(commitment, now)), asdict(commitment))
        if panel in NOT_PROCESSORS or status is None:
            return None
        title = f"{PROCESSOR_STYLES[status.state].glyph} {safe(status.processor.label)}"
        facts = _lines(processor_facts(status, known.classes, now))
        return Details(title, facts + _whole_texts(status), asdict(status))

    @on(LiveTable.Chosen, "#processors-table")
    def _row_chosen(self) -> None:
        snapshot, known = self.shown_reading.snapshot, self._news.known
        if snapshot is not None and known is not None:
            self._show_chosen(known, snapshot)
            self.refresh_bindings()

    def on_descendant_focus(self) -> None:
        """Offer the keys of the panel that is focused now, and give it room."""
        self.set_class(self.focused_panel() == "classes", "-at-classes")
        self.refresh_bindings()

    # Keys

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense for the chosen row."""
        if action == "commitment":
            return self.focused_panel() == "commitments" and self.chosen_commitment is not None
        if action == "forwarding":
            return self._may_forward(str(parameters[0]))
        if action != "processor":
            return super().check_own(action, parameters)
        if self.focused_panel() in NOT_PROCESSORS and parameters[0] != "new":
            return False
        return self._may(str(parameters[0]))

    def _may(self, action: str) -> bool:
        status, known = self.chosen_status, self._news.known
        if action == "new":
            return known is not None
        if status is None:
            return False
        processor = status.processor
        if action in {"enable", "disable"}:
            return processor.enabled == (action == "disable")
        return action != "test" or processor.location.is_before_storing

    def _may_forward(self, action: str) -> bool:
        destination = self.chosen_destination
        if self.focused_panel() != "forwarding" or destination is None:
            return False
        return can_forward(action, destination)

    def action_processor(self, name: str) -> None:
        """Ask for an action on the chosen processor."""
        status = self.chosen_status
        processor = status.processor if status is not None else None
        if self.console.may(changing=name != "test"):
            self.console.carry_out(self._command, name, processor)

    async def _command(self, name: str, processor: Processor | None) -> None:
        if await ProcessorCommands(self.console).run(name, processor):
            self.refetch()

    def action_forwarding(self, name: str) -> None:
        """Ask for an action on everything of the chosen destination."""
        destination = self.chosen_destination
        if destination is not None and self.console.may():
            self.console.carry_out(self._command_forwarding, name, destination)

    async def _command_forwarding(self, name: str, destination: DestinationStatus) -> None:
        if await ProcessorCommands(self.console).forwarding(name, destination, ()):
            self.refetch()

    def action_commitment(self, _: str) -> None:
        """Look the objects of the chosen report up again, and send it at once."""
        commitment = self.chosen_commitment
        if commitment is not None and self.console.may():
            self.console.carry_out(self._retry_commitment, commitment)

    async def _retry_commitment(self, commitment: CommitmentStatus) -> None:
        await ProcessorCommands(self.console).retry_commitment(commitment)
        self.refetch()

    def action_open(self) -> None:
        """List the objects that a destination did not get, or show all details of another row."""
        destination = self.chosen_destination
        if self.focused_panel() == "forwarding" and destination is not None:
            self.app.push_screen(ForwardingScreen(self.frame, destination.id))
        else:
            super().action_open()


def _title(statuses: Sequence[ProcessorStatus]) -> str:
    """Return how many there are of each state."""
    counts = {state: sum(s.state is state for s in statuses) for state in ProcessorState}
    enabled = counts.pop(ProcessorState.ENABLED)
    rest = "".join(f"   {number} {state}" for state, number in counts.items() if number)
    return f"{enabled} enabled{rest}"


def _classes_title(classes: Sequence[ProcessorClass]) -> str:
    broken = sum(bool(known.error) for known in classes)
    return f"{len(classes)} installed{f', {broken} broken' if broken else ''}"


def _forwarding_title(destinations: Sequence[DestinationStatus]) -> str:
    if not destinations:
        return "none"
    queued = sum(d.queued for d in destinations)
    failed = sum(d.failed for d in destinations)
    lost = f"   {failed:,} given up" if failed else ""
    return f"{counted(len(destinations), 'destination')}   {queued:,} queued{lost}"


def _lines(facts: Sequence[Fact]) -> str:
    return "\n".join(f"{fit(name, NAME_WIDTH)} {value}" for name, value in facts)


def _whole_texts(status: ProcessorStatus) -> str:
    """Return the parameters of several lines in full."""
    long = [(name, text) for name, text in status.processor.parameters if "\n" in text]
    return "".join(
        f"\n\n{safe(name)}\n" + "\n".join(map(safe, text.splitlines())) for name, text in long
    )
