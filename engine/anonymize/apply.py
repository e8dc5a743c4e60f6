"""The interpreter: runs a script's statements, top to bottom, on one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydicom.tag import BaseTag

from engine.anonymize import syntax
from engine.anonymize.errors import Failure, ScriptRuntimeError, ScriptTimeout
from engine.anonymize.functions import FUNCTIONS
from engine.anonymize.patterns import whole_match
from engine.anonymize.private import is_private
from engine.anonymize.reading import UNREADABLE, text_of
from engine.anonymize.run import TimeLimit
from engine.anonymize.syntax import Operator
from engine.anonymize.tree import Hit, roots
from engine.anonymize.values import VOID, is_true, scalar
from engine.anonymize.writing import assign, remove, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.anonymize.run import Run
    from engine.anonymize.source import Source
    from engine.anonymize.tree import Level
    from engine.anonymize.values import Value

S = TypeVar("S", bound=syntax.Statement)
R = TypeVar("R")


def execute(statements: Iterable[syntax.Statement], run: Run, source: Source) -> None:
    """Run statements.

    Raises:
        ScriptRuntimeError: naming the statement; the object is half edited then.
        Rejected: if the script drops the object.
    """
    for statement in statements:
        if isinstance(statement, syntax.Choice):
            branch = _guarded(statement, run, source, _chosen)
            if branch is not None:
                execute(branch.statements, run, source)
        else:
            _guarded(statement, run, source, _carry_out)


def _guarded(statement: S, run: Run, source: Source, do: Callable[[S, Run], R]) -> R:
    """Carry out one statement and say which it was if that fails."""
    try:
        run.tick()
        return do(statement, run)
    except (Failure, TimeLimit, *UNREADABLE) as error:
        raise _runtime_error(error, statement.place.line, run, source) from error


def _runtime_error(error: Exception, line: int, run: Run, source: Source) -> ScriptRuntimeError:
    where = source.line_text(line)
    if isinstance(error, Failure):
        return ScriptRuntimeError(line, where, error.cause, error.remedy, source.name)
    if isinstance(error, TimeLimit):
        limit = f"{run.surroundings.time_limit_seconds:g} s"
        cause = f"took longer than {limit} on one object"
        return ScriptTimeout(line, where, cause, "simplify the script", source.name)
    cause = f"the object can't be edited ({type(error).__name__})"
    return ScriptRuntimeError(line, where, cause, "", source.name)


def _chosen(choice: syntax.Choice, run: Run) -> syntax.Branch | None:
    """Return the first branch whose condition is true."""
    for branch in choice.branches:
        if branch.condition is None or _holds(branch.condition, run):
            return branch
    return None


def _carry_out(statement: syntax.Statement, run: Run) -> None:
    _ACTIONS[type(statement)](statement, run)


def _assign(statement: syntax.Assign, run: Run) -> None:
    """Null leaves the old value (4.4); the value is evaluated before the path is created."""
    text = scalar(_evaluate(statement.value, run))
    if text is not None:
        assign(run.ds, statement.path, text)


def _assign_existing(statement: syntax.AssignExisting, run: Run) -> None:
    text = scalar(_evaluate(statement.value, run)) or ""
    for hit in run.find(statement.path):
        if hit.item is None and hit.tag in hit.level.ds:
            store(hit, text)


def _set_variable(statement: syntax.SetVariable, run: Run) -> None:
    value = _evaluate(statement.value, run)
    if value is VOID:
        raise Failure("a function without a result is used as a value")
    run.variables[statement.name] = value


def _delete(statement: syntax.Delete, run: Run) -> None:
    # The last first, so that the numbers of the items before it stay right.
    for hit in reversed(run.find(statement.path)):
        remove(hit)


def _execute(statement: syntax.Execute, run: Run) -> None:
    _call(statement.call, run)


def _echo(statement: syntax.Echo, run: Run) -> None:
    value = _evaluate(statement.value, run) if statement.value else None
    if value is VOID:
        raise Failure("a function without a result is used as a value")
    if run.surroundings.echo is not None:
        run.surroundings.echo(str(value))


def _remove_private(_statement: syntax.RemovePrivate, run: Run) -> None:
    for level in roots(run.ds):
        _remove_private_below(level, run)


def _remove_private_below(level: Level, run: Run) -> None:
    for tag in level.tags():
        run.tick()
        if is_private(tag):
            del level.ds[tag]
        else:
            for item in level.below(tag):
                _remove_private_below(item, run)


def _hint(_statement: syntax.Hint, _run: Run) -> None:
    """Words for the old upload applet have no effect; the version was checked before."""


_ACTIONS: dict[type[syntax.Statement], Callable[..., None]] = {
    syntax.Assign: _assign,
    syntax.AssignExisting: _assign_existing,
    syntax.SetVariable: _set_variable,
    syntax.Delete: _delete,
    syntax.Execute: _execute,
    syntax.Echo: _echo,
    syntax.RemovePrivate: _remove_private,
    syntax.Hint: _hint,
}


def _holds(condition: syntax.Condition, run: Run) -> bool:
    if isinstance(condition, syntax.Call):
        value = scalar(_call(condition, run))
        if value is None:
            raise Failure("the condition has no value", "use a function that is true or false")
        return is_true(value)
    left = scalar(_evaluate(condition.left, run))
    right = scalar(_evaluate(condition.right, run))
    return _compare(left, condition.operator, right)


def _compare(left: str | None, operator: Operator, right: str | None) -> bool:
    """Compare two texts; null equals nothing, and differs from everything (6.2)."""
    negated = operator in (Operator.NOT_EQUAL, Operator.MATCHES_NOT)
    if left is None:
        return negated
    if operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        return (left == right) is not negated
    if right is None:
        raise Failure("the regular expression has no value")
    return whole_match(right, left) is not negated


def _evaluate(value: syntax.Value, run: Run) -> Value:
    """Return a value; a path is read."""
    return run.read(value.path) if isinstance(value, syntax.PathValue) else _argument(value, run)


def _argument(value: syntax.Value, run: Run) -> Value:
    """Return a value; a path is passed on."""
    if isinstance(value, syntax.Text):
        return value.text
    if isinstance(value, syntax.PathValue):
        return value.path
    if isinstance(value, syntax.Call):
        return _call(value, run)
    if isinstance(value, syntax.ListValue):
        return tuple(_argument(v, run) for v in value.values)
    try:
        return run.variables[value.name]
    except KeyError:
        raise Failure(
            f"the variable {value.name} has no value", "set it before it is read"
        ) from None


def _call(call: syntax.Call, run: Run) -> Value:
    arguments = tuple(_argument(argument, run) for argument in call.arguments)
    return FUNCTIONS[call.name].run(run, arguments)


def follow_instance(run: Run) -> None:
    """Let (0002,0002) and (0002,0003) follow the object's SOP class and instance (10)."""
    meta, ds = roots(run.ds)[0], run.ds
    if meta.ds is ds:
        return
    for source, target in _FOLLOWED:
        text = text_of(ds, source)
        if text is not None and text != text_of(meta.ds, target):
            store(Hit(meta, target), text)


_FOLLOWED = (
    (BaseTag(0x00080016), BaseTag(0x00020002)),
    (BaseTag(0x00080018), BaseTag(0x00020003)),
)
