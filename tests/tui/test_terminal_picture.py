"""What a terminal shows from the differences is what it shows after a full repaint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Offset, Size
from textual.strip import Strip

from engine.events import ObjectsStored
from tests.fakes import FakeEngine, busy
from tests.fakes.values import make_throughput
from tui.app import ConsoleApp
from tui.terminal_picture import TerminalPicture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

Colors = Literal["standard", "256", "truecolor"]
SEEN_ON_BLANKS = ("underscore", "strikethrough", "reverse")


class Emulator:
    """A terminal that takes bytes."""

    def __init__(self, width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.Stream(self._screen)
        self._stream.feed("\x1b[?7l")

    def feed(self, text: str) -> None:
        self._stream.feed(text)

    def resize(self, width: int, height: int) -> None:
        self._screen.resize(height, width)

    def seen(self) -> list[list[tuple[Any, ...]]]:
        """Return all that an eye can see: of a space, only what is around and behind it."""
        size = range(self._screen.lines), range(self._screen.columns)
        return [[_seen(self._screen.buffer[y][x]) for x in size[1]] for y in size[0]]

    def text(self) -> str:
        return "\n".join(self._screen.display)


def _seen(cell: Any) -> tuple[Any, ...]:
    if cell.data == " " and not any(getattr(cell, name) for name in SEEN_ON_BLANKS):
        return " ", cell.bg
    return tuple(cell)


STYLES = (
    None,
    Style(color="#102030", bgcolor="#405060"),
    Style(color="#102030", bgcolor="#000000", bold=True),
    Style(color="red", underline=True),
    Style(bgcolor="#405060", italic=True, reverse=True),
    Style(bold=True, strike=True),
    Style(color="#a0b0c0", link="https://example.org/"),
    Style(color="default", bgcolor="default"),
)
WORDS = ("a", "ab ", "   ", "12,345", "漢字", "e\u0301x", "😀", "─┤", "▲ ")


class Canvas:
    """Lines that change at random, in widgets side by side; what Textual's compositor makes."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.lay_out()

    def lay_out(self) -> None:
        """Take another size and other widgets, with other contents."""
        random = self._random
        self.size = Size(random.randint(10, 30), random.randint(2, 6))
        inner = random.sample(range(1, self.size.width), random.randint(0, 4))
        self._cuts = [0, *sorted(inner), self.size.width]
        self._lines = [
            {x: self._strip(end - x) for x, end in self._widgets()} for _ in range(self.size.height)
        ]

    def partial(self) -> ChopsUpdate:
        """Change some widgets, some of them to what they are, and return the update."""
        random = self._random
        spans, chops = [], []
        for y, line in enumerate(self._lines):
            chops.append(dict.fromkeys(self._cuts[:-1], None))
            if random.random() < 0.5:
                continue
            x, end = random.choice(self._widgets())
            if random.random() < 0.7:
                line[x] = self._changed(line[x], end - x)
            chops[y] = {at: strip if at == x else None for at, strip in line.items()}
            spans.append((y, x, end))
        return ChopsUpdate(chops, spans, [self._cuts[1:]] * self.size.height)

    def full(self) -> LayoutUpdate:
        return LayoutUpdate([line.values() for line in self._lines], self.size.region)

    def _widgets(self) -> list[tuple[int, int]]:
        return list(zip(self._cuts, self._cuts[1:], strict=False))

    def _strip(self, width: int) -> Strip:
        random = self._random
        segments = [
            Segment(random.choice(WORDS), random.choice(STYLES))
            for _ in range(random.randint(1, 6))
        ]
        return Strip(segments).adjust_cell_length(width, random.choice(STYLES))

    def _changed(self, strip: Strip, width: int) -> Strip:
        """Change the middle of a strip; halves of wide characters become spaces."""
        begin, end = sorted(self._random.sample(range(width + 1), 2)) if width > 1 else (0, width)
        pieces = [strip.crop(0, begin), self._strip(end - begin), strip.crop(end, width)]
        return Strip.join(pieces)


class Written:
    """An app and a screen in one, as far as a picture asks for them."""

    def __init__(self, canvas: Canvas, colors: Colors | None = "truecolor") -> None:
        self._driver = SimpleNamespace(is_headless=False, is_inline=False, is_web=False)
        self._running, self._closed, self._batch_count = True, False, 0
        self.cursor_position = Offset(0, 0)
        self.console = Console(color_system=colors, force_terminal=True)
        self._canvas = canvas
        self._compositor = SimpleNamespace(render_full_update=canvas.full)
        self.picture = TerminalPicture()
        self.itself: Any = self
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1

    @property
    def outer_size(self) -> Size:
        return self._canvas.size

    def written(self, update: Any) -> str:
        """Return what is written for an update."""
        shorter: Any = self.picture.shortened(self.itself, self.itself, update)
        assert self.picture.usable, "Textual's inside is not as expected"
        return shorter.render_segments(self.console) if shorter is not None else ""

    def repainted(self) -> Emulator:
        """Return a terminal after a full repaint by Textual."""
        fresh = Emulator(*self._canvas.size)
        fresh.feed(self._canvas.full().render_segments(self.console))
        return fresh


