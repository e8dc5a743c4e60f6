"""Screen 2: associations filtered, explained, allowed and aborted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot

from engine.api import AssociationEnd
from engine.errors import NotFound
from tests.fakes import FakeEngine, busy, whitelist_rejections
from tui.app import ConsoleApp
from tui.associations.allow import AllowDialog
from tui.associations.commands import explanation
from tui.associations.details import ContextsTable, association_facts
from tui.associations.screen import AssociationsScreen
from tui.associations.table import AllAssociationsTable, association_title
from tui.shell.dialogs import MessageDialog, ProgressDialog, QuestionDialog
from tui.shell.screen import ConsoleScreen
from tui.shell.status import active_hints
from tui.widgets.filter import FilterBar
from tui.widgets.panel import Facts


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
    await pilot.pause()
    await pilot.pause()


def title(screen: ConsoleScreen, panel: str = "associations") -> str:
    shown = screen.panel(panel)._border_title
    assert shown is not None
    return shown.plain


def rows(screen: AssociationsScreen, table: type[Any] = ContextsTable) -> list[str]:
    shown = screen.query_one(table)
    shown.render_lines(shown.size.region)
    return [shown.render_line(y).text.strip() for y in range(1, shown.row_count + 1)]


def keys(screen: ConsoleScreen) -> set[str]:
    return {hint.key.id for hint in active_hints(screen) if hint.enabled}


async def test_contexts_of_the_chosen_association_are_named_refused_ones_first() -> None:
    engine = busy()
    async with running(engine) as (app, screen, pilot):
        assert rows(screen)[0].startswith("▸✗ refused     – Encapsulated PDF")
        assert rows(screen)[2].startswith("✓ accepted    1 CT Image Storage")
        assert "12 of 14 accepted" in title(screen, "contexts")
        await pilot.press("y")
        assert "Accepted presentation contexts: 6" in app.clipboard
        engine.error = NotFound("gone", "nothing")
        await pilot.press("j")
        await settle(app, pilot)
        await app.look()
        await settle(app, pilot)
        assert engine.named("contexts") == [("A-0412",), ("A-0413",)]
        assert app.screen is screen
        assert dict(screen.query_one(Facts).facts)["objects"] == "388 in 88.2 MB"


async def test_a_filter_looks_in_fields_and_in_reasons() -> None:
    async with running(whitelist_rejections()) as (_, screen, pilot):
        for words, expected in (
            ("state:rej !called:xnat", "4 of 11 match"),
            ('why:"nearest: OLD"', "2 of 11 match"),
        ):
            screen.query_one(FilterBar).value = words
            await pilot.pause()
            assert expected in title(screen)


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
        assert isinstance(app.screen, QuestionDialog)
        assert "1,204 objects so far" in app.screen._text
        await pilot.press("escape")
        assert engine.named("abort") == []
        await pilot.press("x", "right", "enter")
        await settle(app, pilot)
        assert engine.named("abort") == [("A-0412", "anna")]
        assert "3 live" in title(screen)
        assert app._notifications
        screen.query_one(FilterBar).value = "by anna"
        await pilot.pause()
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
        assert isinstance(app.screen, ProgressDialog)
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
        assert isinstance(app.screen, MessageDialog)
        assert engine.named("abort") == []


def test_the_title_counts_each_end_apart_and_an_aborted_one_says_who_aborted() -> None:
    snapshot = busy().current
    live, ended = snapshot.associations, snapshot.ended_associations
    assert association_title(live, ended) == "4 live   1 released   1 aborted   1 rejected"
    (aborted,) = [a for a in ended if a.end is AssociationEnd.ABORTED]
    by_caller, by_us = replace(aborted, why=""), replace(aborted, why="idle for 60 s")
    said = [
        explanation(replace(snapshot, ended_associations=(a,)), a.id) for a in (by_caller, by_us)
    ]
    assert [words.partition(": ")[2] for words in said] == ["by the caller", "idle for 60 s"]
    assert dict(association_facts(by_caller, snapshot))["why it ended"] == "by the caller"
