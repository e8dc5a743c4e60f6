"""What one receiver got each second of the last minute, as large as there is room for."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from engine.metrics import Throughput
from tui.text import fit, megabytes, sparkrows
from tui.theme import DARK, Palette, Tone, palette_of

AXIS_WIDTH = 7


class RateChart(Widget, can_focus=True):
    """Draws a bar for each second, a scale at the left, and the times below."""

    HELP_TITLE = "Throughput"
    HELP = (
        "One bar per second of the last minute, the newest at the right, in MB/s. The best second "
        "fills the height. z shows the chart large."
    )

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rate = Throughput()
        self._palette = palette_of(DARK)

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, rate: Throughput) -> None:
        """Show another minute."""
        if rate != self._rate:
            self._rate = rate
            self.refresh()

    def render(self) -> Text:
        """Return as many lines as there is room for; one line is enough."""
        width, height = self.size
        lines = self._tall(width, height) if height >= 4 else [self._flat(width)]
        return Text("\n", end="", no_wrap=True).join(lines)

    def _flat(self, width: int) -> Text:
        head = f"{'▸' if self.has_focus else ' '} MB/s "
        tail = f" {megabytes(self._rate.bytes_rate)}   max {megabytes(self._best)} MB/s"
        room = max(0, width - cell_len(head) - cell_len(tail))
        bars = sparkrows(self._rate.bytes_per_second, room, 1, self._best)[0]
        line = Text(head, "bold" if self.has_focus else self._palette.style(Tone.MUTED))
        return line.append(fit(bars, room, right=True), self._palette.key).append(tail, "bold")

    def _tall(self, width: int, height: int) -> list[Text]:
        rate, room = self._rate, max(0, width - AXIS_WIDTH - 2)
        quiet = self._palette.style(Tone.MUTED)
        head = f"now {megabytes(rate.bytes_rate)} MB/s   {rate.objects_rate:,.0f} objects/s"
        lines = [Text(fit(head, width, right=True), "bold")]
        rows = sparkrows(rate.bytes_per_second, room, height - 2, self._best)
        for i, bars in enumerate(rows):
            label = megabytes(self._best) if i == 0 else ("0" if i == len(rows) - 1 else "")
            line = Text(f"{fit(label, AXIS_WIDTH, right=True)} ┤", quiet)
            lines.append(line.append(fit(bars, room, right=True), self._palette.key))
        foot = fit("60 s ago", room - 3) + "now"
        lines.append(Text(" " * (AXIS_WIDTH + 2) + foot, quiet))
        return lines

    @property
    def _best(self) -> int:
        return max(self._rate.bytes_per_second, default=0)
