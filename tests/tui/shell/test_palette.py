"""The palette finds everything that has a name, and says why an action is not possible."""

from typing import Any, TypeVar

import pytest
from textual.command import CommandList, CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen

from engine.model.project import Project
from engine.model.session import SessionStatus
from tests.fakes import FakeEngine, busy
from tests.fakes.sessions import make_session
from tests.tui.sessions.test_sessions_screen import TOLD, press, running, seen, settle
from tui.app import ConsoleApp
from tui.sessions.session import SessionScreen
from tui.settings.dialog import ScriptDialog
from tui.shell.dialogs import MessageDialog
from tui.widgets.filter import FilterBar

S = TypeVar("S", bound=Screen[Any])


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.names.PAUSE_SECONDS", 0)


async def found(app: ConsoleApp, pilot: Pilot[None], words: str, wanted: str) -> list[str]:
    """Return what the palette offers for some words, as soon as a wanted text is among it."""
    if not isinstance(seen(app), CommandPalette):
        await press(app, pilot, "ctrl+p")
    palette = seen(app)
    palette.query_one("CommandInput").value = words
    lines: list[str] = []
    for _ in range(50):
        await settle(app, pilot)
        options = palette.query_one(CommandList).options
        lines = [option.prompt.plain.replace("\n ", " |") for option in options]
        if any(wanted in line for line in lines):
            return lines
    raise AssertionError(f"{wanted} is not among {lines}")


async def shown(app: ConsoleApp, pilot: Pilot[None], kind: type[S]) -> S:
    """Return the screen that a search of the palette leads to, as soon as it is there."""
    for _ in range(50):
        await settle(app, pilot)
        screen = seen(app)
        if isinstance(screen, kind):
            return screen
    raise AssertionError(f"{seen(app)} is no {kind.__name__}")


def hospital() -> FakeEngine:
    engine = busy()
    engine.known_projects = (Project("NEURO-01", title="Neurology"), Project("PETLAB"))
    engine.sessions.known = [make_session(1, SessionStatus.RECEIVING, subject="Miller_Anna")]
    return engine


async def test_settings_projects_senders_and_sessions_are_found_by_name() -> None:
    async with running(hospital()) as (app, _, pilot):
        await found(app, pilot, "anonym", "settings: Edit anonymization")
        await found(app, pilot, "ct_scan", "sender: CT_SCANNER_1")
        await found(app, pilot, "s0001", "session: S0001_CT_01")
        await press(app, pilot, "enter")
        assert isinstance(seen(app), SessionScreen)
        await found(app, pilot, "edit petlab", "project: Edit PETLAB")
        await press(app, pilot, "enter")
        assert isinstance(seen(app), ScriptDialog)
        await press(app, pilot, "escape")
        await found(app, pilot, "sessions of neuro", "project: Sessions of NEURO-01")
        await press(app, pilot, "enter")
        assert seen(app).query_one(FilterBar).value == "project:=NEURO-01"


async def test_an_enter_that_is_typed_ahead_runs_what_is_found_and_not_what_was_listed() -> None:
    async with running(hospital()) as (app, _, pilot):
        await press(app, pilot, "ctrl+p", *"help: diagn", "enter")
        await shown(app, pilot, MessageDialog)


async def test_an_action_that_is_not_possible_says_why() -> None:
    async with running(hospital()) as (app, _, pilot):
        offered = await found(app, pilot, "arch", "sessions: Archive")
        assert offered[0].startswith("areas: Archive")
        (reason,) = (one for one in offered if one.startswith("sessions: Archive"))
        assert "not now: S0001_CT_01 is receiving; r builds it now" in reason
        await found(app, pilot, "sessions: restore", "sessions: Restore")
        await press(app, pilot, "enter")
        assert TOLD[-1] == "S0001_CT_01 is not in the trash"
        assert not engine_was_asked(app)


def engine_was_asked(app: ConsoleApp) -> bool:
    return any(name.startswith("sessions.") for name, *_ in app.engine._engine.calls)  # type: ignore[attr-defined]
