"""One routing rule applied to one element value (XNAT 6.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.routing.errors import RuleError, RuleTimeout
from engine.routing.finder import WorkLimit
from engine.routing.java.pieces import VALUE_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable

    import regex

    from engine.routing.java.regex import JavaPattern
    from engine.routing.replacement import Part

DEFAULT_GROUP: Final = 1
DEFAULT_TIMEOUT_SECONDS: Final = 0.010
QUICK_WAYS: Final = 150_000
"""Three free loops and a few choices: measured below a millisecond as a rule, 5 ms at worst."""
_HALF_CHARACTER = "\ufffd"
"""Stands where Java would keep one half of a surrogate pair, which can't be stored."""


@dataclass(frozen=True, slots=True)
class Application:
    """What a rule made of a value, for the dry run."""

    value: str
    """The value as the pattern saw it."""
    cut: bool
    """Whether that is only the beginning of the element's value."""
    matched: bool
    captured: str | None
    """The text of the rule's group, before replacement."""
    result: str | None
    why_not: str = ""
    """A sentence if there is no result."""


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
    """1-based line of the text it is from; None for a rule by itself."""
    compiled: JavaPattern = field(repr=False, compare=False)
    compiled_target: JavaPattern | None = field(default=None, repr=False, compare=False)
    replacement_parts: tuple[Part, ...] = field(default=(), repr=False, compare=False)
    is_fast: bool = field(init=False, repr=False, compare=False)
    """Whether no short value keeps it busy for more than a few milliseconds."""

    def __post_init__(self) -> None:
        target = self.compiled_target
        ways = max(self.compiled.ways, target.ways * VALUE_UNITS if target else 0)
        object.__setattr__(self, "is_fast", ways <= QUICK_WAYS)

    def apply(
        self, value: str | None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> str | None:
        """Return what the rule makes of an element's value; None is no value.

        Raises:
            RuleTimeout: if it takes longer than the time limit.
            RuleError: if matching fails for want of memory.
        """
        if not value:
            return None
        return self._evaluate(self._considered(value), timeout_seconds)[2]

    def explain(
        self, value: str | None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> Application:
        """Apply the rule and say why there is no result; raises as `apply` does."""
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
        # No character has more than two units.
        if self.target is not None or len(value) * 2 <= VALUE_UNITS:
            return value
        return _cut(value)

    def _evaluate(
        self, value: str, timeout_seconds: float
    ) -> tuple[regex.Match[str] | None, str | None, str | None]:
        unwatched = self.is_fast and len(value) <= VALUE_UNITS
        limit = None if unwatched else WorkLimit(timeout_seconds)
        try:
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
            # Java goes on one character later after finding nothing, Python tries again here.
            start = last + (first == last)
        return "".join((*pieces, text[done:]))

    def _expanded(self, match: regex.Match[str]) -> str:
        parts = self.replacement_parts
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
    """Match or search, without a clock if there is no limit: looking at it takes longest."""
    if limit is None:
        return find(*where)
    return limit.run(lambda left: find(*where, timeout=left))


def _cut(value: str) -> str:
    if value.isascii():
        return value[:VALUE_UNITS]
    units = 0
    for index, char in enumerate(value):
        units += 2 if char > "\uffff" else 1
        if units > VALUE_UNITS:
            half = _HALF_CHARACTER if char > "\uffff" and units == VALUE_UNITS + 1 else ""
            return value[:index] + half
    return value
