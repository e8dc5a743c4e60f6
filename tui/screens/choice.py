"""A short question or notice on top of another screen, with the safe answer focused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult


class ChoiceDialog(ModalScreen[bool]):
    """Asks one question; True means that the first answer was chosen, escape never does."""

    CSS_PATH = "../styles/dialog.tcss"
    AUTO_FOCUS = "#refuse"
    BINDINGS = [
        ("escape,f1", "refuse", "Close"),
        ("left,up", "app.focus_previous", "Previous"),
        ("right,down", "app.focus_next", "Next"),
    ]

    def __init__(self, title: str, text: str, *, refuse: str, accept: str = "") -> None:
        """Prepare the question; without `accept` it is a notice that can only be closed."""
        super().__init__()
        self._title = title
        self._text = text
        self._refuse = refuse
        self._accept = accept

    def compose(self) -> ComposeResult:
        """Lay out the text above the answers."""
        with Vertical(id="choice") as box:
            box.border_title = Content(self._title)
            with VerticalScroll(can_focus=False):
                yield Static(self._text, markup=False)
            with Horizontal(id="answers"):
                if self._accept:
                    yield Button(Content(self._accept), id="accept", compact=True)
                yield Button(Content(self._refuse), id="refuse", variant="primary", compact=True)

    @on(Button.Pressed)
    def answer(self, event: Button.Pressed) -> None:
        """Close with the answer."""
        event.stop()
        self.dismiss(event.button.id == "accept")

    def action_refuse(self) -> None:
        """Close without accepting."""
        self.dismiss(False)
