"""Screen 5: what is asked when, filter and order among many, and the ways on from a sender."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from engine.errors import EngineError
from engine.events import AssociationReleased, ObjectsStored
from tests.fakes import NOW, FakeEngine, busy, empty, whitelist_rejections
from tests.fakes.senders import make_sender
from tests.tui.associations.test_associations_screen import keys, settle, title
from tui.app import ConsoleApp
from tui.associations.allow import AllowDialog
from tui.associations.screen import AssociationsScreen
from tui.log.screen import LogScreen
from tui.senders import screen as sender_list
from tui.senders.chart import VolumeChart
from tui.senders.screen import SendersScreen
from tui.senders.senders import SendersTable
from tui.shell.dialogs import MessageDialog, QuestionDialog
from tui.widgets.filter import FilterBar
from tui.widgets.panel import Facts


@asynccontextmanager
async def running(
    engine: FakeEngine, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, SendersScreen, Pilot[None]]]:
    app = ConsoleApp(engine, refresh_hz=0, blink=False, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.press("5")
        await settle(app, pilot)
        assert isinstance(app.screen, SendersScreen)
        yield app, app.screen, pilot


class Counting:
    """Counts how often a list of senders is asked for, and may fail."""

    def __init__(self, engine: FakeEngine) -> None:
        self.asked = 0
        self.error: EngineError | None = None
        self._list = engine.senders.list
        engine.senders.list = self  # type: ignore[method-assign]

    def __call__(self, **options: Any) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self._list(**options)


async def look(app: ConsoleApp, pilot: Pilot[None], engine: FakeEngine, seconds: float) -> None:
    engine.current = replace(
        engine.current, taken_at=engine.current.taken_at + timedelta(seconds=seconds)
    )
    await app.look()
    await settle(app, pilot)


async def test_the_list_is_asked_for_when_something_ended_and_at_most_once_a_second() -> None:
    engine = busy()
    list_ = Counting(engine)
    async with running(engine) as (app, screen, pilot):
        first = list_.asked
        await look(app, pilot, engine, 10)
        assert list_.asked == first + 1  # what the first events told is in the index by now
        await look(app, pilot, engine, 10)
        engine.record(ObjectsStored(receiver="XNAT:8104", objects=1, duplicates=0, bytes=1))
        await look(app, pilot, engine, 10)
        assert list_.asked == first + 1
        for seconds, expected in ((2, 2), (0.2, 2), (1, 3), (4, 4), (9, 4), (3600, 5)):
            if expected in (2, 3):
                engine.record(
                    AssociationReleased(receiver="XNAT:8104", objects=1, bytes=1, seconds=1)
                )
            await look(app, pilot, engine, seconds)
            assert list_.asked == first + expected, seconds
        await pilot.press("r")
        await settle(app, pilot)
        assert list_.asked >= first + 6
        assert "40" in title(screen, "senders")


async def test_a_list_that_can_not_be_read_says_so_and_keeps_what_was_there_greyed() -> None:
    engine = busy()
    list_ = Counting(engine)
    async with running(engine) as (app, screen, pilot):
        list_.error = EngineError("the index is being rebuilt", "wait")
        await pilot.press("r")
        await settle(app, pilot)
        line = screen.query_one("#not-read", Static)
        assert str(line.content).startswith("✗ not read: the index is being rebuilt; wait; asks ag")
        palette_entries = {offer.name: offer for offer in screen.palette_entries()}
        palette_entries["error: Copy why nothing newer is read"].run()
        assert app.clipboard == "the index is being rebuilt; wait"
        table = screen.query_one(SendersTable)
        assert table.row_count == 40
        assert table._palette.ok == table._palette.muted
        app.choose_theme("light")
        await settle(app, pilot)
        assert table._palette.ok == table._palette.muted
        list_.error = None
        await look(app, pilot, engine, 6)
        assert not line.display
        assert table._palette.ok != table._palette.muted
    async with running(empty()) as (_, screen, _pilot):
        screen.query_one(SendersTable).render_lines(screen.query_one(SendersTable).size.region)
        assert "nobody has ever called" in screen.query_one(SendersTable).render_line(2).text


async def test_filter_and_order_choose_among_more_senders_than_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = busy()
    engine.senders.known = [
        make_sender(f"CT{n:04}", f"10.1.{n // 250}.{n % 250}", objects=n + 1, last_seen=NOW)
        for n in range(400)
    ]
    monkeypatch.setattr(sender_list, "PAGE", 150)
    assert len(sender_list.all_senders(engine)) == 400
    async with running(engine) as (_, screen, pilot):
        table = screen.query_one(SendersTable)
        assert "the first 300 are shown" in title(screen, "senders")
        table.sort_by("objects")
        table.sort_by("objects")
        await pilot.pause()
        assert table._shown[0].key == "CT0399\n10.1.1.149"
        assert table.row_count == 300
        screen.query_one(FilterBar).value = "caller:ct0007"
        await pilot.pause()
        assert "1 of 40" in title(screen, "senders")
        assert table.row_count == 1


async def test_a_sender_that_was_only_rejected_is_allowed_from_here() -> None:
    async with running(whitelist_rejections()) as (app, screen, pilot):
        assert "association.allow" not in keys(screen)
        screen.query_one(FilterBar).value = "caller:OLD_WS state:only"
        await settle(app, pilot)
        facts = dict(screen.query_one(Facts).facts)
        assert facts["state"] == "✗ only ever rejected"
        assert facts["last rejection"].endswith("nearest: OLD_WS1")
        await pilot.press("w")
        assert isinstance(app.screen, AllowDialog)
        assert app.screen.form.association.calling_ae_title == "OLD_WS"


async def test_the_volume_is_of_the_sender_under_the_cursor_for_a_week_or_a_day() -> None:
    async with running(busy()) as (app, screen, pilot):
        chart = screen.query_one(VolumeChart)
        week = chart.hours
        assert len(week) == 168
        assert title(screen, "volume").endswith("7 days, a bar is 4 hours")
        await pilot.press("h")
        assert len(chart.hours) == 24
        assert title(screen, "volume").endswith("24 hours, a bar is 1 hour")
        await pilot.press("j", "j", "j")
        await settle(app, pilot)
        assert sum(h.bytes for h in chart.hours) < sum(h.bytes for h in week[-24:])
        assert "ER_CT" in title(screen, "sender")


async def test_what_is_of_a_sender_is_seen_on_other_screens() -> None:
    async with running(busy()) as (app, _screen, pilot):
        await pilot.press("j", "a")
        await settle(app, pilot)
        seen: Any = app.screen
        assert isinstance(seen, AssociationsScreen)
        assert seen.query_one(FilterBar).value == "caller:MR_PRISMA address:10.4.7.33"
        assert "match" in title(seen)
        await pilot.press("5", "l")
        await settle(app, pilot)
        seen = app.screen
        assert isinstance(seen, LogScreen)
        assert "match “caller:MR_PRISMA”" in title(seen, "events")
        await pilot.press("5", "k", "l")
        await settle(app, pilot)
        assert app.screen.query_one(FilterBar).value == "caller:CT_SCANNER_1"


async def test_open_associations_of_a_sender_are_aborted_and_marked_senders_copied() -> None:
    engine = busy()
    async with running(engine, actor="anna") as (app, _, pilot):
        await pilot.press("x")
        question: object = app.screen
        assert isinstance(question, QuestionDialog)
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert engine.named("abort") == [("A-0412", "anna")]
        await pilot.press("space", "space", "y")
        assert app.clipboard.startswith("2 senders\n")
        assert "MR_PRISMA @ 10.4.7.33" in app.clipboard
        await pilot.press("Y")
        assert '"calling_ae_title": "MR_PRISMA"' in app.clipboard
        await pilot.press("enter")
        assert isinstance(app.screen, MessageDialog)
        assert "✗ refused         Encapsulated PDF Storage" in app.screen._plain()
        await pilot.press("escape", "asterisk", "asterisk", "Y")
        assert '"hours":' in app.clipboard


async def test_read_only_reaches_every_sender_and_changes_nothing() -> None:
    engine = whitelist_rejections()
    async with running(engine, read_only=True) as (app, screen, pilot):
        assert keys(screen).isdisjoint({"association.abort", "association.allow"})
        await pilot.press("x", "w", "Z")
        await settle(app, pilot)
        assert app.screen is screen
        assert {call[0] for call in engine.calls} == {"contexts"}
        assert screen.query_one(SendersTable).row_count == 40
