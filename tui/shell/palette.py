"""The command palette: it lists every action that applies now, by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual import on
from textual.command import (
    CommandList,
    CommandPalette,
    DiscoveryHit,
    Hit,
    Hits,
    Provider,
    SearchIcon,
)
from textual.content import Content
from textual.widgets import Input

from tui.engine_client import GoRequested, ReceiverWanted, SwitchRequested
from tui.keys import BY_ID, pressed, with_keys
from tui.shell.health import is_barred
from tui.shell.screen import ConsoleScreen, PaletteEntry
from tui.text import safe
from tui.widgets.filter import term

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from textual.message import Message
    from textual.style import Style
    from textual.theme import Theme

    from engine.api import ReceiverStatus
    from tui.shell.screen import ScreenContext


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
        ("sessions", "go: Sessions received by",
         with_keys("prearchive first; {area.next} goes on to the archive"),
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
            pressed("site.bar"),
            partial(screen.post_message, SwitchRequested(allowed=barred)),
        )


class PaletteHost(Protocol):
    """The part of `tui.app.ConsoleApp` that the palette offers."""

    console_themes: Sequence[Theme]
    theme: str
    frame: ScreenContext

    def go(self, name: str) -> None:
        """Show a screen."""

    def choose_theme(self, name: str) -> None:
        """Use a theme."""

    def action_undo(self) -> None:
        """Ask to take back the newest change."""

    def action_quit(self) -> Awaitable[None]:
        """Leave the console."""
        ...


class ConsoleCommands(Provider):
    """Offers every action that applies now."""

    async def discover(self) -> Hits:
        """Offer everything."""
        for offer in self._entries():
            yield DiscoveryHit(*as_hit(offer))

    async def search(self, query: str) -> Hits:
        """Offer what matches, the matching letters marked."""
        matcher = self.matcher(query)
        for offer in self._entries():
            score, offsets = matcher.fuzzy_search.match(query, offer.name)
            if score > 0:
                yield Hit(score, *as_hit(offer, offsets, self.match_style))
        if isinstance(self.screen, ConsoleScreen):
            for offer in self.screen.impossible_entries():
                score, offsets = matcher.fuzzy_search.match(query, offer.name)
                if score > 0:  # behind what is possible
                    yield Hit(score / 2, *as_hit(offer, offsets, self.match_style))

    def _entries(self) -> Iterator[PaletteEntry]:
        app = cast("PaletteHost", self.app)
        if isinstance(self.screen, ConsoleScreen):
            yield from self.screen.palette_entries()
            if not self.screen.OFFERS_RECEIVERS:
                yield from navigation_entries(self.screen)
            yield from _navigation_entries(app, self.screen)
        yield from _app_entries(app)


def _navigation_entries(app: PaletteHost, screen: ConsoleScreen) -> Iterator[PaletteEntry]:
    for place in screen.frame.places:
        if place.screen and (place.name != screen.PLACE or screen.crumbs()):
            shown, go = place.number, partial(app.go, place.name)
            yield PaletteEntry(f"go: {place.label}", f"screen {place.number}", shown, go)


def _app_entries(app: PaletteHost) -> Iterator[PaletteEntry]:
    if not app.frame.read_only:
        detail = "shows what that changes, and asks"
        yield PaletteEntry(
            "configuration: Undo last change", detail, pressed("app.undo"), app.action_undo
        )
    for key_id in ("app.help", "app.help_here", "app.diagnostics"):
        key = BY_ID[key_id]
        run = getattr(app, f"action_{key.action}")
        yield PaletteEntry(f"help: {key.label}", key.help, key.shown, run)
    for theme in app.console_themes:
        if theme.name != app.theme:
            choose = partial(app.choose_theme, theme.name)
            yield PaletteEntry(f"theme: {theme.name}", "change the colors", "", choose)
    quit_key = BY_ID["app.quit"]
    yield PaletteEntry("console: Quit", quit_key.help, quit_key.shown, app.action_quit)


def _marked(name: str, offsets: Any, style: Style | None) -> Content:
    content = Content(name)
    for offset in offsets:
        if style is not None and not name[offset].isspace():
            content = content.stylize(style, offset, offset + 1)
    return content


def as_hit(
    entry: PaletteEntry, offsets: Sequence[int] = (), style: Style | None = None
) -> tuple[Content, Callable[[], object], str]:
    """Return a hit's words, action and text; `offsets` are the places of matching letters."""
    return _display(_marked(entry.name, offsets, style), entry), entry.run, entry.name


def _display(name: Content, offer: PaletteEntry) -> Content:
    key = f"   {offer.shown}" if offer.shown else ""
    return Content.assemble(name, (key, "$key"), "\n  ", (offer.detail, "dim not bold"))


class ConsolePalette(CommandPalette):
    """The palette with our look and no wide glyphs."""

    def __init__(self, *, blink: bool, **options: Any) -> None:
        super().__init__(**options)
        self._blink = blink
        self._listed = ""
        """The words that the list is of; while a search goes on, those before."""
        self._enter_waits = False

    def on_mount(self) -> None:
        """Set up the parts that Textual made."""
        self.query_one(SearchIcon).icon = ">"
        self.query_one(Input).cursor_blink = self._blink
        self.query_one("#--input").border_subtitle = Content("esc close")
        self.query_one(CommandList).border_subtitle = Content("↑↓ choose   ⏎ run   esc close")

    @on(Input.Changed)
    def _typed(self) -> None:
        self._enter_waits = False

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        """Hold the Enter until the list is that of the words, else it would run another action."""
        if self._list_visible and event.value != self._listed:
            self._enter_waits = True
            event.prevent_default()
            event.stop()

    def _refresh_command_list(self, *arguments: Any) -> None:
        super()._refresh_command_list(*arguments)
        self._listed = self.query_one(Input).value
        if self._enter_waits:
            self._enter_waits = False
            self._select_or_command()
