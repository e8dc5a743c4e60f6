"""Takes the place of everything while the terminal is too small to tell the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Resize

MIN_WIDTH = 60
MIN_HEIGHT = 16


def is_too_small(width: int, height: int) -> bool:
    """Tell whether the dashboard cannot be shown honestly."""
    return width < MIN_WIDTH or height < MIN_HEIGHT


class TooSmallScreen(Screen[None]):
    """States the size there is and the size that is needed."""

    def compose(self) -> ComposeResult:
        """Build the sentence."""
        yield Static("", id="too-small", markup=False)

    def on_resize(self, event: Resize) -> None:
        """Say the size as it is now."""
        width, height = event.size
        lines = (
            "The terminal is too small",
            f"now     {width} × {height}",
            f"needed  {MIN_WIDTH} × {MIN_HEIGHT}",
            "receivers go on   ^q quits",
        )
        self.query_one("#too-small", Static).update("\n".join(lines))
