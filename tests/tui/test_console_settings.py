"""The console's own settings."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from tui.console_settings import (
    ConsoleSettings,
    Symbols,
    TableSettings,
    load_settings,
    save_setting,
)
from tui.theme import LIGHT, user_theme

EVERYTHING = ConsoleSettings(
    "mine",
    {"mine": {"base": "light", "panel": "#fff"}},
    {"view.pause": "f7"},
    Symbols.ASCII,
    0.5,
    {"sessions": TableSettings("label", descending=True, columns=("label",))},
    {"sessions": "since:2h"},
)


def test_settings_come_back_as_they_were_saved_and_no_other_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "dicomdock" / "console.json"
    assert load_settings(path) == (ConsoleSettings(), "")
    assert save_setting(path, "theme", "light") == ""
    assert load_settings(path) == (ConsoleSettings("light"), "")
    assert [file.name for file in path.parent.iterdir()] == ["console.json"]
    for name in ("theme", "themes", "keys", "symbols", "refresh"):
        assert save_setting(path, name, getattr(EVERYTHING, name)) == ""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"of a newer console": 7}))
    for table, settings in EVERYTHING.tables.items():
        assert save_setting(path, f"tables.{table}", asdict(settings)) == ""
    assert save_setting(path, "filters.sessions", "since:2h") == ""
    assert load_settings(path) == (EVERYTHING, "")
    assert json.loads(path.read_text())["of a newer console"] == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", 3),
        ("themes", {"mine": ["#fff"]}),
        ("keys", ["f7"]),
        ("keys", {"view.pause": 7}),
        ("symbols", "emoji"),
        ("refresh", 0),
        ("refresh", True),
        ("refresh", "fast"),
        ("tables", {"sessions": 3}),
        ("tables", {"sessions": {"columns": [1]}}),
        ("filters", ["since:2h"]),
    ],
)
def test_a_setting_that_makes_no_sense_leaves_the_rest_in_force(
    tmp_path: Path, name: str, value: object
) -> None:
    path = tmp_path / "console.json"
    path.write_text(json.dumps({"theme": "light", "refresh": 2, name: value}))
    settings, problem = load_settings(path)
    assert getattr(settings, name) == getattr(ConsoleSettings(), name)
    assert settings.theme == "light" or name == "theme"
    assert f"{name} is left out: write " in problem


def test_a_theme_of_the_user_is_one_of_ours_in_other_colors() -> None:
    theme = user_theme("mine", {"base": "light", "panel": "#ddeeff", "line": "red"})
    assert (theme.name, theme.panel, theme.variables["line"]) == ("mine", "#ddeeff", "red")
    assert (theme.dark, theme.error) == (LIGHT.dark, LIGHT.error)


@pytest.mark.parametrize(
    ("name", "said", "problem"),
    [
        ("dark", {}, "needs a name of its own"),
        ("mine", {"base": "blue"}, "one of dark, light"),
        ("mine", {"panels": "#fff"}, "“panels” is no color; use primary"),
        ("mine", {"panel": "[b]"}, "panel “[b]” is no color; write such as"),
    ],
)
def test_a_theme_that_is_none_says_what_to_write(
    name: str, said: dict[str, str], problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        user_theme(name, said)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"a": ' + b"1" * 65_536]
)
def test_a_broken_file_is_put_aside_and_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "console.json"
    path.write_bytes(content)
    settings, problem = load_settings(path)
    assert settings == ConsoleSettings()
    assert f"{path} is broken" in problem
    assert "it is console.json.broken now" in problem
    assert (tmp_path / "console.json.broken").read_bytes() == content
    assert load_settings(path) == (ConsoleSettings(), "")
