"""Parses routing texts: splits each line, and checks everything at save (XNAT 6.1-6.3).

Deviations from XNAT, all at save: blank lines are skipped, surrounding blanks are trimmed as XNAT
trims them at run time, and group number, ``t:`` and ``r:`` are checked like the pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from engine.errors import Problem
from engine.routing.errors import InvalidRule, PatternFault, RuleError
from engine.routing.java.pieces import VALUE_UNITS
from engine.routing.java.regex import MAX_PATTERN_CHARACTERS, JavaPattern, compile_java
from engine.routing.rule import (
    DEFAULT_GROUP,
    MAX_REPLACEMENT_CHARACTERS,
    Part,
    Rule,
    parse_replacement,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


# Per text. Long lists of rules cost time for each object, which has 50 ms for all of them.
MAX_RULES: Final = 200
MAX_LINE_CHARACTERS: Final = 2 * MAX_PATTERN_CHARACTERS + MAX_REPLACEMENT_CHARACTERS + 100

_TRIMMED = "".join(map(chr, range(0x21)))
"""The characters that Java's String.trim removes."""
# Java's `\R` (XNAT 6.1).
_BREAK = re.compile(r"\r\n|[\n\x0b\f\r\x85\u2028\u2029]")
_ANY = r"[^\n\r\x85\u2028\u2029]"
# XNAT 6.2: the pattern is lazy, and the target greedy, so that it extends to the last " r:".
_RULE = re.compile(
    r"\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\):"
    rf"({_ANY}+?)(?::([0-9]+))?(?: t:({_ANY}*) r:({_ANY}*))?"
)
_TAG = "(hhhh,hhhh):"
_FORM = "write (gggg,eeee):pattern, then :group and t:target r:replacement if needed"


@dataclass(frozen=True, slots=True)
class RuleParts:
    """The parts of a line as XNAT's grammar splits it, not yet checked."""

    tag: int
    pattern: str
    group: str | None
    target: str | None
    replacement: str | None
    offsets: tuple[int, int, int, int]
    """0-based places of pattern, group, target and replacement in the line."""


def parse_rules(text: str, field: str = "routing") -> tuple[Rule, ...]:
    """Return the rules of a routing text, one per line that is not blank.

    Raises:
        InvalidRule: with every problem of every line, each naming `field`, line and column.
    """
    # Numbered before blank lines are dropped, so that a problem names the line of the text.
    lines = [(n, line) for n, line in enumerate(_BREAK.split(text), 1) if line.strip()]
    if len(lines) > MAX_RULES:
        number, line = lines[MAX_RULES]
        message = f"is more than {MAX_RULES} rules ({len(lines)})"
        raise InvalidRule(Problem(field, _shown(line), message, "join rules", number, 1))
    rules: list[Rule] = []
    problems: list[Problem] = []
    for number, line in lines:
        try:
            rules.append(replace(parse_rule(line.strip(_TRIMMED)), line=number))
        except InvalidRule as error:
            problems.extend(_placed(error, field, number, line))
    if problems:
        raise InvalidRule(*problems)
    return tuple(rules)


def _placed(error: InvalidRule, field: str, number: int, line: str) -> Iterator[Problem]:
    indent = len(line) - len(line.lstrip(_TRIMMED))
    trimmed = line.strip(_TRIMMED)
    # XNAT trims lines at run time, so the blank after the backslash would be lost there, too.
    lost_blank = trimmed.endswith("\\") and not line.endswith("\\")
    for problem in error.problems:
        at = (problem.column or 1) + indent
        placed = replace(problem, field=field, line=number, column=at)
        if lost_blank and problem.column == len(trimmed):
            message = "the blank after this backslash is dropped at the end of a line"
            placed = replace(placed, message=message, remedy="write \\x20 for the blank")
        yield placed


def parse_rule(line: str) -> Rule:
    """Parse one line; blanks around it are not trimmed.

    Raises:
        InvalidRule: with every problem of the line, each naming its column.
    """
    try:
        parts = split_rule(line)
    except PatternFault as fault:
        raise InvalidRule(_problem(line, 0, fault)) from fault
    check = _Check(line, parts)
    pattern, target, replacement = check.pattern(), check.target(), check.replacement()
    if pattern is None or check.problems:
        raise InvalidRule(*check.problems)
    return Rule(
        tag=parts.tag,
        pattern=parts.pattern,
        group=_group(parts),
        target=parts.target,
        replacement=parts.replacement,
        text=line,
        compiled=pattern,
        compiled_target=target,
        replacement_parts=replacement,
    )


def split_rule(line: str) -> RuleParts:
    """Split a line by XNAT's grammar (6.2).

    Raises:
        PatternFault: if it is no rule.
    """
    if len(line) > MAX_LINE_CHARACTERS:
        reason = f"is longer than {MAX_LINE_CHARACTERS} characters ({len(line)})"
        raise PatternFault(MAX_LINE_CHARACTERS, reason, "shorten the rule")
    found = _RULE.fullmatch(line)
    if found is None:
        raise _first_fault(line)
    # Unsigned: XNAT before 1.10.1 read groups from 8000 as negative and refused them (XNAT 5.7).
    tag = int(found[1] + found[2], 16)
    offsets = (found.start(3), found.start(4), found.start(5), found.start(6))
    return RuleParts(tag, found[3], found[4], found[5], found[6], offsets)


