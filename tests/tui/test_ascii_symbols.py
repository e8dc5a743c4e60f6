"""Terminals that can show ASCII only get a console of the same shape."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from tui.ascii_symbols import ASCII, needs_ascii
from tui.console_settings import Symbols

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"


@pytest.mark.parametrize(
    ("environment", "needed"),
    [
        ({}, False),
        ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "de_DE.utf8", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "vt220"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}, False),
    ],
)
def test_the_language_and_the_kind_of_terminal_decide_unless_the_user_does(
    environment: dict[str, str], needed: bool
) -> None:
    assert needs_ascii(Symbols.AUTO, environment) is needed
    assert needs_ascii(Symbols.ASCII, environment)
    assert not needs_ascii(Symbols.UNICODE, environment)


def test_every_symbol_has_one_of_its_width_and_what_else_there_is_becomes_question_marks() -> None:
    assert all(cell_len(chr(code)) == cell_len(like) == 1 for code, like in ASCII.items())
    assert "\x1b[1m╭─ CT · 3 ✓ ╮ 日本 é".translate(ASCII) == "\x1b[1m+- CT . 3 x + ???? ?".replace(
        " 3 x", " 3 v"
    )


def test_all_that_the_pictures_show_is_known_but_for_names() -> None:
    """A new symbol needs a line in the table."""
    names = set("日本語の長いセッéüß")
    shown = {c for p in SNAPSHOTS.rglob("*.svg") for c in p.read_text("utf-8") if ord(c) > 127}
    assert {c for c in shown - names if ord(c) not in ASCII} == set()
