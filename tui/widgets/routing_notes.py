"""A mark beside each line of a text with routing rules."""

from __future__ import annotations

from functools import lru_cache

from engine.routing import InvalidRule, parse_rules
from tui.widgets.field import Note, NoteTone


@lru_cache(maxsize=16)
def rule_notes(text: str) -> tuple[Note, ...]:
    """Return a mark for each line; what is wrong with a line stands below the text.

    There is no room for words: rules are long, and the preview stands beside them.
    """
    try:
        parse_rules(text)
    except InvalidRule as error:
        wrong = {problem.line for problem in error.problems}
    else:
        wrong = set()
    return tuple(
        Note("✗", NoteTone.BAD)
        if number in wrong
        else Note("✓" if line.strip() else "", NoteTone.GOOD)
        for number, line in enumerate(text.split("\n"), start=1)
    )
