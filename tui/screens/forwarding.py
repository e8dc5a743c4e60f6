"""One destination of forward copies: what it does, and the objects that were given up."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from textual.containers import Vertical

from tui.bindings import Scope
from tui.forms.row_filter import folded
from tui.link import ForwardingCommand
from tui.screens.console_screen import ConsoleScreen
from tui.screens.processor_news import MOST_FAILED, ProcessorNews
from tui.text import fit, safe
from tui.widgets.facts import NAME_WIDTH, Facts
from tui.widgets.filter_bar import FilterBar
from tui.widgets.forwarding_tables import (
    NotForwardedTable,
    destination_facts,
    not_forwarded_rows,
)
from tui.widgets.panel import Panel
from tui.widgets.row_details import Details

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from engine.view import EngineSnapshot
    from engine.view.forwarding import DestinationStatus, NotForwarded
    from tui.link import Reading
    from tui.screens.console_screen import Frame

NOTHING = "nothing was given up; what waits is sent by itself"
GONE = (("destination", "does not exist any more; esc goes back"),)


class ForwardingScreen(ConsoleScreen):
    """Shows the destination with one id; its keys act on the marked objects, else on one."""

    PLACE = "processors"
    SCOPES = (Scope.FORWARDING,)
    PANELS = ("failed", "destination")
    AUTO_FOCUS = "#failed-table"
    CSS_PATH = "../styles/processors.tcss"

    def __init__(self, frame: Frame, destination: int) -> None:
        super().__init__(frame)
        self._destination = destination
        self._news = ProcessorNews(self.ask, self._news_came, destination)

    def compose_body(self) -> ComposeResult:
        """Build the destination above, the given-up objects below."""
        with Vertical(id="body"):
            with Panel("Destination", id="destination"):
                yield Facts(id="facts")
            with Panel("Given up", id="failed"):
                yield NotForwardedTable(id="failed-table")
                yield FilterBar(
                    ("reason", "object"),
                    blink=self.frame.blink,
                    placeholder="words, !word, reason:refused, object:1.2.840 …",
                )

    def crumbs(self) -> tuple[str, ...]:
        """Return the way here."""
        chosen = self.destination
        return ("Processors", f"Forwarding to {safe(chosen.label)}" if chosen else "Forwarding")

    @property
    def destination(self) -> DestinationStatus | None:
        """The destination, if it (still) exists."""
        known = self._news.known
        found = known.destinations if known else ()
        return next((d for d in found if d.id == self._destination), None)

    def show_panels(self, reading: Reading, snapshot: EngineSnapshot) -> None:
        """Show what is known of the destination, and ask again if something happened."""
        self._news.look(reading)
        known, chosen = self._news.known, self.destination
        if known is None:
            return
        now = snapshot.taken_at
        self.query_one(Facts).show(destination_facts(chosen, now) if chosen else GONE)
        bar = self.query_one(FilterBar)
        items = [item for item in known.failed if bar.wanted.matches(_fields(item))]
        table = self.query_one(NotForwardedTable)
        table.show(not_forwarded_rows(items, now), bar.empty(NOTHING))
        title = self._title(len(items), len(known.failed))
        self.panel("failed").describe(
            f"{title}   {len(table.marked)} marked" if table.marked else title
        )
        problem = self._news.problem
        note = f"✗ not up to date: {problem}" if problem else ""
        self.panel("destination").describe(safe(chosen.label) if chosen else "gone", note)

    def _title(self, matching: int, listed: int) -> str:
        bar, chosen = self.query_one(FilterBar), self.destination
        total = chosen.failed if chosen else 0
        title = bar.count(matching, listed)
        more = total > listed and listed >= MOST_FAILED
        return f"{title}, the newest of {total:,}" if more else title

    def _news_came(self) -> None:
        if self._built and not self.leaving:
            self.show(self._reading)

    def refetch(self) -> None:
        """Ask for everything at once, after a command."""
        if self._built and not self.leaving:
            self.query_one(NotForwardedTable).unmark()
        self._news.look_now()

    def details(self) -> Details | None:
        """Return everything about the object under the cursor."""
        known, key = self._news.known, self.query_one(NotForwardedTable).chosen
        item = next((i for i in (known.failed if known else ()) if str(i.id) == key), None)
        if item is None:
            return None
        facts = (
            ("why", safe(item.reason)),
            ("SOP Instance UID", safe(item.sop_instance_uid)),
            ("queued", item.queued_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")),
            ("tries", f"{item.attempts:,}"),
        )
        text = "\n".join(f"{fit(name, NAME_WIDTH)} {value}" for name, value in facts)
        return Details(f"Not forwarded to {safe(item.label)}", text, asdict(item))

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        if action != "forwarding":
            return super().check_own(action, parameters)
        chosen, name = self.destination, str(parameters[0])
        if chosen is None or (name != "drop_waiting" and self._is_all_filtered()):
            return False
        return can_forward(name, chosen)

    def _is_all_filtered(self) -> bool:
        """Tell whether a filter keeps every object away: no target would then mean all of them."""
        if not self._built:
            return False
        return bool(self.query_one(FilterBar).wanted) and not self._table.targets

    @property
    def _table(self) -> NotForwardedTable:
        return self.query_one(NotForwardedTable)

    def action_forwarding(self, name: str) -> None:
        """Ask for an action on the marked objects, else on the one under the cursor."""
        chosen = self.destination
        if chosen is not None:
            items = () if name == "drop_waiting" else tuple(map(int, self._table.targets))
            self.post_message(ForwardingCommand(name, chosen, items, self.refetch))


def can_forward(action: str, destination: DestinationStatus) -> bool:
    """Tell whether an action on all of a destination's objects makes sense now."""
    match action:
        case "retry":
            return bool(destination.failed or destination.queued)
        case "drop":
            return bool(destination.failed)
        case _:
            return bool(destination.queued)


def _fields(item: NotForwarded) -> dict[str, str]:
    return folded(reason=item.reason, object=item.sop_instance_uid)
