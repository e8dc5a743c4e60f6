"""Names from the network are shown literally, wherever they appear."""

import ast
from pathlib import Path

import pytest
from textual.widget import Widget
from textual.widgets import Static

from engine.events import ReceiverFailed
from tests.fakes import HOSTILE_NAMES, hostile_names
from tui.app import ConsoleApp
from tui.screens.confirm import ConfirmScreen
from tui.screens.message import MessageScreen
from tui.text import safe
from tui.widgets.associations_table import AssociationsTable
from tui.widgets.events_table import EventsTable
from tui.widgets.live_table import LiveTable
from tui.widgets.receivers_table import ReceiversTable

TUI = Path(__file__).resolve().parents[2] / "tui"
MARKUP_WIDGETS = {"Static", "Label", "Button", "Checkbox", "RadioButton"}


def lines(table: LiveTable) -> list[str]:
    table.render_lines(table.size.region)
    return [table.render_line(y).text for y in range(table.size.height)]


def title_of(widget: Widget) -> str:
    """The public attribute gives escaped markup; this is what is drawn."""
    assert widget._border_title is not None
    return widget._border_title.plain


@pytest.mark.parametrize("place", range(len(HOSTILE_NAMES)))
async def test_a_name_is_literal_in_tables_titles_dialogs_toasts_and_palette(place: int) -> None:
    engine = hostile_names()
    name = safe(HOSTILE_NAMES[place])
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await pilot.pause()
        await pilot.press(*["j"] * place)
        await pilot.pause()
        dashboard = app.dashboard
        start = name[:12]
        assert start in lines(dashboard.query_one(ReceiversTable))[place + 1]
        assert start in lines(dashboard.query_one(AssociationsTable))[place + 1]
        assert any(start in line for line in lines(dashboard.query_one(EventsTable)))
        assert name in title_of(dashboard.query_one("#selected"))
        await pilot.press("d")
        assert isinstance(app.screen, ConfirmScreen)
        assert name in title_of(app.screen.query_one(".box"))
        await pilot.press("escape", "t")
        await app.workers.wait_for_complete()
        await pilot.pause()
        toast = next(iter(app._notifications))
        assert name in toast.message
        assert not toast.markup
        await pilot.press("enter")
        assert isinstance(app.screen, MessageScreen)
        assert name in app.screen._plain()


async def test_the_palette_shows_names_literally_and_finds_them() -> None:
    app = ConsoleApp(hostile_names(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+p", *"red")
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        prompts = [str(option.prompt) for option in app.screen.query_one("CommandList").options]  # type: ignore[attr-defined]
        assert any("receiver: Edit [red]CT[/red]:8106" in prompt for prompt in prompts)


async def test_urgent_news_and_errors_are_literal() -> None:
    engine = hostile_names()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(notifications=True) as pilot:
        await pilot.pause()
        engine.emit(ReceiverFailed(receiver="[/x]:1", reason="\x1b[2J", remedy="[b]r[/b]"))
        await pilot.pause()
        toast = next(iter(app._notifications))
        assert toast.message == "[/x]:1 can't listen: ␛[2J; [b]r[/b]"
        app.push_screen(MessageScreen("[/t]", "line\n[red]\x1b", "[@click=app.quit]A"))
        await pilot.pause()
        shown = app.screen.query_one(Static).content
        assert str(shown) == "line\n[red]␛\n\nWhat to do: [@click=app.quit]A"


def test_no_widget_or_toast_in_our_code_reads_markup() -> None:
    """A string given to such a widget would be parsed unless markup is off or it is Content."""
    faults: list[str] = []
    for path in TUI.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        name = path.relative_to(TUI)
        faults.extend(f"{name}:{call.lineno}" for call in calls if _reads_markup(call))
    assert faults == []


def _reads_markup(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "notify":
        return not _has_markup_off(call)
    if name not in MARKUP_WIDGETS or not call.args or isinstance(call.args[0], ast.Constant):
        return False
    built = isinstance(call.args[0], ast.Call) and getattr(call.args[0].func, "id", "") in (
        "Content",
        "Text",
    )
    return not (built or _has_markup_off(call))


def _has_markup_off(call: ast.Call) -> bool:
    return any(
        keyword.arg == "markup"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is False
        for keyword in call.keywords
    )
