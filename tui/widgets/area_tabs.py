"""The line above the sessions: prearchive, archive and trash, with their counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from engine.model.session import SessionArea
from tui.forms.session_words import AREA_NAMES
from tui.text import count
from tui.theme import DARK, Palette, palette_of
from tui.widgets.sessions_table import SESSION_LOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.view.sessions import AreaCounts, StatusCount

    Shown = tuple[SessionArea, AreaCounts | None, tuple[StatusCount, ...]]


class AreaTabs(Widget):
    """Names the areas; each is also a mouse target. What the list comes to stands at the right."""

    auto_links = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._palette: Palette = palette_of(DARK)
        self._shown: Shown = (SessionArea.PREARCHIVE, None, ())

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(
        self, area: SessionArea, counts: AreaCounts | None, by_status: Sequence[StatusCount]
    ) -> None:
        """Show which area is seen, how much there is in each, and what states that list has."""
        shown = (area, counts, tuple(by_status))
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Content:
        """Return names and counts, and the states as far as there is room."""
        here, counts, by_status = self._shown
        tabs = Content(" ")
        for area in SessionArea:
            tabs = tabs.append(self._tab(area, counts, here=area is here))
        room = self.size.width - 3 - cell_len(tabs.plain)
        states = Content("")
        for one in by_status:
            look = SESSION_LOOKS[one.status]
            word = Content.styled(f"  {look} {count(one.sessions)}", self._palette.style(look.tone))
            if cell_len(states.plain) + cell_len(word.plain) > room:
                break
            states = states.append(word)
        gap = self.size.width - 1 - cell_len(tabs.plain) - cell_len(states.plain)
        return Content.assemble(tabs, " " * max(0, gap), states)

    def _tab(self, area: SessionArea, counts: AreaCounts | None, *, here: bool) -> Content:
        number = f" {count(getattr(counts, area))}" if counts is not None else ""
        words = f"{AREA_NAMES[area]}{number}"
        if here:
            return Content.styled(f"[{words}]", f"bold {self._palette.key}")
        target = Style.from_meta({"@click": f"screen.show_area('{area}')"})
        return Content(f" {words} ").stylize(target)