def test_differences_show_what_a_full_repaint_shows() -> None:
    for seed in range(25):
        random = Random(seed)
        canvas = Canvas(random)
        app = Written(canvas)
        terminal = Emulator(*canvas.size)
        terminal.feed(app.written(canvas.full()))
        for step in range(8):
            if step == 4:  # a resize; the terminal keeps what it likes of what it showed
                canvas.lay_out()
                terminal.resize(*canvas.size)
                app.picture.forget()
            terminal.feed(app.written(canvas.partial()))
            assert terminal.seen() == app.repainted().seen(), f"seed {seed}, step {step}"
        assert app.written(canvas.full()) == ""


def test_marks_and_control_characters_do_not_leave_their_cells() -> None:
    canvas = Canvas(Random(0))
    app = Written(canvas)
    plain, red = Style(), Style(color="red")
    segments = [("\u0302a", plain), ("漢", red), ("\u0302", plain), ("\x1b[2J\n", red), ("b", red)]
    strip = Strip([Segment(*segment) for segment in segments])
    update = LayoutUpdate([[strip]], canvas.size.region)
    assert app.written(update) == "\x1b[1;1Ha\x1b[31m漢\u0302\x1b[1;4H[2Jb\x1b[0m"


def test_only_a_change_is_written_and_a_move_of_the_cursor() -> None:
    app = Written(canvas := Canvas(Random(0)))
    assert app.written(canvas.full())
    assert app.written(canvas.full()) == ""
    assert app.picture.shortened(app.itself, app.itself, canvas.full()) is None
    app.cursor_position = Offset(3, 1)
    moved = app.picture.shortened(app.itself, app.itself, canvas.full())
    assert moved is not None, "Textual puts the cursor there behind what is written"
    app.picture.forget()
    assert len(app.written(canvas.full())) > canvas.size.area


def test_colors_are_those_of_the_terminal() -> None:
    strip = Strip([Segment("a", Style(color="#ff0000", bgcolor="#0000ff"))])
    exact = "38;2;255;0;0;48;2;0;0;255"
    codes: dict[Colors | None, str] = {"truecolor": exact, None: exact}
    codes |= {"256": "38;5;196;48;5;21", "standard": "31;44"}
    for colors, wanted in codes.items():
        app = Written(canvas := Canvas(Random(0)), colors)
        update = LayoutUpdate([[strip]], canvas.size.region)
        assert app.written(update) == f"\x1b[1;1H\x1b[{wanted}ma\x1b[0m"


@pytest.mark.parametrize("kind", ["is_headless", "is_inline", "is_web"])
def test_what_is_no_terminal_of_its_own_gets_what_textual_writes(kind: str) -> None:
    app = Written(canvas := Canvas(Random(0)))
    setattr(app._driver, kind, True)
    update = canvas.full()
    assert app.picture.shortened(app.itself, app.itself, update) is update


def test_another_textual_writes_by_itself() -> None:
    app = Written(canvas := Canvas(Random(0)))
    app.written(canvas.full())
    update = canvas.partial()
    del update.spans
    for another in (update, canvas.partial()):
        assert app.picture.shortened(app.itself, app.itself, another) is another
    assert not app.picture.usable
    assert app.refreshed == 1, "then all is written anew"
    app = Written(canvas)
    del app._batch_count
    assert app.picture.shortened(app.itself, app.itself, update) is update


def test_an_update_for_a_larger_terminal_is_cut() -> None:
    app = Written(canvas := Canvas(Random(0)))
    larger = canvas.partial(), canvas.full()
    wanted = app.repainted().seen()
    canvas.size = Size(4, 2)
    terminal = Emulator(4, 2)
    for update in larger:
        terminal.feed(app.written(update))
    assert terminal.seen() == [line[:4] for line in wanted[:2]]


LOOKS_PER_SECOND = 4


def go_on(engine: FakeEngine) -> None:
    """Let a quarter of a second pass at a busy engine: every number moves, events come."""
    before = engine.current
    taken_at = before.taken_at + timedelta(seconds=1 / LOOKS_PER_SECOND)
    quarter = round(taken_at.timestamp() * LOOKS_PER_SECOND)
    second, rate = quarter // LOOKS_PER_SECOND, 30 + quarter % 17
    engine.current = replace(
        before,
        taken_at=taken_at,
        throughput=make_throughput(rate, rate * 4, second),
        totals=replace(before.totals, stored=before.totals.stored + rate),
        associations=tuple(
            replace(a, objects=a.objects + 9, bytes=a.bytes + rate * 250_000, bytes_rate=rate * 2e5)
            for a in before.associations
        ),
        receivers=tuple(
            replace(
                r,
                objects_today=r.objects_today + rate,
                last_object_at=taken_at,
                throughput=make_throughput(rate / 2, rate * 2, second),
            )
            if r.open_associations
            else r
            for r in before.receivers
        ),
    )
    if not quarter % 2:
        stored = ObjectsStored(receiver="XNAT:8104", objects=rate, duplicates=0, bytes=rate * 10**6)
        engine.insert((-quarter / LOOKS_PER_SECOND, stored))


