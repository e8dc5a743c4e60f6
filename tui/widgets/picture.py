"""One image in half-blocks, as large as there is room; or in words why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.forms.half_blocks import UPPER_HALF, half_blocks
from tui.text import safe
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from textual.events import Resize

    from engine.view.objects import Thumbnail
    from tui.forms.half_blocks import Blocks


class Picture(Widget, can_focus=True):
    """Draws what it is given; says how large it could be and how the window is moved."""

    HELP_TITLE = "Image"
    HELP = (
        "One frame of the object, two pixels in each cell. w steps through windows, and while "
        "the image has the focus ← → make the window narrower and wider and ↑ ↓ move its "
        "centre. , and . step through frames, i gives the image the whole screen."
    )
    BINDINGS = [
        Binding("left", "adjust(0, -1)", "Narrower", show=False),
        Binding("right", "adjust(0, 1)", "Wider", show=False),
        Binding("up", "adjust(1, 0)", "Darker", show=False),
        Binding("down", "adjust(-1, 0)", "Brighter", show=False),
    ]

    class Sized(Message):
        """There is another amount of room."""

    class Adjusted(Message):
        """The window shall be moved by some steps."""

        def __init__(self, centre: int, width: int) -> None:
            super().__init__()
            self.centre = centre
            self.width = width

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._image: Thumbnail | None = None
        self._lines: list[list[Blocks]] = []
        self._words = ""
        self._palette: Palette = palette_of(DARK)

    @property
    def room(self) -> tuple[int, int]:
        """Columns and rows of pixels that fit."""
        return self.size.width, self.size.height * 2

    def paint(self, palette: Palette) -> None:
        """Use other colors for words from now on."""
        self._palette = palette
        self.refresh()

    def show(self, image: Thumbnail | None, words: str = "") -> None:
        """Show an image, or words instead."""
        if image is not self._image or words != self._words:
            self._image, self._words = image, words
            self._lines = half_blocks(image) if image is not None and not words else []
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return a line of cells in the middle, or a line of words."""
        width, height = self.size
        if self._words:
            return self._worded(y, width)
        row = y - max(0, (height - len(self._lines)) // 2)
        if not 0 <= row < len(self._lines):
            return Strip.blank(width, self.rich_style)
        blocks = self._lines[row]
        left = max(0, (width - sum(block.cells for block in blocks)) // 2)
        segments = [Segment(" " * left, self.rich_style), *map(self._segment, blocks)]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _segment(self, block: Blocks) -> Segment:
        upper = "#{:02x}{:02x}{:02x}".format(*block.upper)
        under = self.rich_style.bgcolor
        lower = "#{:02x}{:02x}{:02x}".format(*block.lower) if block.lower else under
        return Segment(UPPER_HALF * block.cells, Style(color=upper, bgcolor=lower))

    def _worded(self, y: int, width: int) -> Strip:
        lines, line = list[str](), ""
        for word in safe(self._words).split(" "):
            if line and len(line) + len(word) + 1 > width - 2:
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
        lines.append(line)
        text = lines[y - 1] if 0 < y <= len(lines) else ""
        style = self.rich_style + Style.parse(self._palette.style(Tone.MUTED))
        return Strip([Segment(f" {text}", style)]).adjust_cell_length(width, self.rich_style)

    def action_adjust(self, centre: int, width: int) -> None:
        """Ask for another window."""
        self.post_message(self.Adjusted(centre, width))

    def on_resize(self, event: Resize) -> None:
        """Say that there is another amount of room."""
        self.post_message(self.Sized())
