"""Screen 5: senders with first and last call, volume by hour, and problems."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Container, Vertical, VerticalScroll

from tui.associations.commands import AssociationActions
from tui.associations.details import ContextsFetch
from tui.engine_client import Fetch, GoRequested
from tui.keys import Scope, pressed
from tui.senders.chart import VolumeChart, meaning
from tui.senders.senders import (
    FIELDS,
    SENDER_STYLES,
    SendersTable,
    caller_of,
    in_order,
    newest_association,
    rejected_association,
    row_key,
    sender_facts,
    sender_fields,
    sender_rows,
    wanted_senders,
    who,
    with_live,
)
from tui.shell.details import Details, in_lines
from tui.shell.screen import FetchingScreen
from tui.text import counted, safe
from tui.widgets.filter import FilterBar, term
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Facts, Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import AssociationStatus, EngineSnapshot, EngineView
    from engine.api.senders import Sender, SenderDetail
    from engine.api.status import AcceptedContext
    from engine.errors import EngineError
    from tui.engine_client import Asker, EngineState
    from tui.senders.senders import Who
    from tui.shell.screen import ScreenContext


PAGE = 1000
"""Senders in one question; the engine gives no more."""
SENDERS_PER_SECOND = 500
"""A long list is asked for less often."""
TOPICS = frozenset(("associate", "release", "abort"))
"""Events of these topics change what is known of a sender."""
WRITTEN = timedelta(seconds=3)
"""So long after an event it is in the index for sure."""


class SenderList:
    """Keeps the newest list; what was there stays while a newer one is asked for."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._fetch: Fetch[tuple[Sender, ...]] = Fetch("list the senders", asker, changed)
        self._heard: Hashable = None
        self._asked_at: datetime | None = None
        self._look_again_at: datetime | None = None

    @property
    def senders(self) -> tuple[Sender, ...] | None:
        """The senders, the last seen first; None before the first answer."""
        return self._fetch.answer

    @property
    def problem(self) -> EngineError | None:
        """Why there is no newer list."""
        return self._fetch.problem

    def look(self, engine_state: EngineState, now: datetime, *, at_once: bool) -> None:
        """Ask if there may be news in what was read."""
        told = next((r.sequence for r in engine_state.events if r.event.topic in TOPICS), None)
        heard = (told, now.replace(minute=0, second=0, microsecond=0))
        news = heard != self._heard and self._may_ask(now)
        written = self._look_again_at is not None and now >= self._look_again_at
        again = at_once or news or written
        if again:
            self._heard, self._asked_at = heard, now
        # An event comes before the index has it: after news the list is asked for once more.
        if news or written:
            self._look_again_at = now + WRITTEN if news else None
        self._fetch.want("all", all_senders, now, at_once=again)

    def _may_ask(self, now: datetime) -> bool:
        pause = timedelta(seconds=max(1.0, len(self.senders or ()) / SENDERS_PER_SECOND))
        return self._asked_at is None or abs(now - self._asked_at) >= pause


def all_senders(engine: EngineView) -> tuple[Sender, ...]:
    """Return all senders, the last seen first; runs on a worker thread."""
    found: dict[tuple[str, str], Sender] = {}
    offset, total = 0, 1
    while offset < total:
        page = engine.senders.list(offset=offset, limit=PAGE)
        found |= {(s.calling_ae_title, s.address): s for s in page.senders}
        offset, total = offset + PAGE, page.total
    return tuple(found.values())


MOST_ROWS = 300
"""So many rows are shown; filter and order choose among all senders."""


