"""What no single picture proves: every screen and dialog is whole at every size."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from textual.app import App
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Static

from tests.tui.invariants import faults, unseen_problems
from tests.tui.scenes import (
    DIALOGS,
    ERRORS,
    HOSTILE,
    PUSHED,
    SCREENS,
    Scene,
    hostile,
    ordinary,
)
from tests.tui.test_styles_of_screens import import_all
from tui.app import ConsoleApp
from tui.shell.dialogs import TooSmallScreen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.app import ComposeResult
    from textual.pilot import Pilot

    from tests.fakes import FakeEngine

pytestmark = pytest.mark.usefixtures("no_delays")
SIZES = ((60, 15), (80, 24), (100, 30), (120, 40), (200, 60))
STEPS = 4
"""Of the tab key, in both directions."""


@asynccontextmanager
async def scene(
    engine: FakeEngine, where: Scene, size: tuple[int, int] = SIZES[-1]
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    """Open a screen or a dialog by its keys."""
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        for key in where.keys:
            await pilot.press(key)
            await pilot.pause()
        if where.pushed is not None:
            app.push_screen(where.pushed())
            await pilot.pause()
        assert type(app.screen) is where.kind
        for field, value in where.values:
            app.screen.take(field, value)  # type: ignore[attr-defined]
            await pilot.pause()
        yield app, pilot


async def faults_at(
    app: ConsoleApp, pilot: Pilot[None], sizes: tuple[tuple[int, int], ...] = SIZES
) -> dict[str, list[str]]:
    """Return what is wrong by size; the focus goes round at the smallest."""
    found: dict[str, list[str]] = {}
    for size in reversed(sizes):
        if tuple(app.size) != size:
            await pilot.resize_terminal(*size)
            await pilot.pause()
        found["x".join(map(str, size))] = faults(app.screen)
    for key in ("tab", "shift+tab"):
        for step in range(STEPS if app.screen.focused else 0):
            await pilot.press(key)
            await pilot.pause()
            found[f"60x15, {key} {step + 1}"] = faults(app.screen)
    return {where: wrong for where, wrong in found.items() if wrong}


@pytest.mark.parametrize("where", [*SCREENS, *DIALOGS, *PUSHED], ids=lambda where: where.name)
async def test_every_screen_is_whole_at_every_size(where: Scene) -> None:
    async with scene(ordinary(), where) as (app, pilot):
        assert await faults_at(app, pilot) == {}


@pytest.mark.parametrize("where", HOSTILE, ids=lambda where: where.name)
async def test_names_that_are_too_long_wide_or_markup_break_no_screen(where: Scene) -> None:
    async with scene(hostile(), where, SIZES[-2]) as (app, pilot):
        assert await faults_at(app, pilot, (SIZES[0], SIZES[-2])) == {}


@pytest.mark.parametrize("where", ERRORS, ids=lambda where: where.name)
async def test_what_is_refused_is_seen_with_its_field_at_every_size(where: Scene) -> None:
    async with scene(ordinary(), where) as (app, pilot):
        unseen = {}
        for size in reversed(SIZES):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await pilot.press("ctrl+s")
            await pilot.pause()
            unseen[size] = [*unseen_problems(app.screen), *faults(app.screen)]
        assert {size: wrong for size, wrong in unseen.items() if wrong} == {}


def kinds_of(kind: type[Screen[Any]]) -> set[type[Screen[Any]]]:
    """Return a kind of screen and all kinds of it."""
    return {kind}.union(*map(kinds_of, kind.__subclasses__()))


def test_every_kind_of_screen_is_looked_at() -> None:
    import_all()
    ours = {kind for kind in kinds_of(Screen) if kind.__module__.startswith("tui.")}
    last = {kind for kind in ours if not kind.__subclasses__()}
    seen = {where.kind for where in (*SCREENS, *DIALOGS, *PUSHED)}
    assert last - seen == {TooSmallScreen}


# That each of them can fail


class BrokenDialog(ModalScreen[None]):
    """Is too high and too wide for its terminal, and says no keys."""

    CSS = """
    BrokenDialog { align: center top; }
    .box { border: heavy red; width: 50; height: auto; }
    BrokenDialog.-cut .box { max-height: 100%; overflow: hidden; }
    .fixed { height: 1; width: 9; }
    Button { width: 7; min-width: 0; }
    """

    def __init__(self, rows: int, words: str = "", label: str = "OK", classes: str = "") -> None:
        super().__init__(classes=classes)
        self._rows, self._words, self._label = rows, words, label

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            with VerticalScroll(can_focus=False):
                yield Static(self._words, classes="fixed", markup=False)
            yield Static("\n".join("row" for _ in range(self._rows)), markup=False)
            yield Button(Content(self._label), compact=True)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"rows": 30}, "its frame"),
        ({"rows": 30}, "the whole screen has a scrollbar"),
        ({"rows": 30, "classes": "-cut"}, "has the focus and is not seen"),
        ({"rows": 2}, "says nowhere which keys"),
        ({"rows": 2, "words": "more than nine cells"}, "lines in 1 rows"),
        ({"rows": 2, "label": "Delete all"}, "the label 'Delete all' is cut"),
    ],
)
async def test_a_broken_dialog_is_noticed(broken: dict[str, Any], told: str) -> None:
    app: App[None] = App()
    async with app.run_test(size=(60, 15)) as pilot:
        app.push_screen(BrokenDialog(**broken))
        await pilot.pause()
        assert any(told in fault for fault in faults(app.screen)), faults(app.screen)
