"""The actions that screens add to the command palette."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tui.associations.table import when_rejected
from tui.engine_client import (
    AllowRequested,
    GoRequested,
    ReceiverCommand,
    ReceiverWanted,
    SwitchRequested,
)
from tui.keys import KEYS, Scope, possible
from tui.shell.status import is_barred
from tui.text import counted, host_of, safe
from tui.theme import RECEIVER_STYLES
from tui.widgets.filter import term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from textual.message import Message

    from engine.api import AssociationStatus, ReceiverStatus
    from tui.shell.screen import ConsoleScreen

MAX_CALLERS = 10
"""So many rejected callers are offered to be let in, the newest first."""


class PaletteEntry(NamedTuple):
    """One line of the palette."""

    name: str
    """Such as ``receiver: Edit XNAT:8104``; safe text."""
    detail: str
    shown: str
    """The key, if there is one."""
    run: Callable[[], object]


def key_entries(screen: ConsoleScreen, scopes: Iterable[Scope]) -> Iterator[PaletteEntry]:
    """Offer what keys of some scopes do, as far as they work on the screen now."""
    for key in KEYS:
        if key.scope in scopes and screen.check_action(key.verb, _parameters(key.argument)):
            name = f"{key.scope.lower()}: {key.label}"
            yield PaletteEntry(name, key.help, key.shown, partial(screen.run_action, key.action))


def _parameters(argument: str) -> tuple[object, ...]:
    return (argument,) if argument else ()


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

        yield from _go_offers(screen, status)


def navigation_entries(screen: ConsoleScreen) -> Iterator[PaletteEntry]:
    """Offer the ways to what is of each receiver, from a screen that is about something else."""
    snapshot = screen.engine_state.snapshot
    for status in snapshot.receivers if snapshot else ():
        yield from _go_offers(screen, status)


def _go_offers(screen: ConsoleScreen, status: ReceiverStatus) -> Iterator[PaletteEntry]:
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


def _detail(status: ReceiverStatus) -> str:
    look = RECEIVER_STYLES[status.state]
    return f"{look} · {counted(status.open_associations, 'open association')}"


def caller_entries(
    screen: ConsoleScreen, chosen: AssociationStatus | None
) -> Iterator[PaletteEntry]:
    """Offer to let rejected callers in."""
    from tui.associations.allow import allow_form

    snapshot = screen.engine_state.snapshot
    if snapshot is None or screen.frame.read_only:
        return
    rejected = [a for a in snapshot.ended_associations if allow_form(a, snapshot)]
    for association in rejected[:MAX_CALLERS]:
        caller, called = safe(association.calling_ae_title), safe(association.called_ae_title)
        yield PaletteEntry(
            f"association: Allow {caller} in {called}",
            f"rejected {when_rejected(association)} from {safe(host_of(association.address))}",
            "w" if association == chosen else "",
            partial(screen.post_message, AllowRequested(association)),
        )


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
