"""Where one is: the row of screens, and the way to a deeper screen."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from tui.keys import pressed
from tui.text import cut, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api import EngineSnapshot
    from tui.places import ScreenSpec


class Breadcrumb(Widget):
    """Shows where one is, and the key that leads back."""

    def __init__(self) -> None:
        super().__init__(id="crumbs")
        self._crumbs: tuple[str, ...] = ()

    def show(self, crumbs: tuple[str, ...]) -> None:
        """Show the way to here; safe text."""
        if crumbs != self._crumbs:
            self._crumbs = crumbs
            self.refresh()

    def render(self) -> Content:
        """Return the way at the left, the key at the right."""
        if not self._crumbs:
            return Content("")
        width = self.size.width - 2
        back = f"{pressed('view.back')} back"
        *before, here = self._crumbs
        way = "".join(f"{crumb} ▸ " for crumb in before)
        here = cut(here, max(8, width - cell_len(way) - len(back) - 2))
        gap = " " * max(1, width - cell_len(way + here) - len(back))
        return Content.assemble(" ", way, (here, "bold"), gap, back)


class Tab(NamedTuple):
    """One name as it is drawn."""

    place: ScreenSpec
    text: str
    present: bool


class TabRow(Widget):
    """Shows the screens there are; each is also a mouse target."""

    auto_links = False
    COMPONENT_CLASSES = {"tab-row--key", "tab-row--present", "tab-row--where"}

    def __init__(
        self, places: Sequence[ScreenSpec], present: str, *, hosting: bool | None = None
    ) -> None:
        """Take the screens, the one that it stands on, and whether this process has the engine."""
        super().__init__(id="tabs")
        self._places = tuple(place for place in places if place.screen)
        self._present = present
        self._hosting = hosting
        self._where: tuple[str, ...] = ()

    def show(self, snapshot: EngineSnapshot) -> None:
        """Say where the engine runs."""
        where = engine_place(snapshot, hosting=self._hosting)
        if where != self._where:
            self._where = where
            self.refresh()

    def render(self) -> Content:
        """Return the longest form that fits."""
        width = self.size.width - 1
        tabs, where = arranged(self._places, self._present, width, self._where or ("",))
        row = Content.assemble(" ", *(self._drawn(tab) for tab in tabs))
        if not where:
            return row
        gap = " " * (width - row.cell_length - cell_len(where))
        quiet = self.get_visual_style("tab-row--where", partial=True)
        return Content.assemble(row, gap, (where, quiet))

    def _drawn(self, tab: Tab) -> Content:
        if tab.present:
            return Content.styled(tab.text, self.get_visual_style("tab-row--present"))
        target = Style.from_meta({"@click": f"app.go('{tab.place.name}')"})
        key = self.get_visual_style("tab-row--key", partial=True)
        at = tab.text.index(tab.place.number)
        return Content(tab.text).stylize(key, at, at + 1).stylize(target)


def engine_place(snapshot: EngineSnapshot, *, hosting: bool | None) -> tuple[str, ...]:
    """Say where the engine runs, in a long and a short form; nothing if that is not known."""
    if hosting is None:
        return ()
    if hosting:
        return "engine: in this console", "engine: here"
    since = moment(snapshot.started_at, snapshot.taken_at)
    return f"attached to pid {snapshot.pid} since {since}", f"pid {snapshot.pid}"


def arranged(
    places: Sequence[ScreenSpec], present: str, width: int, wheres: Sequence[str] = ("",)
) -> tuple[list[Tab], str]:
    """Return the tabs and what stands at the right, in the longest forms that fit together.

    The tabs are whole names, short ones or numbers. Words at the right, of which the first that
    fits is taken, come before whole names.
    """
    forms = (
        [f"{place.number} {place.label}" for place in places],
        [f"{place.number} {place.short}" for place in places],
        [f"{p.number} {p.short}" if p.name == present else p.number for p in places],
    )
    rows = [[_tab(p, words, present) for p, words in zip(places, f, strict=True)] for f in forms]
    *named, numbers = rows
    for where, tabs in (*product(wheres, named), *product(wheres, [numbers])):
        used = sum(cell_len(tab.text) for tab in tabs)
        if used + (cell_len(where) + 2 if where else 0) <= width:
            return tabs, where
    return numbers, ""


def _tab(place: ScreenSpec, word: str, present: str) -> Tab:
    here = place.name == present
    return Tab(place, f"[{word}]" if here else f" {word} ", here)
