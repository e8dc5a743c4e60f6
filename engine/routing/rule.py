"""One routing rule applied to one element value (XNAT 6.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from time import thread_time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.errors import Problem
from engine.routing.errors import InvalidRule, PatternFault, RuleError, RuleTimeout
from engine.routing.java.pieces import VALUE_UNITS
from engine.routing.java.regex import compile_java

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import regex

    from engine.routing.java.regex import JavaPattern


# One pattern on one value; the same as for a routing rule, below.
FIND_SECONDS: Final = 0.010
# Placed before a finder's pattern: columns of its problems are counted without it.
_ANY_CASE: Final = "(?i)"


@dataclass(frozen=True, slots=True)
class Finder:
    """A pattern that is searched for, in any case; made by `parse_finder`, which checks it."""

    pattern: str
    """Java's syntax, as written."""
    compiled: JavaPattern = field(repr=False, compare=False)

    def finds(self, value: str) -> bool:
        """Tell whether the pattern is found in a value.

        Raises:
            RuleTimeout: if it takes longer than the time limit.
            RuleError: if memory runs out.
        """
        try:
            return self.compiled.compiled.search(value, timeout=FIND_SECONDS) is not None
        except TimeoutError as error:
            detail = f"the pattern took longer than {FIND_SECONDS * 1000:g} ms"
            raise RuleTimeout(detail, "avoid repeated groups that repeat inside") from error
        except MemoryError as error:
            raise RuleError("the pattern ran out of memory", "simplify it") from error


def parse_finder(pattern: str) -> Finder:
    """Return the finder of a pattern.

    Raises:
        InvalidRule: if Java refuses the pattern, or if it can't be translated exactly.
    """
    try:
        return Finder(pattern, compile_java(_ANY_CASE + pattern))
    except PatternFault as fault:
        column = max(0, fault.offset - len(_ANY_CASE)) + 1
        problem = Problem("pattern", pattern[:80], fault.reason, fault.remedy, None, column)
        raise InvalidRule(problem) from fault


T = TypeVar("T")

# So the last attempt has eight times the limit.
MOST_ATTEMPTS: Final = 4


