"""Lints scripts: valid statements that probably do something unintended (dicomedit 12)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_VR

from engine.anonymize.language import syntax
from engine.anonymize.language.paths import Path, TagStep
from engine.anonymize.language.syntax import (
    ComparisonOperator,
    flat,
    values_below,
    values_in,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from engine.anonymize.script import Script

EXTERNAL_VARIABLES: Final = ("project", "subject", "session")
_IMAGE_SIZE: Final = frozenset((0x00280010, 0x00280011))
_FOLLOWED: Final = frozenset((0x00080016, 0x00080018))
_IDENTIFIERS: Final = frozenset((0x00100020, 0x00080050))
_SHORT_VALUE: Final = 3
_SHORT_VRS: Final = {"SH": 16, "CS": 16, "AE": 16, "AS": 4, "DA": 8, "IS": 12, "DS": 16, "TM": 14}


class Trap(StrEnum):
    """The kinds of findings."""

    NULL_KEEPS_VALUE = "null-keeps-value"
    LOOKUP_MISS = "lookup-miss"
    NESTED_COPIES = "nested-copies"
    BLANK_SHORT_VALUES = "blank-short-values"
    MISSING_ELEMENT = "missing-element"
    SINGLE_BACKSLASH = "single-backslash"
    ECHO = "echo"
    UNGUARDED_PIXELS = "unguarded-pixels"
    GUESSABLE_HASH = "guessable-hash"
    BROKEN_REFERENCES = "broken-references"
    PRIVATE_ORDER = "private-order"
    HALF_SET_VARIABLE = "half-set-variable"
    FILE_META = "file-meta"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One statement that probably does something unintended."""

    line: int
    """1-based, of the text as written."""
    trap: Trap
    message: str
    remedy: str


def lint(script: Script) -> tuple[LintFinding, ...]:
    """Return the findings in a valid script, in the order of its lines."""
    statements = tuple(flat(script.statements))
    found = [f for rule in _RULES for f in rule(script, statements)]
    return tuple(sorted(dict.fromkeys(found), key=lambda f: (f.line, f.trap)))


def _calls(statements: Iterable[syntax.Statement], *names: str) -> Iterator[syntax.Call]:
    for statement in statements:
        for value in values_of(statement):
            if isinstance(value, syntax.Call) and value.name in names:
                yield value


_Statements = tuple[syntax.Statement, ...]


