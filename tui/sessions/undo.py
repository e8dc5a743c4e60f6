"""The dialog that shows the last actions of everybody on sessions, and asks which is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.sessions.words import action_line, undo_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api.sessions import PastAction


class UndoDialog(ModalScreen["PastAction | None"]):
    """Returns the action that is to be undone; escape returns nothing."""

    BINDINGS = [Binding("escape", "dismiss", "Cancel")]

    def __init__(self, actions: Sequence[PastAction], now: datetime) -> None:
        """Take the actions, the newest first."""
        super().__init__()
        self._actions = tuple(actions)
        self._now = now

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box -wide") as box:
            box.border_title = Content("Undo an action on a session")
            box.border_subtitle = Content("↑↓ choose   ⏎ undo   esc cancel")
            if not self._actions:
                yield Static("Nobody did anything with a session yet.", markup=False)
                return
            lines = [Option(Content(action_line(one, self._now))) for one in self._actions]
            yield OptionList(*lines, id="actions", compact=True, markup=False)
            yield Static("", id="about", markup=False)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.query_one("#about", Static).update(undo_words(self._actions[event.option_index]))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        action = self._actions[event.option_index]
        if action.why_not:
            self.app.bell()
        else:
            self.dismiss(action)
