"""The head of a section that opens and closes: a glyph, a name, and what is inside in words."""

from __future__ import annotations

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class Disclosure(Widget, can_focus=True):
    """Enter, space or a click open and close; the owner decides what that shows."""

    BINDINGS = [Binding("enter,space", "turn", "Open or close", show=False)]

    opened: reactive[bool] = reactive(False)
    words: reactive[str] = reactive("")
    """What is inside, in a few safe words."""

    class Toggled(Message):
        """Someone wants it open, or closed."""

        def __init__(self, opened: bool) -> None:
            super().__init__()
            self.opened = opened

    def __init__(self, label: str, *, id: str) -> None:
        super().__init__(id=id)
        self._label = label

    def render(self) -> Content:
        """Show whether it is open, and what is inside."""
        glyph = "▾" if self.opened else "▸"
        label = Content.styled(f"{glyph} {self._label}", "bold $text-primary")
        return Content.assemble(label, "   ", (self.words, "$text-muted"))

    def on_click(self) -> None:
        """Do what enter does."""
        self.action_turn()

    def action_turn(self) -> None:
        """Ask for the other state."""
        self.post_message(self.Toggled(not self.opened))
