"""The throughput chart, and the welcome text of an installation without receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from engine.api import ReceiverState
from tui.dashboard.first_start import first_steps, is_first_start
from tui.text import count, cut, fit, megabytes, safe, size, sparkline, sparkrows
from tui.theme import DARK, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import EngineSnapshot, ReceiverStatus
    from engine.metrics import Throughput


NAME_WIDTH = 12
NUMBER_WIDTH = 7


class ThroughputChart(Widget, can_focus=True):
    """Draws sparklines of the last minute and the numbers that belong to them."""

    HELP_TITLE = "Throughput"
    HELP = (
        "One bar per second, the newest at the right; all bars of a chart share one scale. "
        "max is the best second of the last minute. Latency is the time from the last byte of "
        "an object to the answer, since the engine started. {view.zoom} shows the chart large."
    )

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._snapshot: EngineSnapshot | None = None
        self._palette = palette_of(DARK)
        self._shown: tuple[object, ...] = ()

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, snapshot: EngineSnapshot) -> None:
        """Show a new snapshot, once a second: bars are seconds, and rates are means of several."""
        second = snapshot.taken_at.replace(microsecond=0)
        if self._snapshot is not None and second == self._snapshot.taken_at.replace(microsecond=0):
            return
        self._snapshot = snapshot
        shown = (
            snapshot.throughput,
            snapshot.latency,
            _disk(snapshot),
            snapshot.totals,
            first_steps(snapshot),
            [(s.receiver.ae_title, s.state, s.throughput) for s in snapshot.receivers],
        )
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Text:
        """Return as many lines as there is room for, the important ones first."""
        if self._snapshot is None:
            return Text("")
        width, height = self.size
        if is_first_start(self._snapshot):
            return self._joined(list(steps_drawn(self._snapshot, self._palette, width)))
        if height <= 5 and width >= 70:
            return self._joined(self._flat_lines(self._snapshot, width)[:height])
        return self._joined(self._lines(self._snapshot, width, height))

    def _joined(self, lines: list[Text]) -> Text:
        return Text("\n", end="", no_wrap=True).join(lines)

    def _flat_lines(self, snapshot: EngineSnapshot, width: int) -> list[Text]:
        """Return the form for a wide and low panel."""
        rate = snapshot.throughput
        tail = f"{megabytes(rate.bytes_rate):>{NUMBER_WIDTH}}  max {_best(rate)}"
        room = width - 5 - len(tail) - 1
        chart = sparkrows(rate.bytes_per_second, room, 1, max(rate.bytes_per_second, default=0))
        line = self._chart_line("MB/s", 5, chart[0], tail, room)
        live = sorted(snapshot.associations, key=lambda a: -a.bytes_rate)
        names = "   ".join(
            f"{safe(a.calling_ae_title)} {megabytes(a.bytes_rate)}" for a in live[:5]
        )
        senders = cut(f"{len(live)} live: {names}" if live else "nobody is sending", width)
        return [line, Text(senders), self._plain_numbers(snapshot, width)]

    def _plain_numbers(self, snapshot: EngineSnapshot, width: int) -> Text:
        facts = f"answer {_latency(snapshot)}   disk {_disk(snapshot)}"
        return Text(cut(facts, width), self._palette.style(Tone.MUTED))

    def _lines(self, snapshot: EngineSnapshot, width: int, height: int) -> list[Text]:
        facts = list(self._facts(snapshot, width))
        rows = min(len(snapshot.receivers), max(0, height - 3 - len(facts)))
        tall = max(2, min(8, height - 3 - rows - len(facts)))
        lines = [self._headline(snapshot.throughput, width)]
        best = max(snapshot.throughput.bytes_per_second, default=0)
        chart = sparkrows(snapshot.throughput.bytes_per_second, width, tall, best)
        lines.extend(Text(fit(row, width, right=True), self._palette.key) for row in chart)
        if height - len(lines) - rows - len(facts) >= 1:
            lines.append(Text(""))
        lines.extend(self._receiver_line(s, width, best) for s in _busiest(snapshot, rows))
        spare = height - len(lines) - len(facts)
        lines.extend([Text("")] * min(1, max(0, spare)))
        return (lines + facts)[:height]

    def _headline(self, rate: Throughput, width: int) -> Text:
        right = f"now {megabytes(rate.bytes_rate)}   max {_best(rate)}"
        line = Text("all, MB/s", self._palette.style(Tone.MUTED))
        return line.append(fit(right, width - 9, right=True), "bold")

    def _receiver_line(self, status: ReceiverStatus, width: int, best: int) -> Text:
        room = width - NAME_WIDTH - NUMBER_WIDTH - 2
        name = safe(status.receiver.ae_title)
        if status.state not in (ReceiverState.LISTENING, ReceiverState.DRAINING):
            return self._chart_line(name, NAME_WIDTH + 1, "", f"{'–':>{NUMBER_WIDTH}}", room)
        values = status.throughput.bytes_per_second
        chart = sparkline(values, room, best)
        number = f"{megabytes(status.throughput.bytes_rate):>{NUMBER_WIDTH}}"
        return self._chart_line(name, NAME_WIDTH + 1, chart, number, room)

    def _chart_line(self, name: str, name_width: int, chart: str, tail: str, room: int) -> Text:
        line = Text(fit(name, name_width - 1) + " ")
        line.append(fit(chart, room, right=True), self._palette.key)
        return line.append(f" {tail}", "bold")

    def _facts(self, snapshot: EngineSnapshot, width: int) -> Iterator[Text]:
        totals = snapshot.totals
        received = f"{count(totals.stored)} stored   {count(totals.failed)} failed"
        if totals.filtered:
            received += f"   {count(totals.filtered)} filtered"
        facts = (
            ("since start", received),
            ("answer time", _latency(snapshot)),
            ("disk", _disk(snapshot)),
        )
        for name, text in facts:
            line = Text(fit(name, NAME_WIDTH + 1), self._palette.style(Tone.MUTED))
            yield line.append(cut(text, width - NAME_WIDTH - 1), "not dim")


def _busiest(snapshot: EngineSnapshot, rows: int) -> list[ReceiverStatus]:
    if rows >= len(snapshot.receivers):
        return list(snapshot.receivers)
    return sorted(snapshot.receivers, key=lambda s: -s.throughput.bytes_rate)[:rows]


def _best(rate: Throughput) -> str:
    return megabytes(max(rate.bytes_per_second, default=0))


def _latency(snapshot: EngineSnapshot) -> str:
    latency = snapshot.latency
    if latency.p50_ms is None or latency.p95_ms is None:
        return "p50 –   p95 –"
    return f"p50 {latency.p50_ms} ms   p95 {latency.p95_ms} ms"


def _disk(snapshot: EngineSnapshot) -> str:
    storage = snapshot.storage
    return f"{storage.used_percent} % used, {size(storage.free_bytes)} free"


def steps_drawn(
    snapshot: EngineSnapshot, palette: Palette, width: int, *, read_only: bool = False
) -> Iterator[Text]:
    """Yield one line for each step of the first start."""
    for step in first_steps(snapshot):
        tone = palette.style(Tone.OK if step.is_done else Tone.MUTED)
        line = Text(f"{step.mark} ", tone, no_wrap=True)
        line.append(fit(step.label, STEP_WIDTH), "not dim")
        if step.key and not (read_only or step.is_done):
            line.append(f"{step.key} ", palette.key)
        yield line.append(cut(step.help, width - len(line)), palette.style(Tone.MUTED))


STEP_WIDTH = 15
WIDTH = 66
LABEL_WIDTH = 16
EXPLANATION = (
    "A receiver is a DICOM storage SCP: an AE title and a port that",
    "modalities send to. Objects it accepts wait in the prearchive.",
)
FIRST_START_ENDS = "These steps are shown until the first object has come."


class EmptyState(Static):
    """Says that there are no receivers yet, and how to make one."""

    def __init__(self, *, id: str, read_only: bool = False) -> None:
        super().__init__("", id=id, markup=False)
        self._read_only = read_only
        self._palette = palette_of(DARK)
        self._shown: object = None

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self._shown = None

    def show(self, snapshot: EngineSnapshot) -> None:
        """Show where this installation keeps its data."""
        free = size(snapshot.storage.free_bytes)
        shown = (snapshot.data_dir, free, snapshot.revision, first_steps(snapshot))
        if shown != self._shown:
            self._shown = shown
            self.update(self._text(snapshot, free))

    def _text(self, snapshot: EngineSnapshot, free: str) -> Text:
        quiet = self._palette.style(Tone.MUTED)
        text = Text(end="", no_wrap=True)
        text.append("First start: no receivers yet\n\n", "bold")
        for line in EXPLANATION:
            text.append(line + "\n")
        text.append("\n")
        for step in steps_drawn(snapshot, self._palette, WIDTH, read_only=self._read_only):
            text.append(step).append("\n")
        text.append(f"\n{FIRST_START_ENDS}\n", quiet)
        text.append("\n─ this host ".ljust(WIDTH, "─") + "\n", quiet)
        for name, value in _host_facts(snapshot, free):
            text.append(fit(name, LABEL_WIDTH), quiet).append(cut(value, 50) + "\n")
        return text


def _host_facts(snapshot: EngineSnapshot, free: str) -> list[tuple[str, str]]:
    return [
        ("host", safe(snapshot.host)),
        ("data directory", safe(snapshot.data_dir)),
        ("free space", free),
        ("as a service", "dicomdock engine   serves the same receivers"),
        ("from an XNAT", "dicomdock import-xnat FILE   takes over its own"),
    ]
