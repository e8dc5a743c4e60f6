"""Iterates over all statements, values and paths of a parsed script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.anonymize.language import syntax

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.anonymize.language.paths import Path


def flat(statements: Iterable[syntax.Statement]) -> Iterator[syntax.Statement]:
    """Yield statements, those in branches as well."""
    for statement in statements:
        yield statement
        if isinstance(statement, syntax.Choice):
            for branch in statement.branches:
                yield from flat(branch.statements)


def values_of(statement: syntax.Statement) -> Iterator[syntax.Value]:
    """Yield every value in a statement, those inside of others as well."""
    match statement:
        case syntax.Assign(value=value) | syntax.AssignExisting(value=value):
            yield from values_below(value)
        case syntax.SetVariable(value=value) | syntax.Execute(call=value):
            yield from values_below(value)
        case syntax.Choice(branches):
            for branch in branches:
                yield from values_in(branch.condition)
        case _:
            pass


def values_in(condition: syntax.Condition | None) -> Iterator[syntax.Value]:
    """Yield every value in a condition, those inside of others as well."""
    if isinstance(condition, syntax.Call):
        yield from values_below(condition)
    elif condition is not None:
        yield from values_below(condition.left)
        yield from values_below(condition.right)


def values_below(value: syntax.Value) -> Iterator[syntax.Value]:
    """Yield a value and those inside of it."""
    yield value
    inner: tuple[syntax.Value, ...] = ()
    if isinstance(value, syntax.Call):
        inner = value.arguments
    elif isinstance(value, syntax.ListValue):
        inner = value.values
    for each in inner:
        yield from values_below(each)


def paths_in(statements: Iterable[syntax.Statement]) -> Iterator[Path]:
    """Yield the paths of what is written or removed, or given to a function that may do so."""
    for statement in flat(statements):
        if isinstance(statement, syntax.Assign | syntax.AssignExisting | syntax.Delete):
            yield statement.path
        elif isinstance(statement, syntax.Execute):
            values = values_below(statement.call)
            yield from (value.path for value in values if isinstance(value, syntax.PathValue))
