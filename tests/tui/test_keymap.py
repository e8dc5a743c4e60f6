"""Keys of the user's own: nothing is lost by them, and what makes no sense is said."""

from __future__ import annotations

import json
import pkgutil
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Static

from tests.fakes import busy
from tests.tui.dashboard.test_dashboard import running, toasts
from tui.app import ConsoleApp
from tui.inspector.screen import InspectorScreen
from tui.keymap import EVERY_SCREEN, TOGETHER, keymap, pair_of, user_keys
from tui.keys import BY_ID, KEYS, Scope, pressed, rebind, with_keys
from tui.places import SCREEN_SPECS
from tui.processors.forwarding import ForwardingScreen
from tui.receivers.screen import ReceiverScreen
from tui.sessions.session import SessionScreen
from tui.shell.help import all_keys
from tui.shell.status import active_hints
from tui.theme import DARK, palette_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from textual.binding import BindingsMap
    from textual.dom import DOMNode

    from tui.shell.screen import ConsoleScreen

SCREENS: list[type[ConsoleScreen]] = [
    *(pkgutil.resolve_name(place.screen) for place in SCREEN_SPECS if place.screen),
    *(ReceiverScreen, SessionScreen, InspectorScreen, ForwardingScreen),
]


@pytest.fixture(autouse=True)
def usual_keys() -> Iterator[None]:
    yield
    rebind({})


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"view.pause": "f7"}, {"view.pause": "f7"}),
        ({"app.find": "?", "app.help": "f2"}, {"app.find": "question_mark", "app.help": "f2"}),
        ({"app.find": "ctrl+K"}, {"app.find": "ctrl+k"}),
        ({"receiver.start": "S"}, {"receiver.start": "S", "receiver.stop": "S"}),
        ({"receiver.new": "e", "receiver.edit": "n"}, {"receiver.new": "e", "receiver.edit": "n"}),
        ({"mark.row": "é"}, {"mark.row": "é"}),
        ({"view.pause": "p"}, {}),
    ],
)  # fmt: skip
def test_keys_are_taken_as_people_write_them(
    chosen: dict[str, str], expected: dict[str, str]
) -> None:
    assert user_keys(chosen) == (expected, ())


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"receiver.stopp": "S"}, "there is no “receiver.stopp”; did you mean receiver.stop?"),
        ({"\x1b[31m": "S"}, "there is no “␛[31m”; docs/reference/keys.md has all"),
        ({"view.filter": "hugo"}, "“hugo” is no key; write such as a, B, f2, ctrl+k or space"),
        ({"view.filter": "ctrl+"}, "“ctrl+” is no key"),
        ({"view.filter": ""}, "“” is no key"),
        ({"view.filter": "shift+a"}, "“shift+a” is no key"),
        ({"view.filter": "hyper+a"}, "“hyper+a” is no key"),
        ({"view.filter": "ctrl+i"}, "“ctrl+i” can't be told from tab in a terminal"),
        ({"view.filter": "up"}, "“up” moves in lists and texts"),
        ({"view.filter": "ctrl+z"}, "“ctrl+z” suspends programs"),
        ({"app.quit": "q"}, "“q” could not be typed any more; use ctrl+ or a function key"),
        ({"go.log": "0"}, "go.log keeps its number"),
        ({"session.move": "?"}, "session.move: ? is Help (app.help); m stays"),
        ({"receiver.new": "w"}, "receiver.new: w is Allow caller (association.allow); n stays"),
        ({"receiver.stop": "S", "receiver.start": "T"}, "receiver.start: S is used"),
        ({"view.pause": "f7", "view.zoom": "f7"}, "view.zoom: f7 is Pause (view.pause); z stays"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_and_the_rest_works(
    chosen: dict[str, str], problem: str
) -> None:
    keys, problems = user_keys({"app.find": "f9"} | chosen)
    assert [problem in said for said in problems] == [True]
    assert keys["app.find"] == "f9"
    assert set(chosen) - set(keys) or len(chosen) == 2


def test_the_scopes_of_a_screen_are_known_to_meet() -> None:
    scopes = {screen: set(screen.SCOPES) for screen in SCREENS}
    assert all(len(met) == 1 or any(met <= group for group in TOGETHER) for met in scopes.values())
    assert all(group in scopes.values() for group in TOGETHER)
    assert set().union(*scopes.values()) | EVERY_SCREEN | {Scope.FILTER} == set(Scope)


def test_no_action_of_any_screen_is_lost_by_another_key_for_one() -> None:
    for key in KEYS:
        if key.scope is Scope.SCREENS:
            continue
        keys, problems = user_keys({key.id: "f9"})
        assert problems == ()
        nodes: list[type[DOMNode]] = [*SCREENS, ConsoleApp]
        for node in nodes:
            bound = node._merge_bindings().copy()
            before = _by_id(bound)
            bound.apply_keymap(keymap(keys))
            moved = {one.id: "f9" for one in pair_of(key) if one.id in before}
            assert _by_id(bound) == before | moved, (key.id, node)


def _by_id(bound: BindingsMap) -> dict[str, str]:
    return {binding.id: key for key, binding in bound if binding.id in BY_ID}


async def test_chosen_keys_act_and_every_text_names_them(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    keys = {"receiver.stop": "f6", "view.pause": "f7", "app.undo": "f9", "app.help": "x"}
    path.write_text(json.dumps({"keys": keys}))
    engine = busy()
    async with running(engine, settings_path=path) as (app, pilot):
        assert toasts(app) == ["keys: app.help: x is Abort (association.abort); ? stays"]
        footer = {hint.key.label: hint.key.shown for hint in active_hints(app.screen)}
        assert (footer["Stop"], footer["Pause"], footer["Help"]) == ("f6", "f7", "?")
        await pilot.press("s", "p")
        assert not app.screen.has_class("-paused")
        await pilot.press("f7")
        assert "f7 goes on" in str(app.dashboard.panel("receivers").border_subtitle)
        await pilot.press("f7", "f6")
        await pilot.pause()
        said = "".join(str(static.content) for static in app.screen.query(Static))
        assert "f6 starts it again" in said
        page = all_keys(palette_of(DARK), app.dashboard).plain
        assert "  f6     Stop " in page
        assert "  f6     Start " in page
        assert with_keys("{app.undo} undoes it") == "f9 undoes it"
    ConsoleApp(engine)
    assert pressed("receiver.stop") == "s"
