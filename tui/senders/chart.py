"""The chart of a sender's volume by hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.message import Message
from textual.widget import Widget

from engine.api.senders import HOURS_OF_A_DAY
from tui.text import count, counted, cut, fit, size, sparkline, sparkrows
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.api.senders import HourVolume


AXIS_WIDTH = 8
"""Cells of the numbers at the left."""
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 24)
"""How many hours a bar may stand for."""
HOURS_BETWEEN_LABELS = 6
CHART_ROWS = 3
"""At least: a head, one line of bars, the times."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Hours put together to as many bars as there is room for."""

    hours: tuple[HourVolume, ...]
    per_bar: int
    """How many hours a bar stands for."""
    cells: int
    """How wide a bar is."""

    @property
    def values(self) -> tuple[int, ...]:
        """Bytes of each bar."""
        starts = range(0, len(self.hours), self.per_bar)
        return tuple(sum(h.bytes for h in self.hours[i : i + self.per_bar]) for i in starts)

    @property
    def width(self) -> int:
        """Cells of all bars together."""
        return -(-len(self.hours) // self.per_bar) * self.cells


def bars(hours: Sequence[HourVolume], room: int) -> Bars:
    """Return the finest bars that fit."""
    total = len(hours)
    fitting = (n for n in WIDTHS if -(-total // n) <= room)
    per_bar = next(fitting, WIDTHS[-1])
    wide = max(1, room // max(1, -(-total // per_bar)))
    return Bars(tuple(hours), per_bar, wide)


def chart_lines(hours: Sequence[HourVolume], width: int, height: int) -> list[str]:
    """Return a head, the bars with their scale, and the local times below, in `height` lines."""
    if not any(hour.bytes for hour in hours) or height < CHART_ROWS:
        return [cut(head(hours), width)][: max(0, height)]
    drawn = bars(hours, max(1, width - AXIS_WIDTH - 2))
    values = drawn.values
    best = max(values)
    wide = tuple(value for value in values for _ in range(drawn.cells))
    rows = sparkrows(wide, len(wide), height - 2, best)
    scale = [size(best), *([""] * (len(rows) - 2)), "0"][-len(rows) :]
    if len(rows) == 1:
        scale = [size(best)]
    lines = [f"{fit(n, AXIS_WIDTH, right=True)} ┤{row}" for n, row in zip(scale, rows, strict=True)]
    below = " " * (AXIS_WIDTH + 2) + times(drawn, width - AXIS_WIDTH - 2)
    return [cut(head(hours), width), *lines, below]


def head(hours: Sequence[HourVolume]) -> str:
    """Say how much came in all, and which hour was the busiest."""
    objects, failed = sum(h.objects for h in hours), sum(h.failed for h in hours)
    if not objects and not failed:
        return f"nothing came in the last {span(hours)}"
    busiest = max(hours, key=lambda hour: hour.bytes)
    at = busiest.begins_at.astimezone()
    refused = f", {count(failed)} refused" if failed else ""
    total = f"{counted(objects, 'object')} in {size(sum(h.bytes for h in hours))}{refused}"
    return f"{total}   most at {at:%a %H:%M}: {size(busiest.bytes)}"


def span(hours: Sequence[HourVolume]) -> str:
    """Return how long the hours are together."""
    if len(hours) <= HOURS_OF_A_DAY:
        return "24 hours"
    return f"{len(hours) // HOURS_OF_A_DAY} days"


def times(drawn: Bars, room: int) -> str:
    """Return the line below the bars: days where they begin, or hours of a day."""
    line = ""
    form = _day_form(drawn) if len(drawn.hours) > HOURS_OF_A_DAY else ""
    for place, hour in enumerate(drawn.hours):
        label = _label(hour.begins_at.astimezone(), form)
        column = place // drawn.per_bar * drawn.cells
        free = not line or column > cell_len(line)
        if label and free and column + len(label) <= room:
            line = fit(line, column) + label
    return line


def _day_form(drawn: Bars) -> str:
    """Return how a day is called in the room that its bars take."""
    a_day = HOURS_OF_A_DAY // drawn.per_bar * drawn.cells
    return "%a %d" if a_day >= len("Mon 01 ") else "%a"


def _label(at: datetime, day_form: str) -> str:
    if day_form:
        return at.strftime(day_form) if at.hour == 0 else ""
    return f"{at:%H:%M}" if at.hour % HOURS_BETWEEN_LABELS == 0 else ""


def meaning(hours: Sequence[HourVolume], width: int) -> str:
    """Say over which time, and how long a bar is, in a chart that is `width` cells wide."""
    if not hours:
        return ""
    per_bar = bars(hours, max(1, width - AXIS_WIDTH - 2)).per_bar
    return f"{span(hours)}, a bar is {counted(per_bar, 'hour')}"


def strip(day: Sequence[int], cells: int) -> str:
    """Return the bytes of the hours of a day as one bar for each cell; its best fills the line."""
    if not day or not any(day):
        return ""
    each = -(-len(day) // cells)
    values = tuple(sum(day[i : i + each]) for i in range(0, len(day), each))
    return sparkline(values, cells, max(values))


class VolumeChart(Widget, can_focus=True):
    """Draws bars with a scale at the left and the local times below."""

    HELP_TITLE = "Volume by hour"
    HELP = (
        "Bytes that were stored, by the hour, the present hour at the right; the best bar fills "
        "the height. Where there is no room for each hour a bar stands for several. {sender.range} "
        "shows the last 24 hours or the last 7 days, {view.zoom} the chart large. An association "
        "that is open is counted when it ends, and each hour."
    )

    class Resized(Message):
        """There is room for more bars, or for fewer."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._hours: tuple[HourVolume, ...] = ()
        self._note = ""
        self._palette = palette_of(DARK)
        self.week = True
        """Whether all hours are shown, or those of the last day."""

    def on_resize(self) -> None:
        """Tell that the bars may stand for another time now."""
        self.post_message(self.Resized())

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, hours: tuple[HourVolume, ...], note: str = "") -> None:
        """Show other hours; without any, a note says why (safe text)."""
        if (hours, note) != (self._hours, self._note):
            self._hours, self._note = hours, note
            self.refresh()

    def turn(self) -> None:
        """Show a day instead of a week, or the other way round."""
        self.week = not self.week
        self.refresh()

    @property
    def hours(self) -> tuple[HourVolume, ...]:
        """The hours that are drawn."""
        return self._hours if self.week else self._hours[-HOURS_OF_A_DAY:]

    def render(self) -> Text:
        """Return as many lines as there is room for."""
        width, height = self.size
        quiet = self._palette.style(Tone.MUTED)
        if not self._hours:
            return Text(self._note, quiet)
        first, *others = chart_lines(self.hours, width, height) or [""]
        lines = [Text(first, "bold")]
        for line in others[:-1]:
            drawn = Text(line[: AXIS_WIDTH + 2], quiet)
            lines.append(drawn.append(line[AXIS_WIDTH + 2 :], self._palette.key))
        lines.extend(Text(line, quiet) for line in others[-1:])
        return Text("\n", end="", no_wrap=True).join(lines)
