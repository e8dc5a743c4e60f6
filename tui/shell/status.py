"""The status line at the top, and the line of keys at the bottom."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from engine.api import ReceiverState
from tui.keys import BY_ID, ORDER, Key, Scope
from tui.text import clock, counted, duration, megabytes, safe
from tui.theme import (
    DARK,
    RECEIVER_STYLES,
    REJECTING,
    Palette,
    Tone,
    palette_of,
    receiver_style,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from textual.screen import Screen

    from engine.api import EngineSnapshot
    from engine.metrics import Throughput
    from tui.console_settings import KeptSettings
    from tui.engine_client import EngineState


_STATE_WORDS = {
    ReceiverState.LISTENING: "listening",
    ReceiverState.DISABLED: "stopped",
    ReceiverState.FAILED: "failed",
    ReceiverState.DRAINING: "draining",
    ReceiverState.NOT_ALLOWED: "not allowed",
}
STATUS = "status"
USUAL_HZ = 4.0
DISK_WARNING_PERCENT = 90
DISK_ERROR_PERCENT = 97


class Item(NamedTuple):
    """One statement of the line, in a long and a short form."""

    long: str
    short: str
    tone: Tone = Tone.PLAIN
    rank: int = 0
    """The highest is left out first when there is no room; 0 never."""


def pace_words(hz: float) -> str:
    """Say how often the console looks."""
    return f"{hz:g}× a second" if hz >= 1 else f"every {1 / hz:g} s"


class StatusLine(Widget):
    """Counts of receivers by state, load, disk, host and the engine's time."""

    def __init__(
        self, *, demo: bool = False, read_only: bool = False, id: str = STATUS, kept: KeptSettings
    ) -> None:
        super().__init__(id=id)
        self._kept = kept
        self._read_only = read_only
        self._demo = demo
        self._engine_state: EngineState | None = None
        self._rate: Throughput | None = None
        self._palette = palette_of(DARK)
        self._stopping = ""
        self._shown: tuple[object, ...] = ()

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, engine_state: EngineState) -> None:
        """Show a new reading; of the rates, one for each second."""
        snapshot, before = engine_state.snapshot, self._engine_state
        if snapshot is not None and (
            before is None or _second(snapshot) != _second(before.snapshot)
        ):
            self._rate = snapshot.throughput
        self._engine_state = engine_state
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
        ends = (self._right(short=True), self._right(short=True).rpartition("  ")[2])
        right = next((end for end in ends if cell_len(end) <= room), "")
        return self._line(items, right, width, short=True)

    def _line(self, items: list[Item], right: str, width: int, *, short: bool) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis", end="")
        for i, item in enumerate(items):
            text = item.short if short else item.long
            gap = " " if short else "  "
            line.append(("" if i == 0 else gap) + text, self._palette.style(item.tone))
        line.append(" " * max(0, width + 1 - line.cell_len - cell_len(right)))
        return line.append(right, self._palette.style(Tone.MUTED))

    def _right(self, *, short: bool) -> str:
        snapshot = self._engine_state.snapshot if self._engine_state else None
        if snapshot is None:
            return ""
        host = safe(snapshot.host, 24)
        if self._engine_state is not None and self._engine_state.silent:
            return "" if short else host  # a clock that stands still would look like one that goes
        at = clock(snapshot.taken_at)
        pace = f"↻ {pace_words(self._kept.hz)}  " if self._kept.hz not in (0, USUAL_HZ) else ""
        return f"{pace}{at}" if short else f"{host}  {pace}{at}"

    def _items(self) -> Iterator[Item]:
        yield Item("dicomdock", "dicomdock", Tone.STRONG)
        if self._demo:
            yield Item("DEMO", "DEMO", Tone.WARNING)
        if self._read_only:
            yield Item("READ-ONLY", "READ-ONLY", Tone.WARNING)
        if self._stopping:
            yield Item(f"◐ {self._stopping}", f"◐ {self._stopping}", Tone.WARNING)
            return
        engine_state = self._engine_state
        if engine_state is None or engine_state.snapshot is None:
            silent = engine_state is not None and engine_state.silent
            words = "✗ engine does not answer" if silent else "waiting for the engine"
            yield Item(words, words, Tone.ERROR if silent else Tone.MUTED)
            return
        if engine_state.silent_since is not None:
            words = f"✗ engine does not answer since {clock(engine_state.silent_since)}"
            lasts = duration(engine_state.silent_seconds)
            yield Item(f"{words}, for {lasts}, last known:", f"{words}, {lasts}", Tone.ERROR)
        greyed = engine_state.silent
        load = _load(engine_state.snapshot, self._rate or engine_state.snapshot.throughput)
        for item in (*_states(engine_state.snapshot), *load):
            yield item._replace(tone=Tone.MUTED, rank=item.rank or 1) if greyed else item


def _states(snapshot: EngineSnapshot) -> Iterator[Item]:
    if not snapshot.receivers:
        yield Item("no receivers yet", "no receivers yet", Tone.MUTED)
        return
    states = Counter(status.state for status in snapshot.receivers)
    rejecting = bool(snapshot.storage.refusal)
    for state in RECEIVER_STYLES:
        number, look = states[state], receiver_style(state, rejecting=rejecting)
        if number:
            word = "rejecting" if look is REJECTING else _STATE_WORDS[state]
            yield Item(f"{look.glyph} {number} {word}", f"{look.glyph}{number}", look.tone)