class SendersScreen(AssociationActions, FetchingScreen):
    """One table of all senders, and everything about the chosen one."""

    PLACE = "senders"
    SCOPES = (Scope.SENDERS, Scope.ASSOCIATIONS)
    PANELS = ("senders", "sender", "volume")
    AUTO_FOCUS = "#senders-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._list = SenderList(self, self._list_answered)
        self._detail: Fetch[SenderDetail] = Fetch("look at a sender", self, self.show_again)
        self._contexts = ContextsFetch(self, self.show_again)
        self._known: dict[str, Sender] = {}
        self._drawn: Hashable = None
        self._counts = (0, 0, 0)
        self._detail_due = False

    def compose_body(self) -> ComposeResult:
        """Build the list above, the chosen sender below."""
        with Vertical(id="body"):
            with Panel("Senders", id="senders"):
                yield SendersTable(id="senders-table")
                yield self.problem_line()
                yield FilterBar(
                    FIELDS,
                    blink=self.frame.blink,
                    placeholder="words, !word, state:reject, caller:CT, address:10.4 …",
                )
            with Container(id="below", classes="panels"):
                with Panel("Sender", id="sender"), VerticalScroll(classes="scroll"):
                    yield Facts(id="facts")
                with Panel("Volume by hour", id="volume"):
                    yield VolumeChart(id="volume-chart")

    # What is shown

    @property
    def problem(self) -> EngineError | None:
        """Why there is no newer list."""
        return self._list.problem

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show what is known, and ask for more where there may be news."""
        if self._paused_reading is None and not engine_state.silent:
            self._list.look(engine_state, snapshot.taken_at, at_once=self._wants_news)
            self._wants_news = False
        self._show_list(snapshot)
        self._show_chosen(snapshot)

    def _list_answered(self) -> None:
        self._detail_due = self.problem is None
        self.show_staleness()
        self.show_again()

    def _show_list(self, snapshot: EngineSnapshot) -> None:
        """Write the table, if anything about it changed."""
        bar, table = self.query_one(FilterBar), self.query_one(SendersTable)
        bar.offer(lambda: map(sender_fields, self._list.senders or ()))
        senders, live = self._list.senders or (), tuple(map(caller_of, snapshot.associations))
        order, day = (table.sorted_by, table.descending), snapshot.taken_at.date()
        drawn = (senders, live, bar.value, order, day, self._nobody())
        if drawn != self._drawn:
            self._drawn = drawn
            self._write(with_live(senders, snapshot), snapshot)
        self.panel("senders").describe(
            self._title(), f"{table.UNSORTED}   {pressed('view.sort')} sorts"
        )

    def _write(self, senders: tuple[Sender, ...], snapshot: EngineSnapshot) -> None:
        bar, table = self.query_one(FilterBar), self.query_one(SendersTable)
        found = wanted_senders(senders, bar.wanted)
        ordered = in_order(found, table.sorted_by, descending=table.descending)
        shown = ordered[:MOST_ROWS]
        self._known = {row_key(sender): sender for sender in shown}
        self._counts = (len(shown), len(found), len(senders))
        table.show(sender_rows(shown, snapshot.taken_at), bar.empty(self._nobody()))

    def _nobody(self) -> str:
        if self._list.senders is None:
            return "cannot be read now" if self.problem else "reading …"
        return "nobody has ever called; screen 1 says which AE titles and ports are open"

    def _title(self) -> str:
        shown, found, total = self._counts
        title = self.query_one(FilterBar).count(found, total)
        if shown < found:
            title += f"   the first {shown:,} are shown, {pressed('view.filter')} finds others"
        marked = self.query_one(SendersTable).marked
        return title + (f"   {len(marked)} marked" if marked else "")

    def _show_chosen(self, snapshot: EngineSnapshot) -> None:
        sender = self._chosen()
        detail = self._detail_of(sender, snapshot)
        facts = sender_facts(sender, snapshot, detail, self._accepted(sender)) if sender else ()
        self.query_one(Facts).show(facts)
        name = sender_title(sender) if sender else "none"
        self.panel("sender").describe(name)
        chart = self.query_one(VolumeChart)
        note = "reading …" if sender is not None else ""
        if sender is not None and self._detail.problem is not None:
            note = "nothing is counted yet" if sender.open_associations else "cannot be read now"
        chart.show(detail.hours if detail is not None else (), note)
        self._say_what_bars_mean()

    @on(VolumeChart.Resized)
    def _say_what_bars_mean(self) -> None:
        """Say how long a bar is, which depends on how many there is room for."""
        chart = self.query_one(VolumeChart)
        said = meaning(chart.hours, chart.size.width)
        self.panel("volume").describe(said, f"{pressed('sender.range')} day or week")

    def _detail_of(self, sender: Sender | None, snapshot: EngineSnapshot) -> SenderDetail | None:
        if sender is None:
            return None
        if self._paused_reading is None and not self._engine_state.silent:
            look = partial(_fetch_detail, who(sender))
            again, self._detail_due = self._detail_due, False
            self._detail.want(who(sender), look, snapshot.taken_at, again=again)
        return self._detail.answer if self._detail.wish == who(sender) else None

    def _accepted(self, sender: Sender | None) -> tuple[AcceptedContext, ...]:
        snapshot = self.shown_reading.snapshot
        if sender is None or snapshot is None:
            return ()
        return self._contexts.of(newest_association(sender, snapshot))

    def _chosen(self) -> Sender | None:
        return self._known.get(self.query_one(SendersTable).chosen or "")

    def _targets(self) -> tuple[Sender, ...]:
        if not self._built:
            return ()
        found = (self._known.get(key) for key in self.query_one(SendersTable).targets)
        return tuple(sender for sender in found if sender is not None)

    def associations_here(self) -> tuple[AssociationStatus, ...]:
        """Return what the senders have open, else the rejection of a single one."""
        snapshot, senders = self._engine_state.snapshot, self._targets()
        if snapshot is None:
            return ()
        callers = {who(sender) for sender in senders}
        live = tuple(a for a in snapshot.associations if caller_of(a) in callers)
        rejected = rejected_association(senders[0], snapshot) if len(senders) == 1 else None
        return live or ((rejected,) if rejected is not None else ())

    def details(self) -> Details | None:
        """Return everything about the chosen sender."""
        sender, snapshot = self._chosen(), self.shown_reading.snapshot
        if sender is None or snapshot is None:
            return None
        detail = self._detail.answer if self._detail.wish == who(sender) else None
        facts = sender_facts(sender, snapshot, detail, self._accepted(sender))
        record = asdict(detail) | {"sender": asdict(sender)} if detail else asdict(sender)
        return Details(sender_title(sender), in_lines(facts), record)

    def copied(self) -> Details | None:
        """Return the marked senders, else everything about the chosen one."""
        senders, snapshot = self._targets(), self.shown_reading.snapshot
        if len(senders) < 2 or snapshot is None:
            return self.details()
        texts = (f"{sender_title(s)}\n{in_lines(sender_facts(s, snapshot))}" for s in senders)
        title = counted(len(senders), "sender")
        return Details(title, "\n\n".join(texts), {"senders": [asdict(s) for s in senders]})

    # What happens

    @on(LiveTable.Chosen, "#senders-table")
    def _row_chosen(self) -> None:
        snapshot = self.shown_reading.snapshot
        if snapshot is not None:
            self._show_chosen(snapshot)
            self.refresh_bindings()

    @on(SendersTable.OrderChanged)
    def _order_changed(self) -> None:
        self.show_again()

    # Keys

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide ways to screens that there are not, and those from no sender."""
        if action == "show_at":
            there = {place.name for place in self.frame.places if place.screen}
            return parameters[0] in there and self._built and self._chosen() is not None
        return super().check_own(action, parameters)

    def action_show_at(self, place: str) -> None:
        """Go to another screen that shows what is of this sender."""
        sender = self._chosen()
        if sender is not None:
            self.post_message(GoRequested(place, words_for(place, who(sender))))

    def action_hours(self) -> None:
        """Show the volume of a day, or of a week."""
        self.query_one(VolumeChart).turn()
        self.show_again()


def words_for(place: str, sender: Who) -> str:
    """Return the filter that leaves what is of a sender on another screen."""
    title, address = sender
    terms = [term("caller", title)]
    if place == "associations":
        terms.append(term("address", address))
    return " ".join(filter(None, terms))


def sender_title(sender: Sender) -> str:
    """Return state and name; safe text."""
    glyph = SENDER_STYLES[sender.state].glyph
    return f"{glyph} {safe(sender.calling_ae_title)} @ {safe(sender.address)}"


def _fetch_detail(sender: Who, engine: EngineView) -> SenderDetail:
    return engine.senders.detail(*sender)
