"""Asks what to do: several answers, Cancel among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

CANCEL = "cancel"


class AnswersScreen(ModalScreen[str]):
    """Returns the id of the chosen answer; escape and Cancel return None."""

    AUTO_FOCUS = f"#{CANCEL}"
    BINDINGS = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]

    def __init__(
        self, title: str, text: str, answers: Sequence[tuple[str, str]], *, danger: bool = False
    ) -> None:
        """Take safe texts; each answer is an identifier and its words."""
        super().__init__()
        self._question = title
        self._text = text
        self._answers = tuple(answers)
        self._danger = danger

    def compose(self) -> ComposeResult:
        """Build the box, Cancel first."""
        with Vertical(classes="box -danger" if self._danger else "box") as box:
            box.border_title = Content(self._question)
            with VerticalScroll(can_focus=False, classes="scroll"):
                yield Static(self._text, markup=False, classes="sentence")
            with Horizontal(classes="buttons"):
                yield Button(Content("Cancel  esc"), id=CANCEL)
                for name, words in self._answers:
                    variant = "error" if self._danger else "primary"
                    yield Button(Content(words), id=name, variant=variant)  # type: ignore[arg-type]

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(None if event.button.id == CANCEL else event.button.id)
