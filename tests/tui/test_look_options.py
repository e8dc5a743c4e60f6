"""How the console looks, by options of its command."""

import argparse
import os
from typing import Any

import pytest

from tests.fakes import busy
from tui import cli
from tui.theme import THEMES


class NotedConsole:
    """Stands for the console and notes how it was asked for."""

    options: dict[str, Any]
    return_code = 0
    fault = None

    def __init__(self, engine: object, **options: Any) -> None:
        type(self).options = options

    def run(self, **options: Any) -> None:
        self.options.update(options)


def parsed(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    seen: list[argparse.Namespace] = []

    def note(arguments: argparse.Namespace) -> int:
        seen.append(arguments)
        return 0

    monkeypatch.setattr(cli, "_demo", note)
    monkeypatch.setattr(cli, "_console", note)
    assert cli.main(words) == 0
    return seen[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {"refresh_hz": 4.0, "read_only": False, "mouse": True, "theme_name": ""}),
        (("--read-only", "demo"), {"read_only": True, "demo": True}),
        (("demo", "--no-mouse", "--theme", "light"), {"mouse": False, "theme_name": "light"}),
        (("--slow-link",), {"refresh_hz": 1.0}),
        (("--slow-link", "demo", "--refresh", "2"), {"refresh_hz": 2.0}),
    ],
)
def test_options_count_before_and_after_the_command(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], expected: dict[str, Any]
) -> None:
    for name in cli.SLOW_LINK:
        monkeypatch.setenv(name, "")
    arguments = parsed(monkeypatch, *words)
    monkeypatch.setattr("tui.app.ConsoleApp", NotedConsole)
    assert cli._run(cli._app(busy(), arguments), arguments) == 0
    assert expected.items() <= NotedConsole.options.items()
    slow = os.environ["TEXTUAL_FPS"] == cli.SLOW_LINK["TEXTUAL_FPS"]
    assert slow is ("--slow-link" in words)


def test_the_themes_of_the_option_are_the_ones_there_are() -> None:
    assert {theme.name for theme in THEMES} == set(cli.THEME_NAMES)


def test_a_theme_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--theme", "pink"]) == 2
    assert "colour-blind" in capsys.readouterr().err
