"""The syntax tree of a script: statements, conditions and values, each with its position."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.anonymize.language.paths import Path


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """1-based line and column in the script as written."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string or number; numbers are kept as written."""

    text: str
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Name:
    """A variable that is read."""

    name: str
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class PathValue:
    """A tag path: read in a value position, passed on in an argument or list."""

    path: Path
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple[Value, ...]
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class ListValue:
    """An ordered list of values and paths."""

    values: tuple[Value, ...]
    place: SourcePosition


Value = Text | Name | PathValue | Call | ListValue


class ComparisonOperator(StrEnum):
    """How two values are compared (6.2)."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "~"
    MATCHES_NOT = "!~"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition of two values."""

    left: Value
    operator: ComparisonOperator
    right: Value


Condition = Comparison | Call


@dataclass(frozen=True, slots=True)
class Assign:
    """``path := value``."""

    path: Path
    value: Value
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class AssignExisting:
    """``path ?= value``."""

    path: Path
    value: Value
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class SetVariable:
    """``name := value``."""

    name: str
    value: Value
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Delete:
    """``-path``."""

    path: Path
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Execute:
    """A function whose result is not used."""

    call: Call
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Echo:
    """``echo value``."""

    value: Value | None
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class RemovePrivate:
    """``removeAllPrivateTags``."""

    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Hint:
    """``describe``, ``export`` or ``version``: without effect on data."""

    text: str | None
    """The version that the script names; None for the others."""
    place: SourcePosition


@dataclass(frozen=True, slots=True)
class Branch:
    """Statements under a condition; None is ``else``."""

    condition: Condition | None
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """An if block or a ``cond ? action : action``: the first true branch runs."""

    branches: tuple[Branch, ...]
    place: SourcePosition


Statement = (
    Assign | AssignExisting | SetVariable | Delete | Execute | Echo | RemovePrivate | Hint | Choice
)


def flat(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Yield statements, those in branches as well."""
    for statement in statements:
        yield statement
        if isinstance(statement, Choice):
            for branch in statement.branches:
                yield from flat(branch.statements)


def values_of(statement: Statement) -> Iterator[Value]:
    """Yield every value in a statement, those inside of others as well."""
    match statement:
        case Assign(value=value) | AssignExisting(value=value):
            yield from values_below(value)
        case SetVariable(value=value) | Execute(call=value):
            yield from values_below(value)
        case Choice(branches):
            for branch in branches:
                yield from values_in(branch.condition)
        case _:
            pass


def values_in(condition: Condition | None) -> Iterator[Value]:
    """Yield every value in a condition, those inside of others as well."""
    if isinstance(condition, Call):
        yield from values_below(condition)
    elif condition is not None:
        yield from values_below(condition.left)
        yield from values_below(condition.right)


def values_below(value: Value) -> Iterator[Value]:
    """Yield a value and those inside of it."""
    yield value
    inner: tuple[Value, ...] = ()
    if isinstance(value, Call):
        inner = value.arguments
    elif isinstance(value, ListValue):
        inner = value.values
    for each in inner:
        yield from values_below(each)


def paths_in(statements: Iterable[Statement]) -> Iterator[Path]:
    """Yield the paths that statements write or remove, or pass to a function that may do so."""
    for statement in flat(statements):
        if isinstance(statement, Assign | AssignExisting | Delete):
            yield statement.path
        elif isinstance(statement, Execute):
            values = values_below(statement.call)
            yield from (value.path for value in values if isinstance(value, PathValue))
