"""The receiver keys, for every screen with a selected receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.engine_client import ReceiverCommand
from tui.keys import possible
from tui.shell.screen import ConsoleScreen

if TYPE_CHECKING:
    from engine.api import ReceiverStatus


class ReceiverActions(ConsoleScreen):
    """A screen whose `Scope.RECEIVERS` keys act on its `selected` receiver."""

    @property
    def selected(self) -> ReceiverStatus | None:
        """The receiver that keys act on, as the newest reading has it."""
        return None

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what the receiver's state forbids, grey what it forbids only for now."""
        if action != "receiver":
            return super().check_own(action, parameters)
        name = str(parameters[0])
        if possible(name, self.selected):
            return True
        return None if self.has_content and name in ("edit", "delete", "echo") else False

    def action_receiver(self, name: str) -> None:
        """Ask for an action on the selected receiver."""
        status = self.selected
        self.post_message(ReceiverCommand(name, status.receiver.id if status else 0))
