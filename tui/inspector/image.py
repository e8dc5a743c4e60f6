"""The image of an object in half-block characters: frame, window, and the size that fits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from engine.api.objects import Window
from tui.engine_client import Fetch
from tui.keys import pressed
from tui.text import safe
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from textual.events import Resize

    from engine.api import EngineView
    from engine.api.objects import ObjectReference, Thumbnail
    from tui.engine_client import Asker


UPPER_HALF: Final = "▀"
Color = tuple[int, int, int]
BLACK: Color = (0, 0, 0)
STEP: Final = 0.1
"""One key moves the centre by so much of the width, or changes the width by so much."""


class Blocks(NamedTuple):
    """Cells beside each other that look the same."""

    cells: int
    upper: Color
    lower: Color | None
    """None below the last row of an image of odd height."""


@dataclass(frozen=True, slots=True)
class NamedWindow:
    """A window that people know by name."""

    name: str
    window: Window | None
    """None for the object's own."""


OWN: Final = NamedWindow("", None)
CT_WINDOWS: Final = (
    NamedWindow("brain", Window(40, 80)),
    NamedWindow("abdomen", Window(60, 400)),
    NamedWindow("lung", Window(-600, 1500)),
    NamedWindow("bone", Window(480, 2500)),
)


def windows_for(sop_class: str) -> tuple[NamedWindow, ...]:
    """Return the windows to step through: those of a CT mean something for a CT only."""
    return (OWN, *CT_WINDOWS) if "CT Image" in sop_class else (OWN,)


def moved(window: Window, centre: int, width: int) -> Window:
    """Return a window some steps brighter or darker, harder or softer."""
    new_width = max(1.0, window.width * (1 + STEP * width))
    return Window(round(window.center + window.width * STEP * centre, 2), round(new_width, 2))


def half_blocks(image: Thumbnail) -> list[list[Blocks]]:
    """Return the cells of an image, line by line."""
    return [_line(image, top) for top in range(0, image.height, 2)]


def _line(image: Thumbnail, top: int) -> list[Blocks]:
    line = list[Blocks]()
    for x in range(image.width):
        # The last line of an odd height has nothing in its lower half.
        lower = _pixel(image, x, top + 1) if top + 1 < image.height else None
        upper = _pixel(image, x, top)
        # Cells of one color are one segment: fewer bytes to the terminal.
        if line and line[-1][1:] == (upper, lower):
            line[-1] = line[-1]._replace(cells=line[-1].cells + 1)
        else:
            line.append(Blocks(1, upper, lower))
    return line


def _pixel(image: Thumbnail, x: int, y: int) -> Color:
    at = (y * image.width + x) * image.samples
    found = image.pixels[at : at + image.samples]
    if image.samples == 1 and found:
        return (found[0], found[0], found[0])
    return (found[0], found[1], found[2]) if len(found) == 3 else BLACK


def image_words(image: Thumbnail) -> str:
    """Return size and frame of an image."""
    frames = f"frame {image.frame}/{image.frames}   " if image.frames > 1 else ""
    return f"{frames}{image.columns}×{image.rows}" if image.columns else frames.strip()


def window_words(image: Thumbnail, name: str) -> str:
    """Return which values are shown."""
    if image.window is None:
        return "colours" if image.samples == 3 else ""
    width, centre = f"{image.window.width:g}", f"{image.window.center:g}"
    return f"{name} W{width} C{centre}".strip()


class Picture(Widget, can_focus=True):
    """Draws what it is given; says how large it could be and how the window is moved."""

    HELP_TITLE = "Image"
    HELP = (
        "One frame of the object, two pixels in each cell. {object.window} steps through windows, "
        "and while the image has the focus ← → make the window narrower and wider and ↑ ↓ move its "
        "centre. {object.frame_back} and {object.frame} step through frames, {object.image} gives "
        "the image the whole screen."
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


LARGEST = 512
BY_HAND = "set"
"""What a window is called that was moved by keys."""


class InspectorImage:
    """Keeps what is wanted of the image; the newest wish counts."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._image: Fetch[Thumbnail] = Fetch("draw the image", asker, changed)
        self._frame = 1
        self._named: NamedWindow = OWN
        self.frames = 1
        """How many there are."""

    def restart(self) -> None:
        """Begin with the first frame of another object."""
        self._frame, self.frames = 1, 1

    def step(self, step: int) -> None:
        """Go to another frame, round and round."""
        self._frame = (self._frame - 1 + step) % self.frames + 1

    def next_window(self, sop_class: str) -> None:
        """Go to the next window that is known by name."""
        names = windows_for(sop_class)
        at = names.index(self._named) if self._named in names else -1
        self._named = names[(at + 1) % len(names)]

    def adjust(self, centre: int, width: int) -> None:
        """Move the window that is in use by some steps."""
        image = self._image.answer
        used = self._named.window or (image.window if image is not None else None)
        if used is not None:
            self._named = NamedWindow(BY_HAND, moved(used, centre, width))

    def want(self, picture: Picture, reference: ObjectReference, now: datetime) -> None:
        """Ask for the image in the room that there is, if there is any."""
        width, height = (min(LARGEST, side) for side in picture.room)
        if width and height:
            wish = (reference, self._frame, width, height, self._named.window)
            self._image.want(wish, partial(_draw, *wish), now)

    def show(self, picture: Picture, sop_class: str) -> tuple[str, str]:
        """Show what is there; return title and note for its panel."""
        image, problem = self._image.answer, self._image.problem
        if problem is not None:
            picture.show(None, f"{problem.detail}; {problem.remedy}")
            return "", ""
        if image is None:
            picture.show(None, "drawing …")
            return "", ""
        if image.problem:
            words = f"no image: {image.problem}"
            picture.show(None, f"{words}; {image.remedy}" if image.remedy else words)
            return safe(image_words(image)), ""
        picture.show(image)
        names = len(windows_for(sop_class)) > 1 or self._named is not OWN
        keys = (
            f"{pressed('object.window')} window   arrows move it"
            if names
            else "arrows move the window"
        )
        note = keys if image.window is not None else ""
        return f"{image_words(image)}   {window_words(image, self._named.name)}", note


def _draw(
    reference: ObjectReference,
    frame: int,
    width: int,
    height: int,
    window: Window | None,
    engine: EngineView,
) -> Thumbnail:
    return engine.objects.thumbnail(
        reference, frame=frame, width=width, height=height, window=window
    )
