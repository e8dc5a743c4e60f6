"""Says something that deserves more than a toast: an error with its remedy, or a row's details."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from tui.text import safe
from tui.widgets.hanging_text import HangingText

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Key

SCROLL_KEYS = {
    "up": "scroll_up",
    "k": "scroll_up",
    "down": "scroll_down",
    "j": "scroll_down",
    "pageup": "scroll_page_up",
    "pagedown": "scroll_page_down",
    "home": "scroll_home",
    "end": "scroll_end",
}


class MessageScreen(ModalScreen[None]):
    """Shows title, detail and remedy; ``y`` copies them, any key but those that scroll closes."""

    def __init__(self, title: str, detail: str, remedy: str = "", *, error: bool = True) -> None:
        super().__init__()
        self._title = safe(title)
        self._detail = "\n".join(safe(line) for line in detail.split("\n"))
        self._remedy = safe(remedy)
        self._error = error

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box -danger" if self._error else "box") as box:
            glyph = "✗ " if self._error else ""
            box.border_title = Content(f"{glyph}{self._title}")
            box.border_subtitle = Content("y copy   any other key closes")
            with VerticalScroll(can_focus=False, classes="scroll"):
                yield HangingText(self._text())

    def on_key(self, event: Key) -> None:
        """Copy, scroll or close; the key goes no further."""
        event.stop()
        event.prevent_default()
        if event.key == "y":
            self.app.copy_to_clipboard(self._plain())
            self.app.notify("copied", markup=False, timeout=2)
        elif event.key in SCROLL_KEYS:
            getattr(self.query_one(VerticalScroll), SCROLL_KEYS[event.key])(animate=False)
        else:
            self.dismiss()

    def _text(self) -> Content:
        if not self._remedy:
            return Content(self._detail)
        return Content.assemble(self._detail, "\n\n", ("What to do: ", "bold"), self._remedy)

    def _plain(self) -> str:
        return f"{self._title}\n{self._text().plain}"
