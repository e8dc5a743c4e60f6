"""The help: all keys by place, what states and letters mean, or help on one panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.view import ReceiverState
from tui.bindings import KEYS, Key, Scope
from tui.text import fit
from tui.theme import (
    ASSOCIATION_LOOKS,
    RECEIVER_LOOKS,
    Palette,
    Tone,
)
from tui.widgets.markable_table import MarkableTable
from tui.widgets.receivers_table import FLAGS

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widget import Widget

    from tui.screens.console_screen import ConsoleScreen

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
    page = Text(f"{about.HELP}\n\n", end="")
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
    for state, look in RECEIVER_LOOKS.items():
        page.append("  " + fit(str(look), 11), palette.style(look.tone))
        page.append(f"{STATE_MEANINGS[state]}\n")
    page.append("\nAssociations\n", "bold")
    looks = "   ".join(str(look) for look in ASSOCIATION_LOOKS.values())
    page.append(f"  {looks}\n\nFlags\n")
    page.append("  " + "   ".join(f"{letter} {word}" for letter, _, word in FLAGS) + "\n")
