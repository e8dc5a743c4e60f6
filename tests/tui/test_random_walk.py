"""Random keys on a real engine whose senders are hostile: nothing breaks, nobody gets stuck."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from textual.drivers.headless_driver import HeadlessDriver

from engine.app.demo.sender import CT_SCANNER, study
from tests.running import free_port, make_receiver
from tests.tui.invariants import drawn, missing_lines, scrolled
from tests.tui.test_terminal_picture import Line
from tests.tui.test_walks import _send, running
from tui.app import ConsoleApp
from tui.keys import KEYS
from tui.log.screen import save_entries
from tui.shell.dialogs import QuestionDialog
from tui.shell.screen import ConsoleScreen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.pilot import Pilot

    from engine.service.engine import Engine

WALKS, STEPS = 21, 100
"""Two thousand steps, and the simplest walk, with which Hypothesis begins."""
LOOK_EVERY, LEAVE_EVERY = 7, 25
ESCAPES_MOST = 15
"""No screen lies deeper: each escape ends a filter, a dialog, a zoom, a pause or a screen."""
SIZES = ((80, 24), (120, 40), (60, 15))
OBJECTS = 2
HOSTILE = (
    "[red]CT[/red]",
    "\x1b]52;c;QQ==\x07",
    "日本語の長い名前" * 6,
    "[@click=app.quit]A",
    "a " * 30,
)
PLACES = tuple("12345678")
INTO_DIALOGS = ("enter", "e", "n", "d", "a", "m", "Z", "W", "w", "F", "S", "o", "O", "t", "c", "i")
IN_DIALOGS = ("tab", "shift+tab", "space", "ctrl+s", "f8", "f1", "ctrl+r", "ctrl+t", "down", "up",
              "right", "left", "home", "end", "pagedown", "backspace", "y", "v")  # fmt: skip
TYPED = (*"xA7", "漢", "slash", "left_square_bracket", "comma", "minus")
NEVER = {"ctrl+q"}
ALL = tuple(sorted({one for key in KEYS for one in key.keys.split(",")} - NEVER))
PRESSED = (*ALL, *PLACES, *INTO_DIALOGS * 3, *IN_DIALOGS * 3, *TYPED, "escape", "ctrl+p")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that stores what hostile scanners send it."""
    port = free_port()
    receiver = make_receiver("WALK", port, anonymization=False)
    with running(tmp_path_factory.mktemp("walk") / "data", receiver) as started:
        for number, name in enumerate(HOSTILE, start=1):
            objects = list(islice(study(CT_SCANNER, number, "", datetime.now(UTC)), OBJECTS))
            for ds in objects:
                ds.SpecificCharacterSet = "ISO_IR 192"
                ds.PatientName = ds.StudyDescription = ds.SeriesDescription = name
            scanner = replace(CT_SCANNER, ae_title="[b]CT[/b]" if number % 2 else "C" * 16)
            assert _send(scanner, port, objects) == [0] * OBJECTS
        yield started


@pytest.fixture
def _sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be saved in a folder of the test, and let nothing end the console."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "tui.log.screen.save_entries", lambda name, entries: save_entries(Path(name).name, entries)
    )
    monkeypatch.setattr(ConsoleApp, "_leave", lambda _: None)
    monkeypatch.setattr(HeadlessDriver, "is_headless", False)


class Wanderer:
    """Presses keys, and notices what must never be."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None]) -> None:
        self._app = app
        self._pilot = pilot
        self._wire = Line(app, pilot, *app.size)
        app._driver.write = self._wire.write  # type: ignore[union-attr, method-assign]
        app.action_repaint()
        self._pressed: list[str] = []

    async def press(self, key: str) -> None:
        self._pressed.append(key)
        await self._pilot.press(key)
        await self._pilot.pause()
        screen = self._app.screen
        found = [*scrolled(screen), *missing_lines(screen, drawn(screen))]
        assert self._app._exception is None, self._trace()
        assert not found, f"{found} after {self._trace()}"

    async def look(self) -> None:
        """Let the console see what the engine did meanwhile, as its clock would."""
        await self._app.look()
        await self._pilot.pause()

    async def leave(self) -> None:
        """Go back to a screen with a number by escape, and answer only that changes are lost."""
        assert await self._wire.differences() == [], self._trace()
        for _ in range(ESCAPES_MOST):
            screen = self._app.screen
            if isinstance(screen, ConsoleScreen) and not screen.crumbs():
                return
            loses = isinstance(screen, QuestionDialog) and screen._question == "Discard changes?"
            await self.press("y" if loses else "escape")
        raise AssertionError(f"stuck in {self._app.screen} after {self._trace()}")

    def _trace(self) -> str:
        return f"{' '.join(self._pressed)} on {self._app.screen}"


@pytest.mark.no_cover  # as of all random tests
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_sandbox", "no_delays")
@settings(
    max_examples=WALKS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # each walk takes seconds: too long to shrink
)
@given(
    place=st.sampled_from(PLACES),
    size=st.sampled_from(SIZES),
    keys=st.lists(st.sampled_from(PRESSED), min_size=STEPS, max_size=STEPS),
)
async def test_two_thousand_random_keys_break_nothing(
    engine: Engine, place: str, size: tuple[int, int], keys: list[str]
) -> None:
    app = ConsoleApp(engine, refresh_hz=0, blink=False, actor="walker")
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        walk = Wanderer(app, pilot)
        await walk.press(place)
        for step, key in enumerate(keys, start=1):
            await walk.press(key)
            if step % LOOK_EVERY == 0:
                await walk.look()
            if step % LEAVE_EVERY == 0:
                await walk.leave()
