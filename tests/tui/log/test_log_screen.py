"""Screen 4: following, filtering, marking and saving the event log."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.errors import EngineError
from engine.events import (
    ControlRefused,
    ControlUsed,
    Event,
    ObjectsStored,
    ReceiverFailed,
    ReceiverListening,
    RecordedEvent,
)
from engine.events.event import UnknownEvent
from engine.events.monitoring import ClockStepped
from tests.fakes import NOW, FakeEngine, busy, make_snapshot
from tui.app import ConsoleApp
from tui.log.events import what_to_do
from tui.log.screen import LogScreen, LogSwitches
from tui.log.view import LogView
from tui.shell.dialogs import MessageDialog
from tui.widgets.filter import FilterBar
from tui.widgets.panel import Facts
from tui.widgets.table import TableRow


@asynccontextmanager
async def running(
    engine: FakeEngine, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[ConsoleApp, LogScreen, Pilot[None]]]:
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.press("4")
        await pilot.pause()
        assert isinstance(app.screen, LogScreen)
        yield app, app.screen, pilot


def lines(screen: LogScreen) -> list[str]:
    view = screen.query_one(LogView)
    view.render_lines(view.size.region)
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


def chosen(screen: LogScreen) -> str:
    entry = screen.query_one(LogView).entry
    return entry.sentence if entry else ""


def title(screen: LogScreen, panel: str = "events") -> str:
    shown = screen.panel(panel)._border_title
    assert shown is not None
    return shown.plain


def stored(objects: int) -> Event:
    return ObjectsStored(receiver="XNAT:8104", objects=objects, duplicates=0, bytes=1)


async def test_it_follows_the_newest_event_until_the_cursor_moves_down() -> None:
    engine = busy()
    async with running(engine) as (app, screen, pilot):
        assert chosen(screen).startswith("stored 118")
        engine.record(stored(1))
        await app.look()
        assert chosen(screen).startswith("stored 1 ")
        await pilot.press("j")
        held, at = chosen(screen), screen.query_one(LogView).row
        engine.record(stored(2), stored(3))
        await app.look()
        assert chosen(screen) == held
        assert screen.query_one(LogView).row == at + 2
        await pilot.click(LogView, offset=(30, 3))
        assert screen.query_one(LogView).row == 2
        await pilot.press("f")
        assert chosen(screen).startswith("stored 3")
        assert "● follow" in str(screen.query_one(LogSwitches).render())


async def test_what_is_seen_stands_still_while_events_arrive_above() -> None:
    engine = busy()
    engine.record(*(stored(n) for n in range(100)))
    async with running(engine, (80, 24)) as (app, screen, pilot):
        await pilot.press(*["ctrl+d"] * 3)
        before = lines(screen)
        engine.record(*(stored(n) for n in range(5)))
        await app.look()
        await pilot.pause()
        assert lines(screen) == before
        await pilot.press("G")
        assert "whitelist line" in chosen(screen)
        await pilot.press("g", "ctrl+u", "k")
        assert screen.query_one(LogView).follows


async def test_errors_are_found_and_the_panel_says_what_to_do() -> None:
    async with running(busy()) as (app, screen, pilot):
        await pilot.press("e")
        assert chosen(screen).startswith("can't listen")
        facts = dict(screen.query_one(Facts).facts)
        assert "Stop that program or choose another port" in facts["what to do"]
        assert "ERROR 14:02:58 · PET_STAGING:8106" in title(screen, "event")
        await pilot.press("e")
        await pilot.pause()
        assert [n.message for n in app._notifications] == ["no error below"]
        await pilot.press("y")
        assert "can't listen" in app.clipboard
        await pilot.press("enter")
        assert isinstance(app.screen, MessageDialog)


async def test_words_and_levels_choose_what_is_shown() -> None:
    async with running(busy()) as (_app, screen, pilot):
        await pilot.press("slash")
        screen.query_one(FilterBar).value = "caller:mr"
        await pilot.press("enter")
        assert "1 of 9 match “caller:mr”" in title(screen)
        assert screen.focused is screen.query_one(LogView)
        await pilot.press("escape", "l")
        assert "2 of 9" in title(screen)
        assert "[ ] info 7" in str(screen.query_one(LogSwitches).render())
        await pilot.press("l")
        assert "1 of 9" in title(screen)
        await pilot.click(LogSwitches, offset=(2, 0))
        assert "8 of 9" in title(screen)
        await pilot.press("l")
        assert title(screen).endswith("Events   9")


async def test_marks_wrap_times_and_clear() -> None:
    async with running(busy(), (80, 24)) as (_app, screen, pilot):
        await pilot.press("m")
        assert "──── mark 14:03:22 ────" in lines(screen)[1]
        assert screen.details() is None
        await pilot.press("w")
        assert lines(screen)[4].strip() == "contexts accepted"
        await pilot.press("j", "j", "G", "g")
        await pilot.press("w", "t")
        assert "2026-08-24 14:03:22" in lines(screen)[2]
        await pilot.press("t")
        assert "0 s" in lines(screen)[2]
        await pilot.press("X")
        assert "cleared" in title(screen)
        assert lines(screen)[1] == ""
        await pilot.press("X")
        assert "mark" in lines(screen)[1]


async def test_what_is_shown_is_saved_to_a_file(tmp_path: Path) -> None:
    async with running(busy()) as (app, _screen, pilot):
        await pilot.press("l", "S")
        field = app.screen.query_one(Input)
        assert field.value == "~/dicomdock-20260824-140322.log"
        for name in ("events.log", "no/such.log"):
            field.value = str(tmp_path / name)
            await pilot.press("enter")
            await pilot.pause()
            await pilot.pause()
            if isinstance(app.screen, MessageDialog):
                break
            await pilot.press("S")
            field = app.screen.query_one(Input)
        assert len((tmp_path / "events.log").read_text().splitlines()) == 2
        assert isinstance(app.screen, MessageDialog)
        assert "choose a place that this user may write to" in app.screen._plain()


async def test_pause_holds_the_log() -> None:
    engine = busy()
    async with running(engine) as (app, screen, pilot):
        await pilot.press("p")
        before = lines(screen)
        engine.record(stored(1))
        await app.look()
        assert lines(screen) == before
        assert "‖ paused" in str(screen.query_one(LogSwitches).render())
        await pilot.press("p")
        assert lines(screen) != before


async def test_an_empty_log_takes_every_key() -> None:
    async with running(FakeEngine(make_snapshot())) as (app, screen, pilot):
        await pilot.press("j", "k", "g", "G", "e", "E", "w", "t", "f", "y", "enter", "X")
        assert screen.details() is None
        assert app.screen is screen


async def test_ten_thousand_events_stay_fast_to_look_at() -> None:
    engine = busy()
    engine.record(*(ReceiverListening(receiver="X:1", address=str(n)) for n in range(10_000)))
    async with running(engine) as (app, screen, pilot):
        for _ in range(6):
            await app.look()
        await pilot.press("j")
        begin = time.process_time()
        for n in range(10):
            engine.record(stored(n))
            await app.look()
            await pilot.pause()
        assert (time.process_time() - begin) / 10 < 0.06
        assert "10,000" in title(screen)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (ReceiverFailed(reason="x", remedy="free \x1b it"), "Free ␛ it"),
        (ControlRefused(address="10.1.2.3", why="no token"), "Correct the client's user or token"),
        (ClockStepped(seconds=-90), "Check the clock"),
        (stored(1), ""),
    ],
)
def test_an_event_says_what_to_do_only_if_something_is(event: Event, words: str) -> None:
    assert what_to_do(event).startswith(words)
    assert bool(what_to_do(event)) is bool(words)


def of_yesterday(*who: str) -> tuple[RecordedEvent, ...]:
    at = NOW - timedelta(days=1)
    done = (UnknownEvent(topic="config", message=f"receiver saved by {name}") for name in who)
    return tuple(RecordedEvent(number, at, event) for number, event in enumerate(done, start=1))


async def test_the_audit_log_shows_what_people_did_now_and_before() -> None:
    engine = busy()
    engine.older_audited = of_yesterday("anna", "bert")
    async with running(engine) as (app, screen, pilot):
        engine.record(ControlUsed(by="carl"), stored(1))
        await app.look()
        await pilot.press("a")
        await pilot.pause()
        await pilot.pause()
        assert title(screen).startswith("▸ Audit log   4")
        shown = lines(screen)[1:5]
        assert "used by carl" in shown[0]
        assert "14:03:21" in shown[0]
        assert "saved by bert" in shown[2]
        assert "saved by anna" in shown[3]
        assert "08-23 14:03" in shown[3]
        engine.record(stored(2), ControlUsed(by="dora"))
        await app.look()
        assert chosen(screen) == "control API used by dora"
        await pilot.press("a")
        assert title(screen).startswith("▸ Events")
        assert chosen(screen) == "control API used by dora"
        await pilot.press("j")
        assert chosen(screen).startswith("stored 2")


async def test_an_audit_log_that_can_not_be_read_says_so_and_shows_what_was_seen() -> None:
    engine = busy()
    engine.record(ControlUsed(by="carl"))
    engine.error = EngineError("the engine is gone", "start it")
    async with running(engine) as (_, screen, pilot):
        await pilot.press("a")
        await pilot.pause()
        await pilot.pause()
        assert "older ones can't be read: the engine is gone" in title(screen)
        assert chosen(screen) == "control API used by carl"


async def test_an_empty_audit_log_says_that_nobody_did_anything() -> None:
    async with running(FakeEngine()) as (_, screen, pilot):
        await pilot.press("a")
        await pilot.pause()
        await pilot.pause()
        assert any("nobody did anything yet" in line for line in lines(screen))


async def test_rows_are_made_only_of_the_events_that_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = busy()
    engine.record(*(ReceiverListening(receiver="X:1", address=str(n)) for n in range(10_000)))
    async with running(engine) as (app, screen, pilot):
        await app.look()
        made: set[int] = set()
        make = LogView._known

        def count(view: LogView, row: int) -> TableRow | None:
            made.add(row)
            return make(view, row)

        monkeypatch.setattr(LogView, "_known", count)
        engine.record(stored(1))
        await app.look()
        await pilot.pause()
        assert made <= set(range(screen.query_one(LogView).size.height))


async def test_wrapped_lines_of_the_audit_log_are_its_own() -> None:
    engine = busy()
    engine.older_audited = of_yesterday("anna", "bert")
    async with running(engine, (80, 24)) as (_app, screen, pilot):
        await pilot.press("w", "a")
        assert all("contexts" not in line for line in lines(screen))
        await pilot.press("a")
        assert lines(screen)[3].strip() == "contexts accepted"
