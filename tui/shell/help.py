"""The help pages (keys, states, help on one panel) and the diagnostics for support."""

from __future__ import annotations

import os
import platform
import threading
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.api import ReceiverState
from tui.keys import KEYS, Key, Scope, with_keys
from tui.text import counted, duration, fit, moment, safe, size
from tui.theme import (
    ASSOCIATION_STYLES,
    FLAGS_LEGEND,
    RECEIVER_STYLES,
    REJECTING,
    Palette,
    Tone,
)
from tui.widgets.marks import MarkableTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from textual.app import App, ComposeResult
    from textual.widget import Widget

    from engine.api import EngineSnapshot, ProcessStatus
    from engine.api.status import Health
    from tui.engine_client import EngineState
    from tui.shell.screen import ConsoleScreen


KEY_WIDTH = 7
LABEL_WIDTH = 17
FILTER_WIDTH = 14
STATE_MEANINGS = {
    ReceiverState.LISTENING: "accepts associations",
    ReceiverState.DISABLED: "takes no associations, on purpose",
    ReceiverState.FAILED: "should listen but cannot; select it to see why",
    ReceiverState.DRAINING: "takes no new associations while open ones finish",
    ReceiverState.NOT_ALLOWED: "enabled, but the site allows no receivers now",
}
HINTS = (
    "Copying uses OSC 52: in tmux it needs `set -g set-clipboard on`.",
    "To select text with the mouse hold shift (option in iTerm2).",
)


class HelpScreen(ModalScreen[None]):
    """A scrolling page; escape, q, ? or f1 close it."""

    BINDINGS = [
        Binding("escape,q,question_mark,f1", "dismiss", "Close"),
        Binding("j", "scroll('down')", "Down", show=False),
        Binding("k", "scroll('up')", "Up", show=False),
    ]

    def __init__(self, title: str, page: Text) -> None:
        super().__init__()
        self._title = title
        self._page = page

    def compose(self) -> ComposeResult:
        """Build the page."""
        with Vertical(classes="box -page") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = Content("↑↓ scroll   esc closes")
            with VerticalScroll(classes="scroll"):
                yield Static(self._page, markup=False)

    def action_scroll(self, direction: str) -> None:
        """Scroll by a line."""
        scroll = self.query_one(VerticalScroll)
        (scroll.scroll_down if direction == "down" else scroll.scroll_up)(animate=False)


FILTERS = (
    ("word", "must occur somewhere in the row; so must every further one"),
    ("!word", "must not occur"),
    ("field:value", "looks in one column; part of the value is enough"),
    ("field:=value", "the whole value, not a part"),
    ('"two words"', "belong together"),
    ("since:24h", "sessions: changed since then (30m, 24h, 7d, 2026-08-24)"),
    ("status:a,b", "sessions: one of these statuses"),
    ("NEURO*01", "sessions: * stands for anything"),
)
"""How what is typed behind / is read."""


def all_keys(palette: Palette, screen: ConsoleScreen) -> Text:
    """Return the page with every key there is, the keys of the screen first."""
    page = Text(end="")
    for scope in sorted(Scope, key=lambda scope: scope not in screen.SCOPES):
        keys = [key for key in KEYS if key.scope is scope and _exists(key, screen)]
        if keys:
            page.append(f"{scope}\n", "bold")
        for key in keys:
            _append_key(page, key, palette)
        if keys:
            page.append("\n")
    _append_filters(page, palette)
    _append_states(page, palette)
    page.append("\nGood to know\n", "bold")
    page.append("\n".join(HINTS))
    return page


def help_on(widget: Widget, palette: Palette, screen: ConsoleScreen) -> tuple[str, Text]:
    """Return title and page for the focused widget, else for everything."""
    about = widget if hasattr(widget, "HELP_TITLE") else None
    if about is None:
        return "Keys and help", all_keys(palette, screen)
    page = Text(f"{with_keys(str(about.HELP))}\n\n", end="")
    page.append("Keys here\n", "bold")
    scopes = {*screen.SCOPES, Scope.VIEW}
    scopes |= {Scope.LISTS} if hasattr(about, "COLUMNS") else set()
    scopes |= {Scope.MARKS} if isinstance(about, MarkableTable) else set()
    for key in KEYS:
        if key.scope in scopes and _exists(key, screen):
            _append_key(page, key, palette)
    return str(about.HELP_TITLE), page


def _exists(key: Key, screen: ConsoleScreen) -> bool:
    if key.changes and screen.frame.read_only:
        return False
    there = {f"go.{place.name}" for place in screen.frame.places if place.screen}
    return key.scope is not Scope.SCREENS or key.id in there


def _append_key(page: Text, key: Key, palette: Palette) -> None:
    page.append("  " + fit(key.shown, KEY_WIDTH), palette.style(Tone.KEY))
    page.append(fit(key.label, LABEL_WIDTH))
    page.append(f"{key.help}\n", palette.style(Tone.MUTED))


def _append_filters(page: Text, palette: Palette) -> None:
    page.append("Filters, behind /; letter case never matters\n", "bold")
    for written, meaning in FILTERS:
        page.append("  " + fit(written, FILTER_WIDTH), palette.style(Tone.KEY))
        page.append(f"{meaning}\n", palette.style(Tone.MUTED))
    page.append("\n")


