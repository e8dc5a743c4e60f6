"""Screen 3: sessions listed, filtered, sorted, marked and acted on, by a hundred thousand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from engine.errors import NotFound
from engine.events.sessions import SessionDeleted
from engine.model.project import Project
from engine.model.session import SessionArea, SessionStatus
from tests.fakes import FakeEngine, busy
from tests.fakes.sessions import make_session, past_actions
from tui.app import ConsoleApp
from tui.engine_client import GoRequested
from tui.sessions.actions import ProjectDialog
from tui.sessions.list import SessionsScreen
from tui.sessions.session import SessionScreen
from tui.sessions.tables import ObjectsTable, SessionsTable
from tui.sessions.undo import UndoDialog
from tui.shell.dialogs import ProgressDialog, QuestionDialog
from tui.shell.status import active_hints
from tui.widgets.filter import FilterBar
from tui.widgets.paged_table import PagedTable
from tui.widgets.panel import Facts

if TYPE_CHECKING:
    from tui.sessions.review import ReviewDialog

TOLD: list[str] = []
"""What the console of this test told, however soon that is gone from the screen."""


def telling(engine: FakeEngine, **options: Any) -> ConsoleApp:
    """Return a console whose toasts are remembered in `TOLD`."""
    app = ConsoleApp(engine, refresh_hz=0, blink=False, **options)
    show = app.notify
    TOLD.clear()

    def notify(message: str, **options: Any) -> None:
        TOLD.append(message)
        show(message, **options)

    app.notify = notify  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def running(
    engine: FakeEngine, *keys: str, **options: Any
) -> AsyncIterator[tuple[ConsoleApp, SessionsScreen, Pilot[None]]]:
    app = telling(engine, **options)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await press(app, pilot, "3")
        assert "Prearchive   " in title(app)
        await press(app, pilot, *keys)
        yield app, cast("SessionsScreen", app.screen_stack[0]), pilot


async def press(app: ConsoleApp, pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        if key not in ("j", "space"):
            await settle(app, pilot)
    await settle(app, pilot)


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    for _ in range(2):
        await pilot.pause()
        await pilot.pause()
    await pilot.pause()


async def filtered(app: ConsoleApp, pilot: Pilot[None], words: str) -> None:
    app.screen.query_one(FilterBar).value = words
    await settle(app, pilot)


def seen(app: ConsoleApp) -> Any:
    return app.screen


def title(app: ConsoleApp, panel: str = "sessions") -> str:
    shown = app.screen.query_one(f"#{panel}")._border_title
    assert shown is not None
    return shown.plain


def note(app: ConsoleApp, panel: str = "sessions") -> str:
    shown = app.screen.query_one(f"#{panel}")._border_subtitle
    return shown.plain if shown is not None else ""


def lines(app: ConsoleApp, table: type[PagedTable] = SessionsTable) -> list[str]:
    shown = app.screen.query_one(table)
    shown.render_lines(shown.size.region)
    return [shown.render_line(y).text.strip() for y in range(shown.size.height)]


def keys_of(app: ConsoleApp) -> set[str]:
    return {hint.key.id for hint in active_hints(app.screen) if hint.enabled}


def many(number: int) -> FakeEngine:
    engine = busy()
    engine.sessions.known = [make_session(i, objects=i) for i in range(1, number + 1)]
    return engine


async def test_a_hundred_thousand_are_fetched_page_by_page_as_the_cursor_moves() -> None:
    engine = many(100_000)
    asked: list[tuple[int, int]] = []
    ask = engine.sessions.list

    def counted(*query: Any, **page: Any) -> Any:
        asked.append((page["offset"], page["limit"]))
        return ask(*query, **page)

    engine.sessions.list = counted  # type: ignore[method-assign]
    async with running(engine, "G") as (app, screen, pilot):
        assert app.screen.query_one(SessionsTable).chosen == "1"
        await press(app, pilot, "ctrl+u", "g", "j")
        assert app.screen.query_one(SessionsTable).chosen == "99999"
        assert len(asked) <= 4
        assert max(limit for _, limit in asked) <= 300
        assert "100,000" in title(app)
        await press(app, pilot, "asterisk")
        assert len(screen.sessions_here()) == 1_000
        assert "the first 1,000 sessions" in TOLD[-1]


async def test_a_session_in_any_state_is_shown_in_the_list_and_by_itself() -> None:
    engine = busy()
    engine.sessions.known = [make_session(n, status) for n, status in enumerate(SessionStatus, 1)]
    async with running(engine, "g") as (app, screen, pilot):
        shown = "\n".join(lines(app))
        assert "separating" in shown
        for _ in SessionStatus:
            await press(app, pilot, "enter", "escape", "j")
        assert app.screen is screen


async def test_areas_filters_and_orders_are_asked_of_the_engine() -> None:
    async with running(busy()) as (app, screen, pilot):
        await filtered(app, pilot, "project:neuro* status:nonsense")
        assert "is no status of a session" in note(app)
        assert "18" in title(app)
        await filtered(app, pilot, "project:NEURO* status:ready,conf")
        assert "5 of 18 match" in title(app)
        await press(app, pilot, "o", *"files", "enter")
        table = screen.query_one(SessionsTable)
        assert table.order == "objects"
        assert "by objects, rising" in note(app)
        await filtered(app, pilot, "nobody is called so")
        assert any("no row matches the filter" in line for line in lines(app))
        await press(app, pilot, "escape", "left_square_bracket")
        assert "Trash   3" in title(app)
        keys = {k for k in keys_of(app) if k.startswith("session.")}
        assert keys == {"session.restore", "session.why"}


async def test_a_longer_filter_that_matches_the_same_sessions_leaves_one_chosen() -> None:
    async with running(busy()) as (app, screen, pilot):
        await filtered(app, pilot, "project:NEURO* status:ready,conf")
        found, chosen = lines(app), screen.sessions_here()
        await filtered(app, pilot, "project:NEURO* status:ready,conflict")
        assert (lines(app), screen.sessions_here()) == (found, chosen)
        assert len(chosen) == 1
        assert "session.delete" in keys_of(app)


async def test_the_cursor_stays_with_its_session_and_news_bring_a_new_look() -> None:
    engine = busy()
    async with running(engine, "j", "j", "j", "j") as (app, screen, pilot):
        table = screen.query_one(SessionsTable)
        assert (table.chosen, table.row) == ("416", 4)
        engine.sessions.known.insert(0, make_session(900, last_object_at=engine.current.taken_at))
        engine.current = replace(engine.current, revision=engine.current.revision + 1)
        await app.look()
        await settle(app, pilot)
        assert "18" in title(app)  # only a moment ago it was asked
        later = engine.current.taken_at.replace(minute=30)
        engine.current = replace(engine.current, taken_at=later)
        await app.look()
        await settle(app, pilot)
        assert "19" in title(app)
        assert (table.chosen, table.row) == ("416", 5)
        about: Any = {"session": 416, "project": "NEURO-01", "by": "anna"}
        engine.emit(SessionDeleted(**about))
        engine.sessions.list = missing  # type: ignore[method-assign]
        engine.current = replace(engine.current, taken_at=later.replace(minute=31))
        await app.look()
        await settle(app, pilot)
        assert "the index is away" in note(app)
        assert any("S0041_CT_01" in line for line in lines(app))


def missing(*_: Any, **__: Any) -> Any:
    raise NotFound("the index is away", "look again")


async def test_a_conflict_is_told_in_words_before_archiving_and_overwritten_on_request() -> None:
    engine = busy()
    at_conflict = ["j"] * 6
    async with running(engine, *at_conflict, "a", actor="anna") as (app, _, pilot):
        assert isinstance(app.screen, QuestionDialog)
        assert "▲ session already exists with matching files: 318" in app.screen._text
        assert isinstance(app.focused, Button)
        assert app.focused.id == "cancel"
        await press(app, pilot, "escape")
        assert engine.named("sessions.archive") == []
        await press(app, pilot, "a", "right", "enter")
        assert engine.named("sessions.archive") == [(418, "anna", True, True)]
        assert "17" in title(app)
        assert TOLD[-1] == "P-118_MR_03 archived"


async def test_what_fails_among_many_is_listed_with_its_reason_and_the_rest_goes_on() -> None:
    engine = busy()
    engine.sessions.archive_conflicts = ("another subject",)
    async with running(engine, *["j"] * 4, "space", "space") as (app, screen, pilot):
        assert "2 marked" in title(app)
        await press(app, pilot, "a", "right", "enter")
        assert isinstance(app.screen, ProgressDialog)
        assert app.screen.outcome.done == 0
        assert "another subject" in str(app.screen.outcome.failures[0][1].detail)
        await press(app, pilot, "x")
        assert [s.status for s in engine.sessions.known[4:6]] == [SessionStatus.CONFLICT] * 2
        assert screen.query_one(SessionsTable).marked == frozenset()


async def test_marked_sessions_move_to_a_project_found_by_typing() -> None:
    engine = busy()
    engine.known_projects = (Project("NEURO-02"), Project("PETLAB", title="PET"))
    async with running(engine, *["j"] * 4, "space", "space", "m", actor="bo") as (app, _, pilot):
        assert isinstance(app.screen, ProjectDialog)
        app.screen.query_one(Input).value = "nowhere"
        await settle(app, pilot)
        await press(app, pilot, "enter")
        assert isinstance(app.screen, ProjectDialog)
        app.screen.query_one(Input).value = ""
        await settle(app, pilot)
        await press(app, pilot, "down", "enter")
        moved = [(416, "PETLAB", "bo"), (417, "PETLAB", "bo")]
        assert engine.named("sessions.move") == moved


async def test_deleting_says_until_when_and_the_trash_gives_back() -> None:
    engine = busy()
    async with running(engine, *["j"] * 4, "d") as (app, _, pilot):
        assert isinstance(app.screen, QuestionDialog)
        assert "restored until 2026-09-23 14:03 (30 days)" in app.screen._text
        await press(app, pilot, "right", "enter")
        assert engine.sessions.detail(416).session.area is SessionArea.TRASH
        await press(app, pilot, "left_square_bracket", "u")
        assert engine.named("sessions.restore") != []
        await press(app, pilot, "right_square_bracket")
        await filtered(app, pilot, "status:queued_b")
        await press(app, pilot, "c")
        assert engine.named("sessions.cancel") == [(428, "console")]


async def test_sessions_that_cannot_be_asked_are_counted_and_left_alone() -> None:
    engine = busy()
    async with running(engine, "j", "j", "space", "space", "space", "r") as (_app, _, _pilot):
        assert len(engine.named("sessions.rebuild")) == 1
        told = TOLD[0]
        assert "2 sessions skipped: not possible in their current state" in told


async def test_enter_goes_to_scans_and_objects_and_back() -> None:
    async with running(busy(), *["j"] * 4, "enter") as (app, screen, pilot):
        assert isinstance(seen(app), SessionScreen)
        assert dict(app.screen.query_one("#facts", Facts).facts)["session"] == "S0041_CT_01"
        await press(app, pilot, "j", "j", "enter")
        assert "scan 3   768 objects" in title(app, "objects")
        assert app.focused is app.screen.query_one(ObjectsTable)
        await press(app, pilot, "G")
        assert "768" in lines(app, ObjectsTable)[-1]
        await press(app, pilot, "y", "escape")
        assert "scan 99" in app.clipboard
        assert seen(app) is screen
        await press(app, pilot, "U")
        assert app.clipboard.startswith("1.2.840")
        await press(app, pilot, "tab", "tab", "j", "enter")
        assert app.focused is app.screen.query_one(ObjectsTable)
        assert "scan 2" in title(app, "objects")


async def test_sessions_of_a_receiver_are_one_command_away() -> None:
    async with running(busy(), "1") as (app, _, pilot):
        palette_entries = {offer.name: offer for offer in app.dashboard.palette_entries()}
        palette_entries["go: Sessions received by XNAT:8104"].run()
        await settle(app, pilot)
        assert isinstance(app.screen, SessionsScreen)
        assert "receiver:=XNAT:8104" in title(app)
        app.post_message(GoRequested("sessions", "receiver:OTHER"))
        await settle(app, pilot)
        assert "0 of 18" in title(app)


async def test_a_read_only_console_looks_and_changes_nothing() -> None:
    engine = busy()
    async with running(engine, *["j"] * 4, "a", "d", "m", "r", read_only=True) as (app, _, pilot):
        assert isinstance(seen(app), SessionsScreen)
        assert {k for k in keys_of(app) if k.startswith("session.")} == {"session.why"}
        await press(app, pilot, "enter", "d")
        assert isinstance(seen(app), SessionScreen)
        assert [call for call in engine.calls if call[0].startswith("sessions.")] == []


async def test_a_click_chooses_a_session_sorts_by_a_head_or_shows_an_area() -> None:
    async with running(busy()) as (app, screen, pilot):
        await pilot.click(SessionsTable, offset=(20, 5))
        await settle(app, pilot)
        table = screen.query_one(SessionsTable)
        assert table.row == 4
        await pilot.click(SessionsTable, offset=(17, 0))
        await settle(app, pilot)
        assert table.order == "project"
        await pilot.click("#areas", offset=(20, 0))
        await settle(app, pilot)
        assert "Archive   40" in title(app)


async def test_a_review_removes_scans_first_then_renames_then_archives() -> None:
    engine = busy()
    async with running(engine, "j", "j", "j", "j", "e") as (app, screen, pilot):
        dialog = cast("ReviewDialog", app.screen)
        chosen = screen.sessions_here()[0].id
        for text, words in (("a b", "✗ use 1 to 64"), ("E9", "● changed")):
            dialog.query_one("#label", Input).value = text
            await settle(app, pilot)
            assert str(dialog.query_one("#label-verdict", Static).content).startswith(words)
        dialog.query_one("#project", Input).value = "NOWHERE"
        await press(app, pilot, "ctrl+a")
        assert app.screen is dialog  # there is no such project
        dialog.query_one("#project", Input).value = "NEURO-01"
        await press(app, pilot, "tab", "space", "ctrl+a")
        asked = [call for call in engine.calls if call[0].startswith("sessions.")]
        assert [call[:3] for call in asked if call[0] != "sessions.settled"] == [
            ("sessions.remove_scans", chosen, ("1",)),
            ("sessions.edit", chosen, "console"),
            ("sessions.archive", chosen, "console"),
        ]
        assert TOLD[-1] == "E9 archived   Z undoes it"


async def test_an_action_is_chosen_and_undone_and_one_that_can_not_be_is_not() -> None:
    engine = busy()
    engine.sessions.done = past_actions()
    async with running(engine, "Z", "down", "enter") as (app, _, pilot):
        assert isinstance(app.screen, UndoDialog)
        await press(app, pilot, "up", "enter")
        assert ("sessions.undo", 9, "console") in engine.calls
        assert TOLD[-1] == "S0041_CT_01 back where it was"


async def test_a_rebuild_that_archives_says_so_before() -> None:
    engine = busy()
    plain = engine.sessions.detail
    engine.sessions.detail = (  # type: ignore[method-assign]
        lambda session_id: replace(plain(session_id), archives_itself=True)
    )
    async with running(engine, "j", "j", "j", "j", "r") as (app, _, pilot):
        assert isinstance(app.screen, QuestionDialog)
        await press(app, pilot, "escape")
        assert not [call for call in engine.calls if call[0] == "sessions.rebuild"]
        await press(app, pilot, "r", "right", "enter")
        assert [call for call in engine.calls if call[0] == "sessions.rebuild"]