def _second(snapshot: EngineSnapshot | None) -> datetime | None:
    return snapshot.taken_at.replace(microsecond=0) if snapshot is not None else None


def _load(snapshot: EngineSnapshot, rate: Throughput) -> Iterator[Item]:
    open_now, most = len(snapshot.associations), snapshot.maximum_associations
    full = open_now >= most
    associations = f"{'▲ ' if full else ''}assoc {open_now}/{most}"
    yield Item(associations, associations, Tone.WARNING if full else Tone.PLAIN, rank=2)
    speed = f"{megabytes(rate.bytes_rate)} MB/s"
    yield Item(speed, speed, rank=1)
    objects = f"{rate.objects_rate:,.0f} obj/s"
    yield Item(objects, objects, rank=4)
    if snapshot.recovery is not None:
        # After a kill, as long as that goes on.
        yield Item(f"▲ {snapshot.recovery}", "▲ recovering", Tone.WARNING, rank=1)
    yield _disk(snapshot)


def _disk(snapshot: EngineSnapshot) -> Item:
    percent = snapshot.storage.used_percent
    text = f"disk {percent}%"
    if percent >= DISK_ERROR_PERCENT:
        return Item(f"✗ {text} full", f"✗ {text}", Tone.ERROR)
    if snapshot.storage.refusal:
        return Item(f"✗ {text}", f"✗ {text}", Tone.ERROR)
    if percent >= DISK_WARNING_PERCENT:
        return Item(f"▲ {text} full", f"▲ {text}", Tone.WARNING)
    return Item(text, text, rank=3)


def _width(items: list[Item], *, short: bool) -> int:
    gap = 1 if short else 2
    texts = [item.short if short else item.long for item in items]
    return sum(map(cell_len, texts)) + gap * max(0, len(texts) - 1)


def stopping_sentence(snapshot: EngineSnapshot | None) -> str:
    """Return the sentence that is shown while the engine stops."""
    open_now = len(snapshot.associations) if snapshot else 0
    if not open_now:
        return "stopping"
    return f"stopping, {counted(open_now, 'association')} may finish"


QUIT = "app.quit"


class Hint(NamedTuple):
    """A key in the footer, and whether it can be used now."""

    key: Key
    enabled: bool


class HintFormat(NamedTuple):
    """How closely the hints are set."""

    short: bool
    gap: str

    def label(self, key: Key) -> str:
        """Return what the key is called in this form."""
        return (self.short and key.short) or key.label


FORMS = (HintFormat(False, "  "), HintFormat(True, "  "), HintFormat(True, " "))


class KeyLine(Widget):
    """Shows the important active keys; each is also a mouse target."""

    auto_links = False
    COMPONENT_CLASSES = {"key-line--key", "key-line--off"}

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._hints: tuple[Hint, ...] = ()

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def render(self) -> Content:
        """Return the longest form that fits."""
        width = self.size.width - 2
        hints = active_hints(self.screen)
        shown, form = _arranged(hints, width)
        last = [hint for hint in shown if hint.key.id == QUIT]
        line = self._line([hint for hint in shown if hint not in last], form)
        end = self._line(last, form)
        gap = max(1, width - cell_len(line.plain) - cell_len(end.plain))
        return Content.assemble(" ", line, " " * gap, end)

    def _line(self, hints: list[Hint], form: HintFormat) -> Content:
        return Content(form.gap).join([self._hint(hint, form) for hint in hints])

    def _hint(self, hint: Hint, form: HintFormat) -> Content:
        label = form.label(hint.key)
        if not hint.enabled:
            off = self.get_visual_style("key-line--off")
            return Content.styled(f"{hint.key.shown} {label}", off)
        target = Style.from_meta({"@click": _click(hint.key)})
        shown = self.get_visual_style("key-line--key", partial=True)
        content = Content.assemble((hint.key.shown, shown), f" {label}")
        return content.stylize(target)

    def _bindings_changed(self, screen: Screen[Any]) -> None:
        hints = tuple(active_hints(screen))
        if hints != self._hints:
            self._hints = hints
            self.refresh()


def active_hints(screen: Screen[Any]) -> list[Hint]:
    """Return the footer's keys that exist now, in the order of the key table."""
    hints = [
        Hint(BY_ID[active.binding.id], active.enabled)
        for active in screen.active_bindings.values()
        if active.binding.show and active.binding.id in BY_ID
    ]
    return sorted(hints, key=lambda hint: ORDER[hint.key.id])


def _arranged(hints: list[Hint], width: int) -> tuple[list[Hint], HintFormat]:
    for form in FORMS:
        if _key_width(hints, form) <= width:
            return hints, form
    hints = list(hints)
    closest = FORMS[-1]
    while hints and _key_width(hints, closest) > width:
        hints.remove(max(hints, key=lambda hint: hint.key.footer))  # the least important
    return hints, closest


def _key_width(hints: list[Hint], form: HintFormat) -> int:
    texts = [f"{hint.key.shown} {form.label(hint.key)}" for hint in hints]
    return sum(map(cell_len, texts)) + len(form.gap) * max(0, len(texts) - 1)


def _click(key: Key) -> str:
    if "." in key.action.partition("(")[0]:
        return key.action
    return f"app.{key.action}" if key.scope is Scope.EVERYWHERE else f"screen.{key.action}"
