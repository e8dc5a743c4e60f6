"""The entries of the command palette that several screens add."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tui.engine_client import GoRequested, ReceiverWanted, SwitchRequested
from tui.shell.screen import PaletteEntry
from tui.shell.status import is_barred
from tui.text import safe
from tui.widgets.filter import term

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.message import Message

    from engine.api import ReceiverStatus
    from tui.shell.screen import ConsoleScreen


def navigation_entries(screen: ConsoleScreen) -> Iterator[PaletteEntry]:
    """Offer the ways to what is of each receiver, from a screen that is about something else."""
    snapshot = screen.engine_state.snapshot
    for status in snapshot.receivers if snapshot else ():
        yield from receiver_ways(screen, status)


def receiver_ways(screen: ConsoleScreen, status: ReceiverStatus) -> Iterator[PaletteEntry]:
    """Offer a receiver's own screen, the sessions that it brought and its events."""
    label, there = status.receiver.label, {p.name for p in screen.frame.places if p.screen}
    only = term("receiver", label, exact=True)
    shows = ReceiverWanted(status.receiver.id)
    ways: tuple[tuple[str, str, str, Message], ...] = (
        ("dashboard", "go: Receiver", "its settings, traffic, associations and objects", shows),
        ("sessions", "go: Sessions received by", "prearchive first; ] goes on to the archive",
         GoRequested("sessions", only)),
        ("log", "log: Events of", "filters the log", GoRequested("log", only)),
    )  # fmt: skip
    for place, name, detail, request in ways:
        if place in there:
            ask = partial(screen.post_message, request)
            yield PaletteEntry(f"{name} {safe(label)}", detail, "", ask)


def site_entries(screen: ConsoleScreen) -> Iterator[PaletteEntry]:
    """Offer what concerns the whole installation."""
    if screen.frame.read_only:
        return
    snapshot = screen.engine_state.snapshot
    if snapshot is not None and snapshot.receivers:
        barred = is_barred(snapshot)
        yield PaletteEntry(
            "site: Allow DICOM receivers" if barred else "site: Allow no DICOM receivers",
            "they are not allowed now" if barred else "the switch over all receivers (asks)",
            "B",
            partial(screen.post_message, SwitchRequested(allowed=barred)),
        )
