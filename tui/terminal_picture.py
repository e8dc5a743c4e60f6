"""Writes only those cells that differ from what the terminal shows.

Textual writes every widget that changed as a whole. `TerminalPicture` keeps the cells of the
terminal and compares, which writes a tenth of the bytes; see ADR 0016. Everything that the console
needs of the inside of Textual's output is in this file. If that inside is not as expected, Textual
writes as it always does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rich.cells import split_graphemes
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, RenderableType
    from rich.style import Style
    from textual.app import App
    from textual.geometry import Offset, Size
    from textual.screen import Screen
    from textual.strip import Strip

GAP_CELLS = 4
"""So many equal cells are written again, as a cursor move takes no fewer bytes."""
SGR = (
    ("bold", "1", "22"),
    ("dim", "2", "22"),
    ("italic", "3", "23"),
    ("underline", "4", "24"),
    ("blink", "5", "25"),
    ("blink2", "6", "25"),
    ("reverse", "7", "27"),
    ("conceal", "8", "28"),
    ("strike", "9", "29"),
    ("underline2", "21", "24"),
    ("frame", "51", "54"),
    ("encircle", "52", "54"),
    ("overline", "53", "55"),
)
"""Attributes of Rich's styles, and the codes that switch them on and off (ECMA-48 8.3.117)."""
OFF = {on: off for _, on, off in SGR}
UNSEEN_ON_BLANKS = frozenset({"1", "2", "3"})
"""Attributes that change nothing about a space."""
NO_LINK = ";"


class Pen(NamedTuple):
    """How a cell is drawn, as codes of the terminal."""

    attributes: tuple[str, ...] = ()
    color: str = ""
    """Empty for the terminal's own."""
    background: str = ""
    link: str = NO_LINK
    """Parameters and address of an OSC 8 link."""
    blank: str | None = ""
    """Pens that are equal in this draw a space alike; None for a pen like no other."""


PLAIN = Pen()

Cell = tuple[str, Pen]
"""A character with what combines with it. A wide one is followed by a cell with an empty text."""
Row = list[Cell | None]
"""One line of the terminal; None where it is not known what the terminal shows."""


class TerminalPicture:
    """The cells that the terminal shows; all methods belong to the UI thread."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        """Empty if nothing is known."""
        self._width = 0
        self._cursor: Offset | None = None
        self._usable = True

    @property
    def usable(self) -> bool:
        """Whether Textual's inside has been as expected so far."""
        return self._usable

    def forget(self) -> None:
        """Write all cells the next time: others wrote to the terminal, or it changed its size."""
        self._rows = []

    def shortened(
        self, app: App[Any], screen: Screen[Any], update: RenderableType | None
    ) -> RenderableType | None:
        """Return what writes the differences, None if there are none; takes them as written.

        Args:
            app: it must write what is returned, by Textual's `App._display`.
            screen: on top of the others.
            update: made by Textual's compositor; anything else is returned as it is.
        """
        if update is None or not self._usable:
            return update
        try:
            return self._shortened(app, screen, update) if _is_written(app) else update
        except Exception:  # another Textual: whatever it is, the console must be seen
            self._usable = False
            screen.refresh()  # this update may be a part of what was to be written
            return update

    def _shortened(
        self, app: App[Any], screen: Screen[Any], update: RenderableType
    ) -> RenderableType | None:
        if not isinstance(update, ChopsUpdate | LayoutUpdate):
            self.forget()
            return update
        size = screen.outer_size
        if not self._is_of(size):
            self._rows = [[None] * size.width for _ in range(size.height)]
            self._width, self._cursor = size.width, None
            if isinstance(update, ChopsUpdate):
                update = screen._compositor.render_full_update()
        writing = _Writing(size.width)
        system = _color_system(app.console)
        for y, x, strips in _parts(update):
            # While the terminal gets smaller, an update may still be for its old size.
            if y < size.height and x < size.width:
                cells = [cell for strip in strips for cell in _cells(strip, system)]
                self._write(writing, y, x, cells)
        text, cursor = writing.end(), size.clamp_offset(app.cursor_position)
        if not text and cursor == self._cursor:
            return None
        self._cursor = cursor
        return cast("RenderableType", _Written(text))

    def _is_of(self, size: Size) -> bool:
        return len(self._rows) == size.height and self._width == size.width

    def _write(self, writing: _Writing, y: int, x: int, cells: list[Cell]) -> None:
        """Write what differs in a part of one line."""
        row, new = self._rows[y], cells[: self._width - x]
        end = x + len(new)
        old = row[x:end]
        if old == new:
            return
        for first, last in _runs(old, new):
            for place in range(first, last):
                writing.put(x + place, y, new[place])
        # Half a wide character that was overwritten leaves an unknown other half.
        if _is_second_half(old[0]) and not _is_second_half(new[0]):
            row[x - 1] = None
        if end < self._width and _is_second_half(row[end]):
            row[end] = None
        row[x:end] = new


def _is_written(app: App[Any]) -> bool:
    """Tell whether `App._display` writes an update now, and to a terminal of its own."""
    driver = app._driver
    if driver is None or driver.is_headless or driver.is_inline or driver.is_web:
        return False
    return app._running and not app._closed and not app._batch_count


def _color_system(console: Console) -> ColorSystem:
    name = console.color_system
    return ColorSystem.EIGHT_BIT if name == "256" else ColorSystem[(name or "truecolor").upper()]