def _first_fault(line: str) -> PatternFault:
    if line.startswith("#"):
        return PatternFault(0, "there are no comments in routing rules", "remove the line")
    for offset, expected in enumerate(_TAG):
        found = line[offset : offset + 1]
        if not found or (found not in _HEX if expected == "h" else found != expected):
            sign = "a hexadecimal digit" if expected == "h" else expected
            return PatternFault(offset, f"expected {sign} here", _FORM)
    if len(line) == len(_TAG):
        return PatternFault(len(line), "the pattern is missing", _FORM)
    broken = _BREAK.search(line)
    return PatternFault(broken.start() if broken else 0, "a rule is one line", _FORM)


_HEX = frozenset("0123456789abcdefABCDEF")


class _Check:
    """Compiles the parts of one rule and collects what is wrong with them."""

    def __init__(self, line: str, parts: RuleParts) -> None:
        self._line = line
        self._parts = parts
        self._target: JavaPattern | None = None
        self.problems: list[Problem] = []

    def pattern(self) -> JavaPattern | None:
        """Compile the pattern and check that it has the group."""
        at, group_at, _, _ = self._parts.offsets
        pattern = self._compile(self._parts.pattern, at)
        if pattern is None:
            return None
        wanted = self._parts.group
        # XNAT saves such a rule and fails when an object arrives (XNAT 6.3); here it is refused at
        # save.
        if wanted is None and pattern.groups < DEFAULT_GROUP:
            reason = "the pattern has no group, and a rule without number takes group 1"
            remedy = "put ( ) around the part to take, or add :0 for the whole value"
            self._note(at, PatternFault(0, reason, remedy))
        elif wanted is not None and _too_large(wanted, pattern.groups):
            remedy = f"use :0 to :{pattern.groups}"
            self._note(group_at, PatternFault(0, f"the pattern has no group {wanted}", remedy))
        return pattern

    def target(self) -> JavaPattern | None:
        """Compile the target, if there is one."""
        if self._parts.target is not None:
            self._target = self._compile(self._parts.target, self._parts.offsets[2])
        return self._target

    def replacement(self) -> tuple[Part, ...]:
        """Split the replacement, if there is one and its target is good."""
        text = self._parts.replacement
        if text is None or self._target is None:
            return ()
        try:
            return parse_replacement(text, self._target.groups, self._target.names)
        except PatternFault as fault:
            self._note(self._parts.offsets[3], fault)
            return ()

    def _compile(self, pattern: str, at: int) -> JavaPattern | None:
        try:
            return compile_java(pattern)
        except PatternFault as fault:
            self._note(at, fault)
            return None

    def _note(self, at: int, fault: PatternFault) -> None:
        self.problems.append(_problem(self._line, at, fault))


def _group(parts: RuleParts) -> int:
    return DEFAULT_GROUP if parts.group is None else int(parts.group)


def _too_large(number: str, groups: int) -> bool:
    significant = number.lstrip("0")
    # The length first: no pattern has so many groups, and a long number is slow to convert.
    return len(significant) > 4 or int(significant or "0") > groups


def _problem(line: str, at: int, fault: PatternFault) -> Problem:
    column = at + fault.offset + 1
    return Problem("routing", _shown(line), fault.reason, fault.remedy, column=column)


def _shown(line: str) -> str:
    return line if len(line) <= 60 else line[:59] + "…"


# Twice the time limit of a rule.
LINT_TIMEOUT_SECONDS = 0.020
_LONG_VALUE = 2000
"""The length that is tried for rules with a replacement, which see values of any length."""


def slow_risk(rule: Rule) -> str | None:
    """Return a sentence about what may make a rule slow; None if nothing was found."""
    for name, pattern in (("pattern", rule.compiled), ("t:", rule.compiled_target)):
        if pattern is not None and pattern.nested_loop is not None:
            place = f"the group at character {pattern.nested_loop + 1} of the {name}"
            return f"{place} repeats, and so does what is inside: this can take very long"
    for value in _attacks(rule):
        try:
            rule.apply(value, LINT_TIMEOUT_SECONDS)
        except RuleError:
            limit = f"{LINT_TIMEOUT_SECONDS * 1000:g} ms"
            return f"a value of many {value[0]!r} takes longer than {limit}"
    return None


def _attacks(rule: Rule) -> Iterator[str]:
    written = rule.pattern + (rule.target or "")
    # Characters of the rule itself: those are the ones that its loops repeat.
    literals = dict.fromkeys(char for char in written if char.isalnum() or char in "._-^")
    length = VALUE_UNITS if rule.target is None else _LONG_VALUE
    # With the pattern's own literals at the end: without a character that it needs, a value is
    # refused at once, however slow the rest would be.
    ends = dict.fromkeys(("!", "".join(literals)[:16] + "!"))
    for char in dict.fromkeys(("a", "0", " ", *list(literals)[:4])):
        for end in ends:
            yield char * (length - len(end)) + end