def _append_states(page: Text, palette: Palette) -> None:
    page.append("States of a receiver\n", "bold")
    for state, look in RECEIVER_STYLES.items():
        page.append("  " + fit(str(look), 11), palette.style(look.tone))
        page.append(f"{STATE_MEANINGS[state]}\n")
    page.append("  " + fit(str(REJECTING), 11), palette.style(REJECTING.tone))
    page.append("listens, but rejects every caller: the line above the screen says why\n")
    page.append("\nAssociations\n", "bold")
    looks = "   ".join(str(look) for look in ASSOCIATION_STYLES.values())
    page.append(f"  {looks}\n\nFlags\n")
    page.append(f"  {FLAGS_LEGEND}\n")


PACKAGES = ("dicomdock", "textual", "rich", "pynetdicom", "pydicom")
VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "TMUX", "LANG", "LC_ALL", "NO_COLOR")
"""What decides how the terminal behaves."""
NAME_WIDTH = 18
Fact = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ConsoleFacts:
    """What a console knows of itself."""

    versions: tuple[Fact, ...]
    settings_file: str
    terminal: tuple[Fact, ...]
    theme: str
    threads: tuple[str, ...]


def console_facts(app: App[Any], settings_file: Path | None) -> ConsoleFacts:
    """Return what this process knows."""
    width, height = app.size
    variables = tuple((name, os.environ[name]) for name in VARIABLES if name in os.environ)
    return ConsoleFacts(
        (
            ("Python", platform.python_version()),
            *((name, _version(name)) for name in PACKAGES),
            ("system", platform.platform()),
        ),
        str(settings_file) if settings_file else "none",
        (
            ("size", f"{width} × {height}"),
            ("colors", app.console.color_system or "none"),
            *variables,
        ),
        app.theme,
        tuple(thread.name for thread in threading.enumerate()),
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def diagnostics(
    console: ConsoleFacts, engine_state: EngineState, health: Health | None = None
) -> str:
    """Return everything as text for a ticket; no object's values are in it."""
    sections = {
        "Versions": console.versions,
        "Engine": _engine(engine_state),
        **({"Health": _health(health)} if health is not None else {}),
        "Console": (
            ("theme", console.theme),
            ("settings file", console.settings_file),
            ("events kept", f"{len(engine_state.events):,}, {engine_state.dropped:,} lost"),
        ),
        "Terminal": console.terminal,
        "Threads": _threads(console.threads),
    }
    return "\n\n".join(f"{title}\n{_lines(facts)}" for title, facts in sections.items())


def _health(health: Health) -> tuple[Fact, ...]:
    """Return what is wrong, and what is unwise with its remedy."""
    problems = tuple(("problem", problem) for problem in health.problems)
    advice = tuple((one.about, f"{one.what} → {one.remedy}") for one in health.advice)
    return (*problems, *advice) or (("problems", "none"),)


def _engine(engine_state: EngineState) -> tuple[Fact, ...]:
    snapshot = engine_state.snapshot
    if snapshot is None:
        return (("state", "has not answered yet"),)
    now = snapshot.taken_at
    answers = f"not since {moment(now, now)}" if engine_state.silent else "yes"
    running = (now - snapshot.started_at).total_seconds()
    return (
        ("answers", answers),
        ("version", snapshot.version),
        ("host", snapshot.host),
        ("running for", duration(running)),
        ("revision", f"{snapshot.revision:,}"),
        ("configuration", snapshot.configuration_problem or "in force"),
        *((("declared by", snapshot.declared_by),) if snapshot.declared_by else ()),
        ("data directory", snapshot.data_dir),
        ("durability", snapshot.durability),
        ("free space", size(snapshot.storage.free_bytes)),
        *_load(snapshot),
        *((f"process {p.number}", _process(p)) for p in snapshot.processes),
    )


def _load(snapshot: EngineSnapshot) -> tuple[Fact, ...]:
    states = Counter(str(status.state) for status in snapshot.receivers)
    totals = snapshot.totals
    return (
        ("receivers", ", ".join(f"{n} {state}" for state, n in states.items()) or "none"),
        ("associations", f"{len(snapshot.associations)} of {snapshot.maximum_associations}"),
        ("since start", f"{counted(totals.stored, 'object')} stored, {totals.failed:,} failed"),
        *_waiting(snapshot.sessions_waiting),
    )


def _waiting(sessions: int) -> tuple[Fact, ...]:
    return (("to be worked on", counted(sessions, "session")),) if sessions else ()


def _process(process: ProcessStatus) -> str:
    associations = counted(process.associations, "association")
    return (
        f"{associations}, {counted(process.objects, 'object')}, "
        f"{process.cpu_seconds:.1f} s of CPU, {size(process.memory_bytes)}"
    )


def _threads(names: Iterable[str]) -> tuple[Fact, ...]:
    kinds = Counter(name.rstrip("0123456789-_ ") or name for name in names)
    return tuple((safe(kind, NAME_WIDTH - 1), str(n)) for kind, n in sorted(kinds.items()))


def _lines(facts: Iterable[Fact]) -> str:
    return "\n".join(f"  {fit(name, NAME_WIDTH)}{safe(value)}" for name, value in facts)
