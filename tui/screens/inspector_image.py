"""Which image of an object is seen: frame and window, asked for in the size that there is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tui.forms.half_blocks import OWN, NamedWindow, image_words, moved, window_words, windows_for
from tui.screens.fetch import Fetch
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.view import EngineView
    from engine.view.objects import ObjectReference, Thumbnail, Window
    from tui.link import EngineCall
    from tui.widgets.picture import Picture

LARGEST = 512
BY_HAND = "set"
"""What a window is called that was moved by keys."""


class InspectorImage:
    """Keeps what is wanted of the image; the newest wish counts."""

    def __init__(self, ask: Callable[[EngineCall], None], changed: Callable[[], None]) -> None:
        self._image: Fetch[Thumbnail] = Fetch("draw the image", ask, changed)
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
        keys = "w window   arrows move it" if names else "arrows move the window"
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
