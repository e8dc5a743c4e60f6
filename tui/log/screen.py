"""Screen 4: the event log with filter, levels, follow and marks, and saving it to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from engine.errors import EngineError
from engine.events import Severity
from tui.keys import Scope, pressed, with_keys
from tui.log.event_log import FIELDS, LEVEL_WORDS, LEVELS, LogModel
from tui.log.events import event_details, what_to_do
from tui.log.view import LogView, TimeFormat
from tui.shell.dialogs import PromptDialog
from tui.shell.screen import ConsoleScreen, ScreenContext
from tui.text import counted, moment, safe
from tui.theme import SEVERITY_STYLES
from tui.widgets.filter import FilterBar
from tui.widgets.panel import Facts, Panel

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import EngineSnapshot
    from engine.events import RecordedEvent
    from tui.engine_client import EngineState
    from tui.log.event_log import LogEntry
    from tui.shell.details import Details
    from tui.widgets.panel import Fact


class NotSaved(EngineError):
    """The file could not be written."""

    title = "The events are not saved"


def usual_name(now: datetime) -> str:
    """Return a name that no earlier file has, such as ``~/dicomdock-20260824-140322.log``."""
    return f"~/dicomdock-{now.astimezone():%Y%m%d-%H%M%S}.log"


def save_entries(name: str, entries: Iterable[LogEntry]) -> Path:
    """Write entries to a new file that only this user can read; ``.jsonl`` asks for JSON lines.

    Raises:
        NotSaved: if there is such a file, or it can't be written.
    """
    as_json = name.endswith((".jsonl", ".json"))
    lines = (json_line(entry) if as_json else text_line(entry) for entry in entries)
    try:
        path = Path(name).expanduser()
        # No file is replaced and no link followed; AE titles and addresses are for this user.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError as error:
        raise NotSaved(f"{name}: there is such a file", "choose another name") from error
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NotSaved(f"{name}: {why}", "choose a place that this user may write to") from error
    return path


def text_line(entry: LogEntry) -> str:
    """Return an entry as a line for people; no character in it can do harm."""
    at = entry.at.astimezone().isoformat(timespec="milliseconds")
    if entry.recorded is None:
        return f"{at} ──────── mark ────────"
    event = entry.recorded.event
    about = (event.receiver, event.calling_ae_title, event.association, event.topic)
    words = "  ".join(safe(word) or "–" for word in about)
    return f"{at} {event.severity:5}  {words}  {entry.sentence}"


def json_line(entry: LogEntry) -> str:
    """Return an entry as a line for programs, in ASCII."""
    if entry.recorded is None:
        return json.dumps({"at": entry.at.isoformat(), "kind": "Mark"})
    record = {"sequence": entry.recorded.sequence, "at": entry.at.isoformat()}
    return json.dumps(record | entry.recorded.event.to_record(), default=str)


WORDS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.ERROR: "error"}


class LogSwitches(Widget):
    """Draws the switches of a log."""

    auto_links = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._parts: tuple[tuple[str, str], ...] = ()

    def show(
        self, levels: frozenset[Severity], counts: Counter[Severity], view: LogView, *, held: bool
    ) -> None:
        """Show how the log is set."""
        boxes = tuple(
            (
                f"[{'x' if level in levels else ' '}] {WORDS[level]} {counts[level]:,}",
                _toggle(level),
            )
            for level in LEVELS
        )
        follow = "‖ paused" if held else ("● follow" if view.follows else "○ follow")
        how = (
            (follow, "screen.follow"),
            ("wrap on" if view.wraps else "wrap off", "screen.wrap"),
            (f"times: {view.times}", "screen.times"),
        )
        if (*boxes, *how) != self._parts:
            self._parts = (*boxes, *how)
            self.refresh()

    def render(self) -> Content:
        """Return one line."""
        words = [
            Content(text).stylize(Style.from_meta({"@click": action}))
            for text, action in self._parts
        ]
        gap = "   " if self.size.width >= 100 else "  "
        return Content.assemble(" ", Content(gap).join(words))


def _toggle(level: Severity) -> str:
    return f"screen.toggle_level('{level.name}')"


FLOORS = (frozenset(LEVELS), frozenset(LEVELS[1:]), frozenset(LEVELS[2:]))
"""What one key steps through."""


class LogScreen(ConsoleScreen):
    """The event log or the audit log, and the event under the cursor with what to do about it."""

    PLACE = "log"
    SCOPES = (Scope.LOG,)
    PANELS = ("events", "event")
    AUTO_FOCUS = "#events-log"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._everything = LogModel()
        self._audit: LogModel | None = None
        """What is shown instead, if that is what people did."""
        self._older_audited = ""
        """What is to be said of events that the console has not seen itself."""
        self._levels = FLOORS[0]

    @property
    def _log(self) -> LogModel:
        """What is shown."""
        return self._everything if self._audit is None else self._audit

    def compose_body(self) -> ComposeResult:
        """Build the log above, the event under the cursor below."""
        yield LogSwitches(id="switches")
        with Vertical(id="body"):
            with Panel("Events", id="events"):
                yield LogView(self._log, id="events-log")
                yield FilterBar(
                    FIELDS,
                    blink=self.frame.blink,
                    placeholder="words, !word, level:error, receiver:XNAT, caller:CT, kind:…",
                    values={"level": LEVEL_WORDS},
                )
            with Panel("Event", id="event"), VerticalScroll(classes="scroll"):
                yield Facts(id="event-facts")

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Take what is new and show it."""
        bar, view = self.query_one(FilterBar), self.query_one(LogView)
        self._log.want(bar.wanted, self._levels)
        bar.offer(self._log.newest_fields)
        self._everything.take(engine_state.events)
        if self._audit is not None:
            self._audit.take(engine_state.events)
        cleared = with_keys("cleared; {log.clear} brings older events back")
        hidden = cleared if self._log.is_cleared else "no event of these levels"
        empty = bar.empty(hidden if self._log.total else self._nothing())
        view.show(snapshot.taken_at, empty)
        self._show_head(engine_state)
        self._show_event(snapshot)

    def _nothing(self) -> str:
        if self._audit is None:
            return "nothing has happened yet"
        return self._older_audited or "nobody did anything yet"

    def _show_head(self, engine_state: EngineState) -> None:
        bar, view, counts = self.query_one(FilterBar), self.query_one(LogView), self._log.counts
        held = self._paused_reading is not None
        self.query_one(LogSwitches).show(self._levels, counts, view, held=held)
        shown, total = len(self._log), self._log.total
        title = bar.count(shown, total)
        if not bar.wanted and shown < total:
            title = f"{shown:,} of {total:,}"
        lost = f"   {engine_state.dropped:,} older ones gone" if engine_state.dropped else ""
        back = f"   cleared, {pressed('log.clear')} brings older ones back"
        cleared = back if self._log.is_cleared else ""
        panel, note = self.panel("events"), "newest first"
        if self._audit is None:
            panel.rename("Events")
        else:
            panel.rename("Audit log")
            note = f"{pressed('log.audit')} shows all events   newest first"
            lost = f"   {self._older_audited}" if self._older_audited else ""
        panel.describe(f"{title}{lost}{cleared}", note)

    def _show_event(self, snapshot: EngineSnapshot) -> None:
        recorded = self._recorded()
        facts = event_facts(recorded) if recorded else ()
        self.query_one(Facts).show(facts)
        title = event_headline(recorded, snapshot) if recorded else "none"
        self.panel("event").describe(title)

    def _recorded(self) -> RecordedEvent | None:
        entry = self.query_one(LogView).entry if self._built else None
        return entry.recorded if entry is not None else None

    def details(self) -> Details | None:
        """Return the event under the cursor, with what to do about it."""
        recorded, snapshot = self._recorded(), self.shown_reading.snapshot
        if recorded is None or snapshot is None:
            return None
        return event_details(recorded, snapshot.taken_at)

    # What happens

    @on(LogView.Chosen)
    def _entry_chosen(self) -> None:
        snapshot = self.shown_reading.snapshot
        if snapshot is not None:
            self._show_event(snapshot)
            self.refresh_bindings()

    @on(LogView.FollowChanged)
    def _follow_changed(self) -> None:
        self._show_head(self.shown_reading)

    # Keys

    def action_pause(self) -> None:
        """Hold the log still, or let it go on."""
        super().action_pause()
        self._show_head(self.shown_reading)

    def action_follow(self) -> None:
        """Stay at the newest event, or hold the place."""
        view = self.query_one(LogView)
        view.follow(not view.follows)
        self.show_again()

    def action_error(self, step: int) -> None:
        """Go to the next error, below or above."""
        view = self.query_one(LogView)
        row = self._log.next_error(view.row, step)
        if row is None:
            where = "below" if step > 0 else "above"
            self.app.notify(f"no error {where}", markup=False, timeout=2)
        else:
            view.go_to(row)
            view.follow(False)

    def action_levels(self) -> None:
        """Show all levels, no information, errors only, all again."""
        at = FLOORS.index(self._levels) if self._levels in FLOORS else -1
        self._set_levels(FLOORS[(at + 1) % len(FLOORS)])

    def action_toggle_level(self, name: str) -> None:
        """Show one level, or do not."""
        self._set_levels(self._levels ^ {Severity[name]})

    def _set_levels(self, levels: frozenset[Severity]) -> None:
        self._levels = levels
        self.show_again()

    def action_audit(self) -> None:
        """Show what people did, also before this run of the engine; or everything again."""
        if self._audit is not None:
            self._audit = None
        else:
            self._audit = LogModel(takes=lambda event: event.is_audited())
            self._ask_for_older(self._audit)
        self.query_one(LogView).use(self._log)
        self.show_again()

    def _ask_for_older(self, audit: LogModel) -> None:
        self._older_audited = "reading older ones…"

        self.ask(self._read_older, audit)

    async def _read_older(self, audit: LogModel) -> None:
        words = ""
        try:
            events = await self.engine.call(
                "read the audit log",
                lambda engine: engine.audited(),
                about="audit",
                changes=False,
                latest=True,
            )
        except EngineError as error:
            words = f"older ones can't be read: {safe(error.detail)}"
        else:
            audit.put_before(events)
        if audit is self._audit:
            self._older_audited = words
            self.show_again()

    def action_mark_here(self) -> None:
        """Draw a line above the newest event."""
        snapshot = self._engine_state.snapshot
        if snapshot is not None:
            self._log.mark(snapshot.taken_at)
            self.show_again()

    def action_wrap(self) -> None:
        """Show whole sentences, or one line for each event."""
        view = self.query_one(LogView)
        view.wraps = not view.wraps
        self.show_again()

    def action_times(self) -> None:
        """Say when in another way."""
        view = self.query_one(LogView)
        ways = list(TimeFormat)
        view.times = ways[(ways.index(view.times) + 1) % len(ways)]
        self.show_again()

    def action_clear_view(self) -> None:
        """Hide what is shown, or bring it back."""
        self._log.clear()
        self.show_again()

    def action_save(self) -> None:
        """Write what is shown to a file."""
        snapshot, entries = self._engine_state.snapshot, self._log.oldest_first()
        if snapshot is not None:
            self.ask(self._save, entries, usual_name(snapshot.taken_at))

    async def _save(self, entries: tuple[LogEntry, ...], suggested: str) -> None:
        shown = counted(len(entries), "line")
        sentence = f"What is shown ({shown}) as text; a name in .jsonl asks for JSON lines.\n"
        prompt = PromptDialog("Save events", sentence, suggested, blink=self.frame.blink)
        name = await self.app.push_screen_wait(prompt)
        if name:
            path = await self.engine.call(
                f"save {safe(name)}",
                lambda _: save_entries(name, entries),
                about="log",
                changes=False,
            )
            self.app.notify(f"saved to {safe(str(path))}", markup=False, timeout=5)


def event_headline(recorded: RecordedEvent, snapshot: EngineSnapshot) -> str:
    """Return level, time and receiver of an event."""
    event = recorded.event
    look = SEVERITY_STYLES[event.severity]
    about = f" · {safe(event.receiver)}" if event.receiver else ""
    return f"{look} {moment(recorded.at, snapshot.taken_at)}{about}"


def event_facts(recorded: RecordedEvent) -> list[Fact]:
    """Return what is known about an event: first what happened and what to do."""
    event = recorded.event
    facts = [("what happened", safe(event.sentence())), ("what to do", what_to_do(event))]
    times = getattr(event, "times", 1)
    facts.append(("how often", counted(times, "time") if times > 1 else ""))
    facts.append(("calling AE title", safe(event.calling_ae_title)))
    facts.append(("association", safe(event.association)))
    facts.append(("topic", safe(event.topic)))
    return [(name, value) for name, value in facts if value]
