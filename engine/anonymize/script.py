"""A script: parsed and checked once, applied to many objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from engine.anonymize.apply import execute, follow_instance
from engine.anonymize.errors import ScriptRuntimeError, StatementFailure
from engine.anonymize.language.check import check
from engine.anonymize.language.parse import parse
from engine.anonymize.language.source import prepare
from engine.anonymize.record import record
from engine.anonymize.run import Rejected, ScriptContext, ScriptRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset

    from engine.anonymize.language.lookup import LookupTable
    from engine.anonymize.language.source import ScriptSource
    from engine.anonymize.language.syntax import Statement


class ScriptOutcome(StrEnum):
    """What a script made of an object."""

    OK = "ok"
    """The object is edited."""
    REJECTED = "rejected"
    """The script drops the object; it is no error, and the object must not be stored."""


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
        """Parse a script and check all that can be known before it runs.

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
            variables: what the script is given: project, subject, session.
            lookup: the table for ``lookup``, in place of that of the surroundings.
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
        run = ScriptRun(ds, variables, around)
        try:
            execute(self.statements, run, self.source)
        except Rejected:
            return ScriptOutcome.REJECTED
        self._follow_instance(run)
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
