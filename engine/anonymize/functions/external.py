"""Functions that look outside the object: a lookup table, and URLs (dicomedit 9.5, 9.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import StatementFailure
from engine.anonymize.functions.function import Function

if TYPE_CHECKING:
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun

_LONGEST_ANSWER: Final = 1024


def _lookup(run: ScriptRun, arguments: tuple[Value, ...]) -> str:
    """A miss is an error: null would leave the value that was to be replaced (9.5)."""
    key_type, key = (run.needed(value) for value in arguments)
    value = run.script_context.lookup.get(key_type, key)
    if value is None:
        raise StatementFailure(
            f"the lookup table has no line for this value of {key_type[:40]}",
            f"add one, or a line {key_type[:40]}/* = … for all others",
        )
    return value


def _get_url(run: ScriptRun, arguments: tuple[Value, ...]) -> str:
    url = run.needed(arguments[0])
    if run.script_context.fetch is None:
        raise StatementFailure("getURL is switched off", "use lookup, or variables")
    answer = run.script_context.fetch(url)
    if not 0 < len(answer) <= _LONGEST_ANSWER or not answer.isprintable():
        raise StatementFailure("the answer to getURL is no single line of text")
    return answer


FUNCTIONS: Final = {
    "lookup": Function(_lookup, 2, 2),
    "getURL": Function(_get_url, 1, 1),
}
