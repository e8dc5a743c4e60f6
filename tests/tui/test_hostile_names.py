"""Names from the network are shown literally, wherever they appear."""

import ast
from pathlib import Path

import pytest
from textual.widget import Widget

from engine.events import ReceiverFailed
from tests.fakes import HOSTILE_NAMES, hostile_names
from tui.app import ConsoleApp
from tui.associations.table import AssociationsTable
from tui.log.events import EventsTable
from tui.receivers.screen import ReceiverScreen
from tui.receivers.table import ReceiversTable
from tui.shell.dialogs import MessageDialog, QuestionDialog
from tui.text import safe
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Facts, HangingText

TUI = Path(__file__).resolve().parents[2] / "tui"
MARKUP_WIDGETS = {"Static", "Label", "Button", "Checkbox", "RadioButton", "Option"}


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
        assert isinstance(app.screen, QuestionDialog)
        assert name in title_of(app.screen.query_one(".box"))
        await pilot.press("escape", "t")
        await pilot.pause()
        await pilot.pause()
        toast = next(iter(app._notifications))
        assert name in toast.message
        assert not toast.markup
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ReceiverScreen)
        assert start in str(app.screen.query_one("#crumbs").render())
        assert any(start in value for _, value in app.screen.query_one(Facts).facts)


async def test_the_palette_shows_names_literally_and_finds_them() -> None:
    app = ConsoleApp(hostile_names(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+p", *"red")
        await pilot.pause()
        await pilot.pause()
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
        app.push_screen(MessageDialog("[/t]", "line\n[red]\x1b", "[@click=app.quit]A"))
        await pilot.pause()
        shown = app.screen.query_one(HangingText).render()
        assert str(shown) == "line\n[red]␛\n\nWhat to do: [@click=app.quit]A"


def trees() -> list[tuple[str, ast.Module]]:
    return [(str(p.relative_to(TUI)), ast.parse(p.read_text())) for p in TUI.rglob("*.py")]


def test_no_widget_or_toast_in_our_code_reads_markup() -> None:
    """A string given to such a widget would be parsed unless markup is off or it is Content."""
    faults: list[str] = []
    for name, tree in trees():
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        faults.extend(f"{name}:{call.lineno}" for call in calls if reads_markup(call))
        titles = [n for n in ast.walk(tree) if isinstance(n, ast.Assign)]
        faults.extend(f"{name}:{title.lineno}" for title in titles if is_parsed_title(title))
        classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
        faults.extend(f"{name}:{node.name}" for node in classes if is_parsing_widget(node))
    assert faults == []


@pytest.mark.parametrize(
    ("code", "faulty"),
    [
        ("Static(name)", True),
        ("Static('fixed')", False),
        ("Static(name, markup=False)", False),
        ("Static(Text(name))", False),
        ("Label(f'{name}')", True),
        ("Button(name)", True),
        ("Option(name)", True),
        ("self.app.notify(name)", True),
        ("self.app.notify(name, markup=False)", False),
        ("Text.from_markup(name)", True),
        ("Content.from_markup('[b]x[/b]')", True),
        ("box.border_title = name", True),
        ("box.border_title = 'fixed'", False),
        ("box.border_subtitle = f'{name}'", True),
        ("box.border_title = Content(name)", False),
        ("box.border_title = Content(name) if name else None", False),
        ("class Facts(Static):\n    def __init__(self): super().__init__('')", True),
        ("class Facts(Static):\n    def __init__(self): super().__init__('', markup=False)", False),
        ("class Facts(Static): pass", True),
        ("class Facts(Widget): pass", False),
    ],
)
def test_the_lint_knows_what_would_be_parsed(code: str, faulty: bool) -> None:
    nodes = list(ast.walk(ast.parse(code)))
    found = [n for n in nodes if isinstance(n, ast.Call) and reads_markup(n)]
    titles = [n for n in nodes if isinstance(n, ast.Assign) and is_parsed_title(n)]
    classes = [n for n in nodes if isinstance(n, ast.ClassDef) and is_parsing_widget(n)]
    assert bool(found or titles or classes) is faulty


def reads_markup(call: ast.Call) -> bool:
    name = called(call)
    if name == "notify":
        return not has_markup_off(call)
    if name == "from_markup":
        return True
    if name not in MARKUP_WIDGETS or not call.args or isinstance(call.args[0], ast.Constant):
        return False
    return not (is_built(call.args[0]) or has_markup_off(call))


def is_parsed_title(node: ast.Assign) -> bool:
    """Frames parse their titles, whatever the widget is."""
    attributes = [t.attr for t in node.targets if isinstance(t, ast.Attribute)]
    return not is_built(node.value) and any(
        attribute in ("border_title", "border_subtitle") for attribute in attributes
    )


def is_parsing_widget(node: ast.ClassDef) -> bool:
    """A subclass of Static is one that switches markup off, or it would parse updates too."""
    if not any(
        isinstance(base, ast.Name) and base.id in ("Static", "Label") for base in node.bases
    ):
        return False
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    return not any(called(call) == "__init__" and has_markup_off(call) for call in calls)


def called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def is_built(value: ast.expr) -> bool:
    """Tell whether an expression gives Content or Text, which nobody parses, or fixed words."""
    if isinstance(value, ast.IfExp):
        return is_built(value.body) and is_built(value.orelse)
    if isinstance(value, ast.Constant):
        return "[" not in str(value.value)
    if not isinstance(value, ast.Call):
        return False
    function = value.func
    owner = function.value if isinstance(function, ast.Attribute) else function
    return getattr(owner, "id", "") in ("Content", "Text") and called(value) != "from_markup"


def has_markup_off(call: ast.Call) -> bool:
    return any(
        keyword.arg == "markup"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is False
        for keyword in call.keywords
    )
