"""What the palette finds by name on every screen: settings, projects, senders and sessions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from textual.command import Hit, Hits, Provider

from engine.errors import EngineError
from engine.model.identity import UNASSIGNED
from tui.engine_client import GoRequested, SettingsCommand
from tui.sessions.words import AREA_NAMES
from tui.settings.tables import SECTIONS
from tui.shell.palette import as_hit
from tui.shell.screen import ConsoleScreen, PaletteEntry
from tui.text import safe
from tui.widgets.filter import term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.api import EngineView
    from engine.api.senders import Sender
    from engine.api.sessions import Found
    from engine.model.project import Project
    from tui.engine_client import EngineClient
    from tui.sessions.find import Finding

T = TypeVar("T")

PAUSE_SECONDS = 0.2
"""Sessions are looked for after so long without another key."""
MOST_HITS = 10
"""Of one kind: a palette is no list."""
SHORTEST = 3
"""A shorter text is in too many sessions."""


@dataclass(frozen=True, slots=True)
class Names:
    """What does not change while a palette is open."""

    projects: tuple[Project, ...]
    senders: tuple[Sender, ...]


class NamesHost(Protocol):
    """The part of `tui.app.ConsoleApp` that is used."""

    engine: EngineClient

    def show_found(self, found: Finding) -> None:
        """Show a session."""


class NamedThings(Provider):
    """Finds by name; what is offered on a screen without typing is elsewhere."""

    _names: Names | None = None

    async def search(self, query: str) -> Hits:
        """Offer what has the query in its name, letter case ignored."""
        screen, word = self.screen, query.strip().casefold()
        if not isinstance(screen, ConsoleScreen) or not word:
            return
        if screen.PLACE != "site":  # it offers these by itself
            for entry in _settings(screen):
                if word in entry.name.casefold():
                    yield self._hit(query, entry)
        await asyncio.sleep(PAUSE_SECONDS)  # another key ends this search meanwhile
        try:
            if self._names is None:
                self._names = await self._call(_names)
            named = (*_projects(screen, self._names), *_senders(screen, self._names))
            for entry in islice((e for e in named if word in e.name.casefold()), 2 * MOST_HITS):
                yield self._hit(query, entry)
            if len(word) >= SHORTEST:
                for entry in self._sessions(await self._call(partial(_find, query.strip()))):
                    # What was found by a UID or number has nothing of the query in its name.
                    yield Hit(0.5, *as_hit(entry))
        except EngineError:
            return  # the header says that the engine does not answer

    def _hit(self, query: str, entry: PaletteEntry) -> Hit:
        score, offsets = self.matcher(query).fuzzy_search.match(query, entry.name)
        return Hit(score or 0.5, *as_hit(entry, offsets, self.match_style))

    async def _call(self, look: Callable[[EngineView], T]) -> T:
        app = cast("NamesHost", self.app)
        return await app.engine.call("look for a name", look, changes=False)

    def _sessions(self, found: Found) -> Iterator[PaletteEntry]:
        app = cast("NamesHost", self.app)
        for one in found.sessions[:MOST_HITS]:
            session = one.session
            name = f"session: {safe(session.label, 60)}"
            place = f"{safe(session.project or UNASSIGNED)}, {AREA_NAMES[session.area].lower()}"
            yield PaletteEntry(
                name, f"{place}; found by {one.by}", "", partial(app.show_found, one)
            )


def _settings(screen: ConsoleScreen) -> Iterator[PaletteEntry]:
    if screen.frame.read_only:
        return
    for section in SECTIONS:
        if section.name not in ("projects", "studies"):
            edit = partial(screen.post_message, SettingsCommand("edit", section.name))
            yield PaletteEntry(
                f"settings: Edit {section.label.casefold()}", section.about, "", edit
            )
    new = partial(screen.post_message, SettingsCommand("new", "projects"))
    yield PaletteEntry("settings: New project", "add a project", "", new)


def _projects(screen: ConsoleScreen, names: Names) -> Iterator[PaletteEntry]:
    for project in names.projects:
        name, title = safe(project.id), safe(project.title, 60) or "a project"
        request = GoRequested("sessions", term("project", project.id, exact=True))
        show = partial(screen.post_message, request)
        yield PaletteEntry(f"project: Sessions of {name}", title, "", show)
        if screen.PLACE != "site" and not screen.frame.read_only:
            edit = partial(screen.post_message, SettingsCommand("edit", "projects", project.id))
            yield PaletteEntry(f"project: Edit {name}", title, "", edit)


def _senders(screen: ConsoleScreen, names: Names) -> Iterator[PaletteEntry]:
    for title in dict.fromkeys(sender.calling_ae_title for sender in names.senders):
        request = GoRequested("senders", term("caller", title, exact=True))
        show = partial(screen.post_message, request)
        yield PaletteEntry(f"sender: {safe(title)}", "its volumes, failures and events", "", show)


def _names(engine: EngineView) -> Names:
    return Names(engine.projects(), engine.senders.list(limit=1_000).senders)


def _find(text: str, engine: EngineView) -> Found:
    return engine.sessions.find(text)
