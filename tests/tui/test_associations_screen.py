"""Screen 2: associations filtered, explained, allowed and aborted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from engine.errors import NotFound
from tests.fakes import FakeEngine, busy, hundred_associations, whitelist_rejections
from tui.app import ConsoleApp
from tui.screens.allow_dialog import AllowDialog
from tui.screens.associations import AssociationsScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.message import MessageScreen
from tui.screens.work_screen import WorkScreen
from tui.widgets.associations_table import AllAssociationsTable
from tui.widgets.contexts_table import ContextsTable
from tui.widgets.facts import Facts
from tui.widgets.key_line import active_hints


@asynccontextmanager
async def running(
    engine: FakeEngine, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, AssociationsScreen, Pilot[None]]]:
    app = ConsoleApp(engine, refresh_hz=0, blink=False, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.press("2")
        await settle(app, pilot)
        assert isinstance(app.screen, AssociationsScreen)
        yield app, app.screen, pilot


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


def title(screen: AssociationsScreen, panel: str = "associations") -> str:
    shown = screen.panel(panel)._border_title
    assert shown is not None
    return shown.plain


def rows(screen: AssociationsScreen, table: type[Any] = ContextsTable) -> list[str]:
    shown = screen.query_one(table)
    shown.render_lines(shown.size.region)
    return [shown.render_line(y).text.strip() for y in range(1, shown.row_count + 1)]


def keys(screen: AssociationsScreen) -> set[str]:
    return {hint.key.id for hint in active_hints(screen) if hint.enabled}


async def test_contexts_of_the_chosen_association_are_named_refused_ones_first() -> None:
    engine = busy()
    async with running(engine) as (app, screen, pilot):
        assert rows(screen)[0].startswith("▸✗ refused     – Encapsulated PDF")
        assert rows(screen)[2].startswith("✓ accepted    1 CT Image Storage")
        assert "12 of 14 accepted" in title(screen, "contexts")
        app.refresh_from_engine()
        await settle(app, pilot)
        assert engine.named("contexts") == [("A-0412",)]
        await pilot.press("y")
        assert "Accepted presentation contexts: 6" in app.clipboard
        await pilot.press("j")
        await settle(app, pilot)
        assert engine.named("contexts") == [("A-0412",), ("A-0413",)]
        assert dict(screen.query_one(Facts).facts)["objects"] == "388 in 88.2 MB"


async def test_contexts_that_are_gone_are_not_asked_for_again() -> None:
    engine = busy()
    engine.error = NotFound("gone", "nothing")
    async with running(engine) as (app, screen, pilot):
        app.refresh_from_engine()
        await settle(app, pilot)
        assert app.screen is screen
        assert len(engine.named("contexts")) == 1


async def test_a_filter_looks_in_fields_and_in_reasons() -> None:
    async with running(whitelist_rejections()) as (_, screen, pilot):
        await pilot.press("slash", *"state:rej !called:xnat", "enter")
        assert "4 of 11 match" in title(screen)
        await pilot.press("escape", "slash", *'why:"nearest: OLD"', "enter")
        assert "2 of 11 match" in title(screen)


async def test_a_rejected_caller_is_allowed_from_here() -> None:
    async with running(busy()) as (app, screen, pilot):
        assert "association.allow" not in keys(screen)
        await pilot.press("G")
        assert dict(screen.query_one(Facts).facts)["what to do"]
        assert {"association.allow"} <= keys(screen)
        assert "association.abort" not in keys(screen)
        await pilot.press("w")
        assert isinstance(app.screen, AllowDialog)


async def test_a_live_association_is_aborted_after_a_yes() -> None:
    engine = busy()
    async with running(engine, actor="anna") as (app, screen, pilot):
        await pilot.press("x")
        assert isinstance(app.screen, ConfirmScreen)
        assert "1,204 objects so far" in app.screen._sentence
        await pilot.press("escape")
        assert engine.named("abort") == []
        await pilot.press("x", "right", "enter")
        await settle(app, pilot)
        assert engine.named("abort") == [("A-0412", "anna")]
        assert "3 live" in title(screen)
        assert app._notifications
        await pilot.press("slash", *"state:abort by anna", "enter")
        assert dict(screen.query_one(Facts).facts)["why it ended"] == "aborted by anna"


async def test_many_are_aborted_and_what_failed_is_told() -> None:
    engine = busy()
    async with running(engine) as (app, screen, pilot):
        await pilot.press("space", "space", "space")
        assert "3 marked" in title(screen)
        await pilot.press("x")
        assert "Abort 3 associations?" in app.screen._question  # type: ignore[attr-defined]
        engine.current = busy().current
        engine.associations.abort("A-0413", "somebody else")
        await pilot.press("right", "enter")
        await settle(app, pilot)
        assert isinstance(app.screen, WorkScreen)
        assert [call.what for call, _ in app.screen.outcome.failures] == ["abort MR_PRISMA A-0413"]
        await pilot.press("escape")
        assert screen.query_one(AllAssociationsTable).marked == ()


async def test_on_the_dashboard_a_live_row_can_be_aborted_too() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("x")
        assert app.screen is app.dashboard
        await pilot.press("tab", "x", "right", "enter")
        await settle(app, pilot)
        assert [call[0] for call in engine.named("abort")] == ["A-0412"]


async def test_read_only_offers_neither_allow_nor_abort() -> None:
    engine = busy()
    async with running(engine, read_only=True) as (app, _screen, pilot):
        await pilot.press("x", "G", "w", "enter")
        assert isinstance(app.screen, MessageScreen)
        assert engine.named("abort") == []


async def test_sort_pause_and_zoom_work_here() -> None:
    engine = hundred_associations()
    async with running(engine, (80, 24)) as (_app, screen, pilot):
        screen.query_one(AllAssociationsTable).sort_by("objects")
        await pilot.press("p", "z")
        assert screen.panel("associations").region.height == 21
        assert screen.has_class("-paused")
        await pilot.press("escape", "escape")
        assert not screen.has_class("-paused")
