"""The first line: is everything all right?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from engine.view import ReceiverState
from tui.text import clock, counted, megabytes, safe
from tui.theme import DARK, RECEIVER_LOOKS, Palette, Tone, palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.view import EngineSnapshot
    from tui.link import Reading

_STATE_WORDS = {
    ReceiverState.LISTENING: "listening",
    ReceiverState.DISABLED: "stopped",
    ReceiverState.FAILED: "failed",
    ReceiverState.DRAINING: "draining",
    ReceiverState.NOT_ALLOWED: "not allowed",
}
STATUS = "status"
DISK_WARNING_PERCENT = 90
DISK_ERROR_PERCENT = 97


class Item(NamedTuple):
    """One statement of the line, in a long and a short form."""

    long: str
    short: str
    tone: Tone = Tone.PLAIN
    rank: int = 0
    """The highest is left out first when there is no room; 0 never."""


class StatusLine(Widget):
    """Counts of receivers by state, load, disk, host and the engine's time."""

    def __init__(self, *, demo: bool = False, read_only: bool = False, id: str = STATUS) -> None:
        super().__init__(id=id)
        self._read_only = read_only
        self._demo = demo
        self._reading: Reading | None = None
        self._palette = palette_of(DARK)
        self._stopping = ""
        self._shown: tuple[object, ...] = ()

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, reading: Reading) -> None:
        """Show a new reading."""
        self._reading = reading
        shown = (*self._items(), self._right(short=False))
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def stopping(self, sentence: str) -> None:
        """Say that the engine is being stopped, in place of everything else."""
        self._stopping = sentence
        self.refresh()

    def render(self) -> Text:
        """Return the line, in the longest form that fits."""
        items = list(self._items())
        width = self.size.width - 2
        for short, no_host in ((False, False), (False, True), (True, True)):
            right = self._right(short=no_host)
            if _width(items, short=short) + 1 + cell_len(right) <= width:
                return self._line(items, right, width, short=short)
        while _width(items, short=True) > width and any(i.rank for i in items):
            items.remove(max(items, key=lambda item: item.rank))
        room = width - _width(items, short=True) - 1
        right = self._right(short=True)
        return self._line(items, right if room >= cell_len(right) else "", width, short=True)

    def _line(self, items: list[Item], right: str, width: int, *, short: bool) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis", end="")
        for i, item in enumerate(items):
            text = item.short if short else item.long
            gap = " " if short else "  "
            line.append(("" if i == 0 else gap) + text, self._palette.style(item.tone))
        line.append(" " * max(0, width + 1 - line.cell_len - cell_len(right)))
        return line.append(right, self._palette.style(Tone.MUTED))

    def _right(self, *, short: bool) -> str:
        snapshot = self._reading.snapshot if self._reading else None
        if snapshot is None:
            return ""
        at = clock(snapshot.taken_at)
        return at if short else f"{safe(snapshot.host, 24)}  {at}"

    def _items(self) -> Iterator[Item]:
        yield Item("dicomdock", "dicomdock", Tone.STRONG)
        if self._demo:
            yield Item("DEMO", "DEMO", Tone.WARNING)
        if self._read_only:
            yield Item("READ-ONLY", "READ-ONLY", Tone.WARNING)
        if self._stopping:
            yield Item(f"◐ {self._stopping}", f"◐ {self._stopping}", Tone.WARNING)
            return
        reading = self._reading
        if reading is None or reading.snapshot is None:
            silent = reading is not None and reading.silent
            words = "✗ engine does not answer" if silent else "waiting for the engine"
            yield Item(words, words, Tone.ERROR if silent else Tone.MUTED)
            return
        if reading.silent_since is not None:
            words = f"✗ engine does not answer since {clock(reading.silent_since)}"
            yield Item(f"{words}, last known:", words, Tone.ERROR)
        greyed = reading.silent
        for item in (*_states(reading.snapshot), *_load(reading.snapshot)):
            yield item._replace(tone=Tone.MUTED, rank=item.rank or 1) if greyed else item


def _states(snapshot: EngineSnapshot) -> Iterator[Item]:
    if not snapshot.receivers:
        yield Item("no receivers yet", "no receivers yet", Tone.MUTED)
        return
    states = Counter(status.state for status in snapshot.receivers)
    for state, look in RECEIVER_LOOKS.items():
        number = states[state]
        if number:
            long = f"{look.glyph} {number} {_STATE_WORDS[state]}"
            yield Item(long, f"{look.glyph}{number}", look.tone)


def _load(snapshot: EngineSnapshot) -> Iterator[Item]:
    open_now, most = len(snapshot.associations), snapshot.maximum_associations
    full = open_now >= most
    associations = f"{'▲ ' if full else ''}assoc {open_now}/{most}"
    yield Item(associations, associations, Tone.WARNING if full else Tone.PLAIN, rank=2)
    rate = snapshot.throughput
    speed = f"{megabytes(rate.bytes_rate)} MB/s"
    yield Item(speed, speed, rank=1)
    objects = f"{rate.objects_rate:,.0f} obj/s"
    yield Item(objects, objects, rank=4)
    yield _disk(snapshot)


def _disk(snapshot: EngineSnapshot) -> Item:
    percent = snapshot.storage.used_percent
    text = f"disk {percent}%"
    if percent >= DISK_ERROR_PERCENT:
        return Item(f"✗ {text} full", f"✗ {text}", Tone.ERROR)
    if percent >= DISK_WARNING_PERCENT:
        return Item(f"▲ {text} full", f"▲ {text}", Tone.WARNING)
    return Item(text, text, rank=3)


def _width(items: list[Item], *, short: bool) -> int:
    gap = 1 if short else 2
    texts = [item.short if short else item.long for item in items]
    return sum(map(cell_len, texts)) + gap * max(0, len(texts) - 1)


def stopping_sentence(snapshot: EngineSnapshot | None) -> str:
    """Return what is said while the engine stops."""
    open_now = len(snapshot.associations) if snapshot else 0
    if not open_now:
        return "stopping"
    return f"stopping, {counted(open_now, 'association')} may finish"
