"""The console's own settings."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tui.console_settings import ConsoleSettings, load_settings, save_settings
from tui.theme import LIGHT, user_theme


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "dicomdock" / "console.json"
    assert load_settings(path) == (ConsoleSettings(), "")
    assert save_settings(path, ConsoleSettings("light")) == ""
    assert load_settings(path) == (ConsoleSettings("light"), "")
    assert [file.name for file in path.parent.iterdir()] == ["console.json"]


def test_themes_of_the_user_are_kept_when_another_one_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    path.write_text('{"theme": "mine", "themes": {"mine": {"base": "light", "panel": "#fff"}}}')
    settings, problem = load_settings(path)
    assert (settings.theme, problem) == ("mine", "")
    save_settings(path, replace(settings, theme="dark"))
    assert load_settings(path)[0].themes == {"mine": {"base": "light", "panel": "#fff"}}


def test_themes_that_make_no_sense_leave_the_rest_in_force(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    path.write_text('{"theme": "light", "themes": {"mine": ["#fff"]}}')
    settings, problem = load_settings(path)
    assert settings == ConsoleSettings("light")
    assert "themes are left out" in problem


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
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"theme": 3}', b"[" * 100_000],
)
def test_a_broken_file_gives_the_usual_settings_and_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "console.json"
    path.write_bytes(content)
    settings, problem = load_settings(path)
    assert settings == ConsoleSettings()
    assert str(path) in problem
