"""A screen that shows what it asked the engine for: greyed, with the reason, while that fails."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.widgets import Static

from tui.screens.console_screen import ConsoleScreen, Painted
from tui.screens.offers import Offer
from tui.text import cut, safe
from tui.theme import palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.errors import EngineError
    from tui.screens.console_screen import Frame
    from tui.theme import Palette

RETRY = "asks again by itself, r at once"


class FetchingScreen(ConsoleScreen):
    """Subclasses say in `problem` why what they show may be old."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._stale = False
        self._wants_news = False
        self._was_seen = False

    @property
    def problem(self) -> EngineError | None:
        """Why the last answer is missing; None if it is there."""
        return None

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        super().paint(palette)
        if self._stale:
            self._paint_body(palette.greyed())

    def show_staleness(self) -> None:
        """Grey what may be old and say why, or end that."""
        if not self._built:
            return
        self._say_problem()
        stale = self.problem is not None
        if stale != self._stale:
            self._stale = stale
            palette = palette_of(self.app.current_theme)
            grey = stale or self._reading.silent
            self._paint_body(palette.greyed() if grey else palette)

    def _paint_body(self, palette: Palette) -> None:
        for widget in self.query("#body *"):
            if isinstance(widget, Painted):
                widget.paint(palette)

    def problem_line(self) -> Static:
        """Return the line that says why what is shown may be old; seen only then."""
        line = Static("", id="not-read", markup=False)
        line.display = False
        return line

    def _say_problem(self) -> None:
        line, words = self.query_one("#not-read", Static), problem_words(self.problem)
        if words:
            line.update(f"✗ not read: {words}; {RETRY}")
        line.display = bool(words)

    def offers(self) -> Iterator[Offer]:
        """Offer the error too, for a report."""
        words = problem_words(self.problem)
        if words:
            copy = partial(self.app.copy_to_clipboard, words)
            yield Offer("error: Copy why nothing newer is read", cut(words, 70), "", copy)
        yield from super().offers()

    def on_screen_resume(self) -> None:
        """Ask anew: while hidden nothing was asked."""
        self._wants_news, self._was_seen = self._was_seen, True
        super().on_screen_resume()

    def action_look_again(self) -> None:
        """Ask the engine again now."""
        self._wants_news = True
        self.show_again()


def problem_words(error: EngineError | None) -> str:
    """Return what went wrong and what to do; safe text, empty without an error."""
    if error is None:
        return ""
    remedy = f"; {safe(error.remedy)}" if error.remedy else ""
    return safe(error.detail) + remedy
