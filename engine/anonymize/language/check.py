"""Static checks of a parsed script (dicomedit 8)."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NoReturn

from engine.anonymize.errors import PathFault, ScriptError, StatementFailure
from engine.anonymize.functions import FUNCTIONS
from engine.anonymize.functions.function import Argument, whole_number
from engine.anonymize.language import syntax
from engine.anonymize.language.paths import Path, parse_path, plain_path
from engine.anonymize.language.patterns import compiled
from engine.anonymize.language.syntax import ComparisonOperator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.anonymize.functions.function import Function
    from engine.anonymize.language.source import ScriptSource

_ONE_ELEMENT: Final = "name one element: full digits, and [n] behind each sequence"
_SHOWN: Final = 40


def check(statements: Iterable[syntax.Statement], source: ScriptSource) -> None:
    """Check names, numbers of arguments, literal regular expressions and paths.

    Raises:
        ScriptError: for the first statement that would fail.
    """
    _Checker(source.name).statements(statements)


class _Checker:
    def __init__(self, name: str) -> None:
        self._name = name

    def statements(self, statements: Iterable[syntax.Statement]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, statement: syntax.Statement) -> None:
        match statement:
            case syntax.Choice(branches):
                for branch in branches:
                    self._condition(branch.condition)
                    self.statements(branch.statements)
            case syntax.Assign(path, value, place):
                self._assignable(path, place)
                self._value(value)
            case syntax.AssignExisting(value=value) | syntax.SetVariable(value=value):
                self._value(value)
            case syntax.Execute(call):
                self._call(call)
            case syntax.Echo(None, place):
                self._refuse(place, "echo", "has nothing to say", "write a value behind it")
            case syntax.Echo(value) if value is not None:
                self._value(value)
            case _:
                pass

    def _assignable(self, path: Path, place: syntax.SourcePosition) -> None:
        # dicomedit 3.3: XNAT finds this out when the script runs.
        if not path.singular:
            remedy = f"{_ONE_ELEMENT}; ?= sets all that exist"
            self._refuse(place, path.text, "may mean several elements", remedy)
        if path.names_item:
            self._refuse(place, path.text, "names an item, not an element", _ONE_ELEMENT)

    def _condition(self, condition: syntax.Condition | None) -> None:
        if isinstance(condition, syntax.Call):
            self._call(condition)
        elif condition is not None:
            self._value(condition.left)
            self._value(condition.right)
            pattern = condition.operator in (
                ComparisonOperator.MATCHES,
                ComparisonOperator.MATCHES_NOT,
            )
            if pattern and isinstance(condition.right, syntax.Text):
                self._pattern(condition.right)

    def _value(self, value: syntax.Value) -> None:
        """Check a value that is read."""
        if isinstance(value, syntax.PathValue):
            self._readable(value)
        elif isinstance(value, syntax.Call):
            self._call(value)
        elif isinstance(value, syntax.ListValue):
            for inner in value.values:
                if not isinstance(inner, syntax.PathValue):
                    self._value(inner)

    def _readable(self, value: syntax.PathValue) -> None:
        if not value.path.singular:
            remedy = f"{_ONE_ELEMENT}; collectValues reads all"
            self._refuse(value.place, value.path.text, "may mean several elements", remedy)
        if value.path.names_item:
            self._refuse(value.place, value.path.text, "names an item, which has no value",
                         _ONE_ELEMENT)  # fmt: skip

    def _call(self, call: syntax.Call) -> None:
        function = FUNCTIONS.get(call.name)
        if function is None:
            self._refuse(call.place, call.name, "is not a function", _similar(call.name))
        count = len(call.arguments)
        if count < function.least or (function.most is not None and count > function.most):
            remedy = f"give it {function.arity}"
            self._refuse(call.place, call.name, f"takes {function.arity}, not {count}", remedy)
        for index, argument in enumerate(call.arguments):
            self._argument(function, index, argument)

    def _argument(self, function: Function, index: int, value: syntax.Value) -> None:
        kind = function.argument(index)
        if isinstance(value, syntax.Text):
            self._literal(kind, value)
        elif isinstance(value, syntax.PathValue):
            if kind is Argument.ONE_PATH and not value.path.singular:
                self._refuse(value.place, value.path.text, "may mean several elements",
                             _ONE_ELEMENT)  # fmt: skip
            if kind is Argument.TEXT:
                self._readable(value)
        elif isinstance(value, syntax.ListValue):
            for inner in value.values:
                self._argument(function, index, inner)
        elif isinstance(value, syntax.Call):
            self._call(value)

    def _literal(self, kind: Argument, value: syntax.Text) -> None:
        try:
            if kind is Argument.PATTERN:
                self._pattern(value)
            elif kind is Argument.PATHS:
                parse_path(value.text)
            elif kind is Argument.PLAIN_PATH:
                plain_path(value.text)
            elif kind is Argument.WHOLE_NUMBER:
                whole_number(value.text)
        except PathFault as fault:
            self._refuse(value.place, value.text, fault.reason, fault.remedy)
        except StatementFailure as failure:
            remedy = failure.remedy
            self._refuse(value.place, value.text, "is no whole number", remedy)
        if kind is Argument.ONE_PATH:
            self._refuse(value.place, value.text, "is a text instead of a tag path",
                         "write the path without quotes")  # fmt: skip

    def _pattern(self, value: syntax.Text) -> None:
        try:
            compiled(value.text)
        except StatementFailure as failure:
            self._refuse(value.place, value.text, failure.cause, failure.remedy)

    def _refuse(
        self, place: syntax.SourcePosition, value: str, message: str, remedy: str
    ) -> NoReturn:
        raise ScriptError(
            place.line, place.column, value[:_SHOWN], message, remedy, self._name
        ) from None


def _similar(name: str) -> str:
    """Propose the function that was probably meant."""
    by_lower = {known.lower(): known for known in FUNCTIONS}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean {by_lower[close[0]]}?" if close else "see the list of functions"
