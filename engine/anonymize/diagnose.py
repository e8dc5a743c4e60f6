"""What a place that the grammar can't read probably means, and how to mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

from engine.anonymize.errors import ScriptError

if TYPE_CHECKING:
    from lark.exceptions import UnexpectedInput

    from engine.anonymize.source import Source

_SHOWN: Final = 40
_WORD = re.compile(r"[A-Za-z0-9_]+|[^ \t\n]")
_KEYWORDS: Final = frozenset(
    {
        "if",
        "elseif",
        "else",
        "describe",
        "hidden",
        "const",
        "immutable",
        "export",
        "echo",
        "removeAllPrivateTags",
        "version",
    }
)
_PATTERNS: Final = (
    (r'"(?:[^"\\\n]|\\.)*\\[^nrtbf()\\0-7]', "has an escape that does not exist in its string",
     "double the backslash, as in \\\\d; a double quote can't be written"),
    (r'"[^"]*$', "begins a string that has no end", 'close it with "'),
    (r"[‘’“”]", "is a typographic quote", 'use the plain double quote "'),
    (r"'", "is a single quote", 'put strings in double quotes "'),
    (r";", "is not part of the language", "end a statement with the line"),
    (r"#", "does not begin a comment", "begin comments with //"),
    (r"/\*", "does not begin a comment", "begin comments with //"),
    (r"\u00a0", "is a non-breaking blank", "use a plain blank"),
    (r"\(\s", "has a blank behind the bracket", "write (gggg,eeee)"),
    (r"\(", "is not a tag path", "write (gggg,eeee), or (gggg,{CREATOR}ee) if it is private"),
    (r"[xX](?![A-Za-z0-9_])", "is no name: XNAT takes it for a digit of a tag",
     "use a longer name"),
    (r"-?0[0-9]", "is a number with a leading zero", "put it in quotes"),
    (r"-?[0-9]+\.?[A-Za-z0-9_.]*", "is not a number", "put it in quotes"),
    (r"&&|\|\||\band\b|\bor\b|\bnot\b", "is no operator: there is one comparison in a condition",
     "nest if blocks"),
    (r"\\", "continues a line only at its very end", "remove what follows the backslash"),
)  # fmt: skip
_MEANING: Final = tuple((re.compile(p, re.DOTALL), m, r) for p, m, r in _PATTERNS)
_DOUBLED: Final = ("is no operator", "compare with =")
_READABLE: Final = {
    "_NL": "the end of the line",
    "LSQB": "[",
    "RSQB": "]",
    "LPAR": "(",
    "RPAR": ")",
    "LBRACE": "{",
    "RBRACE": "}",
    "COLON": ":",
    "COMMA": ",",
    "QMARK": "?",
    "PATH": "a tag path",
    "NAME": "a name",
    "STRING": "a string",
    "OPERATOR": "= != ~ or !~",
}


def diagnose(source: Source, error: UnexpectedInput) -> ScriptError:
    """Return the error to show for a place that the grammar can't read."""
    at = _offset(source, error)
    rest = source.text[at:]
    doubled = rest.startswith("=") and source.text[:at].endswith("=")
    message, remedy = _DOUBLED if doubled else _meaning(rest, error)
    line = source.text.count("\n", 0, at) + 1
    column = at - (source.text.rfind("\n", 0, at) + 1) + 1
    match = _WORD.match(rest)
    shown = rest.split("\n", 1)[0][:_SHOWN] if rest.startswith(("(", '"')) else ""
    value = shown or (match[0] if match else "")
    return ScriptError(*source.place(line, column), value[:_SHOWN], message, remedy, source.name)


def _offset(source: Source, error: UnexpectedInput) -> int:
    position = cast("int | None", error.pos_in_stream)
    if position is None or isinstance(error, UnexpectedEOF):
        return len(source.text.rstrip())
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return len(source.text.rstrip())
    blanks = len(source.text[position:]) - len(source.text[position:].lstrip(" \t"))
    return position + blanks


def _meaning(rest: str, error: UnexpectedInput) -> tuple[str, str]:
    if not rest.strip():
        return "the script ends too early", _wanted(error) or "close what is open with } or ]"
    if isinstance(error, UnexpectedCharacters):
        for pattern, message, remedy in _MEANING:
            if pattern.match(rest):
                return message, remedy
    if rest.startswith("\n"):
        return "the line ends too early", _wanted(error) or "end a continued line with a backslash"
    word = _WORD.match(rest)
    if word and word[0] in _KEYWORDS:
        return "is a word of the language and can't stand here", "choose another name"
    for pattern, message, remedy in _MEANING[-4:]:
        if pattern.match(rest):
            return message, remedy
    return "is not expected here", _wanted(error) or "see the statement's form in the documentation"


def _wanted(error: UnexpectedInput) -> str:
    names = getattr(error, "accepts", None) or getattr(error, "expected", None) or ()
    if isinstance(error, UnexpectedCharacters):
        names = error.allowed or ()
    words = sorted({_READABLE[name] for name in names if name in _READABLE})
    return f"write {' or '.join(words)}" if 0 < len(words) <= 4 else ""
