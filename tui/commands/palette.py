"""The palette: offers every action that applies now, by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider, SearchIcon
from textual.content import Content
from textual.widgets import Input

from tui.bindings import BY_ID, KEYS, Scope, possible
from tui.commands.receivers import name_of
from tui.forms.allow_form import allow_form
from tui.link import AllowRequested, ReceiverCommand, SwitchRequested, UndoRequested
from tui.screens.dashboard import DashboardScreen
from tui.text import counted, host_of, safe
from tui.theme import RECEIVER_LOOKS, THEMES
from tui.widgets.associations_table import when_rejected
from tui.widgets.banners import is_barred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.app import App
    from textual.style import Style

    from engine.view import ReceiverStatus


MAX_CALLERS = 10
"""So many rejected callers are offered to be let in, the newest first."""


class Offer(NamedTuple):
    """One line of the palette."""

    name: str
    """Such as ``receiver: Edit XNAT:8104``; safe text."""
    detail: str
    shown: str
    """The key, if there is one."""
    run: Callable[[], object]


class ConsoleCommands(Provider):
    """Offers every action that applies now."""

    async def discover(self) -> Hits:
        """Offer everything."""
        for offer in self._offers():
            yield DiscoveryHit(_display(Content(offer.name), offer), offer.run, offer.name)

    async def search(self, query: str) -> Hits:
        """Offer what matches, the matching letters marked."""
        matcher = self.matcher(query)
        for offer in self._offers():
            score, offsets = matcher.fuzzy_search.match(query, offer.name)
            if score > 0:
                name = _marked(offer.name, offsets, self.match_style)
                yield Hit(score, _display(name, offer), offer.run, offer.name)

    def _offers(self) -> Iterator[Offer]:
        dashboard = self.screen
        if isinstance(dashboard, DashboardScreen):
            yield from _receiver_offers(dashboard)
            yield from _caller_offers(dashboard)
            yield from _site_offers(dashboard)
            yield from _view_offers(dashboard)
        yield from _app_offers(self.app)


def _receiver_offers(dashboard: DashboardScreen) -> Iterator[Offer]:
    def offer(action: str, label: str, detail: str, key: str, receiver_id: int) -> Offer:
        command = ReceiverCommand(action, receiver_id)
        return Offer(label, detail, key, lambda: dashboard.post_message(command))

    yield offer("new", "receiver: New", "create a receiver", "n", 0)
    selected = dashboard.selected
    statuses = list(dashboard.reading.snapshot.receivers) if dashboard.reading.snapshot else []
    statuses.sort(key=lambda status: status != selected)
    for status in statuses:
        name = name_of(status.receiver)
        for key in KEYS:
            action = key.action.removeprefix("receiver('").removesuffix("')")
            if key.scope is Scope.RECEIVERS and action != "new" and possible(action, status):
                label = f"receiver: {key.label} {name}"
                shown = key.shown if status == selected else ""
                yield offer(action, label, _detail(status), shown, status.receiver.id)


def _caller_offers(dashboard: DashboardScreen) -> Iterator[Offer]:
    snapshot = dashboard.reading.snapshot
    if snapshot is None:
        return
    rejected = [a for a in snapshot.ended_associations if allow_form(a, snapshot)]
    for association in rejected[:MAX_CALLERS]:
        caller, called = safe(association.calling_ae_title), safe(association.called_ae_title)
        yield Offer(
            f"association: Allow {caller} in {called}",
            f"rejected {when_rejected(association)} from {safe(host_of(association.address))}",
            "w" if association == dashboard.rejected_caller else "",
            partial(dashboard.post_message, AllowRequested(association)),
        )


def _site_offers(dashboard: DashboardScreen) -> Iterator[Offer]:
    snapshot = dashboard.reading.snapshot
    if snapshot is not None and snapshot.receivers:
        barred = is_barred(snapshot)
        yield Offer(
            "site: Allow DICOM receivers" if barred else "site: Allow no DICOM receivers",
            "they are not allowed now" if barred else "the switch over all receivers (asks)",
            "B",
            partial(dashboard.post_message, SwitchRequested(allowed=barred)),
        )
    yield Offer(
        "configuration: Undo last change",
        "as a new revision (asks)",
        "",
        lambda: dashboard.post_message(UndoRequested()),
    )


def _detail(status: ReceiverStatus) -> str:
    look = RECEIVER_LOOKS[status.state]
    return f"{look} · {counted(status.open_associations, 'open association')}"


def _view_offers(dashboard: DashboardScreen) -> Iterator[Offer]:
    for key in KEYS:
        if key.scope is not Scope.VIEW:
            continue
        name, _, argument = key.action.removesuffix("')").partition("('")
        if dashboard.check_action(name, (argument,)):
            yield Offer(
                f"view: {key.label}",
                key.help,
                key.shown,
                partial(dashboard.run_action, key.action),
            )


def _app_offers(app: App[Any]) -> Iterator[Offer]:
    for key_id in ("app.help", "app.help_here"):
        key = BY_ID[key_id]
        run = getattr(app, f"action_{key.action}")
        yield Offer(f"help: {key.label}", key.help, key.shown, run)
    for theme in THEMES:
        if theme.name != app.theme:
            yield Offer(
                f"theme: {theme.name}",
                "change the colors",
                "",
                partial(setattr, app, "theme", theme.name),
            )
    quit_key = BY_ID["app.quit"]
    yield Offer("console: Quit", quit_key.help, quit_key.shown, app.action_quit)


def _marked(name: str, offsets: Any, style: Style | None) -> Content:
    content = Content(name)
    for offset in offsets:
        if style is not None and not name[offset].isspace():
            content = content.stylize(style, offset, offset + 1)
    return content


def _display(name: Content, offer: Offer) -> Content:
    key = f"   {offer.shown}" if offer.shown else ""
    return Content.assemble(name, (key, "$key"), "\n  ", (offer.detail, "dim not bold"))


class ConsolePalette(CommandPalette):
    """The palette with our look and no wide glyphs."""

    def __init__(self, *, blink: bool, **options: Any) -> None:
        super().__init__(**options)
        self._blink = blink

    def on_mount(self) -> None:
        """Set up the parts that Textual made."""
        self.query_one(SearchIcon).icon = ">"
        self.query_one(Input).cursor_blink = self._blink
