"""Images as half-blocks: two pixels in each cell, one above the other; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.view.objects import Window

if TYPE_CHECKING:
    from engine.view.objects import Thumbnail

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
        lower = _pixel(image, x, top + 1) if top + 1 < image.height else None
        upper = _pixel(image, x, top)
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
