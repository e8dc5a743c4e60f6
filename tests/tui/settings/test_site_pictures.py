"""Pictures of the settings screen and its forms: one state each, at both sizes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import NotDelivered
from engine.model.study_route import StudyRoute
from tests.fakes import NOW
from tests.tui.reaching import reach
from tests.tui.settings.settled_site import ERROR, hostile, settled
from tests.tui.settings.test_site_screen import SECTION_KEYS, press
from tui.app import ConsoleApp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

    from tests.fakes import FakeEngine

    Compare = Callable[..., bool]
    Before = Callable[[Pilot[Any]], Awaitable[None]]

SIZES = [pytest.param((120, 40), id="120x40"), pytest.param((80, 24), id="80x24")]
both_sizes = pytest.mark.parametrize("size", SIZES)
large_only = pytest.mark.parametrize("size", SIZES[:1])
small_only = pytest.mark.parametrize("size", SIZES[1:])

ROUTES = (
    StudyRoute("1.2.840.113619.2.55.3.604688119.971.1756018147.416", "neuro", "S0042", "S0042_MR",
               "anna", NOW),
    StudyRoute("1.2.276.0.7230010.3.1.2.2", "PETLAB", added_by="query-retrieve",
               added_at=NOW - timedelta(days=2)),
)  # fmt: skip


def console(engine: FakeEngine) -> ConsoleApp:
    return ConsoleApp(reach(engine), refresh_hz=0, blink=False)


def at(section: str, *keys: str) -> Before:
    """Go to a section, press a key, and when that is answered the others."""

    async def before(pilot: Pilot[Any]) -> None:
        for some in (("6",), SECTION_KEYS[section], keys[:1], keys[1:]):
            await press(pilot.app, pilot, *some)  # type: ignore[arg-type]

    return before


def at_problem(section: str, *keys: str) -> Before:
    """Do so, and go to the first problem once the engine has answered."""

    async def before(pilot: Pilot[Any]) -> None:
        await at(section, *keys)(pilot)
        await press(pilot.app, pilot, "f8")  # type: ignore[arg-type]

    return before


@both_sizes
def test_receivers_in_force(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Each section with its state, and what is in force in the chosen one."""
    assert snap_compare(console(settled()), terminal_size=size, run_before=at("receivers"))


@both_sizes
def test_projects(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The projects with aliases, what becomes of their sessions, scripts and counts."""
    assert snap_compare(console(settled()), terminal_size=size, run_before=at("projects"))


@both_sizes
def test_routing_form(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Rules with their result below, the preview with masked values, which rule decides."""
    before = at("routing", "e", "shift+tab", "shift+tab", "shift+tab", "right")
    assert snap_compare(console(settled()), terminal_size=size, run_before=before)


@both_sizes
def test_script_form(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A script with a remark on line 4, and an object before and after, masked."""
    before = at_problem("anonymization", "e")
    assert snap_compare(console(settled()), terminal_size=size, run_before=before)


@small_only
def test_script_with_an_error(snap_compare: Compare, size: tuple[int, int]) -> None:
    """An error with line and column, marked beside its line; nothing can be saved."""
    engine = settled()
    engine.scripts.findings = (ERROR,)
    before = at("anonymization", "e", "tab", "tab")
    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@large_only
def test_sessions_form_with_problems(snap_compare: Compare, size: tuple[int, int]) -> None:
    """All problems at once, counted in the frame; each line of the filter says what it does."""
    engine = settled()
    engine.site_settings = replace(
        engine.site_settings,
        sessions=replace(engine.site_settings.sessions, series_filter="localizer\n[Modality]\n((("),
    )
    before = at("sessions", "e", "backspace", "backspace", "backspace", "0", "ctrl+s")
    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@small_only
def test_changed_meanwhile(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Somebody else changed the settings: who and what, and the key that takes it over."""
    engine = settled()

    async def before(pilot: Pilot[Any]) -> None:
        await at("alerts", "e")(pilot)
        engine.site_settings = replace(engine.site_settings, allow_low_ports=True)
        await press(pilot.app, pilot, "1", "ctrl+s")  # type: ignore[arg-type]

    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@both_sizes
def test_alerts(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Who is told of what, without secrets; t in the footer sends a test alert."""
    before = at("alerts", "enter", "j")
    assert snap_compare(console(settled()), terminal_size=size, run_before=before)


@both_sizes
def test_alert_target_form(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A target that is changed, with the button and key that send it a test alert."""
    before = at("alerts", "enter", "e")
    assert snap_compare(console(settled()), terminal_size=size, run_before=before)


@small_only
def test_test_alert_not_delivered(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Which target could not be told, why, and what to do; y copies that."""
    engine = settled()
    engine.error = NotDelivered("the webhook answered 404", "check its address")
    assert snap_compare(console(engine), terminal_size=size, run_before=at("alerts", "t"))


@both_sizes
def test_study_routes(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Announced studies with project and labels; what is left to the object is said in words."""
    engine = settled()
    engine.study_routes.known = [*ROUTES]
    before = at("studies", "enter", "j")
    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@both_sizes
def test_study_route_form(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A route with a wrong label: the project that an alias means, the problem, who asks for it."""
    engine = settled()
    engine.study_routes.known = [*ROUTES]
    before = at("studies", "enter", "e", "tab", "tab", *" 1", "tab")
    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@small_only
def test_no_study_routes(snap_compare: Compare, size: tuple[int, int]) -> None:
    """No study is announced: what a route is for, and the key that adds one."""
    assert snap_compare(console(settled()), terminal_size=size, run_before=at("studies"))


@large_only
def test_hostile_project_form(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Titles, findings and values that are markup or escape sequences stand there literally."""
    before = at_problem("projects", "e")
    assert snap_compare(console(hostile()), terminal_size=size, run_before=before)


@small_only
def test_hostile_projects(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Names that are markup or too long stand in the list literally, cut by an ellipsis."""
    assert snap_compare(console(hostile()), terminal_size=size, run_before=at("projects"))
