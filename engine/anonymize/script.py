"""A script: parsed and checked once, applied to many objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pydicom.tag import BaseTag

from engine.anonymize.datasets.private import is_private
from engine.anonymize.datasets.reading import UNREADABLE, text_of
from engine.anonymize.datasets.tree import Hit, roots
from engine.anonymize.datasets.writing import assign, remove, store
from engine.anonymize.errors import ScriptRuntimeError, ScriptTimeout, StatementFailure
from engine.anonymize.functions import FUNCTIONS
from engine.anonymize.language import syntax
from engine.anonymize.language.check import check
from engine.anonymize.language.parse import parse
from engine.anonymize.language.patterns import whole_match
from engine.anonymize.language.source import prepare
from engine.anonymize.language.syntax import ComparisonOperator
from engine.anonymize.language.values import VOID, is_true, scalar
from engine.anonymize.record import record
from engine.anonymize.run import Rejected, ScriptContext, ScriptRun, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydicom.dataset import Dataset

    from engine.anonymize.datasets.tree import Level
    from engine.anonymize.language.source import ScriptSource
    from engine.anonymize.language.syntax import Statement
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import LookupTable


S = TypeVar("S", bound=syntax.Statement)
R = TypeVar("R")


def execute(statements: Iterable[syntax.Statement], run: ScriptRun, source: ScriptSource) -> None:
    """Run statements.

    Raises:
        ScriptRuntimeError: naming the statement; the object is half edited then.
        Rejected: if the script drops the object.
    """
    for statement in statements:
        if isinstance(statement, syntax.Choice):
            # Only the condition is guarded here: each statement of the branch names itself.
            branch = _guarded(statement, run, source, _chosen)
            if branch is not None:
                execute(branch.statements, run, source)
        else:
            _guarded(statement, run, source, _carry_out)


def _guarded(
    statement: S, run: ScriptRun, source: ScriptSource, do: Callable[[S, ScriptRun], R]
) -> R:
    """Run one statement; an error names its line."""
    try:
        run.tick()
        return do(statement, run)
    except (StatementFailure, TimeLimit, *UNREADABLE) as error:
        raise _runtime_error(error, statement.place.line, run, source) from error


def _runtime_error(
    error: Exception, line: int, run: ScriptRun, source: ScriptSource
) -> ScriptRuntimeError:
    where = source.line_text(line)
    if isinstance(error, StatementFailure):
        return ScriptRuntimeError(line, where, error.cause, error.remedy, source.name)
    if isinstance(error, TimeLimit):
        cause = f"took longer than {error} on one object"
        return ScriptTimeout(line, where, cause, "simplify the script", source.name)
    cause = f"the object can't be edited ({type(error).__name__})"
    return ScriptRuntimeError(line, where, cause, "", source.name)


def _chosen(choice: syntax.Choice, run: ScriptRun) -> syntax.Branch | None:
    """Return the first branch whose condition is true."""
    for branch in choice.branches:
        if branch.condition is None or _holds(branch.condition, run):
            return branch
    return None


def _carry_out(statement: syntax.Statement, run: ScriptRun) -> None:
    _ACTIONS[type(statement)](statement, run)


def _assign(statement: syntax.Assign, run: ScriptRun) -> None:
    """Assign a value; null leaves the old one (dicomedit 4.4)."""
    # Evaluated before the path is created: the value may be read from that very path.
    text = scalar(_evaluate(statement.value, run))
    if text is not None:
        assign(run.ds, statement.path, text)


def _assign_existing(statement: syntax.AssignExisting, run: ScriptRun) -> None:
    # dicomedit 4.4: unlike `:=`, null empties the elements. It is evaluated once for all.
    text = scalar(_evaluate(statement.value, run)) or ""
    for hit in run.find(statement.path):
        if hit.item is None and hit.tag in hit.level.ds:
            store(hit, text)


def _set_variable(statement: syntax.SetVariable, run: ScriptRun) -> None:
    value = _evaluate(statement.value, run)
    if value is VOID:
        raise StatementFailure("a function without a result is used as a value")
    run.variables[statement.name] = value


def _delete(statement: syntax.Delete, run: ScriptRun) -> None:
    # From the last to the first: to remove an item changes the numbers of those behind it.
    for hit in reversed(run.find(statement.path)):
        remove(hit)


def _execute(statement: syntax.Execute, run: ScriptRun) -> None:
    _call(statement.call, run)


def _echo(statement: syntax.Echo, run: ScriptRun) -> None:
    value = _evaluate(statement.value, run) if statement.value else None
    if value is VOID:
        raise StatementFailure("a function without a result is used as a value")
    # XNAT writes this to its log, where it may be patient data.
    if run.script_context.echo is not None:
        run.script_context.echo(str(value))


def _remove_private(_statement: syntax.RemovePrivate, run: ScriptRun) -> None:
    for level in roots(run.ds):
        _remove_private_below(level, run)


def _remove_private_below(level: Level, run: ScriptRun) -> None:
    for tag in level.tags():
        run.tick()
        # A private sequence goes with all its items; public ones are searched.
        if is_private(tag):
            del level.ds[tag]
        else:
            for item in level.below(tag):
                _remove_private_below(item, run)


def _hint(_statement: syntax.Hint, _run: ScriptRun) -> None:
    """Do nothing: hints were for XNAT's upload applet, and the version was checked before."""


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