class WorkLimit:
    """A limit of CPU time of one thread, which other threads do not use up."""

    __slots__ = ("_began", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = thread_time()

    def run(self, attempt: Callable[[float], T]) -> T:
        """Call `attempt` with a timeout in seconds, and return its result.

        An attempt that timed out because other threads were busy is repeated with twice the time.

        Raises:
            TimeoutError: if the CPU time is used up, or after `MOST_ATTEMPTS` attempts.
        """
        for factor in (1 << n for n in range(MOST_ATTEMPTS)):
            left = self._seconds - (thread_time() - self._began)
            if left <= 0:
                break
            try:
                # `regex` counts the CPU time of all threads; the limit is that of this one.
                return attempt(left * factor)
            except TimeoutError:
                continue
        raise TimeoutError


DEFAULT_GROUP: Final = 1
DEFAULT_TIMEOUT_SECONDS: Final = 0.010
QUICK_WAYS: Final = 150_000
"""Rules with at most so many ways run without a timeout.

This is three free loops and a few choices: below a millisecond as a rule, 5 ms at worst (measured).
"""
_HALF_CHARACTER = "\ufffd"
"""Replaces the half of a surrogate pair that Java would keep: it can't be encoded."""


@dataclass(frozen=True, slots=True)
class Application:
    """One rule applied to one value, with its steps, for the dry run."""

    value: str
    """The value that the pattern was matched with."""
    cut: bool
    """Whether `value` is only the beginning of the element's value."""
    matched: bool
    captured: str | None
    """The text of the rule's group, before replacement."""
    result: str | None
    why_not: str = ""
    """The reason if there is no result."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a routing expression; made by `parse_rule`, which checks it."""

    tag: int
    """Unsigned, group in the upper half."""
    pattern: str
    """Java's syntax, as written."""
    group: int
    target: str | None
    replacement: str | None
    text: str
    """The whole rule as written."""
    line: int | None = field(default=None, kw_only=True, compare=False)
    """1-based line in its text; None for a rule that was parsed alone."""
    compiled: JavaPattern = field(repr=False, compare=False)
    compiled_target: JavaPattern | None = field(default=None, repr=False, compare=False)
    replacement_parts: tuple[Part, ...] = field(default=(), repr=False, compare=False)
    is_fast: bool = field(init=False, repr=False, compare=False)
    """Whether it needs no timeout for a value of at most `VALUE_UNITS`."""

    def __post_init__(self) -> None:
        target = self.compiled_target
        # The target is searched for from each position of the captured text.
        ways = max(self.compiled.ways, target.ways * VALUE_UNITS if target else 0)
        object.__setattr__(self, "is_fast", ways <= QUICK_WAYS)

    def apply(
        self, value: str | None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> str | None:
        """Apply the rule to an element's value; None if it has no result.

        Raises:
            RuleTimeout: if it takes longer than the time limit.
            RuleError: if memory runs out.
        """
        if not value:
            return None
        return self._evaluate(self._considered(value), timeout_seconds)[2]

    def explain(
        self, value: str | None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> Application:
        """Apply the rule, with the reason if there is no result; raises as `apply` does."""
        if not value:
            return Application("", False, False, None, None, "no value")
        seen = self._considered(value)
        match, captured, result = self._evaluate(seen, timeout_seconds)
        why_not = "" if result is not None else self._why_not(seen, match, timeout_seconds)
        cut = seen != value
        if cut and why_not:
            why_not += f"; value cut to {VALUE_UNITS} characters"
        return Application(seen, cut, match is not None, captured, result, why_not)

    def _considered(self, value: str) -> str:
        # XNAT 6.4: a rule with a replacement sees the whole value. Java counts UTF-16 units, of
        # which no character has more than two.
        if self.target is not None or len(value) * 2 <= VALUE_UNITS:
            return value
        return _cut(value)

    def _evaluate(
        self, value: str, timeout_seconds: float
    ) -> tuple[regex.Match[str] | None, str | None, str | None]:
        unwatched = self.is_fast and len(value) <= VALUE_UNITS
        limit = None if unwatched else WorkLimit(timeout_seconds)
        try:
            # XNAT 6.4: the pattern must match the whole value.
            match = _found(limit, self.compiled.compiled.fullmatch, value)
            captured = match and match[self.group]
            if captured is None or self.compiled_target is None:
                return match, captured, captured
            return match, captured, self._replaced(self.compiled_target, captured, limit)
        except TimeoutError as error:
            detail = f"the rule took longer than {timeout_seconds * 1000:g} ms"
            raise RuleTimeout(detail, "avoid repeated groups that repeat inside") from error
        except MemoryError as error:
            raise RuleError("the rule ran out of memory", "simplify it") from error

    def _replaced(self, target: JavaPattern, text: str, limit: WorkLimit | None) -> str:
        pieces: list[str] = []
        done = start = 0
        while start <= len(text):
            match = _found(limit, target.compiled.search, text, start)
            if match is None:
                break
            first, last = match.span()
            pieces += text[done:first], self._expanded(match)
            done = last
            # After an empty match Java continues one character later; Python would search here.
            start = last + (first == last)
        return "".join((*pieces, text[done:]))

    def _expanded(self, match: regex.Match[str]) -> str:
        parts = self.replacement_parts
        # A group that took no part is empty in a replacement, as in Java.
        return "".join(p if isinstance(p, str) else match[p] or "" for p in parts)

    def _why_not(self, value: str, match: regex.Match[str] | None, timeout_seconds: float) -> str:
        if match is not None:
            return f"group {self.group} took no part in the match"
        possible = self._possible_beginning(value, timeout_seconds)
        if possible is None:
            return "pattern must match the whole value"
        if possible == len(value):
            return "pattern must match the whole value: the value ends too early"
        return f"pattern must match the whole value: stopped at character {possible + 1}"

    def _possible_beginning(self, value: str, timeout_seconds: float) -> int | None:
        """Find how many characters could still become a match; None if that takes too long."""
        # A binary search: a beginning that can still become a match has only such beginnings.
        low, high = 0, len(value)
        try:
            while low < high:
                middle = (low + high + 1) // 2
                beginning = value[:middle]
                if self.compiled.compiled.fullmatch(
                    beginning, partial=True, timeout=timeout_seconds
                ):
                    low = middle
                else:
                    high = middle - 1
        except (TimeoutError, MemoryError):
            return None
        return low


def _found(
    limit: WorkLimit | None, find: Callable[..., regex.Match[str] | None], *where: Any
) -> regex.Match[str] | None:
    """Match or search; no clock is read without a limit, for that takes longer than the rule."""
    if limit is None:
        return find(*where)
    return limit.run(lambda left: find(*where, timeout=left))


def _cut(value: str) -> str:
    # Every character is one unit then.
    if value.isascii():
        return value[:VALUE_UNITS]
    units = 0
    for index, char in enumerate(value):
        units += 2 if char > "\uffff" else 1
        if units > VALUE_UNITS:
            # The 64th unit is the first half of a pair: Java would cut the pair in two.
            half = _HALF_CHARACTER if char > "\uffff" and units == VALUE_UNITS + 1 else ""
            return value[:index] + half
    return value


Part = str | int
"""Literal text, or the number of a group."""

MAX_REPLACEMENT_CHARACTERS: Final = 1000
_NAME = re.compile(r"\$\{([A-Za-z][A-Za-z0-9]*)\}")
_LITERAL_DOLLAR = "write \\$ for the sign itself"


def parse_replacement(text: str, groups: int, names: Mapping[str, int]) -> tuple[Part, ...]:
    """Split a replacement into literal texts and groups (java.util.regex.Matcher).

    Raises:
        PatternFault: if Java would fail when the replacement is used.
    """
    if len(text) > MAX_REPLACEMENT_CHARACTERS:
        reason = f"is longer than {MAX_REPLACEMENT_CHARACTERS} characters ({len(text)})"
        raise PatternFault(MAX_REPLACEMENT_CHARACTERS, reason, "shorten it")
    parts: list[Part] = []
    for part in _parts(text, groups, names):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return tuple(parts)


def _parts(text: str, groups: int, names: Mapping[str, int]) -> Iterator[Part]:
    at = 0
    while at < len(text):
        start = at
        at += 1
        if text[start] == "\\":
            if at == len(text):
                raise PatternFault(start, "a backslash at the end escapes nothing", "write \\\\")
            # In Java a backslash only quotes the next character: `\n` is the letter n.
            yield text[at]
            at += 1
        elif text[start] != "$":
            yield text[start]
        elif text[at : at + 1] == "{":
            number, at = _named(text, start, names)
            yield number
        else:
            number, at = _numbered(text, start, groups)
            yield number


def _named(text: str, start: int, names: Mapping[str, int]) -> tuple[int, int]:
    found = _NAME.match(text, start)
    if found is None:
        raise PatternFault(start, "${ needs a group name and a }", _LITERAL_DOLLAR)
    if found[1] not in names:
        remedy = "name the group in t: as (?<name>…)"
        raise PatternFault(start, f"t: has no group named {found[1]}", remedy)
    return names[found[1]], found.end()


def _numbered(text: str, start: int, groups: int) -> tuple[int, int]:
    at = start + 1
    if not _is_digit(text, at):
        raise PatternFault(start, "$ needs a group number", _LITERAL_DOLLAR)
    number = int(text[at])
    if number > groups:
        remedy = f"use $0 to ${groups}" if groups else "use $0, or put brackets around a part of t:"
        raise PatternFault(start, f"t: has no group {number}", remedy)
    at += 1
    # Java takes a further digit only as long as a group of that number exists.
    while _is_digit(text, at) and number * 10 + int(text[at]) <= groups:
        number = number * 10 + int(text[at])
        at += 1
    return number, at


def _is_digit(text: str, at: int) -> bool:
    return text[at : at + 1].isascii() and text[at : at + 1].isdigit()
