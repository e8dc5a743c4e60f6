"""How much came from one sender in each hour of a day or a week."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message
from textual.widget import Widget

from engine.view.senders import HOURS_OF_A_DAY
from tui.forms.volume_chart import AXIS_WIDTH, chart_lines
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from engine.view.senders import HourVolume


class VolumeChart(Widget, can_focus=True):
    """Draws bars with a scale at the left and the local times below."""

    HELP_TITLE = "Volume by hour"
    HELP = (
        "Bytes that were stored, by the hour, the present hour at the right; the best bar fills "
        "the height. Where there is no room for each hour a bar stands for several. h shows the "
        "last 24 hours or the last 7 days, z the chart large. An association that is open is "
        "counted when it ends, and each hour."
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
