"""Asks for one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult


class PromptScreen(ModalScreen[str]):
    """Returns what was typed; escape returns nothing."""

    BINDINGS = [Binding("escape", "dismiss", "Cancel")]

    def __init__(self, title: str, sentence: str, value: str, *, blink: bool) -> None:
        """Take safe texts, and what is suggested."""
        super().__init__()
        self._question = title
        self._sentence = sentence
        self._value = value
        self._blink = blink

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._question)
            box.border_subtitle = Content("⏎ save   esc cancel")
            yield Static(self._sentence, markup=False, classes="sentence")
            field = Input(self._value, id="answer", compact=True, select_on_focus=False)
            field.cursor_blink = self._blink
            yield field

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.dismiss(event.value.strip())
