"""The screen of one destination: its state, and the objects that were not forwarded."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical, VerticalScroll

from engine.api.forwarding import DestinationState
from tui.keys import Scope, with_keys
from tui.processors.commands import ProcessorCommands
from tui.processors.fetch import MOST_FAILED, ProcessorFetch
from tui.shell.details import Details
from tui.shell.screen import ConsoleScreen
from tui.text import age, clock, count, duration, fit, moment, safe, size
from tui.theme import StateStyle, Tone
from tui.widgets.filter import FilterBar, folded
from tui.widgets.live_table import LiveTable
from tui.widgets.marks import MarkableTable
from tui.widgets.panel import NAME_WIDTH, Facts, Panel
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import EngineSnapshot
    from engine.api.forwarding import DestinationStatus, NotForwarded
    from tui.engine_client import EngineState
    from tui.shell.screen import ScreenContext
    from tui.widgets.panel import Fact


DESTINATION_STYLES = {
    DestinationState.SENDING: StateStyle("●", "sending", Tone.OK),
    DestinationState.IDLE: StateStyle("○", "idle", Tone.MUTED),
    DestinationState.WAITING: StateStyle("▲", "waiting", Tone.WARNING),
    DestinationState.PAUSED: StateStyle("‖", "paused", Tone.WARNING),
    DestinationState.STOPPED: StateStyle("✗", "stopped", Tone.ERROR),
}
STATE_WORDS = {
    DestinationState.SENDING: "an association is open",
    DestinationState.IDLE: "nothing waits, or what waits is not due yet",
    DestinationState.WAITING: "the peer was in trouble; it is tried again by itself",
    DestinationState.PAUSED: "its processor is disabled: nothing is queued and nothing sent",
    DestinationState.STOPPED: "no engine runs",
}


class DestinationsTable(LiveTable):
    """One row for each Forward copy processor."""

    NOUN = "destination"
    HELP_TITLE = "Forwarding"
    HELP = (
        "Each Forward copy processor is a destination with a queue that survives every restart. "
        "Queued objects are sent by themselves, after trouble with growing pauses; what a peer "
        "refuses for good is given up and waits for a decision: {list.open} lists it, "
        "{forwarding.retry} sends it again, {forwarding.drop} forgets it. The stored objects stay "
        "in any case."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("state", "State", 9),
        Column("label", "Destination", 14, flexible=True, max_width=28),
        Column("peer", "Peer", 20, flexible=True, max_width=40, at_least=78),
        Column("queued", "Queued", 8, right=True),
        Column("failed", "Failed", 7, right=True),
        Column("sent", "Sent", 9, right=True),
        Column("next", "Next try", 8),
        Column("error", "Last error", 20, at_least=110, flexible=True, max_width=80),
    )


class NotForwardedTable(MarkableTable):
    """One row for each object that is not retried any more."""

    NOUN = "object"
    UNSORTED = "newest first"
    HELP_TITLE = "Given up"
    HELP = (
        "Objects that the peer refused for good, or too often. Mark some with {mark.row}; "
        "{forwarding.retry} sends them again, {forwarding.drop} forgets them. Without marks both "
        "act on the one under the cursor."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("queued", "Queued", 16),
        Column("attempts", "Tries", 5, right=True),
        Column("reason", "Reason", 24, flexible=True, max_width=90),
        Column("object", "SOP Instance UID", 20, flexible=True, max_width=64, at_least=70),
    )


def destination_rows(found: Iterable[DestinationStatus], now: datetime) -> list[TableRow]:
    """Return the rows of destinations."""
    return [_row(destination, now) for destination in found]


def _row(destination: DestinationStatus, now: datetime) -> TableRow:
    look = DESTINATION_STYLES[destination.state]
    failed = destination.failed
    at = destination.next_attempt_at
    cells = {
        "state": Cell(str(look), look.tone),
        "label": Cell(safe(destination.label), Tone.STRONG),
        "peer": Cell(safe(destination.peer)),
        "queued": Cell(count(destination.queued), Tone.PLAIN, destination.queued),
        "failed": Cell(count(failed), Tone.ERROR if failed else Tone.PLAIN, failed),
        "sent": Cell(count(destination.sent), Tone.PLAIN, destination.sent),
        "next": Cell(clock(at) if at else "–", Tone.PLAIN, at.timestamp() if at else 0.0),
        "error": Cell(safe(destination.last_error) or "–", Tone.MUTED),
    }
    return TableRow(str(destination.id), cells)


def destination_facts(destination: DestinationStatus, now: datetime) -> list[Fact]:
    """Return name and value of what is known about a destination; safe text."""
    look = DESTINATION_STYLES[destination.state]
    at, error_at = destination.next_attempt_at, destination.last_error_at
    oldest = destination.oldest_queued_at
    error = f"{moment(error_at, now)}: " if error_at else ""
    facts: list[Fact] = [
        ("state", f"{look}: {STATE_WORDS[destination.state]}"),
        ("last error", f"{error}{safe(destination.last_error)}" if destination.last_error else ""),
        ("next attempt", _until(at, now) if at else ""),
        ("peer", f"{safe(destination.peer)}{', TLS' if destination.tls else ', not encrypted'}"),
        ("queued", f"{count(destination.queued)}{_since(oldest, now)}"),
        ("given up", count(destination.failed)),
        ("sent", f"{count(destination.sent)} ever, {size(destination.bytes_sent)}"),
        ("last sent", age(destination.last_sent_at, now)),
    ]
    return [(name, value) for name, value in facts if value]


def _until(at: datetime, now: datetime) -> str:
    seconds = (at - now).total_seconds()
    return f"{moment(at, now)}, in {duration(seconds)}" if seconds > 0 else "now"


def _since(oldest: datetime | None, now: datetime) -> str:
    return f", the oldest since {moment(oldest, now)}" if oldest else ""


def not_forwarded_rows(items: Iterable[NotForwarded], now: datetime) -> list[TableRow]:
    """Return the rows of objects that are not retried any more."""
    return [
        TableRow(
            str(item.id),
            {
                "queued": Cell(moment(item.queued_at, now), order=item.queued_at.timestamp()),
                "attempts": Cell(count(item.attempts), order=item.attempts),
                "reason": Cell(safe(item.reason)),
                "object": Cell(safe(item.sop_instance_uid), Tone.MUTED),
            },
        )
        for item in items
    ]


NOTHING = "nothing was given up; what waits is sent by itself"


def gone() -> tuple[tuple[str, str], ...]:
    """Return what is said of a destination that was deleted."""
    return (("destination", with_keys("does not exist any more; {view.back} goes back")),)


class ForwardingScreen(ConsoleScreen):
    """Shows the destination with one id; its keys act on the marked objects, else on one."""

    PLACE = "processors"
    SCOPES = (Scope.FORWARDING,)
    PANELS = ("failed", "destination")
    AUTO_FOCUS = "#failed-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext, destination: int) -> None:
        super().__init__(frame)
        self._destination = destination
        self._news = ProcessorFetch(self, self._news_came, destination)

    def compose_body(self) -> ComposeResult:
        """Build the destination above, the given-up objects below."""
        with Vertical(id="body"):
            with (
                Panel("Destination", id="destination"),
                VerticalScroll(classes="scroll"),
            ):
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

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show what is known of the destination, and ask again if something happened."""
        self._news.look(engine_state)
        known, chosen = self._news.known, self.destination
        if known is None:
            return
        now = snapshot.taken_at
        self.query_one(Facts).show(destination_facts(chosen, now) if chosen else gone())
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
            self.show(self._engine_state)

    def refetch(self) -> None:
        """Ask for everything at once, after a command."""
        if self._built and not self.leaving:
            self.query_one(NotForwardedTable).unmark()
        self._news.refresh_now()

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
        if chosen is not None and self.console.may():
            items = () if name == "drop_waiting" else tuple(map(int, self._table.targets))
            self.console.carry_out(self._command, name, chosen, items)

    async def _command(self, name: str, chosen: DestinationStatus, items: tuple[int, ...]) -> None:
        if await ProcessorCommands(self.console).forwarding(name, chosen, items):
            self.refetch()


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
