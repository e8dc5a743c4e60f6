"""The way to a deeper screen, above its panels; other screens have none."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from tui.text import cut

BACK = "esc back"


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
        *before, here = self._crumbs
        way = "".join(f"{crumb} ▸ " for crumb in before)
        here = cut(here, max(8, width - cell_len(way) - len(BACK) - 2))
        gap = " " * max(1, width - cell_len(way + here) - len(BACK))
        return Content.assemble(" ", way, (here, "bold"), gap, BACK)
