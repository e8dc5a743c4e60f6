"""Rules that a hostile value could keep busy until their time limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.routing.errors import RuleError
from engine.routing.java.pieces import VALUE_UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.routing.rule import Rule

LINT_TIMEOUT_SECONDS = 0.020
_LONG_VALUE = 2000
"""Rules with a replacement see values of any length."""


def slow_risk(rule: Rule) -> str | None:
    """Say what makes a rule slow, or None if nothing shows."""
    for name, pattern in (("pattern", rule.compiled), ("t:", rule.compiled_target)):
        if pattern is not None and pattern.nested_loop is not None:
            place = f"the group at character {pattern.nested_loop + 1} of the {name}"
            return f"{place} repeats, and so does what is inside: this can take very long"
    for value in _attacks(rule):
        try:
            rule.apply(value, LINT_TIMEOUT_SECONDS)
        except RuleError:
            limit = f"{LINT_TIMEOUT_SECONDS * 1000:g} ms"
            return f"a value of many {value[0]!r} takes longer than {limit}"
    return None


def _attacks(rule: Rule) -> Iterator[str]:
    written = rule.pattern + (rule.target or "")
    literals = dict.fromkeys(char for char in written if char.isalnum() or char in "._-^")
    length = VALUE_UNITS if rule.target is None else _LONG_VALUE
    # A value without a character that the pattern needs is refused at once, however bad the rest.
    ends = dict.fromkeys(("!", "".join(literals)[:16] + "!"))
    for char in dict.fromkeys(("a", "0", " ", *list(literals)[:4])):
        for end in ends:
            yield char * (length - len(end)) + end
