"""The syntax tree of a script: statements, conditions and values, each with its position."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """The version that is asked for; None for the others."""
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