def _holds(condition: syntax.Condition, run: ScriptRun) -> bool:
    if isinstance(condition, syntax.Call):
        value = scalar(_call(condition, run))
        if value is None:
            raise StatementFailure(
                "the condition has no value", "use a function that is true or false"
            )
        return is_true(value)
    left = scalar(_evaluate(condition.left, run))
    right = scalar(_evaluate(condition.right, run))
    return _compare(left, condition.operator, right)


def _compare(left: str | None, operator: ComparisonOperator, right: str | None) -> bool:
    """Compare two texts; null equals nothing, and differs from everything (6.2)."""
    negated = operator in (ComparisonOperator.NOT_EQUAL, ComparisonOperator.MATCHES_NOT)
    if left is None:
        return negated
    if operator in (ComparisonOperator.EQUAL, ComparisonOperator.NOT_EQUAL):
        return (left == right) is not negated
    if right is None:
        raise StatementFailure("the regular expression has no value")
    return whole_match(right, left) is not negated


def _evaluate(value: syntax.Value, run: ScriptRun) -> Value:
    """Return a value; a path is read."""
    return run.read(value.path) if isinstance(value, syntax.PathValue) else _argument(value, run)


def _argument(value: syntax.Value, run: ScriptRun) -> Value:
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
        raise StatementFailure(
            f"the variable {value.name} has no value", "set it before it is read"
        ) from None


def _call(call: syntax.Call, run: ScriptRun) -> Value:
    arguments = tuple(_argument(argument, run) for argument in call.arguments)
    return FUNCTIONS[call.name].run(run, arguments)


def follow_instance(run: ScriptRun) -> None:
    """Copy SOP class and instance to (0002,0002) and (0002,0003) (dicomedit 10)."""
    meta, ds = roots(run.ds)[0], run.ds
    # An object without file meta has one root only.
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


class ScriptOutcome(StrEnum):
    """The outcome of a script on an object."""

    OK = "ok"
    """The object is edited."""
    REJECTED = "rejected"
    """The script drops the object, which must not be stored. This is no error."""


@dataclass(frozen=True, slots=True)
class Script:
    """A valid script; one instance serves all objects, from any thread."""

    name: str
    text: str
    """As written."""
    statements: tuple[Statement, ...] = field(repr=False)
    source: ScriptSource = field(repr=False)

    @classmethod
    def parse(cls, text: str, name: str = "script") -> Self:
        """Parse a script and do all checks that need no object.

        Raises:
            MissingVersion: if it is a script of the older language DicomEdit 4.
            ScriptError: naming line, column and remedy.
        """
        source = prepare(text, name)
        statements = parse(source)
        check(statements, source)
        return cls(name, text, statements, source)

    def apply(
        self,
        ds: Dataset,
        variables: Mapping[str, str],
        *,
        lookup: LookupTable | None = None,
        ignore_rejection: bool = False,
        script_id: int | None = None,
        script_context: ScriptContext | None = None,
    ) -> ScriptOutcome:
        """Edit an object in place; discard it if this raises or the outcome is `REJECTED`.

        Args:
            ds: the object, with ``file_meta``; anything in it may be changed.
            variables: project, subject and session.
            lookup: the table for ``lookup``, in place of that in `script_context`.
            ignore_rejection: whether ``reject`` does nothing, as in XNAT's relabelling.
            script_id: the number to record in (0012,0064); None or 0 records nothing.
            script_context: limits, UID maps and what else is the same for many objects.

        Raises:
            ScriptRuntimeError: naming line, statement and cause, without element values.
            UneditableFile: if `script_id` can't be recorded.
        """
        around = script_context or ScriptContext()
        around = replace(
            around,
            lookup=around.lookup if lookup is None else lookup,
            ignore_rejection=around.ignore_rejection or ignore_rejection,
        )
        # New for each object: in XNAT, variables stay for the next object.
        run = ScriptRun(ds, variables, around)
        try:
            execute(self.statements, run, self.source)
        except Rejected:
            return ScriptOutcome.REJECTED
        self._follow_instance(run)
        # dicomedit 10: the numbers of stored scripts begin at 1.
        if script_id:
            record(ds, [script_id])
        return ScriptOutcome.OK

    def _follow_instance(self, run: ScriptRun) -> None:
        try:
            follow_instance(run)
        except StatementFailure as failure:
            line, where = len(self.source.lines), "the file meta information"
            raise ScriptRuntimeError(
                line, where, failure.cause, failure.remedy, self.name
            ) from failure


DEFAULT_SITE_SCRIPT: Final = """\
// Files objects under their labels. This is no de-identification: dates, physicians,
// institution, accession number, UIDs and private elements stay as they are.
version "6.1"
project != "Unassigned" ? (0008,1030) := project
(0010,0010) := subject
(0010,0020) := session
"""
"""The three statements of XNAT's default site script."""