def _parts(update: ChopsUpdate | LayoutUpdate) -> Iterator[tuple[int, int, Iterable[Strip]]]:
    """Yield line, column and contents of each part of an update."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            yield y, update.region.x, strips
        return
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=True):
            # A chop lies between two edges of widgets: it is rendered as a whole or not at all.
            if strip is not None and x < last and end > first:
                yield y, x, (strip,)


def _runs(old: Row, new: list[Cell]) -> Iterator[tuple[int, int]]:
    """Yield from where to where two parts of a line differ, whole characters."""
    first = last = -1
    for place, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after and not (place == last and _is_second_half(after)):
            continue
        if first >= 0 and not _is_bridge(new[last - 1 : place]):
            yield first, last
            first = -1
        if first < 0:
            first = place
        last = place + 1
    yield first, last


def _is_bridge(cells: list[Cell]) -> bool:
    """Tell whether equal cells behind the first one are better written than skipped."""
    pen = cells[0][1]
    return len(cells) <= GAP_CELLS + 1 and all(cell[1] is pen for cell in cells)


def _is_second_half(cell: Cell | None) -> bool:
    return cell is not None and not cell[0]


class _Writing:
    """What is written in one go: the pen and the cursor are known from the first cell on."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._out: list[str] = []
        self._pen = PLAIN
        self._cursor: tuple[int, int] | None = None
        """Column and line, if they are known."""

    def put(self, x: int, y: int, cell: Cell) -> None:
        """Write a cell; the cursor is moved only if it is elsewhere."""
        text, pen = cell
        if not text:
            self._cursor = None  # terminals disagree on what is wide
            return
        if self._cursor != (x, y):
            self._go(x, y)
        if pen is not self._pen and not (text == " " and pen.blank == self._pen.blank is not None):
            self._out.append(_change(self._pen, pen))
            self._pen = pen
        self._out.append(text)
        # They disagree on what combines, too, and on where the cursor is behind the last column.
        is_sure = len(text) == 1 and x + 1 < self._width
        self._cursor = (x + 1, y) if is_sure else None

    def _go(self, x: int, y: int) -> None:
        if self._cursor is not None and self._cursor[1] == y and x > self._cursor[0]:
            steps = x - self._cursor[0]
            self._out.append(f"\x1b[{steps}C" if steps > 1 else "\x1b[C")
        else:
            self._out.append(f"\x1b[{y + 1};{x + 1}H")

    def end(self) -> str:
        """Return all of it, after which the pen is plain: others may write next."""
        if self._pen != PLAIN:
            self._out.append(_change(self._pen, PLAIN))
        return "".join(self._out)


@lru_cache(maxsize=2048)
def _change(before: Pen, after: Pen) -> str:
    """Return the shortest way from one pen to another."""
    link = f"\x1b]8;{after.link}\x1b\\" if after.link != before.link else ""
    off = {OFF[code] for code in before.attributes if code not in after.attributes}
    codes = sorted(off)
    codes += [
        code for code in after.attributes if code not in before.attributes or OFF[code] in off
    ]
    if after.color != before.color:
        codes.append(after.color or "39")
    if after.background != before.background:
        codes.append(after.background or "49")
    if not codes:
        return link
    anew = ["0", *after.attributes]
    anew += [color for color in (after.color, after.background) if color]
    return f"{link}\x1b[{min(';'.join(codes), ';'.join(anew), key=len)}m"


@lru_cache(maxsize=4096)
def _pen(style: Style | None, system: ColorSystem) -> Pen:
    if style is None:
        return PLAIN
    attributes = tuple(code for name, code, _ in SGR if getattr(style, name))
    color = background = ""
    if style.color is not None:
        color = ";".join(style.color.downgrade(system).get_ansi_codes())
    if style.bgcolor is not None:
        background = ";".join(style.bgcolor.downgrade(system).get_ansi_codes(foreground=False))
    link = f"id={style._link_id};{style.link}" if style.link else NO_LINK
    plain = link == NO_LINK and UNSEEN_ON_BLANKS.issuperset(attributes)
    return _same(Pen(attributes, color, background, link, background if plain else None))


@lru_cache(maxsize=4096)
def _same(pen: Pen) -> Pen:
    """Return one object for equal pens, which are compared by identity where it matters."""
    return pen if pen != PLAIN else PLAIN


def _cells(strip: Strip, system: ColorSystem) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        pen = _pen(style, system)
        if text.isascii() and text.isprintable():
            cells.extend(_narrow(text, pen))
        else:
            _extend(cells, text, pen)
    return cells


def _extend(cells: list[Cell], text: str, pen: Pen) -> None:
    """Append any text, by the widths that Textual reckons with."""
    for start, end, width in split_graphemes(text)[0]:
        glyph = "".join(char for char in text[start:end] if not _is_control(char))
        if width:
            cells.append((glyph or " ", pen))
            cells.extend([("", pen)] * (width - 1))
        elif cells:  # it combines with the end of the segment before it
            lead = len(cells) - 1 - next(i for i, cell in enumerate(reversed(cells)) if cell[0])
            cells[lead] = (cells[lead][0] + glyph, cells[lead][1])


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char < "\xa0"


@lru_cache(maxsize=2048)
def _narrow(text: str, pen: Pen) -> tuple[Cell, ...]:
    return tuple((char, pen) for char in text)


class _Written(CompositorUpdate):
    """An update whose text is there already."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render_segments(self, console: Console) -> str:
        return self._text