class Line:
    """What a console writes, and the terminal that gets it."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None], width: int, height: int) -> None:
        self.app = app
        self.pilot = pilot
        self.terminal = Emulator(width, height)
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)
        self.terminal.feed(text)

    async def resize(self, width: int, height: int) -> None:
        self.terminal.resize(width, height)
        await self.pilot.resize_terminal(width, height)
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def differences(self) -> list[tuple[int, object, object]]:
        """Return the lines that a terminal that is drawn from nothing shows otherwise."""
        app = self.app
        fresh = self._drawn_anew()
        for _ in range(50):
            if fresh.seen() == self.terminal.seen():
                break
            # On a busy machine Textual may be about to write.
            await self.pilot.pause()
            fresh = self._drawn_anew()
        assert app._picture.usable, "Textual's inside is not as expected"
        assert self.terminal.text() == fresh.text()
        cells = enumerate(zip(fresh.seen(), self.terminal.seen(), strict=True))
        return [(y, want, shown) for y, (want, shown) in cells if want != shown]

    def _drawn_anew(self) -> Emulator:
        fresh = Emulator(*self.app.size)
        update = self.app.screen._compositor.render_full_update()
        forget_colors(update)
        fresh.feed(update.render_segments(self.app.console))
        return fresh

    async def bytes_of(self, looks: int, engine: FakeEngine) -> int:
        """Let the console look at a busy engine so often, and return how many bytes it wrote."""
        self.written.clear()
        for _ in range(looks):
            go_on(engine)
            await self.app.look()
            await self.pilot.pause()
        return len("".join(self.written).encode())


def forget_colors(update: LayoutUpdate) -> None:
    """Let rich find the codes of all styles again.

    A style keeps those of the terminal that it was first drawn for, and all tests share the styles.
    """
    for strip in chain.from_iterable(update.strips):
        strip._render_cache = None
        for segment in strip:
            if segment.style is not None:
                segment.style._ansi = None


StartLine = Callable[[FakeEngine, int, int], AbstractAsyncContextManager[Line]]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> StartLine:
    """Return what starts a console that writes as to a terminal."""
    monkeypatch.setattr(HeadlessDriver, "is_headless", False)

    @asynccontextmanager
    async def start(engine: FakeEngine, width: int, height: int) -> AsyncIterator[Line]:
        app = ConsoleApp(engine, refresh_hz=0, blink=False)
        async with app.run_test(size=(width, height)) as pilot:
            wire = Line(app, pilot, width, height)
            monkeypatch.setattr(app._driver, "write", wire.write)
            app.action_repaint()
            yield wire

    return start


async def test_a_walk_through_the_console_shows_what_textual_would_show(line: StartLine) -> None:
    engine = busy()
    async with line(engine, 80, 24) as wire:
        drawn = wire.app.screen._compositor.render_full_update().strips
        for strip in chain.from_iterable(drawn):  # as another test may have done in this process
            strip.render(Console(color_system="truecolor", force_terminal=True))
        for keys in ("", "2 j", "3", "4", "5", "9", "1 n x 漢", "? f1", "escape"):
            await wire.press(*keys.split())
            go_on(engine)
            await wire.app.look()
            await wire.pilot.pause()
            assert await wire.differences() == [], keys
        for size in ((82, 25), (30, 8), (81, 24)):
            await wire.resize(*size)
            assert await wire.differences() == [], size
        wire.terminal.feed("\x1b[HSystem going down\x1b[2;1H\x1b[J")
        await wire.press("ctrl+l")
        assert await wire.differences() == [], "^l repairs what another program wrote"


async def test_a_busy_console_writes_few_bytes_and_an_idle_one_none(line: StartLine) -> None:
    engine = busy()
    async with line(engine, 120, 40) as wire:
        await wire.press("ctrl+l")
        assert await wire.bytes_of(8, engine) / 2 < 6_000
        assert await wire.bytes_of(4, engine) / 4 < 1_500, "one second passes between two looks"
        await wire.press("n")
        assert await wire.bytes_of(8, engine) / 2 < 3_000
        await wire.press("escape", "question_mark")
        assert await wire.bytes_of(8, engine) / 2 < 3_000
        wire.written.clear()
        await wire.app.look()
        wire.app.screen.refresh()
        await wire.pilot.pause()
        assert wire.written == []
