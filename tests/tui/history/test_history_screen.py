"""Screen 8 and undo: differences, pages, and that every change is shown before it is made."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Button, Static

from engine.api.history import RevisionSummary
from engine.errors import ConfigurationError, EngineError, Problem
from tests.fakes import NOW, FakeEngine, busy, empty
from tests.tui.associations.test_associations_screen import keys, settle, title
from tests.tui.shell.test_palette import shown
from tui.app import ConsoleApp
from tui.history.diff import RevisionDiff
from tui.history.revisions import RevisionsTable
from tui.history.screen import HistoryScreen
from tui.shell.dialogs import MessageDialog, QuestionDialog
from tui.shell.palette import ConsoleCommands
from tui.widgets.filter import FilterBar

SAID = (
    "+ receiver PET_STAGING:8106 added\n- receiver US_OLD:8105 removed\n"
    "~ receiver CT_INTAKE:8104 enabled: off → on"
)


@asynccontextmanager
async def running(
    engine: FakeEngine, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, HistoryScreen, Pilot[None]]]:
    app = ConsoleApp(engine, refresh_hz=0, blink=False, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.press("8")
        await settle(app, pilot)
        assert isinstance(app.screen, HistoryScreen)
        yield app, app.screen, pilot


def many(count: int) -> list[RevisionSummary]:
    return [
        RevisionSummary(n, NOW, "anna", "", 1, (f"site x: {n}",), ("site",))
        for n in range(count, 0, -1)
    ]


def sentence(app: ConsoleApp) -> str:
    assert isinstance(app.screen, QuestionDialog)
    assert app.screen.query_one("#cancel", Button).has_focus
    return str(app.screen.query_one(".sentence", Static).content)


def toasts(app: ConsoleApp) -> list[str]:
    return [notification.message for notification in app._notifications]


def difference(screen: HistoryScreen) -> str:
    return str(screen.query_one(RevisionDiff).content)


async def press(app: ConsoleApp, pilot: Pilot[None], *names: str) -> None:
    await pilot.press(*names)
    await settle(app, pilot)


async def test_who_changed_something_from_where_is_in_full_in_the_details() -> None:
    engine = busy()
    who, where = "token, says: carla@workstation-radiology-17.hospital", "2001:db8:1:2:3:4:5:6"
    engine.history.known = [
        replace(one, changed_by=who, changed_from=where) for one in engine.history.known
    ]
    async with running(engine) as (app, screen, pilot):
        details = screen.details()
        assert details is not None
        first = details.text.partition("\n")[0]
        assert first.startswith(f"{who} from {where}")
        await press(app, pilot, "space", "space")
        marked = screen.details()
        assert marked is not None
        assert who not in marked.text


async def test_the_chosen_revision_is_compared_with_the_one_before_or_two_marked_ones() -> None:
    async with running(busy()) as (app, screen, pilot):
        assert "revision 11 → revision 12 · an editor at 13:39:22" in title(screen, "difference")
        assert "+ OLD_WS1" in difference(screen)
        assert "history.restore" not in keys(screen)
        await press(app, pilot, "j", "space", "j", "j", "space")
        assert "revision 8 → revision 11, the marked ones" in title(screen, "difference")
        await press(app, pilot, "y")
        assert app.clipboard.startswith("revision 8 → revision 11")
        await press(app, pilot, "space")
        assert "3 revisions are marked; two can be compared" in difference(screen)
        await press(app, pilot, "asterisk", "asterisk", "G", "Y")
        assert "nothing → revision 1" in title(screen, "difference")
        assert '"field": "whitelist"' in app.clipboard
        assert "changed, never shown" in difference(screen)
        screen.query_one(FilterBar).value = "who:bert"
        await settle(app, pilot)
        assert "3 of 12 match" in title(screen, "revisions")


async def test_undo_shows_what_it_takes_back_and_takes_back_only_that() -> None:
    engine = busy()
    async with running(engine, actor="anna") as (app, screen, pilot):
        await press(app, pilot, "1", "Z")
        assert sentence(app).startswith("Revision 12, changed by an editor at 13:39:22, is taken")
        assert SAID in sentence(app)
        await press(app, pilot, "escape")
        await press(app, pilot, "ctrl+p", *"undo last", "enter")
        await shown(app, pilot, QuestionDialog)
        await press(app, pilot, "right", "enter")
        assert engine.named("history.restore") == [(11, "anna", 12)]
        assert toasts(app) == ["last change undone: revision 13 is in force   Z undoes it"]
        await press(app, pilot, "8")
        assert "● 13" in screen.query_one(RevisionsTable).render_line(1).text


async def test_a_revision_is_restored_after_a_look_at_what_that_changes() -> None:
    engine = busy()
    async with running(engine, actor="anna") as (app, screen, pilot):
        await press(app, pilot, "j", "j", "j", "R")
        assert sentence(app).startswith("What revision 9 said takes the place of revision 12")
        assert SAID in sentence(app)
        await press(app, pilot, "enter")
        assert engine.named("history.restore") == []
        await press(app, pilot, "R")
        engine.history.known.insert(0, replace(engine.history.known[0], number=13))
        await press(app, pilot, "right", "enter")
        assert isinstance(app.screen, MessageDialog)
        assert "bert" in app.screen._plain()
        await press(app, pilot, "escape", "r", "R")
        assert "takes the place of revision 13" in sentence(app)
        problem = Problem("receivers", "XNAT", "uses an identifier that is gone", "install it")
        engine.error = ConfigurationError(problem)
        await press(app, pilot, "right", "enter")
        assert isinstance(app.screen, MessageDialog)
        assert "an identifier that is gone" in app.screen._plain()
        engine.error = None
        await press(app, pilot, "escape", "R", "right", "enter")
        assert toasts(app)[-1].startswith("revision 9 restored: revision 14 is in force")
        assert "revision 13" not in title(screen, "difference")
        engine.history.changes = ()
        await press(app, pilot, "R")
        assert toasts(app)[-1] == "revision 9 says what is in force already"


async def test_older_revisions_are_read_when_the_cursor_comes_to_the_last_one() -> None:
    engine = busy()
    engine.history.known = many(120)
    engine.current = replace(engine.current, revision=120)
    async with running(engine, (80, 24)) as (app, screen, pilot):
        assert "50 read, older ones follow (m)" in title(screen, "revisions")
        await press(app, pilot, "G")
        assert "100 read" in title(screen, "revisions")
        assert "revision 70 → revision 71" in title(screen, "difference")
        engine.history.known.insert(0, replace(engine.history.known[0], number=121))
        engine.current = replace(engine.current, revision=121)
        await app.look()
        await settle(app, pilot)
        assert "101 read" in title(screen, "revisions")
        assert screen.query_one(RevisionsTable).chosen == "71"
        await press(app, pilot, "m")
        assert title(screen, "revisions").endswith("   121")
        engine.history.known = [replace(r, number=r.number + 500) for r in many(120)]
        await press(app, pilot, "g", "r")
        assert title(screen, "revisions").endswith("50 read, older ones follow (m)")


async def test_what_can_not_be_read_is_said_and_nothing_is_lost() -> None:
    engine = busy()
    async with running(engine) as (app, screen, pilot):
        ask = engine.history.revisions
        error = EngineError("the folder can't be read", "look at its permissions")

        def fail(**_: Any) -> Any:
            raise error

        engine.history.revisions = fail  # type: ignore[method-assign]
        await press(app, pilot, "r")
        line = screen.query_one("#not-read", Static)
        assert str(line.content).startswith("✗ not read: the folder can't be read; look at its")
        assert screen.query_one(RevisionsTable).row_count == 12
        await press(app, pilot, "u")
        assert isinstance(app.screen, MessageDialog)
        engine.history.revisions = ask  # type: ignore[method-assign]
        await press(app, pilot, "escape")
        engine.current = replace(engine.current, taken_at=NOW + timedelta(seconds=9))
        await app.look()
        await settle(app, pilot)
        assert not line.display
        engine.history.known = [r for r in engine.history.known if r.number != 3]
        await press(app, pilot, "G", "k", "k")
        assert "✗ revision 3 is not kept" in difference(screen)


async def test_without_a_history_there_is_nothing_to_undo_and_read_only_offers_none() -> None:
    async with running(empty()) as (app, screen, pilot):
        table = screen.query_one(RevisionsTable)
        table.render_lines(table.size.region)
        assert "every change that is saved makes one" in table.render_line(2).text
        await press(app, pilot, "u")
        assert isinstance(app.screen, MessageDialog)
        assert "there is nothing to undo" in app.screen._plain()
    engine = busy()
    async with running(engine, read_only=True) as (app, screen, pilot):
        await press(app, pilot, "j", "u", "Z", "R")
        assert app.screen is screen
        assert engine.calls == []
        names = [offer.name for offer in ConsoleCommands(screen)._entries()]
        assert not [name for name in names if "Undo" in name or "Restore" in name]


async def test_a_refused_file_is_replaced_by_the_revision_in_force_after_a_look_at_it() -> None:
    engine = busy()
    engine.current = replace(engine.current, configuration_problem="line 3: is no JSON")
    async with running(engine, actor="anna") as (app, screen, pilot):
        assert "history.restore" in keys(screen)
        await press(app, pilot, "R")
        assert "refused: line 3: is no JSON\n\nRevision 12 takes its place." in sentence(app)
        await press(app, pilot, "right", "enter")
        assert engine.named("history.restore") == [(12, "anna", 12)]
