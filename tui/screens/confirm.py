"""Asks before something that cannot be undone; the safe answer comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult


class ConfirmScreen(ModalScreen[bool]):
    """Shows what will happen and returns whether it may."""

    BINDINGS = [
        Binding("escape", "answer(False)", "Cancel"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, title: str, sentence: str, verb: str) -> None:
        """Take safe texts: the question, its consequence, and the word for doing it."""
        super().__init__()
        self._question = title
        self._sentence = sentence
        self._verb = verb

    def compose(self) -> ComposeResult:
        """Build the box, Cancel first."""
        with Vertical(classes="box -danger") as box:
            box.border_title = Content(self._question)
            yield Static(self._sentence, markup=False, classes="sentence")
            with Horizontal(classes="buttons"):
                yield Button(Content("Cancel  esc"), id="cancel")
                yield Button(Content(self._verb), id="confirm", variant="error")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(False)

    @on(Button.Pressed, "#confirm")
    def _confirm(self) -> None:
        self.dismiss(True)

    def action_answer(self, answer: bool) -> None:
        """Answer by key."""
        self.dismiss(answer)
