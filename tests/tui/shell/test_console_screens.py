"""The frame of the screens: going from one to another, what they keep, what is hidden."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.api import EngineSnapshot, EngineView
from engine.errors import EngineError
from tests.fakes import FakeEngine, barred, busy, empty, port_in_use
from tests.fakes.values import make_snapshot
from tests.tui.shell.second_screen import DeepScreen, Numbers, SecondScreen
from tui.app import ConsoleApp
from tui.console_settings import TableSettings
from tui.dashboard.screen import DashboardScreen
from tui.keys import KEYS, Scope
from tui.places import SCREEN_SPECS, ScreenSpec
from tui.receivers.failure import FailurePanel
from tui.receivers.table import ReceiversTable
from tui.shell.dialogs import (
    MessageDialog,
    ProgressDialog,
    WorkOutcome,
    WorkStep,
    failures_report,
    progress_bar,
)
from tui.shell.help import all_keys
from tui.shell.palette import ConsoleCommands
from tui.shell.screen import ConsoleScreen
from tui.shell.status import StatusLine, active_hints
from tui.shell.tabs import TabRow, arranged, engine_place
from tui.theme import DARK, palette_of
from tui.widgets.filter import FilterBar

TWO = (
    SCREEN_SPECS[0],
    ScreenSpec("log", "4", "Log", "Log", "tests.tui.shell.second_screen:SecondScreen"),
)


@asynccontextmanager
async def running(
    engine: FakeEngine, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    usual: dict[str, Any] = {"places": TWO, "refresh_hz": 0, "blink": False}
    app = ConsoleApp(engine, **usual | options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield app, pilot


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.pause()


def second(app: ConsoleApp) -> SecondScreen:
    assert isinstance(app.screen, SecondScreen)
    return app.screen


def offers(app: ConsoleApp) -> list[str]:
    return [offer.name for offer in ConsoleCommands(app.screen)._entries()]


def toasts(app: ConsoleApp) -> list[str]:
    return [notification.message for notification in app._notifications]


@pytest.mark.parametrize(
    "place", [p for p in SCREEN_SPECS if p.screen], ids=lambda place: place.name
)
def test_every_place_is_a_screen_whose_keys_do_one_thing_each(place: ScreenSpec) -> None:
    screen = ConsoleApp(busy())._screen_of(place)
    assert place.name == type(screen).PLACE
    scopes = (*screen.SCOPES, Scope.VIEW, Scope.LISTS, Scope.SCREENS, Scope.EVERYWHERE)
    keys = [key.keys for key in KEYS if key.scope in scopes]
    assert {key for key in keys if keys.count(key) > 1} <= {"s", "B", "Z", "r"}


async def test_a_number_key_goes_to_a_screen_that_keeps_cursor_filter_and_marks() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.press("4", "slash", "1", "enter", "j", "space")
        first, table = second(app), app.screen.query_one(Numbers)
        assert table.marked == ("10",)
        await pilot.press("1")
        assert isinstance(app.screen, DashboardScreen)
        await pilot.press("4")
        await pilot.pause()
        assert second(app) is first
        assert first.query_one(FilterBar).value == "1"
        assert (table.chosen, table.marked) == ("11", ("10",))


async def test_only_the_screen_that_is_seen_is_shown_readings() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.click(TabRow, offset=(17, 0))
        screen = second(app)
        await pilot.press("1")
        await pilot.pause()
        before = screen.shown
        await app.look()
        assert screen.shown == before
        app.go("log")
        assert screen.shown > before


async def test_a_screen_that_does_not_exist_has_no_key_and_a_number_in_an_input_is_text() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.press("5", "slash", "4")
        assert app.screen is app.dashboard
        assert app.screen.query_one("#filter", Input).value == "4"
        assert str(app.screen.query_one(TabRow).render()) == " [1 Dashboard] 4 Log "
        ways = [name for name in offers(app) if name.startswith("go:")]
        assert [name for name in ways if "Receiver" not in name] == ["go: Log"]
        assert "go to screen 5" not in all_keys(palette_of(DARK), app.dashboard).plain


async def test_escape_and_the_number_lead_back_from_a_deeper_screen() -> None:
    async with running(busy(), (80, 24)) as (app, pilot):
        await pilot.press("4")
        base = second(app)
        for key in ("escape", "4"):
            app.push_screen(DeepScreen(app.frame))
            await pilot.pause()
            deep = app.screen
            assert deep is not base
            assert "Numbers ▸ XNAT:8104" in str(app.screen.query_one("#crumbs").render())
            if key == "4":
                await pilot.press("1", "4")
                assert app.screen is deep
            await pilot.press(key)
            assert app.screen is base


@pytest.mark.parametrize(
    ("width", "expected"),
    [(120, " 6 Site & projects "), (80, " 6 Site "), (40, " 6 ")],
)
def test_names_of_screens_get_shorter_with_the_terminal(width: int, expected: str) -> None:
    tabs, _ = arranged(SCREEN_SPECS, "log", width)
    assert tabs[5].text == expected
    assert [tab.text for tab in tabs if tab.present] == ["[4 Log]"]
    assert sum(len(tab.text) for tab in tabs) < width


def test_where_the_engine_runs_is_said_at_every_usual_width() -> None:
    snapshot = replace(make_snapshot(), pid=4127)
    here = engine_place(snapshot, hosting=True)
    elsewhere = engine_place(snapshot, hosting=False)
    assert engine_place(snapshot, hosting=None) == ()
    assert elsewhere[0] == "attached to pid 4127 since 06:00:10"
    said = {width: arranged(SCREEN_SPECS, "log", width, here)[1] for width in (119, 79)}
    assert said == {119: "engine: in this console", 79: "engine: here"}
    assert arranged(SCREEN_SPECS, "log", 79, elsewhere)[1] == "pid 4127"


async def test_all_rows_are_marked_and_a_filtered_one_is_not_any_more() -> None:
    async with running(busy()) as (app, pilot):
        await pilot.press("4", "asterisk")
        table = app.screen.query_one(Numbers)
        assert len(table.marked) == 20
        app.screen.query_one(FilterBar).value = "!1"
        await pilot.pause()
        assert table.marked == ("0", *"23456789")
        await pilot.press("asterisk")
        assert table.targets == (table.chosen,)


# Read-only


async def test_in_a_read_only_console_nothing_that_changes_anything_is_reachable() -> None:
    engine = barred()
    async with running(engine, read_only=True) as (app, pilot):
        shown = {hint.key.id for hint in active_hints(app.dashboard)}
        assert not shown & {key.id for key in KEYS if key.changes}
        assert "READ-ONLY" in app.dashboard.query_one(StatusLine).render().plain
        assert not any(" B " in str(static.render()) for static in app.screen.query("#barred"))
        words = ("New", "Edit", "Delete", "Undo", "Allow", "Start", "Stop")
        assert not [name for name in offers(app) if any(word in name for word in words)]
        await pilot.press("n", "e", "d", "s", "B", "r", "w")
        app.carry_out(app._history_commands.undo)
        await settle(app, pilot)
        assert len(toasts(app)) == 8
        assert all("this console is read-only" in words for words in toasts(app))
        await settle(app, pilot)
        assert not [call for call in engine.calls if call[0] not in ("snapshot", "subscribe")]


@pytest.mark.parametrize("scenario", [empty, port_in_use])
async def test_a_read_only_console_names_no_key_that_changes(scenario: Any) -> None:
    async with running(scenario(), read_only=True) as (app, _):
        welcome = str(app.dashboard.query_one("#welcome").render())
        failure = str(app.dashboard.query_one(FailurePanel).render())
        assert "Create a receiver" not in welcome
        assert "edit the receiver" not in failure
        assert "create a receiver" not in all_keys(palette_of(DARK), app.dashboard).plain


# Calls and long work


async def test_a_newer_call_for_a_list_replaces_the_one_that_waits() -> None:
    made: list[int] = []
    got: list[int] = []
    first_may_go, newest_came = threading.Event(), asyncio.Event()

    def look(engine: EngineView, number: int) -> int:
        if not made:
            first_may_go.wait(20)
        made.append(number)
        return number

    async def ask(number: int) -> None:
        got.append(
            await app.engine.call("list", look, number, about="list", changes=False, latest=True)
        )
        if number == 3:
            newest_came.set()

    async with running(busy()) as (app, pilot):
        for number in range(4):
            app.carry_out(ask, number)
        await pilot.pause()
        assert not got
        first_may_go.set()
        await newest_came.wait()
        assert made == got == [0, 3]


async def test_a_second_command_about_the_same_is_told_to_wait() -> None:
    first_may_end, first_ended = threading.Event(), asyncio.Event()

    async def stop() -> None:
        await app.engine.call("stop it", lambda _: first_may_end.wait(20), about=1)
        first_ended.set()

    async with running(busy()) as (app, pilot):
        app.carry_out(stop)
        await pilot.pause()
        app.carry_out(stop)
        await pilot.pause()
        first_may_end.set()
        await first_ended.wait()
        assert toasts(app) == ["stop it: wait, the last command is not done yet"]
        app.carry_out(stop)
        await settle(app, pilot)
        assert len(toasts(app)) == 1


async def test_an_error_that_a_command_does_not_handle_is_shown_with_its_remedy() -> None:
    def fail(engine: EngineView) -> None:
        raise EngineError("no", "wait")

    async def handling() -> None:
        with pytest.raises(EngineError, match="no"):
            await app.engine.call("x", fail, changes=False)

    async def leaving_it() -> None:
        await app.engine.call("x", fail, changes=False)

    async with running(busy()) as (app, pilot):
        app.carry_out(handling)
        await settle(app, pilot)
        assert not isinstance(app.screen, MessageDialog)
        app.carry_out(leaving_it)
        await settle(app, pilot)
        assert isinstance(app.screen, MessageDialog)


async def test_keys_are_taken_while_the_engine_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, asked = threading.Event(), threading.Event()
    waited_in_vain: list[bool] = []
    engine = busy()
    snapshot = engine.snapshot

    def held() -> EngineSnapshot:
        asked.set()
        if not answers.wait(5):
            waited_in_vain.append(True)
        return snapshot()

    async with running(engine) as (app, pilot):
        monkeypatch.setattr(engine, "snapshot", held)
        app.refresh_from_engine()
        await pilot.press("4", "slash", "7")
        assert asked.is_set()
        assert second(app).query_one(FilterBar).value == "7"
        answers.set()
        assert not waited_in_vain


def step(number: int, *, failing: bool) -> WorkStep:
    def run(engine: EngineView) -> None:
        if failing:
            raise EngineError("disk \x1b[full]", "free some space")

    return WorkStep(f"move session {number}", run)


def steps(number: int, *, failing: int = -1) -> tuple[WorkStep, ...]:
    return tuple(step(n, failing=n == failing) for n in range(number))


def begin_work(app: ConsoleApp, steps: tuple[WorkStep, ...]) -> list[WorkOutcome]:
    """Begin to move; return where the outcome comes."""
    outcomes: list[WorkOutcome] = []

    async def move() -> None:
        outcomes.append(await app.work_through("Move", steps))

    app.carry_out(move)
    return outcomes


async def test_long_work_that_succeeds_closes_by_itself() -> None:
    async with running(busy()) as (app, pilot):
        outcomes = begin_work(app, steps(5))
        await settle(app, pilot)
        assert outcomes == [WorkOutcome(5)]
        assert isinstance(app.screen, ConsoleScreen)


async def test_long_work_goes_on_after_a_failure_and_tells_cause_and_remedy() -> None:
    async with running(busy()) as (app, pilot):
        outcomes = begin_work(app, steps(5, failing=2))
        await settle(app, pilot)
        assert isinstance(app.screen, ProgressDialog)
        report = failures_report("Move", app.screen.outcome)
        assert "4 done, 1 failed" in report
        assert "✗ move session 2" in report
        assert "disk ␛[full]" in report
        assert "What to do: free some space" in report
        await pilot.press("y", "j")
        assert app.clipboard == report
        await pilot.press("escape")
        assert outcomes[0].done == 4


async def test_long_work_ends_between_two_steps_when_it_is_cancelled() -> None:
    def cancel(engine: EngineView) -> None:
        assert isinstance(app.screen, ProgressDialog)
        app.screen.cancelled = True

    async with running(busy()) as (app, pilot):
        outcomes = begin_work(app, (WorkStep("first", cancel), *steps(3)))
        await settle(app, pilot)
        assert isinstance(app.screen, ProgressDialog)
        await pilot.press("escape")
        assert outcomes == [WorkOutcome(1, left=3)]


@pytest.mark.parametrize(("done", "total", "full"), [(0, 3, 0), (1, 2, 20), (3, 3, 40), (0, 0, 40)])
def test_the_progress_bar_has_a_fixed_width(done: int, total: int, full: int) -> None:
    bar = progress_bar(done, total)
    assert (len(bar), bar.count("█")) == (40, full)


# Settings


async def test_a_chosen_theme_is_kept_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "console.json"
    async with running(busy(), settings_path=path) as (app, _):
        app.choose_theme("light")
        assert ConsoleApp(busy(), settings_path=path).theme == "light"
        assert ConsoleApp(busy(), settings_path=path, theme_name="dark").theme == "dark"
    path.write_text('{"theme": "no such"}')
    async with running(busy(), settings_path=path) as (app, _):
        assert app.theme == "dark"
        assert any("no theme “no such”" in toast for toast in toasts(app))


async def test_order_columns_filter_and_pace_are_kept_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    kept: dict[str, Any] = {"settings_path": path, "refresh_hz": 4, "usual_refresh": True}
    async with running(busy(), **kept) as (app, pilot):
        table = app.dashboard.query_one(ReceiversTable)
        table.sort_by("port")
        table.sort_by("port")
        table.focus()
        await pilot.press("minus", "minus", "slash", *"ct", "enter")
        await settle(app, pilot)
        assert "↻ 1× a second" in app.dashboard.query_one(StatusLine).render().plain
        await pilot.press("O", *"identifier", "enter")
        await settle(app, pilot)
        await pilot.press("escape")
        shown = [column.key for column in table.shown_columns]
        assert "identifier" not in shown
    async with running(busy(), **kept) as (app, pilot):
        table = app.dashboard.query_one(ReceiversTable)
        assert (table.sorted_by, table.descending) == ("port", True)
        assert [column.key for column in table.shown_columns] == shown
        assert app.dashboard.query_one(FilterBar).value == "ct"
        assert "match “ct”" in str(app.dashboard.panel("receivers").border_title)
        assert "↻ 1× a second" in app.dashboard.query_one(StatusLine).render().plain
        table.pick(())
        table.focus()
        await pilot.press("escape", *["plus"] * 4)
        await settle(app, pilot)
        assert toasts(app)[-1] == "the console looks 8× a second, and not more often"
        table.restore(TableSettings("no such", columns=("no such",)))
        assert (table.sorted_by, table.picked) == ("port", ())
    written = json.loads(path.read_text())
    assert (written["refresh"], written["filters"]) == (8, {"dashboard": ""})
    wanted = {"sort": "port", "descending": True, "columns": []}
    assert written["tables"] == {"dashboard.receivers": wanted}
    assert path.stat().st_mode & 0o777 == 0o600  # a filter may name a patient


async def test_a_theme_of_the_user_is_offered_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    mine = {"base": "light", "panel": "#ddeeff"}
    themes = {"mine": mine, "odd": {"base": "none"}}
    path.write_text(json.dumps({"theme": "mine", "themes": themes}))
    app = ConsoleApp(busy(), refresh_hz=0, blink=False, settings_path=path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        assert app.theme == "mine"
        assert any("theme “odd” needs" in toast for toast in toasts(app))
        offered = {offer.name for offer in ConsoleCommands(app.screen)._entries()}
        assert {"theme: dark", "theme: colour-blind"} <= offered
        app.choose_theme("dark")
        assert json.loads(path.read_text()) == {"theme": "dark", "themes": themes}


async def test_a_theme_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with running(busy(), settings_path=tmp_path / "file" / "console.json") as (app, pilot):
        app.choose_theme("light")
        await pilot.pause()
        assert app.theme == "light"
        assert any("can't be written" in toast for toast in toasts(app))
