"""Screen 2: current, ended and rejected associations, with the contexts of the selected one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from tui.associations.commands import AssociationActions, caller_entries
from tui.associations.details import (
    ContextsFetch,
    ContextsTable,
    association_details,
    association_facts,
    context_rows,
    context_title,
)
from tui.associations.table import (
    FIELDS,
    NOBODY,
    AllAssociationsTable,
    association_fields,
    association_of,
    association_title,
)
from tui.keys import Scope, pressed
from tui.widgets.filter import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Facts, Panel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from engine.api import AssociationStatus, EngineSnapshot
    from tui.engine_client import EngineState
    from tui.shell.details import Details
    from tui.shell.screen import PaletteEntry, ScreenContext


class AssociationsScreen(AssociationActions):
    """One table of live, ended and rejected associations, and everything about the chosen one."""

    PLACE = "associations"
    SCOPES = (Scope.ASSOCIATIONS,)
    PANELS = ("associations", "chosen", "contexts")
    AUTO_FOCUS = "#associations-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._contexts = ContextsFetch(self, self.show_again)

    def compose_body(self) -> ComposeResult:
        """Build the list above, the chosen association below."""
        with Vertical(id="body"):
            with Panel("Associations", id="associations"):
                yield AllAssociationsTable(id="associations-table")
                yield FilterBar(
                    FIELDS,
                    blink=self.frame.blink,
                    placeholder="words, !word, state:reject, caller:CT, address:10.4 …",
                )
            with Horizontal(id="below", classes="panels"):
                with Panel("Association", id="chosen"), VerticalScroll(classes="scroll"):
                    yield Facts(id="facts")
                with Panel("Presentation contexts", id="contexts"):
                    yield ContextsTable(id="contexts-table")

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show a reading in all panels."""
        both = (*snapshot.associations, *snapshot.ended_associations)
        bar = self.query_one(FilterBar)
        bar.offer(lambda: map(association_fields, both))
        asked = bar.wanted
        wanted = [a for a in both if not asked or asked.matches(association_fields(a))]
        table = self.query_one(AllAssociationsTable)
        table.show_associations(wanted, snapshot.taken_at, bar.empty(NOBODY))
        title = association_title(snapshot.associations, snapshot.ended_associations)
        if bar.wanted:
            title = f"{bar.count(len(wanted), len(both))}   {title}"
        if table.marked:
            title += f"   {len(table.marked)} marked"
        self.panel("associations").describe(title)
        self._show_chosen(snapshot)

    def _show_chosen(self, snapshot: EngineSnapshot) -> None:
        chosen = self._chosen()
        self.query_one(Facts).show(association_facts(chosen, snapshot) if chosen else ())
        name = association_details(chosen, snapshot).title if chosen else "none"
        self.panel("chosen").describe(name)
        rows = context_rows(chosen, self._contexts.of(chosen))
        self.query_one(ContextsTable).show(rows)
        self.panel("contexts").describe(context_title(chosen))
        self.set_class(bool(rows), "-has-contexts")

    def _chosen(self) -> AssociationStatus | None:
        snapshot = self.shown_reading.snapshot
        if snapshot is None:
            return None
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
        """Return everything about the chosen association."""
        chosen, snapshot = self._chosen(), self.shown_reading.snapshot
        if chosen is None or snapshot is None:
            return None
        return association_details(chosen, snapshot, self._contexts.of(chosen))

    def palette_entries(self) -> Iterator[PaletteEntry]:
        """Offer to let in every rejected caller, not only the chosen one."""
        yield from caller_entries(self, self.rejected_caller)
        for offer in self.key_entries(Scope.ASSOCIATIONS, Scope.VIEW):
            if offer.shown != pressed("association.allow"):
                yield offer

    @on(LiveTable.Chosen, "#associations-table")
    def _row_chosen(self) -> None:
        snapshot = self.shown_reading.snapshot
        if snapshot is not None:
            self._show_chosen(snapshot)
            self.refresh_bindings()
