"""F: a study, a patient or an object is found in all areas, from every screen, and opened."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from textual.widgets import Input, Static

from engine.api.objects import Filed, TrailStep
from engine.api.sessions import Found, FoundBy, FoundSession
from engine.errors import StorageUnusable
from engine.model.session import SessionArea
from tests.fakes import NOW, FakeEngine, busy
from tests.tui.sessions.test_sessions_screen import press, settle, telling
from tests.tui.shell.test_screen_pictures import Compare, both_sizes, console, pressing
from tui.app import ConsoleApp
from tui.inspector.screen import InspectorScreen
from tui.sessions.find import FindDialog, FoundTable
from tui.sessions.session import SessionScreen

pytestmark = pytest.mark.usefixtures("no_delays")


def outcome(app: ConsoleApp) -> str:
    return str(app.screen.query_one("#outcome", Static).content)


def rows(app: ConsoleApp) -> int:
    return app.screen.query_one(FoundTable).row_count


async def test_a_session_of_any_area_is_found_and_opened() -> None:
    engine = busy()
    archived = next(s for s in engine.sessions.known if s.area is SessionArea.ARCHIVE)
    app = telling(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(app, pilot, "F", "F")  # the second one is text
        assert app.screen.query_one(Input).value == "F"
        app.screen.query_one(Input).value = archived.label
        await settle(app, pilot)
        await settle(app, pilot)
        assert outcome(app) == "1 session"
        await press(app, pilot, "enter", "enter")
        assert isinstance(app.screen, SessionScreen)
        assert archived.label in app.screen.crumbs()[-1]
        assert app.current_mode == "sessions"


async def test_what_is_not_there_is_said_and_so_is_why_nothing_can_be_found() -> None:
    engine = busy()
    app = telling(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(app, pilot, "F", *"zzz")
        await settle(app, pilot)
        assert (rows(app), outcome(app)[:15]) == (0, "nothing of that")
        await press(app, pilot, "enter", "down")
        assert app.screen.query_one(Input).has_focus

        def fails(text: str) -> Found:
            raise StorageUnusable("the index is being rebuilt", "look again in a minute")

        engine.sessions.find = fails  # type: ignore[method-assign]
        await press(app, pilot, "y")
        await settle(app, pilot)
        assert outcome(app) == "✗ the index is being rebuilt; look again in a minute"
        await press(app, pilot, "escape")
        assert not isinstance(app.screen, FindDialog)


async def test_a_rejected_object_is_found_and_leads_to_its_trail() -> None:
    engine = busy()
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    step = TrailStep(at, "XNAT:8104", "CT[1]", "rejected", 0xC000, "[b]no[/]", None, "",
                     Filed.NOT_KEPT, None)  # fmt: skip
    engine.sessions.find = lambda text: Found((), (step,))  # type: ignore[method-assign]
    app = telling(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(app, pilot, "F", *"1.2.3")
        await settle(app, pilot)
        assert outcome(app) == "0 sessions, the object arrived 1 time"
        await press(app, pilot, "down", "escape")
        assert app.screen.query_one(Input).has_focus
        await press(app, pilot, "down", "enter")
        assert isinstance(app.screen, InspectorScreen)


async def test_an_object_whose_row_was_removed_is_said_to_be_read_again() -> None:
    engine = busy()
    session = replace(engine.sessions.find("phantom").sessions[0].session, rows_removed_at=NOW)
    found = Found((FoundSession(session, FoundBy.OBJECT),), ())
    engine.sessions.find = lambda text: found  # type: ignore[method-assign]
    app = telling(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(app, pilot, "F", *"1.2.3")
        await settle(app, pilot)
        assert outcome(app).startswith("1 session, the row of the object was removed")


@both_sizes
def test_found(snap_compare: Compare, size: tuple[int, int]) -> None:
    """What was typed, how much was found, and by what: sessions of three areas."""
    engine: FakeEngine = busy()
    before = pressing("F", *"phantom", "down")
    assert snap_compare(console(engine), terminal_size=size, run_before=before)
