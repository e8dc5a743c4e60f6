"""Broken lines go on below their value."""

import pytest
from textual.content import Content

from tui.widgets.panel import hanging


@pytest.mark.parametrize(
    ("line", "indent", "lines"),
    [
        ("short  enough", None, ["short  enough"]),
        ("", None, [""]),
        (
            "reason    one two three four five",
            None,
            ["reason    one two", "          three four", "          five"],
        ),
        ("  why  a b c d e f g h i", None, ["  why  a b c d e f g", "       h i"]),
        ("no value, a sentence only", None, ["no value, a sentence", "only"]),
        ("  – a sentence that goes on", 4, ["  – a sentence that", "    goes on"]),
        (
            "a name that is very long  and a value",
            None,
            ["a name that is very", "long  and a value"],
        ),
        ("uid  1.2.840.113619.2.55", None, ["uid  1.2.840.113619.", "     2.55"]),
    ],
)
def test_a_line_is_broken(line: str, indent: int | None, lines: list[str]) -> None:
    assert [part.plain.rstrip() for part in hanging(Content(line), 20, indent)] == lines
