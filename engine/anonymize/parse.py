"""From a script's text to its statements, with the place of whatever is wrong."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from engine.anonymize import syntax
from engine.anonymize.diagnose import diagnose
from engine.anonymize.errors import PathFault, ScriptError
from engine.anonymize.paths import parse_path
from engine.anonymize.source import check_supported

if TYPE_CHECKING:
    from engine.anonymize.paths import Path
    from engine.anonymize.source import Source

_SHOWN = 40


def parse(source: Source) -> tuple[syntax.Statement, ...]:
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
        if isinstance(error.orig_exc, ScriptError):
            raise error.orig_exc from None
        raise


@cache
def _grammar() -> Lark:
    text = files("engine.anonymize").joinpath("grammar.lark").read_text("utf-8")
    return Lark(text, parser="lalr", propagate_positions=False, maybe_placeholders=False)


@v_args(inline=True)
class _Builder(Transformer[Token, object]):
    """Makes our own values of Lark's tree, from the leaves up."""

    def __init__(self, source: Source) -> None:
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
        return syntax.Comparison(left, syntax.Operator(str(operator)), right)

    def text(self, token: Token) -> syntax.Text:
        return syntax.Text(str(token), self._place(token))

    def string(self, token: Token) -> syntax.Text:
        return syntax.Text(token[1:-1].replace("\\\\", "\\"), self._place(token))

    def name(self, token: Token) -> syntax.Name:
        return syntax.Name(str(token), self._place(token))

    def path_value(self, token: Token) -> syntax.PathValue:
        return syntax.PathValue(self._path(token), self._place(token))

    def call(self, name: Token, *arguments: syntax.Value) -> syntax.Call:
        return syntax.Call(str(name), arguments, self._place(name))

    def list(self, *values: syntax.Value) -> syntax.ListValue:
        first = values[0].place if values else syntax.Place(1, 1)
        return syntax.ListValue(values, first)

    def _place(self, token: Token, offset: int = 0) -> syntax.Place:
        return syntax.Place(*self._source.place(token.line or 1, (token.column or 1) + offset))

    def _path(self, token: Token) -> Path:
        try:
            return parse_path(str(token))
        except PathFault as fault:
            place = self._place(token, fault.offset)
            shown = str(token)[:_SHOWN]
            raise ScriptError(
                place.line, place.column, shown, fault.reason, fault.remedy, self._source.name
            ) from None


def _place_of(condition: syntax.Condition) -> syntax.Place:
    return condition.place if isinstance(condition, syntax.Call) else condition.left.place
