"""The receiver keys and palette entries, for every screen with a selected receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.engine_client import ReceiverCommand
from tui.keys import KEYS, Scope, possible
from tui.shell.palette import receiver_ways
from tui.shell.screen import ConsoleScreen, PaletteEntry
from tui.text import counted, safe
from tui.theme import RECEIVER_STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import ReceiverStatus


class ReceiverActions(ConsoleScreen):
    """A screen whose `Scope.RECEIVERS` keys act on its `selected` receiver."""

    OFFERS_RECEIVERS = True

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


def receiver_entries(
    screen: ConsoleScreen, selected: ReceiverStatus | None
) -> Iterator[PaletteEntry]:
    """Offer a new receiver, and what can be done with each; the selected one comes first."""

    def offer(action: str, label: str, detail: str, key: str, receiver_id: int) -> PaletteEntry:
        command = ReceiverCommand(action, receiver_id)
        return PaletteEntry(label, detail, key, lambda: screen.post_message(command))

    read_only = screen.frame.read_only
    if not read_only:
        yield offer("new", "receiver: New", "create a receiver", "n", 0)
    snapshot = screen.engine_state.snapshot
    statuses = sorted(snapshot.receivers if snapshot else (), key=lambda s: s != selected)
    for status in statuses:
        name = safe(status.receiver.label)
        for key in KEYS:
            action = key.argument
            here = key.scope is Scope.RECEIVERS and action != "new"
            if here and possible(action, status) and not (read_only and key.changes):
                shown = key.shown if status == selected else ""
                label = f"receiver: {key.label} {name}"
                yield offer(action, label, _detail(status), shown, status.receiver.id)

        yield from receiver_ways(screen, status)


def _detail(status: ReceiverStatus) -> str:
    look = RECEIVER_STYLES[status.state]
    return f"{look} · {counted(status.open_associations, 'open association')}"
