"""What the log shows and how, above it: levels, follow, wrap, times; each can be clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from engine.events import Severity
from tui.forms.event_log import LEVELS

if TYPE_CHECKING:
    from collections import Counter

    from tui.widgets.log_view import LogView

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
