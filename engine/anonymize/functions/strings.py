"""Functions on text, with Java's MessageFormat, lookup tables and URLs (dicomedit 9.2, 9.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import StatementFailure
from engine.anonymize.functions.function import Argument, Function, whole_number
from engine.anonymize.language.patterns import first_match, whole_match
from engine.anonymize.language.values import boolean, flattened, joined, require_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun


_REMEDY = "write {0}, {1} … for the arguments, and '{' for a brace"


def message(pattern: str, arguments: Sequence[str]) -> str:
    """Put arguments in their places as MessageFormat does; one without an argument stays.

    Raises:
        StatementFailure: if a brace has no partner or no number, or the text is too long.
    """
    return joined(_filled(piece, arguments) for piece in _pieces(pattern))


def _filled(piece: str | int, arguments: Sequence[str]) -> str:
    if isinstance(piece, str):
        return piece
    return arguments[piece] if piece < len(arguments) else f"{{{piece}}}"


def _pieces(pattern: str) -> Iterator[str | int]:
    at = 0
    quoted = False
    while at < len(pattern):
        character = pattern[at]
        # MessageFormat: two quotes are one, and text in single quotes is literal.
        if pattern.startswith("''", at):
            yield "'"
            at += 1
        elif character == "'":
            quoted = not quoted
        elif character == "{" and not quoted:
            end = pattern.find("}", at)
            yield _number(pattern[at + 1 : end] if end > 0 else "")
            at = end
        else:
            yield character
        at += 1


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise StatementFailure("the pattern of format has a brace without a number", _REMEDY)
    return int(text)


Arguments = tuple["Value", ...]
_LAST_ASCII: Final = "\x7f"


def _concatenate(run: ScriptRun, arguments: Arguments) -> str:
    return joined(run.needed(value) for value in arguments)


def _format(run: ScriptRun, arguments: Arguments) -> str:
    pattern, *rest = flattened(arguments)
    texts = [run.text(value) for value in rest]
    if not rest:
        return message(run.needed(pattern), [])
    if texts[0] is None:
        raise StatementFailure(
            "the first argument of format has no value", "guard it with isPresent"
        )
    # dicomedit 4.4: as Java writes it.
    return message(run.needed(pattern), ["null" if text is None else text for text in texts])


def _lowercase(run: ScriptRun, arguments: Arguments) -> str:
    return run.needed(arguments[0]).lower()


def _uppercase(run: ScriptRun, arguments: Arguments) -> str:
    return run.needed(arguments[0]).upper()


def _substring(run: ScriptRun, arguments: Arguments) -> str:
    text = run.needed(arguments[0])
    begin, end = (whole_number(run.text(value)) for value in arguments[1:])
    # dicomedit 9.1: an error in Java, where Python would return less.
    if not 0 <= begin <= end <= len(text):
        raise StatementFailure(
            f"characters {begin} to {end} are not all in a text of {len(text)}",
            "check the length with ismatch before",
        )
    return text[begin:end]


def _replace(run: ScriptRun, arguments: Arguments) -> str:
    text, old, new = (run.needed(value) for value in arguments)
    # Computed before: the result itself may not fit into memory.
    require_length(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def _match(run: ScriptRun, arguments: Arguments) -> str | None:
    text, pattern = (run.needed(value) for value in arguments[:2])
    group = whole_number(run.text(arguments[2]))
    # dicomedit 9.1: `match` searches, unlike `ismatch` and `~`, which want the whole text.
    found = first_match(pattern, text)
    if found is None:
        return None
    if not 0 <= group <= found.re.groups:
        raise StatementFailure(f"the regular expression has no group {group}")
    captured: str | None = found[group]
    return captured


def _ismatch(run: ScriptRun, arguments: Arguments) -> str:
    text, pattern = (run.needed(value) for value in arguments)
    return boolean(whole_match(pattern, text))


def _normalize(run: ScriptRun, arguments: Arguments) -> str | None:
    text = run.text(arguments[0])
    substitute = run.needed(arguments[1]) if len(arguments) > 1 else "_"
    if text is None:
        return None
    # dicomedit 9.1: one for each character, so that the length stays with the default.
    return "".join(c if c <= _LAST_ASCII else substitute for c in text)


_TEXT, _PATTERN, _NUMBER = Argument.TEXT, Argument.PATTERN, Argument.WHOLE_NUMBER


_LONGEST_ANSWER: Final = 1024


def _lookup(run: ScriptRun, arguments: tuple[Value, ...]) -> str:
    """Look a value up; a miss is an error: null would leave the value that was to be replaced."""
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
    # The answer goes into an element, and its server is not trusted.
    if not 0 < len(answer) <= _LONGEST_ANSWER or not answer.isprintable():
        raise StatementFailure("the answer to getURL is no single line of text")
    return answer


FUNCTIONS: Final = {
    "concatenate": Function(_concatenate, 0, None),
    "format": Function(_format, 1, None),
    "lowercase": Function(_lowercase, 1, 1),
    "uppercase": Function(_uppercase, 1, 1),
    "substring": Function(_substring, 3, 3, (_TEXT, _NUMBER, _NUMBER)),
    "replace": Function(_replace, 3, 3),
    "match": Function(_match, 3, 3, (_TEXT, _PATTERN, _NUMBER)),
    "ismatch": Function(_ismatch, 2, 2, (_TEXT, _PATTERN)),
    "normalizeString": Function(_normalize, 1, 2),
    "lookup": Function(_lookup, 2, 2),
    "getURL": Function(_get_url, 1, 1),
}