def _null_keeps_value(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for s in statements:
        if isinstance(s, syntax.Assign) and isinstance(s.value, syntax.PathValue):
            message = f"if {s.value.path.text} is absent, {s.path.text} keeps its old value"
            remedy = f"remove it before: -{s.path.text}, or use concatenate to refuse the object"
            yield LintFinding(s.place.line, Trap.NULL_KEEPS_VALUE, message, remedy)


def _lookup_miss(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for call in _calls(statements, "lookup"):
        message = "a value without a line refuses the object; XNAT would keep the value"
        remedy = "make sure that the table has every value"
        yield LintFinding(call.place.line, Trap.LOOKUP_MISS, message, remedy)


def _nested_copies(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    deep = {s.path.text for s in statements if isinstance(s, syntax.Delete)}
    for s in statements:
        if isinstance(s, syntax.Delete) and s.path.root_tag is not None:
            # A script that removes the copies too, as -*/(gggg,eeee), needs no warning.
            if not _may_identify(s.path.root_tag) or f"*/{s.path.text}" in deep:
                continue
            message = f"copies of {s.path.text} inside of sequences stay"
            yield LintFinding(s.place.line, Trap.NESTED_COPIES, message, f"write -*/{s.path.text}")


def _may_identify(tag: int) -> bool:
    """Tell whether an element is a name, a comment or an identifier.

    With all other elements there would be too many findings.
    """
    try:
        return dictionary_VR(tag) in ("PN", "LT", "ST", "UT") or tag in _IDENTIFIERS
    except KeyError:
        return False


def _blank_short_values(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for call in _calls(statements, "blankValues"):
        for value in call.arguments:
            short = isinstance(value, syntax.Text) and len(value.text.strip()) <= _SHORT_VALUE
            if short or (isinstance(value, syntax.PathValue) and _is_short(value.path)):
                message = "many harmless elements have such a short value too, and all are blanked"
                remedy = "blank only values that are long enough to be unique"
                yield LintFinding(call.place.line, Trap.BLANK_SHORT_VALUES, message, remedy)


def _is_short(path: Path) -> bool:
    last = path.steps[-1]
    if not isinstance(last, TagStep) or not last.exact or last.creator is not None:
        return False
    try:
        return dictionary_VR(last.tag) in ("CS", "IS", "DS", "US", "SS", "UL", "SL", "AS")
    except KeyError:
        return False


def _missing_element(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for s in statements:
        for branch in s.branches if isinstance(s, syntax.Choice) else ():
            c = branch.condition
            if not isinstance(c, syntax.Comparison):
                continue
            sides = (c.left, c.right)
            path = next((v.path.text for v in sides if isinstance(v, syntax.PathValue)), "")
            blank = any(isinstance(v, syntax.Text) and not v.text for v in sides)
            if path and blank and c.operator is ComparisonOperator.EQUAL:
                message = f'= "" is false if {path} is absent'
                yield LintFinding(
                    s.place.line, Trap.MISSING_ELEMENT, message, f"use isPresent[{path}]"
                )
            elif path and c.operator is ComparisonOperator.NOT_EQUAL:
                message = f"!= is true if {path} is absent"
                yield LintFinding(
                    s.place.line, Trap.MISSING_ELEMENT, message, f"use isPresent[{path}]"
                )


def _echo(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for s in statements:
        if isinstance(s, syntax.Echo) and not isinstance(s.value, syntax.Text):
            message = "XNAT writes this to its log, where it may be patient data"
            yield LintFinding(s.place.line, Trap.ECHO, message, "remove the line")


def _single_backslash(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    r"""Of all escapes in strings, ``\b`` and ``\f`` look like parts of a pattern."""
    for call in _calls(statements, "match", "ismatch"):
        pattern = call.arguments[1]
        if isinstance(pattern, syntax.Text) and any(e in pattern.text for e in ("\\b", "\\f")):
            message = r"\b and \f are those of regular expressions, not those of strings"
            yield LintFinding(
                pattern.place.line, Trap.SINGLE_BACKSLASH, message, "double it to be clear"
            )


def _unguarded_pixels(script: Script, _statements: _Statements) -> Iterator[LintFinding]:
    yield from _pixels_in(script.statements, guarded=False)


def _pixels_in(statements: Iterable[syntax.Statement], *, guarded: bool) -> Iterator[LintFinding]:
    for s in statements:
        if isinstance(s, syntax.Choice):
            for branch in s.branches:
                paths = [v.path for v in values_in(branch.condition)
                         if isinstance(v, syntax.PathValue)]  # fmt: skip
                sized = any(path.root_tag in _IMAGE_SIZE for path in paths)
                yield from _pixels_in(branch.statements, guarded=guarded or sized)
        elif isinstance(s, syntax.Execute) and s.call.name == "alterPixels" and not guarded:
            message = "the rectangle is blackened in images of every size"
            remedy = "put it into an if block on (0028,0010) and (0028,0011)"
            yield LintFinding(s.place.line, Trap.UNGUARDED_PIXELS, message, remedy)


def _guessable_hash(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for s in statements:
        for call in _calls((s,), "hashUID"):
            first = call.arguments[0]
            if isinstance(first, syntax.PathValue) and first.path.root_tag in _IDENTIFIERS:
                message = f"the hash of {first.path.text} has no secret: short values are guessed"
                yield LintFinding(
                    call.place.line, Trap.GUESSABLE_HASH, message, "use lookup or mapUID"
                )
        if isinstance(s, syntax.Assign) and _is_hash(s.value) and _vr(s.path) in _SHORT_VRS:
            message = f"a hash of up to 44 characters is too long for {s.path.text}"
            remedy = "cut it with substring"
            yield LintFinding(s.place.line, Trap.GUESSABLE_HASH, message, remedy)


def _is_hash(value: syntax.Value) -> bool:
    return isinstance(value, syntax.Call) and value.name in ("hashUID", "newUID", "mapUID")


def _vr(path: Path) -> str:
    last = path.steps[-1]
    if not isinstance(last, TagStep) or not last.exact or last.creator is not None:
        return ""
    try:
        return dictionary_VR(last.tag)
    except KeyError:
        return ""


def _broken_references(script: Script, statements: _Statements) -> Iterator[LintFinding]:
    hashed = [s for s in statements if isinstance(s, syntax.Assign) and _is_hash(s.value)
              and _vr(s.path) == "UI" and s.path.root_tag is not None]  # fmt: skip
    # Any mention of Referenced SOP Instance UID counts: how it is changed is not followed.
    if hashed and "(0008,1155)" not in script.text:
        message = "UIDs in sequences still refer to the old ones"
        remedy = "add hashUIDList[*/(0008,1155)], or mapReferencedUIDs"
        yield LintFinding(hashed[0].place.line, Trap.BROKEN_REFERENCES, message, remedy)


def _private_order(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    removed = False
    for s in statements:
        removed |= isinstance(s, syntax.RemovePrivate)
        if removed and list(_calls((s,), "retainPrivateTags")):
            message = "removeAllPrivateTags has left nothing to retain"
            yield LintFinding(
                s.place.line, Trap.PRIVATE_ORDER, message, "remove removeAllPrivateTags"
            )


def _half_set_variable(script: Script, _statements: _Statements) -> Iterator[LintFinding]:
    known = set(EXTERNAL_VARIABLES)
    yield from _reads_of_unset(script.statements, known)


def _reads_of_unset(
    statements: Iterable[syntax.Statement], known: set[str]
) -> Iterator[LintFinding]:
    """Follow the script; after a choice, only what every branch sets is known."""
    for s in statements:
        for value in (
            values_of(s) if not isinstance(s, syntax.Echo) else values_below(s.value or _NOTHING)
        ):
            if isinstance(value, syntax.Name) and value.name not in known:
                message = f"the variable {value.name} may have no value here"
                remedy = "set it in every branch, or before"
                yield LintFinding(value.place.line, Trap.HALF_SET_VARIABLE, message, remedy)
        if isinstance(s, syntax.SetVariable):
            known.add(s.name)
        elif isinstance(s, syntax.Choice):
            after = []
            for branch in s.branches:
                inner = set(known)
                yield from _reads_of_unset(branch.statements, inner)
                after.append(inner)
            # Without an else, none of the branches may have run.
            if s.branches[-1].condition is None:
                known |= set.intersection(*after)


_NOTHING: Final = syntax.Text("", syntax.SourcePosition(1, 1))


def _file_meta(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for s in statements:
        if not isinstance(s, syntax.Assign | syntax.AssignExisting):
            continue
        first = s.path.steps[0]
        tag = first.tag if isinstance(first, TagStep) else 0
        if tag >> 16 == 2:
            message = f"{s.path.text} is in the file meta information"
            remedy = "leave it to the program: it follows (0008,0016) and (0008,0018)"
            yield LintFinding(s.place.line, Trap.FILE_META, message, remedy)
        elif s.path.root_tag in _FOLLOWED:
            message = f"{s.path.text} says what the object is; (0002,0002/0003) follow it"
            remedy = "change references to it in the same way"
            if not _is_hash(s.value):
                yield LintFinding(s.place.line, Trap.FILE_META, message, remedy)


def _network(_script: Script, statements: _Statements) -> Iterator[LintFinding]:
    for call in _calls(statements, "getURL"):
        message = "getURL is switched off here, so that every object is refused"
        yield LintFinding(call.place.line, Trap.NETWORK, message, "use lookup, or variables")


_RULES: Final[tuple[Callable[[Script, _Statements], Iterator[LintFinding]], ...]] = (
    _null_keeps_value,
    _lookup_miss,
    _nested_copies,
    _blank_short_values,
    _missing_element,
    _echo,
    _single_backslash,
    _unguarded_pixels,
    _guessable_hash,
    _broken_references,
    _private_order,
    _half_set_variable,
    _file_meta,
    _network,
)
