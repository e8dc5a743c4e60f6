"""Pictures of the dashboard: one state each, at the two sizes that terminals have."""

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.fakes import (
    FakeEngine,
    barred,
    busy,
    config_problem,
    disk_full,
    empty,
    hostile_names,
    hundred_associations,
    idle,
    port_in_use,
    shared_port_in_use,
    whitelist_rejections,
)
from tests.tui.dashboard.test_dashboard import row
from tests.tui.reaching import reach
from tui.app import ConsoleApp
from tui.associations.table import AssociationsTable

SIZES = [pytest.param((120, 40), id="120x40"), pytest.param((80, 24), id="80x24")]
both_sizes = pytest.mark.parametrize("size", SIZES)
Compare = Callable[..., bool]


def console(engine: FakeEngine, *, theme: str = "dark") -> ConsoleApp:
    app = ConsoleApp(reach(engine), refresh_hz=0, blink=False)
    app.theme = theme
    return app


def choose(app: ConsoleApp, association: str) -> None:
    table = app.dashboard.query_one(AssociationsTable)
    table.focus()
    table.choose(row(app, association))


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until what was typed has started its search and the search is over."""
    await pilot.pause()


@both_sizes
def test_busy(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Traffic on two receivers, one stopped, one failed."""
    assert snap_compare(console(busy()), terminal_size=size)


@both_sizes
def test_idle(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Everything listens, nobody sends."""
    assert snap_compare(console(idle()), terminal_size=size)


@both_sizes
def test_empty(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A fresh installation says what to do next."""
    assert snap_compare(console(empty()), terminal_size=size)


@both_sizes
def test_port_in_use(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A failed receiver is selected: why, held by whom, what to do."""
    assert snap_compare(console(port_in_use()), terminal_size=size)


@both_sizes
def test_shared_port_in_use(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Two receivers fail with one port."""
    assert snap_compare(console(shared_port_in_use()), terminal_size=size)


@both_sizes
def test_barred(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The site allows no receivers; open associations go on."""
    assert snap_compare(console(barred()), terminal_size=size)


@both_sizes
def test_whitelist_rejections(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Rejected callers are rows with a count and the reason in words; the focus is there."""
    app = console(whitelist_rejections())

    async def look_at_associations(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        choose(app, "A-0425")
        await settled(pilot)

    assert snap_compare(app, terminal_size=size, run_before=look_at_associations)


@both_sizes
def test_hostile_names(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Markup and control characters are shown as what they are."""
    assert snap_compare(console(hostile_names()), terminal_size=size)


@both_sizes
def test_config_problem(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The edited file is refused; the last good settings stay in force."""
    assert snap_compare(console(config_problem()), terminal_size=size)


@both_sizes
def test_disk_full(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The header warns before anybody has to ask."""
    assert snap_compare(console(disk_full()), terminal_size=size)


@both_sizes
def test_engine_does_not_answer(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The last numbers are greyed, with the time of the last answer."""
    engine = busy()
    app = console(engine)

    async def go_silent(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        engine.silent = OSError("connection refused")
        await app.look()
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=go_silent)


@both_sizes
def test_paused(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A paused view looks paused."""
    assert snap_compare(console(busy()), terminal_size=size, press=["p"])


@both_sizes
def test_filter(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Two of five receivers match."""
    assert snap_compare(console(busy()), terminal_size=size, press=["slash", *"8104"])


@both_sizes
def test_zoomed_associations(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A hundred associations, one panel on the whole screen."""
    app = console(hundred_associations())

    async def zoom(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        app.dashboard.query_one("#associations-table").focus()
        await pilot.press("z")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=zoom)


@both_sizes
def test_help(snap_compare: Compare, size: tuple[int, int]) -> None:
    """All keys, scrolling where they don't fit."""
    assert snap_compare(console(busy()), terminal_size=size, press=["question_mark"])


@both_sizes
def test_help_on_a_panel(snap_compare: Compare, size: tuple[int, int]) -> None:
    """f1 explains the focused panel."""
    assert snap_compare(console(busy()), terminal_size=size, press=["f1"])


@both_sizes
def test_palette(snap_compare: Compare, size: tuple[int, int]) -> None:
    """What applies now, the selected receiver first."""

    async def search(pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+p")
        await settled(pilot)
        field = pilot.app.screen.query_one(Input)
        field.value = "ct_in"
        field.cursor_position = len(field.value)
        await settled(pilot)

    assert snap_compare(console(busy()), terminal_size=size, run_before=search)


@both_sizes
def test_confirm_delete(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The safe answer has the focus, the consequence is named."""
    assert snap_compare(console(busy()), terminal_size=size, press=["d"])


@both_sizes
def test_details_of_a_rejected_association(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Enter shows the whole reason."""
    app = console(whitelist_rejections())

    async def open_row(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        choose(app, "A-0425")
        await pilot.press("enter")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=open_row)


@both_sizes
def test_details_of_refused_contexts(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Enter lists what was proposed and not accepted."""
    app = console(busy())

    async def open_row(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        choose(app, "A-0412")
        await pilot.press("enter")
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=open_row)


@both_sizes
def test_no_color(
    snap_compare: Compare, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """State, focus and selection can be told without color."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(console(busy()), terminal_size=size)


@pytest.mark.parametrize("theme", ["light", "high-contrast", "colour-blind"])
def test_theme(snap_compare: Compare, theme: str) -> None:
    """The busy dashboard in the other themes."""
    assert snap_compare(console(busy(), theme=theme), terminal_size=(120, 40))


def test_large(snap_compare: Compare) -> None:
    """More columns and a longer chart when there is room."""
    assert snap_compare(console(busy()), terminal_size=(200, 60))


def test_smallest(snap_compare: Compare) -> None:
    """The smallest size that is still honest."""
    assert snap_compare(console(busy()), terminal_size=(60, 16))


def test_too_small(snap_compare: Compare) -> None:
    """Below that, the screen says what it needs."""
    assert snap_compare(console(busy()), terminal_size=(50, 12))
