"""Parses a script's text to statements; errors have line and column."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import (
    UnexpectedCharacters,
    UnexpectedEOF,
    UnexpectedInput,
    UnexpectedToken,
    VisitError,
)

from engine.anonymize.errors import PathFault, ScriptError
from engine.anonymize.language import syntax
from engine.anonymize.language.paths import parse_path
from engine.anonymize.language.source import check_supported

if TYPE_CHECKING:
    from engine.anonymize.language.paths import Path
    from engine.anonymize.language.source import ScriptSource


_SHOWN_CHARACTERS: Final = 40
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
# The first one that fits counts.
_PATTERNS: Final = (
    (r'"(?:[^"\\\n]|\\.)*\\[^nrtbf()\\0-7]', "has an escape that does not exist in its string",
     "double the backslash, as in \\\\d; a double quote can't be written"),
    (r'"[^"]*$', "begins a string that has no end", 'close it with "'),
    (r"[‘’“”]", "is a typographic quote", 'use the plain double quote "'),
    # XNAT skips characters that it does not know: 'a' would be the variable a (dicomedit 2.2).
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


def diagnose(source: ScriptSource, error: UnexpectedInput) -> ScriptError:
    """Return the error for a place where the text does not follow the grammar."""
    at = _offset(source, error)
    rest = source.text[at:]
    doubled = rest.startswith("=") and source.text[:at].endswith("=")
    message, remedy = _DOUBLED if doubled else _meaning(rest, error)
    line = source.text.count("\n", 0, at) + 1
    column = at - (source.text.rfind("\n", 0, at) + 1) + 1
    match = _WORD.match(rest)
    shown = rest.split("\n", 1)[0][:_SHOWN_CHARACTERS] if rest.startswith(("(", '"')) else ""
    value = shown or (match[0] if match else "")
    return ScriptError(
        *source.place(line, column), value[:_SHOWN_CHARACTERS], message, remedy, source.name
    )


def _offset(source: ScriptSource, error: UnexpectedInput) -> int:
    position = cast("int | None", error.pos_in_stream)
    # Lark reports the end of the text as a place of its own: the last character is shown.
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


_SHOWN_TOKEN_CHARACTERS = 40


def parse(source: ScriptSource) -> tuple[syntax.Statement, ...]:
    """Parse a prepared script.

    Raises:
        ScriptError: if it does not follow the grammar, or a path in it is not one.
    """
    try:
        tree = _grammar().parse(source.text)
        return cast("tuple[syntax.Statement, ...]", _Builder(source).transform(tree))
    except UnexpectedInput as error:
        raise diagnose(source, error) from None
    except VisitError as error:
        # Lark wraps what a callback raises.
        if isinstance(error.orig_exc, ScriptError):
            raise error.orig_exc from None
        raise


@cache
def _grammar() -> Lark:
    text = files("engine.anonymize.language").joinpath("grammar.lark").read_text("utf-8")
    # LALR(1): its time grows with the length of the text only. Without placeholders Lark passes no
    # None for optional parts that are absent.
    return Lark(text, parser="lalr", propagate_positions=False, maybe_placeholders=False)


@v_args(inline=True)
class _Builder(Transformer[Token, object]):
    """Turns Lark's tree into our own values, from the leaves up."""

    def __init__(self, source: ScriptSource) -> None:
        super().__init__()
        self._source = source

    def start(self, *statements: syntax.Statement) -> tuple[syntax.Statement, ...]:
        return statements

    def assign(self, path: Token, value: syntax.Value) -> syntax.Assign:
        return syntax.Assign(self._path(path), value, self._place(path))

    def assign_existing(self, path: Token, value: syntax.Value) -> syntax.AssignExisting:
        return syntax.AssignExisting(self._path(path), value, self._place(path))

    def set_variable(self, name: Token, value: syntax.Value) -> syntax.SetVariable:
        return syntax.SetVariable(str(name), value, self._place(name))

    def delete(self, minus: Token, path: Token) -> syntax.Delete:
        return syntax.Delete(self._path(path), self._place(minus))

    def execute(self, call: syntax.Call) -> syntax.Execute:
        return syntax.Execute(call, call.place)

    def echo(self, word: Token, value: syntax.Value | None = None) -> syntax.Echo:
        return syntax.Echo(value, self._place(word))

    def hint(self, word: Token, *_rest: Token) -> syntax.Hint:
        return syntax.Hint(None, self._place(word))

    def version(self, word: Token, string: Token) -> syntax.Hint:
        place = self._place(word)
        check_supported(string[1:-1], place.line, place.column, self._source.name)
        return syntax.Hint(string[1:-1], place)

    def remove_private(self, word: Token) -> syntax.RemovePrivate:
        return syntax.RemovePrivate(self._place(word))

    def ternary(
        self,
        condition: syntax.Condition,
        then: syntax.Statement,
        otherwise: syntax.Statement | None = None,
    ) -> syntax.Choice:
        branches = [syntax.Branch(condition, (then,))]
        if otherwise is not None:
            branches.append(syntax.Branch(None, (otherwise,)))
        return syntax.Choice(tuple(branches), _place_of(condition))

    def if_block(self, word: Token, *parts: object) -> syntax.Choice:
        rest = [part for part in parts if not isinstance(part, Token)]
        branches = []
        while rest:
            first = rest.pop(0)
            # A block without a condition before it is the else.
            if isinstance(first, tuple):
                branches.append(syntax.Branch(None, first))
            else:
                statements = cast("tuple[syntax.Statement, ...]", rest.pop(0))
                branches.append(syntax.Branch(cast("syntax.Condition", first), statements))
        return syntax.Choice(tuple(branches), self._place(word))

    def block(self, *statements: syntax.Statement) -> tuple[syntax.Statement, ...]:
        return statements

    def comparison(
        self, left: syntax.Value, operator: Token, right: syntax.Value
    ) -> syntax.Comparison:
        return syntax.Comparison(left, syntax.ComparisonOperator(str(operator)), right)

    def text(self, token: Token) -> syntax.Text:
        return syntax.Text(str(token), self._place(token))

    def string(self, token: Token) -> syntax.Text:
        # Nothing but the doubled backslash is unescaped (dicomedit 2.2).
        return syntax.Text(token[1:-1].replace("\\\\", "\\"), self._place(token))

    def name(self, token: Token) -> syntax.Name:
        return syntax.Name(str(token), self._place(token))

    def path_value(self, token: Token) -> syntax.PathValue:
        return syntax.PathValue(self._path(token), self._place(token))

    def call(self, name: Token, *arguments: syntax.Value) -> syntax.Call:
        return syntax.Call(str(name), arguments, self._place(name))

    def list(self, *values: syntax.Value) -> syntax.ListValue:
        first = values[0].place if values else syntax.SourcePosition(1, 1)
        return syntax.ListValue(values, first)

    def _place(self, token: Token, offset: int = 0) -> syntax.SourcePosition:
        return syntax.SourcePosition(
            *self._source.place(token.line or 1, (token.column or 1) + offset)
        )

    def _path(self, token: Token) -> Path:
        try:
            return parse_path(str(token))
        except PathFault as fault:
            place = self._place(token, fault.offset)
            shown = str(token)[:_SHOWN_TOKEN_CHARACTERS]
            raise ScriptError(
                place.line, place.column, shown, fault.reason, fault.remedy, self._source.name
            ) from None


def _place_of(condition: syntax.Condition) -> syntax.SourcePosition:
    return condition.place if isinstance(condition, syntax.Call) else condition.left.place
